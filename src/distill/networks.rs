//! The two networks, as far as distillation knows them.

use super::Output;
use crate::error::Result;
use crate::float::Float;
use std::sync::Arc;

/// The network that is imitated.
///
/// `I` is the input, a type of the caller's own: a batch of token ids, an array, something borrowed.
/// One method under its own name, so that a network which is also a [`Student`] (self-distillation)
/// never runs the wrong pass.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, ArrayRef2, array};
/// use rarefy::Result;
/// use rarefy::distill::{Output, Teacher};
///
/// struct LinearTeacher {
///     weights: Array2<f32>,
/// }
///
/// impl Teacher<f32, ArrayRef2<f32>> for LinearTeacher {
///     fn teach(&self, input: &ArrayRef2<f32>) -> Result<Output<f32>> {
///         Ok(Output::from(input.dot(&self.weights)))
///     }
/// }
///
/// let teacher = LinearTeacher { weights: array![[1.0, 2.0], [3.0, 4.0]] };
/// assert_eq!(teacher.teach(&array![[1.0, 1.0]])?.logits, array![[4.0, 6.0]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
pub trait Teacher<F: Float, I: ?Sized> {
    /// What the network says about a batch, as it would in use: no dropout, no noise.
    ///
    /// # Errors
    ///
    /// The network's own, by [`Error::external`](crate::Error::external).
    fn teach(&self, input: &I) -> Result<Output<F>>;
}

/// The network that learns.
///
/// It owns its optimiser: [`backward`](Self::backward) takes the gradient of the loss with respect to
/// the last output and updates the weights.
pub trait Student<F: Float, I: ?Sized> {
    /// What the network says about a batch, in training; remembers what the backward pass needs.
    ///
    /// # Errors
    ///
    /// The network's own, by [`Error::external`](crate::Error::external).
    fn forward(&mut self, input: &I) -> Result<Output<F>>;

    /// Takes d loss / d output of the last [`forward`](Self::forward), and learns from it.
    ///
    /// # Errors
    ///
    /// The network's own, by [`Error::external`](crate::Error::external).
    fn backward(&mut self, grad: &Output<F>) -> Result<()>;
}

macro_rules! forward_teacher {
    ($($pointer:ty),+) => {$(
        impl<F: Float, I: ?Sized, T: Teacher<F, I> + ?Sized> Teacher<F, I> for $pointer {
            fn teach(&self, input: &I) -> Result<Output<F>> {
                (**self).teach(input)
            }
        }
    )+};
}

forward_teacher!(&T, Box<T>, Arc<T>);

macro_rules! forward_student {
    ($($pointer:ty),+) => {$(
        impl<F: Float, I: ?Sized, S: Student<F, I> + ?Sized> Student<F, I> for $pointer {
            fn forward(&mut self, input: &I) -> Result<Output<F>> {
                (**self).forward(input)
            }

            fn backward(&mut self, grad: &Output<F>) -> Result<()> {
                (**self).backward(grad)
            }
        }
    )+};
}

forward_student!(&mut S, Box<S>);
