//! Scores weights by chance: the baseline that every other score should beat.
//!
//! ```text
//! score of weight i = uniform number i of the stream of the seed
//! ```

use super::{Elementwise, Importance};
use crate::error::Result;
use crate::float::Float;
use crate::kernels::stream;
use ndarray::{ArrayD, ArrayRefD, IxDyn};

/// Scores weights by chance, the same for the same seed, on every machine and in any pool.
///
/// A counter-based stream (SplitMix64): the score of a weight depends on the seed and the weight's place in
/// row-major order alone.
///
/// PyTorch: `RandomUnstructured`, which draws from the global generator.
///
/// # Examples
///
/// Tensors of one model get streams of their own by name:
///
/// ```
/// use ndarray::Array2;
/// use rarefy::prelude::*;
/// use rarefy::prune::{Random, Unstructured};
///
/// let weights = Array2::<f32>::ones((10, 10));
/// let first = Unstructured::new(Random::new(7).named("layer 1"), 0.5).mask(&weights)?;
/// let second = Unstructured::new(Random::new(7).named("layer 2"), 0.5).mask(&weights)?;
/// assert_eq!((first.dropped(), second.dropped()), (50, 50));
/// assert_ne!(first, second);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Random {
    seed: u64,
}

impl Random {
    /// The stream of this seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The stream that this seed has for the tensor of that name.
    #[must_use]
    pub fn named(self, tensor: &str) -> Self {
        Self {
            seed: stream::named(self.seed, tensor),
        }
    }
}

impl<F: Float> Importance<F> for Random {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        let mut index = 0;
        Ok(ArrayD::from_shape_simple_fn(IxDyn(weights.shape()), || {
            index += 1;
            stream::uniform(self.seed, index - 1)
        }))
    }

    fn elementwise(&self) -> Option<Elementwise<'_, F>> {
        Some(Elementwise::Random(self.seed))
    }
}
