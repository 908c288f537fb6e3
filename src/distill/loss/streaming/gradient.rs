//! The gradients of a streaming loss: in memory of the caller's, or in new memory.

use super::OutputLayer;
use crate::error::Result;
use crate::shape;
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};
use std::fmt;

/// Gradients with respect to the parts of the student's output layer.
#[derive(Clone, PartialEq)]
pub struct OutputLayerGradient<F> {
    /// Of the hidden states, `[tokens, width]`.
    pub hidden: Array2<F>,
    /// Of the projection, `[classes, width]`.
    pub projection: Array2<F>,
    /// Of the bias, `[classes]`, if the layer has one.
    pub bias: Option<Array1<F>>,
}

impl<F> fmt::Debug for OutputLayerGradient<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputLayerGradient")
            .field("hidden", &self.hidden.shape())
            .field("projection", &self.projection.shape())
            .field("bias", &self.bias.as_ref().map(|bias| bias.len()))
            .finish()
    }
}

/// Where gradients go: each part that is given is overwritten, and a part that is not is not computed.
///
/// # Examples
///
/// The projection is frozen, so only the hidden states need a gradient:
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{GradientBuffers, OutputLayer, StreamingBatch, StreamingDistillation};
///
/// let (hidden, taught) = (array![[1.0, 2.0]], array![[2.0, 1.0]]);
/// let projection = array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
/// let batch = StreamingBatch::new(OutputLayer::new(&hidden, &projection))
///     .teacher(OutputLayer::new(&taught, &projection));
/// let mut grad = Array2::zeros((1, 2));
/// let buffers = GradientBuffers::new().hidden(&mut grad);
/// let value = StreamingDistillation::new(1.0).evaluate_into(batch, buffers)?;
/// assert!(value > 0.0 && grad[[0, 0]] < 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct GradientBuffers<'a, F> {
    /// For the gradient of the hidden states, `[tokens, width]`.
    pub hidden: Option<&'a mut ArrayRef2<F>>,
    /// For the gradient of the projection, `[classes, width]`.
    pub projection: Option<&'a mut ArrayRef2<F>>,
    /// For the gradient of the bias, `[classes]`; of a bias of zeros where the layer has none.
    pub bias: Option<&'a mut ArrayRef1<F>>,
}

impl<'a, F> GradientBuffers<'a, F> {
    /// No gradients.
    pub const fn new() -> Self {
        Self {
            hidden: None,
            projection: None,
            bias: None,
        }
    }

    /// The same with a place for the gradient of the hidden states.
    #[must_use]
    pub fn hidden(mut self, grad: &'a mut ArrayRef2<F>) -> Self {
        self.hidden = Some(grad);
        self
    }

    /// The same with a place for the gradient of the projection.
    #[must_use]
    pub fn projection(mut self, grad: &'a mut ArrayRef2<F>) -> Self {
        self.projection = Some(grad);
        self
    }

    /// The same with a place for the gradient of the bias.
    #[must_use]
    pub fn bias(mut self, grad: &'a mut ArrayRef1<F>) -> Self {
        self.bias = Some(grad);
        self
    }

    /// Whether no gradient is asked for.
    pub(super) const fn is_empty(&self) -> bool {
        self.hidden.is_none() && self.projection.is_none() && self.bias.is_none()
    }

    pub(super) fn check_like(&self, student: &OutputLayer<'_, F>) -> Result<()> {
        if let Some(grad) = &self.hidden {
            let (left, right) = ("gradient of the hidden states", "student hidden states");
            shape::check_same(left, grad.shape(), right, student.hidden.shape())?;
        }
        if let Some(grad) = &self.projection {
            let (left, right) = ("gradient of the projection", "student projection");
            shape::check_same(left, grad.shape(), right, student.projection.shape())?;
        }
        if let Some(grad) = &self.bias {
            let (left, right) = ("gradient of the bias", "classes of the student projection");
            shape::check_same(left, grad.shape(), right, &student.projection.shape()[..1])?;
        }
        Ok(())
    }
}

impl<F> Default for GradientBuffers<'_, F> {
    fn default() -> Self {
        Self::new()
    }
}
