//! Which weights stay: one bit each.

mod algebra;
mod apply;
#[cfg(feature = "serde")]
mod serialise;

use crate::error::{Error, Result};
use crate::kernels::bits;
use crate::shape;
use ndarray::{ArrayD, ArrayRef, Axis, Dimension, IntoDimension, IxDyn};
use num_traits::Zero;
use std::fmt;

/// Which weights of a tensor stay; `true` means kept.
///
/// One bit a weight, in row-major order whatever the memory order of the arrays it is used with. A
/// mask carries the shape of its tensor and is a plain value: it can be compared, combined, stored
/// and applied to anything of that shape, weights, gradients and optimiser state alike.
///
/// PyTorch's name for it is `<name>_mask`, with 1 for kept.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::Mask;
///
/// let mask = Mask::from_array(&array![[true, false], [true, true]]);
/// assert_eq!(mask.sparsity(), 0.25);
///
/// let mut gradient = array![[0.5_f32, 0.5], [0.5, 0.5]];
/// mask.apply(&mut gradient)?;
/// assert_eq!(gradient, array![[0.5, 0.0], [0.5, 0.5]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "serialise::Written", try_from = "serialise::Written")
)]
pub struct Mask {
    shape: Vec<usize>,
    len: usize,
    /// The bits, 64 a word, lowest first; those behind the last weight are zero.
    words: Vec<u64>,
}

impl Mask {
    /// A mask that keeps every weight.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeOverflow`] if the shape has more elements than can be counted.
    pub fn keep_all(shape: impl IntoDimension) -> Result<Self> {
        let shape = shape.into_dimension().slice().to_vec();
        let len = shape::count(&shape)?;
        Ok(Self {
            shape,
            len,
            words: bits::ones(len),
        })
    }

    /// A mask that drops every weight.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeOverflow`] if the shape has more elements than can be counted.
    pub fn drop_all(shape: impl IntoDimension) -> Result<Self> {
        let shape = shape.into_dimension().slice().to_vec();
        let len = shape::count(&shape)?;
        Ok(Self {
            shape,
            len,
            words: vec![0; bits::words_for(len)],
        })
    }

    /// A mask that keeps the weights whose index `keep` likes, asked in row-major order.
    ///
    /// # Examples
    ///
    /// A causal mask:
    ///
    /// ```
    /// use rarefy::Mask;
    ///
    /// let mask = Mask::from_fn((3, 3), |(row, column)| column <= row)?;
    /// assert_eq!(mask.kept(), 6);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ShapeOverflow`] if the shape has more elements than can be counted.
    pub fn from_fn<S: IntoDimension>(
        shape: S,
        keep: impl FnMut(<S::Dim as Dimension>::Pattern) -> bool,
    ) -> Result<Self> {
        let dimension = shape.into_dimension();
        let shape = dimension.slice().to_vec();
        shape::count(&shape)?;
        Ok(Self::collect(
            shape,
            ndarray::indices(dimension).into_iter().map(keep),
        ))
    }

    /// The mask that this array of flags is.
    pub fn from_array<D: Dimension>(kept: &ArrayRef<bool, D>) -> Self {
        Self::collect(kept.shape().to_vec(), kept.iter().copied())
    }

    /// The mask of the weights that are not zero.
    ///
    /// # Examples
    ///
    /// Taking up a network that was pruned elsewhere:
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::Mask;
    ///
    /// let mask = Mask::of_nonzero(&array![0.3_f32, 0.0, -0.0, f32::NAN]);
    /// assert_eq!(mask, Mask::from_array(&array![true, false, false, true]));
    /// ```
    pub fn of_nonzero<T: Copy + Zero, D: Dimension>(weights: &ArrayRef<T, D>) -> Self {
        Self::collect(
            weights.shape().to_vec(),
            weights.iter().map(|weight| !weight.is_zero()),
        )
    }

    fn collect(shape: Vec<usize>, kept: impl ExactSizeIterator<Item = bool>) -> Self {
        let len = kept.len();
        let mut words = vec![0; bits::words_for(len)];
        for (place, kept) in kept.enumerate() {
            words[place / bits::WORD] |= u64::from(kept) << (place % bits::WORD);
        }
        Self { shape, len, words }
    }

    /// A mask from its shape and its bits: bit i % 64 of word i / 64 belongs to weight i in
    /// row-major order. The reverse of [`into_parts`](Self::into_parts).
    ///
    /// # Errors
    ///
    /// [`Error::WrongCount`] unless there are exactly as many words as the shape needs;
    /// [`Error::PaddingNotZero`] if bits behind the last weight are set;
    /// [`Error::ShapeOverflow`] if the shape has more elements than can be counted.
    pub fn from_parts(shape: Vec<usize>, words: Vec<u64>) -> Result<Self> {
        let len = shape::count(&shape)?;
        let expected = bits::words_for(len);
        if words.len() != expected {
            return Err(Error::WrongCount {
                what: "mask words",
                given: words.len(),
                expected,
            });
        }
        if words
            .last()
            .is_some_and(|last| last & !bits::last_word(len) != 0)
        {
            return Err(Error::PaddingNotZero {
                what: "mask bits",
                len,
            });
        }
        Ok(Self { shape, len, words })
    }

    /// The shape and the bits, as [`from_parts`](Self::from_parts) takes them.
    pub fn into_parts(self) -> (Vec<usize>, Vec<u64>) {
        (self.shape, self.words)
    }

    /// The bits, as [`from_parts`](Self::from_parts) takes them.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The shape of the tensor that the mask is for.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many weights there are, kept or not.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no weights at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many weights are kept.
    pub fn kept(&self) -> usize {
        bits::count_ones(&self.words)
    }

    /// How many weights are dropped.
    pub fn dropped(&self) -> usize {
        self.len - self.kept()
    }

