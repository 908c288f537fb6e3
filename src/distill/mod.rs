//! Distillation: a small student learns what a large teacher says.
//!
//! ```text
//! L = Σᵢ wᵢ · KL(p_teacher(xᵢ) ‖ p_student(xᵢ))
//! ```
//!
//! (Texts that put a minus before the sum do not mean it: the divergence is minimised.)
//!
//! We have no autodiff and want none. A [`Loss`] gives its value *and* its gradient with respect to
//! the student's output in one call, and the student, which is yours, goes on from there with its own
//! backward pass. In a framework with autodiff, minimise Σ z·stop_gradient(g), with z the student's
//! logits and g our gradient: its gradient with respect to z is exactly g.
//!
//! [`kl_divergence`] and [`cross_entropy`] are the losses as functions; behind them are [`KlDivergence`]
//! and [`CrossEntropy`] with their settings, [`WeightedSum`] mixes them, and a [`Distiller`] does one
//! step of a [`Teacher`] and a [`Student`].
//!
//! Logits have shape [rows, classes]. Sequences of shape [batch, time, classes] flatten to
//! [batch · time, classes] without a copy:
//!
//! ```
//! use ndarray::{Array3, Ix2};
//! use rarefy::distill;
//!
//! let student = Array3::<f32>::zeros((4, 16, 30));
//! let teacher = Array3::<f32>::ones((4, 16, 30));
//! let rows = (4 * 16, 30);
//! let loss = distill::kl_divergence(
//!     &student.view().into_shape_with_order(rows)?,
//!     &teacher.view().into_shape_with_order(rows)?,
//!     1.0,
//! )?;
//! let gradient = loss.grad.into_shape_with_order((4, 16, 30))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod distiller;
mod loss;
mod networks;
mod output;
mod target;

pub use distiller::Distiller;
pub use loss::{
    CrossEntropy, KlDivergence, Loss, LossValue, Reduction, TemperatureFactor, WeightedSum,
    cross_entropy, kl_divergence,
};
pub use networks::{Student, Teacher};
pub use output::Output;
pub use target::Target;
