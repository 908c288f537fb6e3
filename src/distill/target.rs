//! What a batch asks of the student.

use super::{Output, TopKTarget};
use crate::error::{Error, Result};
use crate::float::Float;
use ndarray::ArrayRef1;
use std::fmt;

/// What a batch asks of the student. Each part is optional; a loss that needs a part which is
/// missing says so.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{Output, Target};
///
/// let teacher = Output::from(array![[2.0, 0.0], [0.0, 1.0]]);
/// let weights = array![1.0, 0.5];
/// let target = Target::from(&teacher).labels(&[0, 1]).weights(&weights);
/// assert!(target.teacher.is_some());
/// ```
#[derive(PartialEq)]
#[non_exhaustive]
pub struct Target<'a, F> {
    /// What the teacher said about the batch.
    pub teacher: Option<&'a Output<F>>,
    /// The right class of each row. That of a row which is not read may be any number.
    pub labels: Option<&'a [usize]>,
    /// The teacher's likeliest classes of each row.
    pub top_k: Option<&'a TopKTarget<F>>,
    /// How much each row counts; all the same if missing. A row of weight 0 is not read, so its
    /// logits may be anything, NaN too.
    pub weights: Option<&'a ArrayRef1<F>>,
    /// Which rows are there; all of them if missing. One that is not is as if it did not exist: it is
    /// not read and does not count in a mean. Padding, for one.
    pub mask: Option<&'a [bool]>,
    /// A temperature for each row, instead of the one that a loss has.
    pub temperatures: Option<&'a ArrayRef1<F>>,
}

/// Names and counts, not thousands of labels.
impl<F> fmt::Debug for Target<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("teacher", &self.teacher)
            .field("labels", &self.labels.map(<[usize]>::len))
            .field("weights", &self.weights.map(|weights| weights.len()))
            .field("mask", &self.mask.map(<[bool]>::len))
            .field("temperatures", &self.temperatures.map(|t| t.len()))
            .finish()
    }
}

impl<'a, F> Target<'a, F> {
    /// A target without any part.
    pub const fn new() -> Self {
        Self {
            teacher: None,
            labels: None,
            top_k: None,
            weights: None,
            mask: None,
            temperatures: None,
        }
    }

    /// The same with a teacher's output.
    #[must_use]
    pub const fn teacher(mut self, teacher: &'a Output<F>) -> Self {
        self.teacher = Some(teacher);
        self
    }

    /// The same with the right class of each row.
    #[must_use]
    pub const fn labels(mut self, labels: &'a [usize]) -> Self {
        self.labels = Some(labels);
        self
    }

    /// The same with the teacher's likeliest classes of each row.
    #[must_use]
    pub const fn top_k(mut self, top_k: &'a TopKTarget<F>) -> Self {
        self.top_k = Some(top_k);
        self
    }

    /// The same with a weight for each row.
    #[must_use]
    pub const fn weights(mut self, weights: &'a ArrayRef1<F>) -> Self {
        self.weights = Some(weights);
        self
    }

    /// The same with a flag for each row that says whether it is there.
    #[must_use]
    pub const fn mask(mut self, mask: &'a [bool]) -> Self {
        self.mask = Some(mask);
        self
    }

    /// The same with a temperature for each row.
    #[must_use]
    pub const fn temperatures(mut self, temperatures: &'a ArrayRef1<F>) -> Self {
        self.temperatures = Some(temperatures);
        self
    }

    /// The teacher's output, or an error that says that `loss` needs it.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTarget`].
    pub fn need_teacher(&self, loss: &'static str) -> Result<&'a Output<F>> {
        self.teacher.ok_or(Error::MissingTarget {
            loss,
            part: "teacher output",
        })
    }

    /// The labels, or an error that says that `loss` needs them.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTarget`].
    pub fn need_labels(&self, loss: &'static str) -> Result<&'a [usize]> {
        self.labels.ok_or(Error::MissingTarget {
            loss,
            part: "labels",
        })
    }

    /// The teacher's likeliest classes, or an error that says that `loss` needs them.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTarget`].
    pub fn need_top_k(&self, loss: &'static str) -> Result<&'a TopKTarget<F>> {
        self.top_k.ok_or(Error::MissingTarget {
            loss,
            part: "top-k classes",
        })
    }
}

impl<F: Float> Target<'_, F> {
    /// Whether a row is there and does not weigh nothing. One beyond the mask or the weights is, so that
    /// a wrong count of them is found where they are counted.
    pub(super) fn reads(&self, row: usize) -> bool {
        let there = self.mask.and_then(|mask| mask.get(row));
        let weight = self.weights.and_then(|weights| weights.get(row));
        there != Some(&false) && weight != Some(&F::zero())
    }
}

// By hand: a target holds references, whatever F is.
impl<F> Clone for Target<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Target<'_, F> {}

impl<F> Default for Target<'_, F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, F> From<&'a Output<F>> for Target<'a, F> {
    fn from(teacher: &'a Output<F>) -> Self {
        Self::new().teacher(teacher)
    }
}
