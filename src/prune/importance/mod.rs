//! How much each weight matters.

mod fisher;
mod fpgm;
mod given;
mod lamp;
mod magnitude;
mod movement;
mod obd;
mod observed;
mod random;
mod relative;
mod slice_scores;
mod snip;
mod taylor;
mod wanda;

pub use fisher::Fisher;
pub use fpgm::Fpgm;
pub use given::GivenScores;
pub use lamp::Lamp;
pub(super) use lamp::shares;
pub use magnitude::Magnitude;
pub use movement::Movement;
pub use obd::Obd;
pub use random::Random;
pub use relative::RelativeMagnitude;
pub use slice_scores::SliceScores;
pub use snip::Snip;
pub use taylor::{SignedTaylor, Taylor};
pub use wanda::Wanda;

use crate::error::Result;
use crate::float::Float;
use ndarray::{ArrayD, ArrayRefD};
use std::fmt::Debug;
use std::sync::Arc;

/// How much each weight matters: the higher the score, the longer it stays.
///
/// Implement it for a criterion of your own; every pattern then takes it.
///
/// # Examples
///
/// Weights count by how far they have moved since the start of training:
///
/// ```
/// use ndarray::{ArrayD, ArrayRefD, array};
/// use rarefy::prelude::*;
/// use rarefy::prune::{Importance, Unstructured};
///
/// #[derive(Debug)]
/// struct Moved {
///     start: ArrayD<f32>,
/// }
///
/// impl Importance<f32> for Moved {
///     fn scores(&self, weights: &ArrayRefD<f32>) -> rarefy::Result<ArrayD<f32>> {
///         Ok((weights.to_owned() - &self.start).abs())
///     }
/// }
///
/// let mut weights = array![1.0_f32, 2.0, 3.0, 4.0];
/// let moved = Moved { start: array![1.1, 1.0, 3.2, 0.0].into_dyn() };
/// Unstructured::new(moved, 0.5).prune(&mut weights)?;
/// assert_eq!(weights, array![0.0, 2.0, 0.0, 4.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
pub trait Importance<F: Float>: Debug + Send + Sync {
    /// A score for each weight, in the shape of the weights.
    ///
    /// # Errors
    ///
    /// Whatever makes the scores impossible. Scores that are NaN need not be looked for: the
    /// patterns refuse them.
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>>;

    /// The same scores in a form that needs no array of its own, if there is one.
    ///
    /// A pattern asks here first and then never calls [`scores`](Self::scores). Return `Some` only
    /// if it ranks weights exactly as the scores do.
    fn elementwise(&self) -> Option<Elementwise<'_, F>> {
        None
    }
}

/// Scores that patterns read without an array being made for them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Elementwise<'a, F> {
    /// |w|.
    Magnitude,
    /// Scores that exist already, in the shape of the weights.
    Given(&'a ArrayRefD<F>),
    /// |w · f| with a factor f for each weight, in the shape of the weights.
    Product(&'a ArrayRefD<F>),
    /// Random numbers of this seed: see [`Random`].
    Random(u64),
}

macro_rules! forward {
    ($($pointer:ty),+) => {$(
        impl<F: Float, I: Importance<F> + ?Sized> Importance<F> for $pointer {
            fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
                (**self).scores(weights)
            }

            fn elementwise(&self) -> Option<Elementwise<'_, F>> {
                (**self).elementwise()
            }
        }
    )+};
}

forward!(&I, Box<I>, Arc<I>);
