//! Other rows in the memory of a target, for a cache that is read batch by batch.

use super::{TopKTarget, check_k};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::shape;
use ndarray::Array2;

/// The slack of a sum where rounding to half precision has followed: 1.01 · 1.008.
const ROUNDED_SLACK: f64 = 0.02;

impl<F: Float> TopKTarget<F> {
    /// No rows of `k` of `classes` classes.
    pub(crate) fn without_rows(classes: usize, k: usize) -> Result<Self> {
        check_k(k, classes)?;
        Ok(Self {
            classes,
            indices: shaped(0, k, Vec::new())?,
            log_probabilities: shaped(0, k, Vec::new())?,
        })
    }

    /// Has `fill` write all classes and all log-probabilities of so many rows, which were rounded to half
    /// precision, and checks them.
    ///
    /// On an error the target has no rows.
    pub(crate) fn refill(
        &mut self,
        classes: usize,
        [rows, k]: [usize; 2],
        fill: impl FnOnce(&mut [u32], &mut [F]) -> Result<()>,
    ) -> Result<()> {
        let count = shape::count(&[rows, k])?;
        let empty = Self::without_rows(classes, k)?;
        let before = std::mem::replace(self, empty);
        let mut indices = sized(before.indices, count, 0);
        let mut logs = sized(before.log_probabilities, count, F::zero());
        fill(&mut indices, &mut logs)?;
        let filled = Self {
            classes,
            indices: shaped(rows, k, indices)?,
            log_probabilities: shaped(rows, k, logs)?,
        };
        filled.check_rows(ROUNDED_SLACK)?;
        *self = filled;
        Ok(())
    }
}

/// So many elements in the memory of an array, or in new memory if that is too little.
fn sized<T: Copy>(array: Array2<T>, count: usize, fill: T) -> Vec<T> {
    let (mut elements, _) = array.into_raw_vec_and_offset();
    if elements.capacity() < count {
        drop(elements);
        return vec![fill; count];
    }
    elements.resize(count, fill);
    elements
}

fn shaped<T>(rows: usize, k: usize, elements: Vec<T>) -> Result<Array2<T>> {
    let shape = vec![rows, k];
    Array2::from_shape_vec((rows, k), elements).map_err(|_| Error::ShapeOverflow { shape })
}

#[cfg(test)]
mod tests {
    use super::TopKTarget;
    use crate::error::Error;
    use ndarray::{array, s};

    #[test]
    fn memory_is_used_again_and_an_error_leaves_no_rows() {
        // Arrays whose memory begins before their first element.
        let indices = array![[9, 9], [0, 1], [2, 0]].slice_move(s![1.., ..]);
        let logs = array![[9.0_f64, 9.0], [-1.0, -2.0], [-1.0, -2.0]].slice_move(s![1.., ..]);
        let mut target = TopKTarget::new(3, indices, logs).unwrap();
        let memory = target.log_probabilities.as_ptr();
        let fill = |class: u32, log: f64| {
            move |indices: &mut [u32], logs: &mut [f64]| {
                indices.copy_from_slice(&[class, 4, 3]);
                logs.fill(log);
                Ok(())
            }
        };
        target.refill(5, [1, 3], fill(1, -2.0)).unwrap();
        assert_eq!(target.indices(), array![[1, 4, 3]]);
        assert_eq!(target.log_probabilities(), array![[-2.0, -2.0, -2.0]]);
        assert_eq!((target.classes(), target.k()), (5, 3));
        assert!(
            memory > target.log_probabilities.as_ptr(),
            "the memory's own start"
        );
        for (class, log) in [(5, -2.0), (4, -2.0), (1, f64::NAN), (1, 1.0), (1, -0.9)] {
            target.refill(5, [1, 3], fill(1, -2.0)).unwrap();
            assert!(target.refill(5, [1, 3], fill(class, log)).is_err());
            assert_eq!((target.rows(), target.k()), (0, 3));
        }
        let failing = |_: &mut [u32], _: &mut [f64]| Err(Error::NoLogits { shape: vec![] });
        assert!(target.refill(7, [9, 2], failing).is_err());
        assert_eq!((target.rows(), target.k(), target.classes()), (0, 2, 7));
        assert!(
            target.refill(3, [1, 4], fill(1, -2.0)).is_err(),
            "k above classes"
        );
    }
}
