//! A teacher's answers, given once and looked up from then on.

use super::super::{Output, Teacher};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::shape;
use ndarray::{Array2, ArrayRef2, Axis};
use std::fmt;

/// Logits of a teacher, one row an example, looked up by the position of the example.
///
/// The teacher runs once over the data, the student then learns for as many epochs as it takes, in
/// any order, from exactly the numbers that it would have been told. Whatever gives a list of
/// positions is an input: `[usize]`, `Vec<usize>`, or a batch of the caller's own that implements
/// `AsRef<[usize]>`. Positions may repeat. Where rows are tokens, so are examples.
///
/// Only logits are stored, not features; and as they are: a NaN is found by the loss that reads it.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{Output, StoredLogits, Teacher};
///
/// let stored = StoredLogits::from(array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
/// let batch = vec![2, 0];
/// assert_eq!(stored.teach(&batch)?.logits, array![[5.0, 6.0], [1.0, 2.0]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`teach`](Teacher::teach) fails with [`Error::ExampleOutOfRange`] for a position that is beyond the
/// stored examples.
#[derive(Clone, PartialEq)]
pub struct StoredLogits<F> {
    logits: Array2<F>,
}

impl<F: Float> StoredLogits<F> {
    /// Asks a teacher about every batch and stores the rows of its answers, one batch behind the
    /// other.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::{Array2, array};
    /// use rarefy::distill::{Output, StoredLogits, teacher_fn};
    ///
    /// let teacher = teacher_fn(|x: &Array2<f64>| Ok(Output::from(x * 2.0)));
    /// let batches = [array![[1.0, 2.0], [3.0, 4.0]], array![[5.0, 6.0]]];
    /// let stored = StoredLogits::record(&teacher, &batches)?;
    /// assert_eq!(stored.logits(), array![[2.0, 4.0], [6.0, 8.0], [10.0, 12.0]]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the teacher; [`Error::ShapeMismatch`] if it gives another number of classes than for
    /// the first batch.
    pub fn record<'a, I: ?Sized + 'a>(
        teacher: &(impl Teacher<F, I> + ?Sized),
        batches: impl IntoIterator<Item = &'a I>,
    ) -> Result<Self> {
        let mut values = Vec::new();
        let (mut rows, mut classes) = (0, 0);
        for batch in batches {
            let logits = teacher.teach(batch)?.logits;
            if rows == 0 {
                classes = logits.ncols();
            }
            shape::check_same(
                "logits of a later batch",
                logits.shape(),
                "logits as in the first",
                &[logits.nrows(), classes],
            )?;
            rows += logits.nrows();
            values.extend(logits);
        }
        let shape = [rows, classes];
        let logits = Array2::from_shape_vec(shape, values);
        let logits = logits.map_err(|_| Error::ShapeOverflow {
            shape: shape.to_vec(),
        })?;
        Ok(Self { logits })
    }

    /// The stored logits, of shape `[examples, classes]`.
    pub fn logits(&self) -> &ArrayRef2<F> {
        &self.logits
    }

    /// How many examples are stored.
    pub fn len(&self) -> usize {
        self.logits.nrows()
    }

    /// Whether no example is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<F: Float, I: AsRef<[usize]> + ?Sized> Teacher<F, I> for StoredLogits<F> {
    fn teach(&self, input: &I) -> Result<Output<F>> {
        let (positions, examples) = (input.as_ref(), self.len());
        if let Some(row) = positions.iter().position(|&example| example >= examples) {
            return Err(Error::ExampleOutOfRange {
                row,
                example: positions[row],
                examples,
            });
        }
        Ok(Output::from(self.logits.select(Axis(0), positions)))
    }
}

impl<F> From<Array2<F>> for StoredLogits<F> {
    fn from(logits: Array2<F>) -> Self {
        Self { logits }
    }
}

// By hand, so that a log is not flooded.
impl<F> fmt::Debug for StoredLogits<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredLogits")
            .field("logits", &self.logits.shape())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::StoredLogits;
    use crate::distill::{Output, Teacher, teacher_fn};
    use ndarray::{Array2, array};

    struct Positions(Vec<usize>);

    impl AsRef<[usize]> for Positions {
        fn as_ref(&self) -> &[usize] {
            &self.0
        }
    }

    #[test]
    fn any_list_of_positions_is_an_input() {
        let stored = StoredLogits::from(array![[1.0, 2.0], [3.0, 4.0]]);
        let right = array![[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]];
        assert_eq!(stored.teach(&[1, 1, 0]).unwrap().logits, right);
        assert_eq!(stored.teach(&[1, 1, 0][..]).unwrap().logits, right);
        let batch = Positions(vec![1, 1, 0]);
        assert_eq!(stored.teach(&batch).unwrap().logits, right);
        let boxed: Box<dyn Teacher<f64, [usize]>> = Box::new(stored);
        assert_eq!(boxed.teach(&[]).unwrap().logits.dim(), (0, 2));
    }

    #[test]
    fn batches_with_other_numbers_of_classes_are_refused() {
        let teacher = teacher_fn(|x: &Array2<f32>| Ok(Output::from(x.clone())));
        let batches = [Array2::zeros((2, 3)), Array2::zeros((2, 4))];
        let error = StoredLogits::record(&teacher, &batches).unwrap_err();
        assert_eq!(
            error.to_string(),
            "shapes differ: logits of a later batch [2, 4], logits as in the first [2, 3]"
        );
        let none: [Array2<f32>; 0] = [];
        assert!(StoredLogits::record(&teacher, &none).unwrap().is_empty());
    }
}
