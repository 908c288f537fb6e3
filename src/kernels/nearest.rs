//! Which code a scaled number becomes, where codes are not evenly spaced.

use super::coding::Scaling;
use super::minifloat::{self, Minifloat};
use super::real::Real;
use super::uneven::Uneven;
use std::marker::PhantomData;

/// Numbers that become codes side by side.
const LANES: usize = 32;

/// What turns scaled numbers into codes. None of them is NaN.
pub(crate) trait Cast<F>: Copy + Sync {
    /// Whether numbers are scaled at all.
    const SCALES: bool;

    /// Whether numbers are multiplied by the inverse of their scale.
    fn by_inverse(self) -> bool {
        false
    }

    /// Writes the code of each number.
    fn write(self, numbers: &[F], codes: &mut [u8]);
}

/// Writes the codes of so many numbers at a time; behind the last ones stand zeros.
#[inline(always)]
fn in_blocks<F: Real>(numbers: &[F], codes: &mut [u8], block: impl Fn(&[F; LANES]) -> [u8; LANES]) {
    let (blocks, rest) = codes.as_chunks_mut();
    let (whole, last) = numbers.as_chunks();
    for (codes, numbers) in blocks.iter_mut().zip(whole) {
        *codes = block(numbers);
    }
    let mut numbers = [F::zero(); LANES];
    numbers[..last.len()].copy_from_slice(last);
    rest.copy_from_slice(&block(&numbers)[..rest.len()]);
}

/// Below 0, or not.
#[derive(Clone, Copy)]
pub(crate) struct Sign;

impl<F: Real> Cast<F> for Sign {
    // What is scaled may become 0.
    const SCALES: bool = false;

    #[inline(always)]
    fn write(self, numbers: &[F], codes: &mut [u8]) {
        for (code, &number) in codes.iter_mut().zip(numbers) {
            *code = u8::from(number >= F::zero());
        }
    }
}

/// The nearest number of a small float, held at the largest.
pub(crate) struct Nearest<T>(PhantomData<T>);

impl<T> Nearest<T> {
    pub(crate) const NEW: Self = Self(PhantomData);
}

impl<T> Clone for Nearest<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Nearest<T> {}

impl<F: Uneven, T: Minifloat + Sync> Cast<F> for Nearest<T> {
    const SCALES: bool = true;

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 8 bits")]
    fn write(self, numbers: &[F], codes: &mut [u8]) {
        for (code, &number) in codes.iter_mut().zip(numbers) {
            *code = minifloat::nearest::<T>(F::single_of(number)) as u8;
        }
    }
}

/// How many of some ascending boundaries a number is above.
#[derive(Clone, Copy)]
pub(crate) struct Above<'a, F, const N: usize> {
    /// Infinity behind the last.
    pub(crate) boundaries: &'a [F; N],
    pub(crate) scaling: Scaling,
}

impl<F: Real, const N: usize> Cast<F> for Above<'_, F, N> {
    const SCALES: bool = true;

    fn by_inverse(self) -> bool {
        self.scaling == Scaling::MultiplyByInverse
    }

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 255 boundaries"
    )]
    fn write(self, numbers: &[F], codes: &mut [u8]) {
        in_blocks(
            numbers,
            codes,
            #[inline(always)]
            |numbers| {
                // Counted in floats, so that a lane of one vector is a lane of the other: twice as fast as integers.
                let mut above = [F::zero(); LANES];
                for &boundary in self.boundaries {
                    for (above, &number) in above.iter_mut().zip(numbers) {
                        let one = if number > boundary {
                            F::one()
                        } else {
                            F::zero()
                        };
                        *above = *above + one;
                    }
                }
                above.map(|count| count.nearest_even() as u8)
            },
        );
    }
}

/// The same for many boundaries: by halving.
#[derive(Clone, Copy)]
pub(crate) struct Among<'a, F> {
    pub(crate) boundaries: &'a [F; 256],
    pub(crate) scaling: Scaling,
}

impl<F: Real> Cast<F> for Among<'_, F> {
    const SCALES: bool = true;

    fn by_inverse(self) -> bool {
        self.scaling == Scaling::MultiplyByInverse
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 boundaries")]
    fn write(self, numbers: &[F], codes: &mut [u8]) {
        in_blocks(
            numbers,
            codes,
            #[inline(always)]
            |numbers| {
                let mut above = [0_u32; LANES];
                // All lanes take a step before any takes the next: one waits for memory while others do.
                for step in [128, 64, 32, 16, 8, 4, 2, 1] {
                    for (above, &number) in above.iter_mut().zip(numbers) {
                        let here = *above + step;
                        let boundary = self.boundaries[(here as usize - 1) & 255];
                        *above = if number > boundary { here } else { *above };
                    }
                }
                above.map(|count| count as u8)
            },
        );
    }
}
