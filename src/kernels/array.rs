//! The door of the machine room: any array as one slice in logical (row-major) order.

use ndarray::{ArrayRef, Dimension};
use std::borrow::Cow;

/// The elements in row-major order: borrowed where they lie so in memory, gathered otherwise.
pub(crate) fn elements<T: Copy, D: Dimension>(array: &ArrayRef<T, D>) -> Cow<'_, [T]> {
    match array.as_slice() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(array.iter().copied().collect()),
    }
}

/// Runs `work` over the elements in row-major order and keeps what it wrote.
///
/// An array that does not lie in that order is gathered before and scattered after.
pub(crate) fn update<T: Copy, D: Dimension, R>(
    array: &mut ArrayRef<T, D>,
    work: impl FnOnce(&mut [T]) -> R,
) -> R {
    if let Some(slice) = array.as_slice_mut() {
        return work(slice);
    }
    let mut gathered: Vec<T> = array.iter().copied().collect();
    let result = work(&mut gathered);
    for (to, from) in array.iter_mut().zip(gathered) {
        *to = from;
    }
    result
}

/// The first `len` numbers of `buffer`, which grows where it is shorter.
pub(crate) fn take<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}

#[cfg(test)]
mod tests {
    use super::{elements, update};
    use ndarray::{Array2, array, s};
    use std::borrow::Cow;

    #[test]
    fn a_standard_array_is_borrowed() {
        let weights: Array2<f32> = array![[1.0, 2.0], [3.0, 4.0]];
        assert!(matches!(elements(&weights), Cow::Borrowed(_)));
    }

    #[test]
    fn any_layout_is_read_and_written_in_logical_order() {
        let mut weights: Array2<f32> = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let view = weights.slice(s![.., ..;-2]);
        assert_eq!(&*elements(&view), [3.0, 1.0, 6.0, 4.0]);
        let mut columns = weights.view_mut().reversed_axes();
        update(&mut columns, |slice| {
            assert_eq!(slice, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
            slice[1] = -4.0;
        });
        assert_eq!(weights, array![[1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]]);
    }
}
