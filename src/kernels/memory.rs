//! Moves data past the caches or ahead of its use: what a plain loop cannot say.
//!
//! Measured on a gradient of 512 × 32000 logits, value and gradient in 11.8 ms without, 10.7 ms with
//! (`prefetch` 1 ms of it, `stream` the rest): a plain store first reads what it overwrites, and rows wait
//! for memory while they compute. Other machines than x86-64 do without both.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "prefetches and streaming stores take raw pointers; the gain is measured above"
    )
)]

use super::real::Real;

/// Asks for as many numbers as `values` has, `distance` numbers further on in memory, to be fetched.
///
/// Beyond the end of an array this fetches something else, or nothing: it is a hint.
#[inline(always)]
pub(super) fn prefetch<F: Real, const COUNT: usize>(values: &[F; COUNT], distance: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const LINE: usize = 64;
        for place in (0..COUNT).step_by(LINE / size_of::<F>()) {
            let address = values.as_ptr().wrapping_add(distance + place);
            // SAFETY: a prefetch reads nothing that the program could see and never faults, whatever
            // the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, distance);
}

/// Copies numbers to the front of `to` while as many, `distance` further on, are fetched.
#[inline(always)]
pub(super) fn copy_ahead<F: Real>(from: &[F], to: &mut [F], distance: usize) {
    /// Numbers between two prefetches.
    const GROUP: usize = 128;
    let (whole, rest) = from.as_chunks::<GROUP>();
    let (to, to_rest) = to[..from.len()].as_chunks_mut::<GROUP>();
    for (from, to) in whole.iter().zip(to) {
        prefetch(from, distance);
        *to = *from;
    }
    to_rest.copy_from_slice(rest);
}

/// Whether an array is so large that the caches would not hold it until it is read: then it is written past
/// them.
pub(super) fn is_large<F>(array: &[F]) -> bool {
    /// In bytes.
    const FROM: usize = 8 << 20;
    size_of_val(array) >= FROM
}

/// Copies numbers without leaving them in the caches. [`fence`] must follow.
#[inline(always)]
pub(super) fn stream<F: Real>(from: &[F], to: &mut [F]) {
    assert_eq!(from.len(), to.len(), "as many numbers as there is room for");
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128, _mm_loadu_ps, _mm_stream_ps};
        let group = size_of::<__m128>() / size_of::<F>();
        let head = to.as_ptr().align_offset(size_of::<__m128>()).min(to.len());
        let (from_head, from) = from.split_at(head);
        let (to_head, to) = to.split_at_mut(head);
        to_head.copy_from_slice(from_head);
        let whole = to.len() - to.len() % group;
        for (from, to) in from[..whole]
            .chunks_exact(group)
            .zip(to[..whole].chunks_exact_mut(group))
        {
            // SAFETY: `from` holds `group` floats, which are the 16 bytes that are read; any bits are
            // an `__m128`, and no alignment is asked for.
            let values = unsafe { _mm_loadu_ps(from.as_ptr().cast()) };
            // SAFETY: `to` holds as many bytes, and after `head` numbers they are aligned to 16.
            unsafe { _mm_stream_ps(to.as_mut_ptr().cast(), values) };
        }
        to[whole..].copy_from_slice(&from[whole..]);
    }
    #[cfg(not(target_arch = "x86_64"))]
    to.copy_from_slice(from);
}

/// Makes what [`stream`] wrote visible before anything that this thread writes later.
#[inline(always)]
pub(super) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE, which every x86-64 has; orders stores and touches no memory.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::{copy_ahead, fence, prefetch, stream};

    #[test]
    fn streaming_is_copying_at_any_alignment_and_length() {
        let from: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let wide: Vec<f64> = from.iter().map(|&x| f64::from(x)).collect();
        for start in 0..17 {
            for len in [0, 1, 3, 4, 15, 16, 17, 63, 64, 70] {
                let mut to = vec![-1.0_f32; 100];
                stream(&from[3..3 + len], &mut to[start..start + len]);
                let mut wide_to = vec![-1.0_f64; 100];
                stream(&wide[3..3 + len], &mut wide_to[start..start + len]);
                fence();
                assert_eq!(to[start..start + len], from[3..3 + len]);
                assert_eq!(wide_to[start..start + len], wide[3..3 + len]);
                let rest = to[..start].iter().chain(&to[start + len..]);
                assert!(rest.copied().all(|x| x == -1.0));
            }
        }
    }

    #[test]
    fn copying_ahead_is_copying() {
        let from: Vec<f64> = (0..300_u16).map(f64::from).collect();
        for len in [0, 1, 127, 128, 300] {
            let mut to = vec![-1.0; 300];
            copy_ahead(&from[..len], &mut to, 128);
            assert_eq!(to[..len], from[..len]);
            assert!(to[len..].iter().all(|&x| x == -1.0));
        }
    }

    #[test]
    fn prefetching_takes_any_distance() {
        let values = [0.0_f32; 128];
        for distance in [0, 1, 127, 128, usize::MAX / 4] {
            prefetch(&values, distance);
        }
        prefetch::<f64, 0>(&[], 0);
    }
}
