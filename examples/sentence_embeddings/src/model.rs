//! A BERT encoder whose linear layers have any form.

use crate::Result;
use crate::attention::Attention;
use crate::config::Config;
use crate::gelu;
use crate::layer_norm::LayerNorm;
use crate::pooling::mean_of_length_one;
use crate::tables::Tables;
use crate::tokens::Batch;
use crate::weights::Weights;
use ndarray::{Array1, Array2, ArrayViewMut2};
use rarefy::infer::{Layer, Scratch};
use std::sync::Arc;

/// Weights (outputs × inputs) and bias of a linear layer, as they were trained.
#[derive(Debug)]
pub struct Trained {
    pub name: String,
    pub weights: Array2<f32>,
    pub bias: Array1<f32>,
}

/// The linear layers of a block, in this order.
const LINEAR: [&str; 6] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
];

/// The linear layers of all blocks.
pub fn trained(config: &Config, weights: &Weights) -> Result<Vec<Trained>> {
    let mut layers = Vec::new();
    for block in 0..config.blocks {
        for layer in LINEAR {
            let name = format!("encoder.layer.{block}.{layer}");
            layers.push(Trained {
                weights: weights.matrix(&format!("{name}.weight"))?,
                bias: weights.vector(&format!("{name}.bias"))?,
                name,
            });
        }
    }
    Ok(layers)
}

/// Everything that stays as it is, whatever becomes of the linear layers.
#[derive(Clone, Debug)]
pub struct Frame {
    heads: usize,
    width: usize,
    /// Of each block: behind attention, and behind the feed-forward part.
    norms: Arc<Vec<[LayerNorm; 2]>>,
    pub tables: Arc<Tables>,
}

impl Frame {
    pub fn read(config: &Config, weights: &Weights) -> Result<Self> {
        let norm = |block: usize, part: &str| -> Result<LayerNorm> {
            let name = format!("encoder.layer.{block}.{part}.LayerNorm");
            Ok(LayerNorm {
                scale: weights.vector(&format!("{name}.weight"))?,
                shift: weights.vector(&format!("{name}.bias"))?,
                epsilon: config.epsilon,
            })
        };
        let norms: Result<Vec<_>> = (0..config.blocks)
            .map(|block| Ok([norm(block, "attention.output")?, norm(block, "output")?]))
            .collect();
        Ok(Self {
            heads: config.heads,
            width: config.width,
            norms: Arc::new(norms?),
            tables: Arc::new(Tables::read(config, weights)?),
        })
    }

    /// The same with tables in eight bits.
    pub fn with_small_tables(&self) -> Result<Self> {
        Ok(Self {
            tables: Arc::new(self.tables.eight_bits()?),
            ..self.clone()
        })
    }
}

/// The encoder.
#[derive(Debug)]
pub struct Model {
    frame: Frame,
    /// Those of `LINEAR` for each block.
    layers: Vec<Box<dyn Layer>>,
}

impl Model {
    /// A model of these layers, in the order of [`trained`].
    pub fn new(frame: Frame, layers: Vec<Box<dyn Layer>>) -> Result<Self> {
        if layers.len() != frame.norms.len() * LINEAR.len() {
            return Err(format!("{} layers for {} blocks", layers.len(), frame.norms.len()).into());
        }
        Ok(Self { frame, layers })
    }

    /// A vector of length 1 for each sentence, one below the other.
    pub fn embed(&self, batch: &Batch, room: &mut Room) -> Result<Array2<f32>> {
        let (rows, width) = (batch.tokens.len(), self.frame.width);
        let wide = self.layers.get(4).map_or(0, |layer| layer.outputs());
        let Room { floats, scratch } = room;
        let [x, query, key, value, seen, inner] = floats;
        let mut x = shaped(x, rows, width)?;
        let (mut query, mut key) = (shaped(query, rows, width)?, shaped(key, rows, width)?);
        let (mut value, mut seen) = (shaped(value, rows, width)?, shaped(seen, rows, width)?);
        let mut inner = shaped(inner, rows, wide)?;

        self.frame.tables.look_up(batch, x.view_mut())?;
        let (blocks, _) = self.layers.as_chunks();
        for (layers, [first, second]) in blocks.iter().zip(self.frame.norms.iter()) {
            let [to_query, to_key, to_value, from_seen, widen, narrow] = layers;
            to_query.forward_into(&x, &mut query, scratch)?;
            to_key.forward_into(&x, &mut key, scratch)?;
            to_value.forward_into(&x, &mut value, scratch)?;
            let attention = Attention {
                query: query.view(),
                key: key.view(),
                value: value.view(),
                heads: self.frame.heads,
            };
            attention.apply(&batch.sentences, seen.view_mut());
            // From here on the queries are not needed, and their place is.
            from_seen.forward_into(&seen, &mut query, scratch)?;
            first.add_and_normalise(x.view_mut(), query.view());
            widen.forward_into(&x, &mut inner, scratch)?;
            gelu::apply(inner.view_mut());
            narrow.forward_into(&inner, &mut query, scratch)?;
            second.add_and_normalise(x.view_mut(), query.view());
        }
        Ok(mean_of_length_one(x.view(), &batch.sentences))
    }
}

/// What a forward pass writes to on its way, used again from call to call.
#[derive(Debug, Default)]
pub struct Room {
    floats: [Vec<f32>; 6],
    scratch: Scratch,
}

/// So many of the floats as an array; what it holds is overwritten.
fn shaped(floats: &mut Vec<f32>, rows: usize, columns: usize) -> Result<ArrayViewMut2<'_, f32>> {
    let needed = rows * columns;
    if floats.len() < needed {
        floats.resize(needed, 0.0);
    }
    Ok(ArrayViewMut2::from_shape(
        (rows, columns),
        &mut floats[..needed],
    )?)
}
