//! Masks from masks, bit by bit.

use super::Mask;
use crate::error::{Error, Result};
use crate::kernels::bits;
use crate::shape;
use ndarray::Axis;

impl Mask {
    /// The mask that keeps what both keep.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if the shapes differ.
    pub fn and(&self, other: &Self) -> Result<Self> {
        self.combine(other, |a, b| a & b)
    }

    /// The mask that keeps what either keeps.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if the shapes differ.
    pub fn or(&self, other: &Self) -> Result<Self> {
        self.combine(other, |a, b| a | b)
    }

    /// The mask that keeps what this one keeps and the other drops: what was lost on the way from
    /// this one to the other.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::Mask;
    ///
    /// let before = Mask::from_array(&array![true, true, false, false]);
    /// let after = Mask::from_array(&array![true, false, true, false]);
    /// let lost = Mask::from_array(&array![false, true, false, false]);
    /// assert_eq!(before.and_not(&after)?, lost);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if the shapes differ.
    pub fn and_not(&self, other: &Self) -> Result<Self> {
        self.combine(other, |a, b| a & !b)
    }

    /// The mask that keeps what exactly one of both keeps: where they differ.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if the shapes differ.
    pub fn xor(&self, other: &Self) -> Result<Self> {
        self.combine(other, |a, b| a ^ b)
    }

    /// The mask that keeps what this one drops.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::Mask;
    ///
    /// let mask = Mask::from_array(&array![true, false, false]);
    /// assert_eq!(mask.not(), Mask::from_array(&array![false, true, true]));
    /// ```
    #[must_use]
    pub fn not(&self) -> Self {
        let mut words: Vec<u64> = self.words.iter().map(|word| !word).collect();
        if let Some(last) = words.last_mut() {
            *last &= bits::last_word(self.len);
        }
        Self {
            shape: self.shape.clone(),
            len: self.len,
            words,
        }
    }

    /// The mask of a part of the tensor: the slices at these indices along `axis`, in this order.
    ///
    /// It goes with `weights.select(axis, indices)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::{Axis, array};
    /// use rarefy::Mask;
    ///
    /// let mask = Mask::from_array(&array![[true, false, false], [true, true, false]]);
    /// let part = mask.select(Axis(1), &[2, 0])?;
    /// assert_eq!(part, Mask::from_array(&array![[false, true], [false, true]]));
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::AxisOutOfRange`] if there is no such axis, [`Error::PositionOutOfRange`] if an index
    /// is beyond its end.
    pub fn select(&self, axis: Axis, indices: &[usize]) -> Result<Self> {
        let Some(&length) = self.shape.get(axis.index()) else {
            return Err(Error::AxisOutOfRange {
                axis: axis.index(),
                ndim: self.shape.len(),
            });
        };
        if let Some(&index) = indices.iter().find(|&&index| index >= length) {
            return Err(Error::PositionOutOfRange {
                position: index as u64,
                rows: length as u64,
            });
        }
        let mut shape = self.shape.clone();
        shape[axis.index()] = indices.len();
        shape::count(&shape)?;
        Ok(Self::from_array(&self.to_array().select(axis, indices)))
    }

    fn combine(&self, other: &Self, word: impl Fn(u64, u64) -> u64) -> Result<Self> {
        shape::check_same("mask", &self.shape, "other mask", &other.shape)?;
        let pairs = self.words.iter().zip(&other.words);
        Ok(Self {
            shape: self.shape.clone(),
            len: self.len,
            words: pairs.map(|(&a, &b)| word(a, b)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::Mask;
    use ndarray::array;

    #[test]
    fn combining_is_bit_by_bit() {
        let a = Mask::from_array(&array![true, true, false, false]);
        let b = Mask::from_array(&array![true, false, true, false]);
        let is = |mask: Mask, flags: [bool; 4]| {
            assert_eq!(mask, Mask::from_array(&ndarray::arr1(&flags)));
        };
        is(a.and(&b).unwrap(), [true, false, false, false]);
        is(a.or(&b).unwrap(), [true, true, true, false]);
        is(a.and_not(&b).unwrap(), [false, true, false, false]);
        is(a.xor(&b).unwrap(), [false, true, true, false]);
        is(a.not(), [false, false, true, true]);
        let other = Mask::keep_all(5).unwrap();
        for result in [
            a.and(&other),
            a.or(&other),
            a.and_not(&other),
            a.xor(&other),
        ] {
            let message = result.unwrap_err().to_string();
            assert_eq!(message, "shapes differ: mask [4], other mask [5]");
        }
    }

    #[test]
    fn the_bits_behind_the_last_weight_stay_zero() {
        for len in [0, 1, 63, 64, 65, 200] {
            let mask = Mask::from_fn(len, |place| place % 3 == 0).unwrap();
            let not = mask.not();
            assert_eq!(not.kept(), mask.dropped());
            let (shape, words) = not.clone().into_parts();
            assert_eq!(Mask::from_parts(shape, words).unwrap(), not);
            assert_eq!(not.not(), mask);
            assert_eq!(mask.or(&not).unwrap(), Mask::keep_all(len).unwrap());
            assert_eq!(mask.xor(&not).unwrap(), Mask::keep_all(len).unwrap());
            assert_eq!(mask.and(&not).unwrap(), Mask::drop_all(len).unwrap());
            assert_eq!(mask.and_not(&not).unwrap(), mask);
        }
    }
}
