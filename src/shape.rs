//! Arithmetic on shapes that cannot overflow.

use crate::error::{Error, Result};

/// How many elements an array of this shape has.
///
/// As in ndarray, the product of the lengths that are not zero must fit an `isize` even where
/// another length is zero; so every shape that passes here can be made into an array.
pub(crate) fn count(shape: &[usize]) -> Result<usize> {
    let product = shape
        .iter()
        .filter(|&&length| length != 0)
        .try_fold(1_usize, |count, &length| count.checked_mul(length))
        .filter(|&count| isize::try_from(count).is_ok())
        .ok_or_else(|| Error::ShapeOverflow {
            shape: shape.to_vec(),
        })?;
    Ok(if shape.contains(&0) { 0 } else { product })
}

/// The index, one number an axis, of the element at this place in row-major order.
pub(crate) fn index_of(mut place: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (number, &length) in index.iter_mut().zip(shape).rev() {
        *number = place % length.max(1);
        place /= length.max(1);
    }
    index
}

/// The place in row-major order of the element at this index, if there is one.
pub(crate) fn place_of(index: &[usize], shape: &[usize]) -> Option<usize> {
    if index.len() != shape.len() {
        return None;
    }
    index
        .iter()
        .zip(shape)
        .try_fold(0, |place, (&number, &length)| {
            (number < length).then_some(place * length + number)
        })
}

/// Fails unless both shapes are the same.
pub(crate) fn check_same(
    left: &'static str,
    left_shape: &[usize],
    right: &'static str,
    right_shape: &[usize],
) -> Result<()> {
    if left_shape == right_shape {
        return Ok(());
    }
    Err(Error::ShapeMismatch {
        left,
        left_shape: left_shape.to_vec(),
        right,
        right_shape: right_shape.to_vec(),
    })
}

/// An axis as serde sees it: its number.
#[cfg(feature = "serde")]
pub(crate) mod number_of_axis {
    use ndarray::Axis;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(crate) fn serialize<S: Serializer>(axis: &Axis, to: S) -> Result<S::Ok, S::Error> {
        axis.index().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Axis, D::Error> {
        usize::deserialize(from).map(Axis)
    }
}

#[cfg(test)]
mod tests {
    use super::{count, index_of, place_of};

    #[test]
    fn places_and_indices_undo_each_other() {
        let shape = [2, 3, 4];
        for place in 0..24 {
            assert_eq!(place_of(&index_of(place, &shape), &shape), Some(place));
        }
        assert_eq!(index_of(0, &[]), Vec::<usize>::new());
        assert_eq!(place_of(&[], &[]), Some(0));
        assert_eq!(place_of(&[1, 3, 0], &shape), None);
        assert_eq!(place_of(&[1, 2], &shape), None);
    }

    #[test]
    fn counting_never_overflows() {
        assert_eq!(count(&[]).ok(), Some(1));
        assert_eq!(count(&[5, 2, 0]).ok(), Some(0));
        assert!(count(&[usize::MAX, 2, 0]).is_err());
        assert!(count(&[usize::MAX, 2]).is_err());
        assert!(count(&[usize::MAX]).is_err());
    }
}
