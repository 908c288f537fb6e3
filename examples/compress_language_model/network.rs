//! A language model as a user would write it: plain ndarray, forward and backward by hand.
//!
//! ```text
//! characters → embedding → hidden layer (ReLU, dropout) → logits of the next character
//! ```
//!
//! Nothing here knows of rarefy.

use crate::text::CONTEXT;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewD, ArrayViewMutD, Axis, Zip, s};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::{Normal, Uniform};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// How many parts a batch is worked on in, side by side. Fixed, so that the machine does not matter.
const PARTS: usize = 2;

/// How large a network is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub classes: usize,
    pub embedding: usize,
    pub hidden: usize,
}

/// The weights of a network, or anything of their shapes: a gradient, a moment of the optimiser.
#[derive(Clone, Debug)]
pub struct Parameters {
    pub embedding: Array2<f32>,
    pub hidden: Array2<f32>,
    pub hidden_bias: Array1<f32>,
    pub output: Array2<f32>,
    pub output_bias: Array1<f32>,
}

impl Parameters {
    /// Random weights: He's scale before the ReLU, Glorot's before the softmax.
    pub fn random(size: Size, random: &mut ChaCha8Rng) -> Self {
        let inputs = CONTEXT * size.embedding;
        let uniform = |fan: usize, gain: f32| {
            let bound = gain * (3.0 / fan as f32).sqrt();
            Uniform::new_inclusive(-bound, bound).expect("the bound is a positive number")
        };
        let normal = Normal::new(0.0, 0.5).expect("the deviation is a positive number");
        Self {
            embedding: Array2::random_using((size.classes, size.embedding), normal, random),
            hidden: Array2::random_using(
                (inputs, size.hidden),
                uniform(inputs, 2.0_f32.sqrt()),
                random,
            ),
            hidden_bias: Array1::zeros(size.hidden),
            output: Array2::random_using(
                (size.hidden, size.classes),
                uniform(size.hidden, 1.0),
                random,
            ),
            output_bias: Array1::zeros(size.classes),
        }
    }

    pub fn zeros_like(&self) -> Self {
        Self {
            embedding: Array2::zeros(self.embedding.dim()),
            hidden: Array2::zeros(self.hidden.dim()),
            hidden_bias: Array1::zeros(self.hidden_bias.dim()),
            output: Array2::zeros(self.output.dim()),
            output_bias: Array1::zeros(self.output_bias.dim()),
        }
    }

    /// How many weights there are, biases counted.
    pub fn len(&self) -> usize {
        self.named().iter().map(|(_, tensor)| tensor.len()).sum()
    }

    /// How many of them are not zero.
    pub fn nonzero(&self) -> usize {
        let weights = self
            .named()
            .map(|(_, tensor)| tensor.iter().filter(|&&w| w != 0.0).count());
        weights.iter().sum()
    }

    /// Every tensor with its name.
    pub fn named(&self) -> [(&'static str, ArrayViewD<'_, f32>); 5] {
        [
            ("embedding", self.embedding.view().into_dyn()),
            ("hidden.weight", self.hidden.view().into_dyn()),
            ("hidden.bias", self.hidden_bias.view().into_dyn()),
            ("output.weight", self.output.view().into_dyn()),
            ("output.bias", self.output_bias.view().into_dyn()),
        ]
    }

    /// Every tensor with its name, to write to.
    pub fn named_mut(&mut self) -> [(&'static str, ArrayViewMutD<'_, f32>); 5] {
        [
            ("embedding", self.embedding.view_mut().into_dyn()),
            ("hidden.weight", self.hidden.view_mut().into_dyn()),
            ("hidden.bias", self.hidden_bias.view_mut().into_dyn()),
            ("output.weight", self.output.view_mut().into_dyn()),
            ("output.bias", self.output_bias.view_mut().into_dyn()),
        ]
    }

    fn add(mut self, other: &Self) -> Self {
        for ((_, mut sum), (_, term)) in self.named_mut().into_iter().zip(other.named()) {
            sum += &term;
        }
        self
    }

    fn embed(&self, contexts: ArrayView2<'_, u8>) -> Array2<f32> {
        let width = self.embedding.ncols();
        let mut inputs = Array2::zeros((contexts.nrows(), CONTEXT * width));
        for (mut input, context) in inputs.rows_mut().into_iter().zip(contexts.rows()) {
            for (place, &code) in context.iter().enumerate() {
                let row = self.embedding.row(usize::from(code));
                input
                    .slice_mut(s![place * width..(place + 1) * width])
                    .assign(&row);
            }
        }
        inputs
    }

    /// Inputs of the hidden layer, its activations, logits. `keep` has 0 for what is dropped out and
    /// a factor that makes up for it elsewhere.
    fn forward_part(
        &self,
        contexts: ArrayView2<'_, u8>,
        keep: Option<ArrayView2<'_, f32>>,
    ) -> Part {
        let inputs = self.embed(contexts);
        let mut hidden = inputs.dot(&self.hidden) + &self.hidden_bias;
        match keep {
            Some(keep) => Zip::from(&mut hidden)
                .and(&keep)
                .for_each(|h, &k| *h = h.max(0.0) * k),
            None => hidden.mapv_inplace(|h| h.max(0.0)),
        }
        let logits = hidden.dot(&self.output) + &self.output_bias;
        Part {
            inputs,
            hidden,
            logits,
        }
    }

