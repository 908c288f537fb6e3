//! Logits where they lie, in the type that they are stored in.

use crate::float::Float;
use crate::kernels::array;
#[cfg(feature = "half")]
use crate::kernels::widen::{Narrow, widen};
#[cfg(feature = "half")]
use half::{bf16, f16};
use ndarray::ArrayRef2;
use std::borrow::Cow;
use std::ops::Range;

/// An array of logits of shape `[rows, classes]`, to compute with in F.
///
/// Which type it is stored in is a variant and not a parameter, so that losses are compiled once for all.
#[cfg_attr(
    not(feature = "half"),
    expect(
        unreachable_pub,
        reason = "with the feature it is in the signature of what seals a public trait"
    )
)]
#[derive(Clone, Copy, Debug)]
pub enum Logits<'a, F> {
    /// What is computed in.
    Own(&'a ArrayRef2<F>),
    #[cfg(feature = "half")]
    F16(&'a ArrayRef2<f16>),
    #[cfg(feature = "half")]
    Bf16(&'a ArrayRef2<bf16>),
}

impl<'a, F: Float> Logits<'a, F> {
    pub(super) fn shape(self) -> (usize, usize) {
        match self {
            Self::Own(array) => array.dim(),
            #[cfg(feature = "half")]
            Self::F16(array) => array.dim(),
            #[cfg(feature = "half")]
            Self::Bf16(array) => array.dim(),
        }
    }

    /// The logits in row-major order.
    pub(super) fn numbers(self) -> Numbers<'a, F> {
        match self {
            Self::Own(array) => Numbers::Own(array::elements(array)),
            #[cfg(feature = "half")]
            Self::F16(array) => Numbers::F16(array::elements(array)),
            #[cfg(feature = "half")]
            Self::Bf16(array) => Numbers::Bf16(array::elements(array)),
        }
    }
}

impl<'a, F> From<&'a ArrayRef2<F>> for Logits<'a, F> {
    fn from(array: &'a ArrayRef2<F>) -> Self {
        Self::Own(array)
    }
}

/// The numbers of [`Logits`], row after row.
pub(super) enum Numbers<'a, F: Float> {
    Own(Cow<'a, [F]>),
    #[cfg(feature = "half")]
    F16(Cow<'a, [f16]>),
    #[cfg(feature = "half")]
    Bf16(Cow<'a, [bf16]>),
}

impl<F: Float> Numbers<'_, F> {
    /// Those of a range, where they lie if they lie there in F, and in `room` otherwise.
    pub(super) fn row<'s>(&'s self, range: Range<usize>, room: &'s mut Vec<F>) -> &'s [F] {
        match self.in_place() {
            Some(numbers) => &numbers[range],
            None => {
                self.copy(range, room);
                room
            }
        }
    }

    /// Those of a range in `to`.
    pub(super) fn copy(&self, range: Range<usize>, to: &mut Vec<F>) {
        match self {
            Self::Own(numbers) => {
                to.clear();
                to.extend_from_slice(&numbers[range]);
            }
            #[cfg(feature = "half")]
            Self::F16(numbers) => widen(&numbers[range], to),
            #[cfg(feature = "half")]
            Self::Bf16(numbers) => widen(&numbers[range], to),
        }
    }

    fn in_place(&self) -> Option<&[F]> {
        match self {
            Self::Own(numbers) => Some(numbers),
            #[cfg(feature = "half")]
            Self::F16(_) | Self::Bf16(_) => None,
        }
    }

    /// The number at a place.
    pub(super) fn number(&self, place: usize) -> F {
        match self {
            Self::Own(numbers) => numbers[place],
            #[cfg(feature = "half")]
            Self::F16(numbers) => F::from_single(numbers[place].single()),
            #[cfg(feature = "half")]
            Self::Bf16(numbers) => F::from_single(numbers[place].single()),
        }
    }
}
