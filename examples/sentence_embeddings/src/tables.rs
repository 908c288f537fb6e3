//! What a token is before the first block: a row of each of three tables, added.

use crate::Result;
use crate::config::Config;
use crate::layer_norm::LayerNorm;
use crate::tokens::Batch;
use crate::weights::Weights;
use ndarray::{Array2, ArrayViewMut2, Axis};
use rarefy::infer::QuantizedEmbedding;
use rarefy::prelude::*;
use rarefy::quantize::Linear;

/// A table of vectors.
#[derive(Debug)]
pub enum Table {
    Floats(Array2<f32>),
    Codes(Box<QuantizedEmbedding>),
}

impl Table {
    fn rows(&self) -> usize {
        match self {
            Self::Floats(table) => table.nrows(),
            Self::Codes(table) => table.rows(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Floats(table) => size_of::<f32>() * table.len(),
            Self::Codes(table) => table.bytes(),
        }
    }

    fn look_up(&self, rows: &[usize]) -> Result<Array2<f32>> {
        match self {
            Self::Floats(table) => Ok(table.select(Axis(0), rows)),
            Self::Codes(table) => Ok(table.lookup(rows)?),
        }
    }

    /// In eight bits, a scale for each row.
    fn eight_bits(&self) -> Result<Self> {
        let codes = match self {
            Self::Floats(table) => Linear::new(8).per_channel(Axis(0)).quantize(table)?,
            Self::Codes(table) => return Ok(Self::Codes(table.clone())),
        };
        Ok(Self::Codes(Box::new(QuantizedEmbedding::from_tensor(
            codes,
        )?)))
    }
}

/// The tables of words and of places in a sentence, and what follows them.
#[derive(Debug)]
pub struct Tables {
    words: Table,
    /// The row of the type of a token is added already: a sentence has one type.
    places: Table,
    norm: LayerNorm,
}

impl Tables {
    pub fn read(config: &Config, weights: &Weights) -> Result<Self> {
        let name = |name: &str| format!("embeddings.{name}");
        let table = |table: &str| weights.matrix(&name(&format!("{table}_embeddings.weight")));
        let types = table("token_type")?;
        Ok(Self {
            words: Table::Floats(table("word")?),
            places: Table::Floats(table("position")? + types.row(0)),
            norm: LayerNorm {
                scale: weights.vector(&name("LayerNorm.weight"))?,
                shift: weights.vector(&name("LayerNorm.bias"))?,
                epsilon: config.epsilon,
            },
        })
    }

    /// The same in eight bits, a scale for each row.
    pub fn eight_bits(&self) -> Result<Self> {
        Ok(Self {
            words: self.words.eight_bits()?,
            places: self.places.eight_bits()?,
            norm: self.norm.clone(),
        })
    }

    pub fn bytes(&self) -> usize {
        self.words.bytes() + self.places.bytes()
    }

    /// Writes a row for each token.
    pub fn look_up(&self, batch: &Batch, mut out: ArrayViewMut2<'_, f32>) -> Result<()> {
        let places: Vec<usize> = batch.sentences.iter().flat_map(|s| 0..s.len()).collect();
        if let Some(last) = places
            .iter()
            .max()
            .filter(|&&last| last >= self.places.rows())
        {
            return Err(format!("a sentence of {} tokens is too long", last + 1).into());
        }
        out.assign(&self.places.look_up(&places)?);
        let words = self.words.look_up(&batch.tokens)?;
        self.norm.add_and_normalise(out, words.view());
        Ok(())
    }
}
