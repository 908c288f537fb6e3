//! A layer that takes its inputs in another order.

use super::layer::{check_shapes, not_finite};
use super::scratch::take;
use super::{Layer, Scratch};
use crate::error::{Error, InferError, Result};
use crate::kernels::finite;
use ndarray::{ArrayRef2, ArrayView2};

/// A layer that takes its inputs in another order: column j of its weights belongs to input `order[j]`.
///
/// Checkpoints of GPTQ with act-order (`desc_act`) are so: weights that share a scale are neighbours in another order than
/// the model's. Outputs are the bits that the inner layer gives for x whose columns are in this order. Of x a copy is made
/// in the scratch, which costs little beside the product: a number is copied where one for each output is multiplied.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::infer::{GroupedLinear, Layer, Reordered};
/// use rarefy::prelude::*;
/// use rarefy::quantize::Linear;
///
/// // Inputs 0 and 2 are alike, and 1 and 3: groups of two that are no neighbours.
/// let weights = array![[0.7_f32, 70.0, -0.1, 20.0], [0.3, -10.0, 0.7, 70.0]];
/// let order = vec![0, 2, 1, 3];
/// let sorted = weights.select(Axis(1), &order);
/// let layer = GroupedLinear::new(&sorted, 4, 2, None)?;
/// let layer = Reordered::new(layer, order)?;
///
/// let x = array![[1.0_f32, 2.0, 3.0, 4.0]];
/// let y = layer.forward(&x)?;
/// let right = x.dot(&weights.t());
/// assert!((y[[0, 0]] / right[[0, 0]] - 1.0).abs() < 0.02);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Reordered<L> {
    layer: L,
    order: Vec<usize>,
}

impl<L: Layer> Reordered<L> {
    /// `layer` with columns that belong to these inputs, each of which is named once.
    ///
    /// # Errors
    ///
    /// [`Error::WrongCount`]: not one for each input. [`Error::Infer`]: the first that does not exist or is named before.
    pub fn new(layer: L, order: Vec<usize>) -> Result<Self> {
        let inputs = layer.inputs();
        if order.len() != inputs {
            return Err(Error::WrongCount {
                what: "inputs of an order",
                given: order.len(),
                expected: inputs,
            });
        }
        let mut named = vec![false; inputs];
        for (position, &input) in order.iter().enumerate() {
            match named.get_mut(input) {
                Some(named) if !*named => *named = true,
                _ => {
                    return Err(Error::Infer(InferError::Order {
                        position,
                        input,
                        inputs,
                    }));
                }
            }
        }
        Ok(Self { layer, order })
    }

    /// The layer inside.
    pub const fn layer(&self) -> &L {
        &self.layer
    }

    /// Which input each column of its weights belongs to.
    pub fn order(&self) -> &[usize] {
        &self.order
    }
}

impl<L: Layer> Layer for Reordered<L> {
    fn inputs(&self) -> usize {
        self.layer.inputs()
    }

    fn outputs(&self) -> usize {
        self.layer.outputs()
    }

    /// Those of the layer inside and eight for each input.
    fn bytes(&self) -> usize {
        self.layer.bytes() + size_of_val(self.order.as_slice())
    }

    fn forward_into(
        &self,
        x: &ArrayRef2<f32>,
        out: &mut ArrayRef2<f32>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        check_shapes(self, x, out)?;
        // The layer inside may reorder too, so this buffer is out of its reach meanwhile.
        let mut buffer = scratch.reordered.pop().unwrap_or_default();
        let reordered = take(&mut buffer, x.len());
        for (row, to) in x
            .rows()
            .into_iter()
            .zip(reordered.chunks_mut(self.order.len().max(1)))
        {
            to.iter_mut()
                .zip(&self.order)
                .for_each(|(to, &input)| *to = row[input]);
        }
        let computed = match ArrayView2::from_shape(x.dim(), &*reordered) {
            Ok(reordered) => self.layer.forward_into(&reordered, out, scratch),
            Err(_) => Err(Error::ShapeOverflow {
                shape: x.shape().to_vec(),
            }),
        };
        scratch.reordered.push(buffer);
        // The layer inside would name the place in its own order.
        match computed {
            Err(_) if finite::first_not_finite(x).is_some() => Err(not_finite("input", x)),
            computed => computed,
        }
    }
}
