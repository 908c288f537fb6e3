//! Linear layers in compressed forms, by rarefy.

use crate::Result;
use crate::model::Trained;
use ndarray::{ArrayRefD, Axis, Ix2};
use rarefy::infer::{
    Activations, DenseLinear, GroupedLinear, Layer, QuantizedLinear, SparseLinear,
};
use rarefy::prelude::*;
use rarefy::prune::{self, Global};
use rarefy::quantize::{
    BlockFormat, BlockTensor, ErrorSearch, Linear, QuantizationRules, QuantizedTensor, RuledTensor,
};

/// A layer that computes, and the bytes that its weights take where they are kept.
#[derive(Debug)]
pub struct Made {
    pub layer: Box<dyn Layer>,
    pub bytes: usize,
}

impl Made {
    /// A layer that computes with its weights as they are kept; its bias stays in f32 and is not counted.
    fn as_kept(layer: impl Layer + 'static, from: &Trained) -> Self {
        Self {
            bytes: layer.bytes() - size_of::<f32>() * from.bias.len(),
            layer: Box::new(layer),
        }
    }
}

/// What makes all layers of a network.
pub type Make = Box<dyn Fn(&[Trained]) -> Result<Vec<Made>>>;

/// What makes them one by one.
fn each(make: impl Fn(&Trained) -> Result<Made> + 'static) -> Make {
    Box::new(move |layers| layers.iter().map(&make).collect())
}

/// As they were trained.
pub fn floats() -> Make {
    each(|layer| {
        let dense = DenseLinear::new(&layer.weights, Some(&layer.bias))?;
        Ok(Made::as_kept(dense, layer))
    })
}

/// Codes that become floats again before anything is computed: what they lose, without any loss of activations.
pub fn decoded(rules: QuantizationRules<f32>) -> Make {
    quantized(rules, |layer, codes| {
        let weights = codes.dequantize::<f32>().into_dimensionality::<Ix2>()?;
        Ok(Made {
            layer: Box::new(DenseLinear::new(&weights, Some(&layer.bias))?),
            bytes: codes.bytes(),
        })
    })
}

/// What quantizes all layers by rules of their names, and makes a layer of each one's codes.
fn quantized(
    rules: QuantizationRules<f32>,
    make: impl Fn(&Trained, &QuantizedTensor) -> Result<Made> + 'static,
) -> Make {
    Box::new(move |layers| {
        let tensors: Vec<_> = layers
            .iter()
            .map(|layer| (layer.name.as_str(), layer.weights.view().into_dyn()))
            .collect();
        let done = rules.apply(&tensors)?;
        if let Some(unused) = done.unused.first() {
            return Err(format!("no layer is {:?}", rules.label(unused.rule)).into());
        }
        let made = |(layer, done): (&Trained, &RuledTensor)| {
            make(
                layer,
                done.quantized.as_ref().ok_or("a layer without codes")?,
            )
        };
        layers.iter().zip(&done.tensors).map(made).collect()
    })
}

/// The same for blocks of bytes: the first of these formats whose blocks fit the rows.
pub fn decoded_blocks(formats: &'static [BlockFormat]) -> Make {
    each(|layer| {
        let fits = |format: &&BlockFormat| layer.weights.ncols() % format.block_len() == 0;
        let format = formats.iter().find(fits).ok_or("no block fits")?;
        let blocks = BlockTensor::encode(&layer.weights, *format)?;
        let weights = blocks.dequantize::<f32>().into_dimensionality::<Ix2>()?;
        Ok(Made {
            layer: Box::new(DenseLinear::new(&weights, Some(&layer.bias))?),
            bytes: blocks.bytes().len(),
        })
    })
}

/// Eight bits, and activations of eight bits.
pub fn eight_bits() -> Make {
    each(|layer| {
        let codes = QuantizedLinear::new(&layer.weights, Some(&layer.bias))?;
        Ok(Made::as_kept(codes, layer))
    })
}

/// Codes in groups, and integer activations.
pub fn grouped(rules: QuantizationRules<f32>, activations: Activations) -> Make {
    quantized(rules, move |layer, codes| {
        let grouped = GroupedLinear::from_tensor(codes, Some(&layer.bias))?;
        Ok(Made::as_kept(grouped.activations(activations), layer))
    })
}

/// The two largest of every four weights of an output.
pub fn two_of_four() -> Make {
    each(|layer| {
        let mut weights = layer.weights.clone();
        prune::semi_structured(&mut weights, 2, 4, Axis(1))?;
        let sparse = SparseLinear::best(&weights, Some(&layer.bias))?;
        Ok(Made::as_kept(sparse, layer))
    })
}

/// This share of the smallest weights of all layers together gone.
pub fn pruned_together(share: f64) -> Make {
    Box::new(move |layers| {
        let tensors: Vec<_> = layers
            .iter()
            .map(|layer| prune::Layer::new(&layer.name, &layer.weights))
            .collect();
        let masks = Global::new(share).masks(&tensors)?.masks;
        let pruned = |(layer, mask): (&Trained, &prune::Mask)| {
            let mut weights = layer.weights.clone();
            mask.apply(&mut weights)?;
            let sparse = SparseLinear::best(&weights, Some(&layer.bias))?;
            Ok(Made::as_kept(sparse, layer))
        };
        layers.iter().zip(&masks).map(pruned).collect()
    })
}

/// The codes of a quantizer for the ranges that an error search finds: a method of our own out of two of rarefy's.
#[derive(Debug)]
pub struct Searched(pub Linear);

impl Quantizer<f32> for Searched {
    fn quantize_dyn(&self, weights: &ArrayRefD<f32>) -> rarefy::Result<QuantizedTensor> {
        let ranges = ErrorSearch::new(self.0).norm(2.0).ranges(weights)?;
        self.0.quantize_with(weights, &self.0.parameters(&ranges)?)
    }
}