    /// Gradient of the weights from the gradient of the logits.
    fn backward_part(
        &self,
        contexts: ArrayView2<'_, u8>,
        part: &Part,
        keep: Option<ArrayView2<'_, f32>>,
        of_logits: ArrayView2<'_, f32>,
    ) -> Self {
        let mut of_hidden = of_logits.dot(&self.output.t());
        // A unit that is off, by the ReLU or by dropout, has activation 0 and passes nothing back.
        match keep {
            Some(keep) => Zip::from(&mut of_hidden)
                .and(&part.hidden)
                .and(&keep)
                .for_each(|g, &h, &k| *g = if h > 0.0 { *g * k } else { 0.0 }),
            None => Zip::from(&mut of_hidden)
                .and(&part.hidden)
                .for_each(|g, &h| *g = if h > 0.0 { *g } else { 0.0 }),
        }
        let of_inputs = of_hidden.dot(&self.hidden.t());
        let width = self.embedding.ncols();
        let mut embedding = Array2::zeros(self.embedding.dim());
        for (of_input, context) in of_inputs.rows().into_iter().zip(contexts.rows()) {
            for (place, &code) in context.iter().enumerate() {
                let mut row = embedding.row_mut(usize::from(code));
                row += &of_input.slice(s![place * width..(place + 1) * width]);
            }
        }
        Self {
            embedding,
            hidden: part.inputs.t().dot(&of_hidden),
            hidden_bias: of_hidden.sum_axis(Axis(0)),
            output: part.hidden.t().dot(&of_logits),
            output_bias: of_logits.sum_axis(Axis(0)),
        }
    }

    /// The logits of every row, without dropout.
    pub fn logits(&self, contexts: ArrayView2<'_, u8>) -> Array2<f32> {
        let rows = contexts.nrows();
        let length = part_lengths(rows);
        let parts: Vec<Part> = (0..rows.div_ceil(length))
            .into_par_iter()
            .map(|part| self.forward_part(contexts.slice(part_rows(part, length, rows)), None))
            .collect();
        join(&parts)
    }

    /// Forward in training: the logits, and what the backward pass needs.
    pub fn forward(&self, contexts: &Array2<u8>, dropout: f32, random: &mut ChaCha8Rng) -> Pass {
        let rows = contexts.nrows();
        let keep = (dropout > 0.0).then(|| {
            let factor = 1.0 / (1.0 - dropout);
            Array2::from_shape_simple_fn((rows, self.hidden.ncols()), || {
                if random.random::<f32>() < dropout {
                    0.0
                } else {
                    factor
                }
            })
        });
        let length = part_lengths(rows);
        let parts = (0..rows.div_ceil(length))
            .into_par_iter()
            .map(|part| {
                let rows = part_rows(part, length, rows);
                let keep = keep.as_ref().map(|keep| keep.slice(rows));
                self.forward_part(contexts.slice(rows), keep)
            })
            .collect();
        Pass {
            contexts: contexts.clone(),
            keep,
            parts,
        }
    }

    /// The gradient of the weights, from that of the logits.
    pub fn backward(&self, pass: &Pass, of_logits: &Array2<f32>) -> Self {
        let rows = of_logits.nrows();
        let length = part_lengths(rows);
        let parts: Vec<Self> = pass
            .parts
            .par_iter()
            .enumerate()
            .map(|(number, part)| {
                let rows = part_rows(number, length, rows);
                let keep = pass.keep.as_ref().map(|keep| keep.slice(rows));
                let contexts = pass.contexts.slice(rows);
                self.backward_part(contexts, part, keep, of_logits.slice(rows))
            })
            .collect();
        parts.iter().fold(self.zeros_like(), Self::add)
    }
}

/// One part of a batch on its way through the network.
struct Part {
    inputs: Array2<f32>,
    hidden: Array2<f32>,
    logits: Array2<f32>,
}

/// A batch on its way through the network.
pub struct Pass {
    contexts: Array2<u8>,
    keep: Option<Array2<f32>>,
    parts: Vec<Part>,
}

impl Pass {
    pub fn logits(&self) -> Array2<f32> {
        join(&self.parts)
    }
}

type RowSlice = ndarray::SliceInfo<[ndarray::SliceInfoElem; 2], ndarray::Ix2, ndarray::Ix2>;

fn part_lengths(rows: usize) -> usize {
    rows.div_ceil(PARTS).max(1)
}

fn part_rows(part: usize, length: usize, rows: usize) -> RowSlice {
    s![part * length..rows.min((part + 1) * length), ..]
}

fn join(parts: &[Part]) -> Array2<f32> {
    let logits: Vec<_> = parts.iter().map(|part| part.logits.view()).collect();
    ndarray::concatenate(Axis(0), &logits).expect("parts of a batch have the same columns")
}
