//! The network as it computes once it is compressed: by layers that hold what is stored, and in plain steps
//! of the user's own between them.

use crate::stored::{Stored, Tensor};
use crate::text::CONTEXT;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Ix1, Ix2, s};
use rarefy::Result;
use rarefy::infer::{DenseLinear, GroupedLinear, QuantizedLinear, Scratch, SparseLinear};
use rarefy::prelude::*;
use rarefy::quantize::{Granularity, Parameters, QuantizedTensor};

/// Embedding, and the layers that multiply.
pub struct Layers {
    /// A look-up multiplies nothing, so this table is of floats in every stage.
    embedding: Array2<f32>,
    hidden: Box<dyn Layer>,
    output: Box<dyn Layer>,
    memory: Memory,
}

/// What a pass writes to, kept from pass to pass.
#[derive(Default)]
struct Memory {
    inputs: Array2<f32>,
    hidden: Array2<f32>,
    logits: Array2<f32>,
    scratch: Scratch,
}

impl Layers {
    /// The layers of a stored network, each of the kind that its weights are stored in.
    pub fn new(stored: &Stored) -> Result<Self> {
        let tensor = |name| {
            let found = stored.tensors.iter().find(|(other, _)| *other == name);
            &found.expect("every network has the same tensors").1
        };
        let linear = |weights, bias| layer(tensor(weights), &vector(tensor(bias)));
        Ok(Self {
            embedding: matrix(tensor("embedding")),
            hidden: linear("hidden.weight", "hidden.bias")?,
            output: linear("output.weight", "output.bias")?,
            memory: Memory::default(),
        })
    }

    /// The layers that multiply, by name.
    pub fn named(&self) -> [(&'static str, &dyn Layer); 2] {
        [("hidden", &*self.hidden), ("output", &*self.output)]
    }

    /// The logits of every row of contexts.
    pub fn logits(&mut self, contexts: ArrayView2<'_, u8>) -> Result<ArrayView2<'_, f32>> {
        let Memory {
            inputs,
            hidden,
            logits,
            scratch,
        } = &mut self.memory;
        let rows = contexts.nrows();
        if inputs.nrows() != rows {
            *inputs = Array2::zeros((rows, self.hidden.inputs()));
            *hidden = Array2::zeros((rows, self.hidden.outputs()));
            *logits = Array2::zeros((rows, self.output.outputs()));
        }
        let width = self.embedding.ncols();
        for (mut input, context) in inputs.rows_mut().into_iter().zip(contexts.rows()) {
            for (place, &code) in context.iter().enumerate() {
                let row = self.embedding.row(usize::from(code));
                let mut to = input.slice_mut(s![place * width..(place + 1) * width]);
                to.assign(&row);
            }
        }
        self.hidden.forward_into(inputs, hidden, scratch)?;
        hidden.mapv_inplace(|h| h.max(0.0));
        self.output.forward_into(hidden, logits, scratch)?;
        Ok(logits.view())
    }

    /// The logits of the character after these.
    pub fn next(&mut self, window: &[u8; CONTEXT]) -> Result<ArrayView1<'_, f32>> {
        let logits = self.logits(ArrayView2::from(std::slice::from_ref(window)))?;
        Ok(logits.index_axis_move(Axis(0), 0))
    }
}

/// The layer for weights that are stored like this.
fn layer(weights: &Tensor, bias: &Array1<f32>) -> Result<Box<dyn Layer>> {
    // Our networks multiply from the right; layers have a row for each output.
    Ok(match weights {
        Tensor::Dense(_) => Box::new(DenseLinear::new(&matrix(weights).t(), Some(bias))?),
        Tensor::Sparse { .. } => Box::new(SparseLinear::best(&matrix(weights).t(), Some(bias))?),
        Tensor::Quantized(codes) => {
            let codes = turned(codes)?;
            match codes.scheme().bits() {
                // A code takes a byte there.
                8 => Box::new(QuantizedLinear::from_tensor(&codes, Some(bias))?),
                _ => Box::new(GroupedLinear::from_tensor(&codes, Some(bias))?),
            }
        }
    })
}

/// The same codes and scales with the axes exchanged: a scale for each column becomes one for each row.
fn turned(weights: &QuantizedTensor) -> Result<QuantizedTensor> {
    let parameters = weights.parameters();
    let by_row = Granularity::PerChannel(Axis(0));
    let turned = Parameters::new(parameters.scheme(), by_row, parameters.scales().to_vec());
    QuantizedTensor::from_codes(&weights.codes().t(), turned)
}

fn matrix(tensor: &Tensor) -> Array2<f32> {
    let tensor = tensor.restore().into_dimensionality::<Ix2>();
    tensor.expect("a weight has two axes")
}

fn vector(tensor: &Tensor) -> Array1<f32> {
    let tensor = tensor.restore().into_dimensionality::<Ix1>();
    tensor.expect("a bias has one axis")
}
