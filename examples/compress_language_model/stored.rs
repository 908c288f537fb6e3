//! The form in which a finished network is kept, and from which it comes back.
//!
//! The bytes in the table are the bytes of this form. What is judged is not the network that was
//! trained but the one that comes back from here.

use crate::network::Parameters;
use ndarray::{ArrayD, ArrayViewD, Axis};
use rarefy::prelude::*;
use rarefy::quantize::{Linear, QuantizedTensor};
use rarefy::{Mask, Result};

/// One tensor as it is kept.
pub enum Tensor {
    /// All weights.
    Dense(ArrayD<f32>),
    /// The weights that are not zero, in order, and a bit for each place.
    Sparse { mask: Mask, kept: Vec<f32> },
    /// Codes of a few bits.
    Quantized(QuantizedTensor),
}

impl Tensor {
    fn dense(weights: ArrayViewD<'_, f32>) -> Self {
        Self::Dense(weights.to_owned())
    }

    fn sparse(weights: ArrayViewD<'_, f32>) -> Self {
        let mask = Mask::of_nonzero(&weights);
        let kept = weights.iter().zip(mask.iter()).filter(|(_, keep)| *keep);
        let kept = kept.map(|(&weight, _)| weight).collect();
        Self::Sparse { mask, kept }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(weights) => size_of::<f32>() * weights.len(),
            Self::Sparse { mask, kept } => mask.bytes() + size_of::<f32>() * kept.len(),
            Self::Quantized(codes) => codes.bytes(),
        }
    }

    pub fn restore(&self) -> ArrayD<f32> {
        match self {
            Self::Dense(weights) => weights.clone(),
            Self::Sparse { mask, kept } => {
                let (mut keep, mut kept) = (mask.iter(), kept.iter());
                ArrayD::from_shape_simple_fn(mask.shape(), || match keep.next() {
                    Some(true) => kept.next().copied().unwrap_or(0.0),
                    _ => 0.0,
                })
            }
            Self::Quantized(codes) => codes.dequantize(),
        }
    }
}

/// A network as it is kept.
pub struct Stored {
    /// Every tensor by name.
    pub tensors: Vec<(&'static str, Tensor)>,
    /// For the shapes.
    like: Parameters,
}

impl Stored {
    /// Every weight as it is.
    pub fn dense(network: &Parameters) -> Result<Self> {
        Self::new(network, |_, weights| Ok(Tensor::dense(weights)))
    }

    /// The weights that are not zero, and masks.
    pub fn sparse(network: &Parameters) -> Result<Self> {
        Self::new(network, |_, weights| {
            Ok(if weights.ndim() > 1 {
                Tensor::sparse(weights)
            } else {
                Tensor::dense(weights)
            })
        })
    }

    /// Matrices in codes of `bits` bits, a scale for each unit that a column leads to. Biases, which
    /// are few, stay as they are.
    pub fn quantized(network: &Parameters, bits: u32) -> Result<Self> {
        let linear = Linear::new(bits).per_channel(Axis(1));
        Self::quantized_by(network, |_, weights| linear.quantize(&weights))
    }

    /// Matrices in the codes that `quantize` gives for each by name. Biases stay as they are.
    pub fn quantized_by(
        network: &Parameters,
        quantize: impl Fn(&str, ArrayViewD<'_, f32>) -> Result<QuantizedTensor>,
    ) -> Result<Self> {
        Self::new(network, |name, weights| {
            Ok(if weights.ndim() > 1 {
                Tensor::Quantized(quantize(name, weights)?)
            } else {
                Tensor::dense(weights)
            })
        })
    }

    fn new(
        network: &Parameters,
        store: impl Fn(&str, ArrayViewD<'_, f32>) -> Result<Tensor>,
    ) -> Result<Self> {
        let tensors = network
            .named()
            .into_iter()
            .map(|(name, weights)| Ok((name, store(name, weights)?)));
        Ok(Self {
            tensors: tensors.collect::<Result<_>>()?,
            like: network.zeros_like(),
        })
    }

    pub fn bytes(&self) -> usize {
        self.tensors.iter().map(|(_, tensor)| tensor.bytes()).sum()
    }

    /// The network that comes back.
    pub fn restore(&self) -> Parameters {
        let mut network = self.like.clone();
        for ((_, mut weights), (_, tensor)) in network.named_mut().into_iter().zip(&self.tensors) {
            weights.assign(&tensor.restore());
        }
        network
    }
}
