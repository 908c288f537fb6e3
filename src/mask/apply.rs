//! What a mask does to arrays: zeroes what it drops, or takes it from elsewhere.

use super::Mask;
use crate::error::Result;
use crate::kernels::{array, bits};
use crate::shape;
use ndarray::{ArrayRef, Dimension};
use num_traits::Zero;

impl Mask {
    /// Writes +0 wherever the mask drops a weight, and touches nothing else.
    ///
    /// Zeros are written, never multiplied: a dropped NaN or infinity becomes 0, and a dropped
    /// negative weight does not become −0, as both would under PyTorch's `weight * mask`.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if `values` have another shape; they
    /// are then unchanged.
    pub fn apply<T: Copy + Zero + Send + Sync, D: Dimension>(
        &self,
        values: &mut ArrayRef<T, D>,
    ) -> Result<()> {
        shape::check_same("mask", &self.shape, "array", values.shape())?;
        array::update(values, |values| bits::apply(&self.words, values, T::zero()));
        Ok(())
    }

    /// Writes +0 into all of these arrays wherever the mask drops a weight: weights, gradient and
    /// the moments of an optimiser in one sweep.
    ///
    /// A dropped weight whose momentum is left alone moves again at the next step.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::Mask;
    ///
    /// let mask = Mask::from_array(&array![[true, false], [false, true]]);
    /// let mut weights = array![[1.0_f32, 2.0], [3.0, 4.0]];
    /// let mut momentum = array![[0.1_f32, 0.1], [0.1, 0.1]];
    /// mask.apply_all([&mut weights, &mut momentum])?;
    /// assert_eq!(weights, array![[1.0, 0.0], [0.0, 4.0]]);
    /// assert_eq!(momentum, array![[0.1, 0.0], [0.0, 0.1]]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if one of them has another shape; all
    /// are then unchanged.
    pub fn apply_all<T: Copy + Zero + Send + Sync, D: Dimension, const N: usize>(
        &self,
        mut arrays: [&mut ArrayRef<T, D>; N],
    ) -> Result<()> {
        for values in &arrays {
            shape::check_same("mask", &self.shape, "array", values.shape())?;
        }
        let zero = T::zero();
        if arrays.iter().all(|values| values.is_standard_layout()) {
            let slices = arrays.map(|values| values.as_slice_mut().unwrap_or_default());
            bits::apply_each(&self.words, self.len, slices, zero);
        } else {
            for values in &mut arrays {
                array::update(values, |values| bits::apply(&self.words, values, zero));
            }
        }
        Ok(())
    }

    /// Takes back what was pruned: wherever the mask drops a weight, `values` get that of `stored`;
    /// what the mask keeps stays as it is.
    ///
    /// Pruning overwrites weights, so undoing it needs a copy that was made before. It is also the
    /// first step of dense-sparse-dense training (Han et al. 2016, <https://arxiv.org/abs/1607.04381>),
    /// which sets the dropped weights free again.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::prune;
    ///
    /// let stored = array![0.3_f32, -1.2, 0.1, 0.8];
    /// let mut weights = stored.clone();
    /// let mask = prune::l1_unstructured(&mut weights, 0.5)?;
    /// weights += 1.0; // training
    /// mask.restore(&mut weights, &stored)?;
    /// assert_eq!(weights, array![0.3, -0.20000005, 0.1, 1.8]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the shapes differ; `values` are then
    /// unchanged.
    pub fn restore<T: Copy + Send + Sync, D: Dimension>(
        &self,
        values: &mut ArrayRef<T, D>,
        stored: &ArrayRef<T, D>,
    ) -> Result<()> {
        shape::check_same("mask", &self.shape, "array", values.shape())?;
        shape::check_same("mask", &self.shape, "stored array", stored.shape())?;
        let stored = array::elements(stored);
        array::update(values, |values| bits::restore(&self.words, values, &stored));
        Ok(())
    }

