//! One tensor among several: its name, its weights, what they are scored by.

use crate::error::Result;
use crate::float::Float;
use crate::prune::scored::Scored;
use crate::prune::{Importance, Magnitude, NanRule};
use ndarray::{ArrayRef, ArrayViewD, Axis, Dimension};
use std::fmt;

/// One tensor among several that are pruned together. Borrows all it has.
///
/// | setting | default | meaning |
/// |---|---|---|
/// | `name` | | what errors and notes call it |
/// | `weights` | | its weights, of any rank |
/// | [`importance`](Self::importance) | [`Magnitude`] | what its weights are scored by |
/// | [`axis`](Self::axis) | `Axis(0)` | along which its slices lie, where slices matter |
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prune::{Layer, Taylor};
///
/// let weights = array![[1.0, 2.0], [3.0, 4.0]];
/// let gradient = array![[0.1, 0.2], [0.0, 0.1]];
/// let score = Taylor::new(&gradient);
/// let layer = Layer::new("hidden", &weights).importance(&score).axis(Axis(1));
/// assert_eq!(layer.name(), "hidden");
/// ```
#[derive(Clone)]
pub struct Layer<'a, F: Float> {
    pub(super) name: &'a str,
    pub(super) weights: ArrayViewD<'a, F>,
    pub(super) importance: &'a dyn Importance<F>,
    pub(super) axis: Axis,
}

impl<'a, F: Float> Layer<'a, F> {
    /// The tensor of this name, scored by magnitude.
    pub fn new<D: Dimension>(name: &'a str, weights: &'a ArrayRef<F, D>) -> Self {
        Self {
            name,
            weights: weights.view().into_dyn(),
            importance: &Magnitude,
            axis: Axis(0),
        }
    }

    /// Scores its weights by this.
    #[must_use]
    pub fn importance(mut self, importance: &'a dyn Importance<F>) -> Self {
        self.importance = importance;
        self
    }

    /// Its slices lie along this axis.
    #[must_use]
    pub fn axis(mut self, axis: Axis) -> Self {
        self.axis = axis;
        self
    }

    /// Its weights with their scores, checked; an error bears the layer's name.
    pub(super) fn scored(&self, nan: NanRule) -> Result<Scored<'_, F>> {
        let scored = Scored::new(&self.weights, self.importance);
        let checked = scored.and_then(|scored| scored.check(nan).map(|()| scored));
        checked.map_err(|error| error.in_tensor(self.name))
    }

    /// What it is called.
    pub fn name(&self) -> &'a str {
        self.name
    }
}

/// Importances are compared by identity: a boxed one cannot be compared otherwise.
impl<F: Float> PartialEq for Layer<'_, F> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.axis == other.axis
            && self.weights == other.weights
            && std::ptr::addr_eq(self.importance, other.importance)
    }
}

impl<F: Float> fmt::Debug for Layer<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("name", &self.name)
            .field("shape", &self.weights.shape())
            .field("importance", &self.importance)
            .field("axis", &self.axis)
            .finish()
    }
}