    /// The share of weights that are dropped, in 0..=1; 0 where there are none at all.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share; counts above 2⁵³ do not occur"
    )]
    pub fn sparsity(&self) -> f64 {
        if self.is_empty() {
            0.0
        } else {
            self.dropped() as f64 / self.len as f64
        }
    }

    /// How many bytes the bits take: 8 for every 64 weights begun.
    pub fn bytes(&self) -> usize {
        size_of_val(self.words.as_slice())
    }

    /// Whether the weight at this index is kept; `None` if there is no such weight.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::Mask;
    ///
    /// let mask = Mask::keep_all((2, 3))?;
    /// assert_eq!(mask.keeps(&[1, 2]), Some(true));
    /// assert_eq!(mask.keeps(&[2, 0]), None);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    pub fn keeps(&self, index: &[usize]) -> Option<bool> {
        shape::place_of(index, &self.shape).map(|place| self.bit(place))
    }

    /// Whether each weight is kept, in row-major order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = bool> + '_ {
        (0..self.len).map(|place| self.bit(place))
    }

    fn bit(&self, place: usize) -> bool {
        self.words[place / bits::WORD] >> (place % bits::WORD) & 1 == 1
    }

    /// The indices along `axis` whose slices keep at least one weight, in order.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::{Axis, array};
    /// use rarefy::Mask;
    ///
    /// let mask = Mask::from_array(&array![[true, false], [false, false], [true, true]]);
    /// assert_eq!(mask.alive(Axis(0))?, [0, 2]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::AxisOutOfRange`] if there is no such axis.
    pub fn alive(&self, axis: Axis) -> Result<Vec<usize>> {
        let Some(&length) = self.shape.get(axis.index()) else {
            return Err(Error::AxisOutOfRange {
                axis: axis.index(),
                ndim: self.shape.len(),
            });
        };
        let inner = shape::count(&self.shape[axis.index() + 1..])?.max(1);
        let mut alive = vec![false; length];
        bits::for_each_one(&self.words, |place| alive[place / inner % length] = true);
        Ok((0..length).filter(|&index| alive[index]).collect())
    }

    /// The mask as an array of flags.
    pub fn to_array(&self) -> ArrayD<bool> {
        let mut kept = self.iter();
        ArrayD::from_shape_simple_fn(IxDyn(&self.shape), || kept.next().unwrap_or(false))
    }

    /// A mask of mask bits that a kernel made.
    pub(crate) fn from_words(shape: &[usize], len: usize, words: Vec<u64>) -> Self {
        debug_assert_eq!(
            words.len(),
            bits::words_for(len),
            "kernels make whole masks"
        );
        Self {
            shape: shape.to_vec(),
            len,
            words,
        }
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask")
            .field("shape", &self.shape)
            .field("kept", &self.kept())
            .field("dropped", &self.dropped())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;
    use crate::Error;
    use ndarray::{Axis, array};

    #[test]
    fn bits_follow_row_major_order_whatever_the_memory_order() {
        let flags = array![[true, false, false], [true, true, false]];
        let mask = Mask::from_array(&flags);
        assert_eq!(mask.words(), [0b011_001]);
        assert_eq!(
            Mask::from_array(&flags.t()),
            Mask::from_array(&flags.t().as_standard_layout())
        );
        assert_eq!(mask.to_array(), flags.into_dyn());
    }

    #[test]
    fn parts_are_checked() {
        let mask = Mask::from_fn((7, 10), |(i, j)| (i + j) % 3 == 0).unwrap();
        let (shape, words) = mask.clone().into_parts();
        assert_eq!(
            Mask::from_parts(shape.clone(), words.clone()).unwrap(),
            mask
        );
        assert!(matches!(
            Mask::from_parts(shape.clone(), words[..1].to_vec()),
            Err(Error::WrongCount {
                given: 1,
                expected: 2,
                ..
            })
        ));
        assert!(matches!(
            Mask::from_parts(shape, vec![0, u64::MAX]),
            Err(Error::PaddingNotZero { len: 70, .. })
        ));
        assert!(matches!(
            Mask::from_parts(vec![usize::MAX, 3], vec![]),
            Err(Error::ShapeOverflow { .. })
        ));
    }

    #[test]
    fn ranks_zero_and_empty_work() {
        let scalar = Mask::keep_all(()).unwrap();
        assert_eq!((scalar.len(), scalar.kept()), (1, 1));
        assert_eq!(scalar.keeps(&[]), Some(true));
        let empty = Mask::drop_all((0, 3)).unwrap();
        assert_eq!((empty.len(), empty.sparsity(), empty.bytes()), (0, 0.0, 0));
        assert_eq!(empty.to_array().shape(), [0, 3]);
    }

    #[test]
    fn alive_slices_are_those_with_a_weight() {
        let mask = Mask::from_fn((3, 70, 2), |(i, j, _)| i == 1 && j % 60 == 7).unwrap();
        assert_eq!(mask.alive(Axis(0)).unwrap(), [1]);
        assert_eq!(mask.alive(Axis(1)).unwrap(), [7, 67]);
        assert_eq!(mask.alive(Axis(2)).unwrap(), [0, 1]);
        let message = mask.alive(Axis(3)).unwrap_err().to_string();
        assert_eq!(message, "axis 3 does not exist, the array has 3 axes");
        let empty = Mask::keep_all((2, 0)).unwrap();
        assert!(empty.alive(Axis(0)).unwrap().is_empty());
    }

    #[test]
    fn debug_is_short() {
        let text = format!("{:?}", Mask::keep_all((1000, 1000)).unwrap());
        assert_eq!(
            text,
            "Mask { shape: [1000, 1000], kept: 1000000, dropped: 0 }"
        );
    }
}