    /// Rewinds: what the mask keeps gets the value of `stored`, what it drops +0.
    ///
    /// With the weights from before training as `stored` and a mask of the trained ones this makes
    /// the lottery ticket (Frankle and Carbin 2019, <https://arxiv.org/abs/1803.03635>); with those of
    /// an early step it is the rewinding of Renda et al. 2020, <https://arxiv.org/abs/2003.02389>.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::prelude::*;
    /// use rarefy::prune::{Magnitude, Unstructured};
    ///
    /// let initial = array![0.3_f32, -0.2, 0.1, 0.4];
    /// let mut weights = array![2.0, 0.01, -0.02, -3.0]; // trained
    /// let ticket = Unstructured::new(Magnitude, 0.5).mask(&weights)?;
    /// ticket.rewind(&mut weights, &initial)?;
    /// assert_eq!(weights, array![0.3, 0.0, 0.0, 0.4]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the shapes differ; `values` are then
    /// unchanged.
    pub fn rewind<T: Copy + Zero + Send + Sync, D: Dimension>(
        &self,
        values: &mut ArrayRef<T, D>,
        stored: &ArrayRef<T, D>,
    ) -> Result<()> {
        shape::check_same("mask", &self.shape, "array", values.shape())?;
        shape::check_same("mask", &self.shape, "stored array", stored.shape())?;
        let stored = array::elements(stored);
        array::update(values, |values| {
            values.copy_from_slice(&stored);
            bits::apply(&self.words, values, T::zero());
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Mask;
    use ndarray::{Array2, ShapeBuilder, array, s};

    #[test]
    fn applying_writes_positive_zeros_and_keeps_other_bits() {
        let mask = Mask::from_array(&array![[true, false], [false, true]]);
        let mut values = array![[f32::NAN, f32::NAN], [-1.0, -0.0]];
        mask.apply(&mut values).unwrap();
        assert!(values[[0, 0]].is_nan());
        assert_eq!(values[[0, 1]].to_bits(), 0);
        assert_eq!(values[[1, 0]].to_bits(), 0);
        assert_eq!(values[[1, 1]].to_bits(), (-0.0_f32).to_bits());

        let mut codes = array![[1_i8, 2], [3, 4]];
        mask.apply(&mut codes).unwrap();
        assert_eq!(codes, array![[1, 0], [0, 4]]);
    }

    #[test]
    fn a_wrong_shape_changes_nothing() {
        let mask = Mask::drop_all((3, 2)).unwrap();
        let (mut right, mut wrong) = (Array2::<f64>::ones((3, 2)), Array2::<f64>::ones((2, 3)));
        let other = Array2::<f64>::ones((2, 3));
        let results = [
            mask.apply(&mut wrong),
            mask.apply_all([&mut right, &mut wrong]),
            mask.restore(&mut wrong, &other),
            mask.rewind(&mut wrong, &other),
        ];
        for result in results {
            let error = result.unwrap_err().to_string();
            assert_eq!(error, "shapes differ: mask [3, 2], array [2, 3]");
        }
        for result in [
            mask.restore(&mut right, &other),
            mask.rewind(&mut right, &other),
        ] {
            let error = result.unwrap_err().to_string();
            assert_eq!(error, "shapes differ: mask [3, 2], stored array [2, 3]");
        }
        assert!(right.iter().chain(&wrong).all(|&value| value == 1.0));
    }

    #[test]
    fn all_arrays_are_treated_alike_whatever_their_memory_order() {
        let mask = Mask::from_fn((300, 300), |(i, j)| (i * 7 + j) % 3 == 0).unwrap();
        let right = Array2::from_shape_fn((300, 300), |(i, j)| {
            if (i * 7 + j) % 3 == 0 { -2.5_f32 } else { 0.0 }
        });
        let mut plain = [(); 5].map(|()| Array2::from_elem((300, 300), -2.5_f32));
        let [a, b, c, d, e] = &mut plain;
        mask.apply_all([a, b, c, d, e]).unwrap();
        assert!(plain.iter().all(|array| *array == right));

        let mut columns = Array2::from_elem((300, 300).f(), -2.5_f32);
        let mut padded = Array2::from_elem((300, 600), -2.5_f32);
        let mut view = padded.slice_mut(s![.., ..;2]);
        let mut rows = Array2::from_elem((300, 300), -2.5_f32);
        mask.apply_all([&mut columns, &mut view, &mut rows])
            .unwrap();
        assert_eq!(columns, right);
        assert_eq!(view, right);
        assert_eq!(rows, right);
        assert!(padded.slice(s![.., 1..;2]).iter().all(|&x| x == -2.5));
        mask.apply_all::<f32, ndarray::Ix2, 0>([]).unwrap();
    }

    #[test]
    fn restoring_and_rewinding_take_the_right_half() {
        let mask = Mask::from_fn((50, 41), |(i, j)| (i + j) % 2 == 0).unwrap();
        let stored = Array2::from_shape_fn((50, 41), |(i, j)| (i * 41 + j) as f64 - 700.0);
        let trained = Array2::from_elem((50, 41).f(), f64::NAN);
        let mut restored = trained.clone();
        mask.restore(&mut restored, &stored).unwrap();
        let mut rewound = trained;
        mask.rewind(&mut rewound, &stored).unwrap();
        for ((index, restored), kept) in restored.indexed_iter().zip(mask.iter()) {
            assert_eq!(restored.is_nan(), kept);
            assert!(kept || *restored == stored[index]);
            let right = if kept { stored[index] } else { 0.0 };
            assert_eq!(rewound[index].to_bits(), right.to_bits());
        }
    }
}
