//! From floats to packed codes of up to 8 bits that are not evenly spaced, with scales by the largest magnitude.
//!
//! ```text
//! scale = max |x| ÷ largest number of the codes        code = cast(x ÷ scale)
//! ```
//!
//! Where tiles lie together, a piece of the array that stays in the cache is read twice and memory once.

use super::coding::Scaling;
use super::dispatch::vectorize;
use super::encode::{Part, Trouble};
use super::minifloat::{self, Minifloat};
use super::pack;
use super::parallel::{CHUNK, for_chunks_mut, map_chunks_of_three};
use super::ranges::{self, Finite, Span};
use super::real::Real;
use super::tiling::Tiling;
use super::uneven::Uneven;
use std::marker::PhantomData;

/// What turns a number and its scale into a code. NaN counts as 0.
pub(crate) trait Cast<F>: Copy + Sync {
    fn code(self, number: F, scale: F) -> u8;
}

/// Below 0, or not.
#[derive(Clone, Copy)]
pub(crate) struct Sign;

impl<F: Real> Cast<F> for Sign {
    #[inline(always)]
    fn code(self, number: F, _: F) -> u8 {
        // So −0 and NaN are not below.
        u8::from(!(number < F::zero()))
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
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 8 bits")]
    fn code(self, number: F, scale: F) -> u8 {
        minifloat::nearest::<T>(F::single_of(or_zero(number / scale))) as u8
    }
}

/// How many of some ascending boundaries a number is above.
#[derive(Clone, Copy)]
pub(crate) struct Above<'a, F, const N: usize> {
    /// Infinity behind the last.
    pub(crate) boundaries: &'a [F; N],
    pub(crate) scaling: Scaling,
}

/// The same for many boundaries: by halving.
#[derive(Clone, Copy)]
pub(crate) struct Among<'a, F> {
    pub(crate) boundaries: &'a [F; 255],
    pub(crate) scaling: Scaling,
}

#[inline(always)]
fn or_zero<F: Real>(number: F) -> F {
    if number.is_nan() { F::zero() } else { number }
}

#[inline(always)]
fn scaled<F: Real>(number: F, scale: F, scaling: Scaling) -> F {
    or_zero(match scaling {
        Scaling::Divide => number / scale,
        Scaling::MultiplyByInverse => number * scale.recip(),
    })
}

impl<F: Real, const N: usize> Cast<F> for Above<'_, F, N> {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 boundaries")]
    fn code(self, number: F, scale: F) -> u8 {
        let number = scaled(number, scale, self.scaling);
        // As wide as a float, so that a lane of one vector is a lane of the other.
        let mut above = 0_u32;
        for &boundary in self.boundaries {
            above += u32::from(number > boundary);
        }
        above as u8
    }
}

impl<F: Real> Cast<F> for Among<'_, F> {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 boundaries")]
    fn code(self, number: F, scale: F) -> u8 {
        let number = scaled(number, scale, self.scaling);
        let mut above = 0_usize;
        for step in [128, 64, 32, 16, 8, 4, 2, 1] {
            let here = above + step;
            above = if number > self.boundaries[here - 1] {
                here
            } else {
                above
            };
        }
        above as u8
    }
}

/// The codes of a piece: which bits of the cast, and which code each of its answers stands for.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'a, C> {
    pub(crate) bits: u32,
    pub(crate) cast: C,
    /// The code of each answer; none if that is the answer.
    pub(crate) order: Option<&'a [u8; 256]>,
}

/// Writes the packed codes of `values` with these scales.
pub(crate) fn cast_with<F: Real, C: Cast<F>>(
    values: &[F],
    tiling: &Tiling,
    codes: Codes<'_, C>,
    scales: &[f32],
    packed: &mut [u8],
) {
    let bytes = pack::bytes_for(values.len(), codes.bits);
    assert_eq!(packed.len(), bytes, "room for the codes");
    for_chunks_mut(
        packed,
        pack::bytes_for(CHUNK, codes.bits),
        |chunk, packed| {
            let start = chunk * CHUNK;
            let range = start..values.len().min(start + CHUNK);
            let part = Part {
                values: &values[range.clone()],
                range,
                first_tile: 0,
            };
            cast_part(&part, tiling, codes, scales, packed);
        },
    );
}

/// Finds scales and writes them and the packed codes of `values`.
///
/// `largest` is the largest magnitude among what codes mean. Fails with the first trouble; what was to be written is
/// then something.
pub(crate) fn fit_and_cast<F: Real, C: Cast<F>>(
    values: &[F],
    tiling: &Tiling,
    (largest, finite): (f32, Finite),
    codes: Codes<'_, C>,
    (scales, packed): (&mut [f32], &mut [u8]),
) -> Result<(), Trouble> {
    let bits = codes.bits;
    let Some(piece) = tiling.piece().filter(|&piece| piece <= CHUNK) else {
        let spans = ranges::spans(values, tiling, finite).map_err(Trouble::NotFinite)?;
        scale_tiles(&spans, largest, scales).map_err(Trouble::Overflow)?;
        cast_with(values, tiling, codes, scales, packed);
        return Ok(());
    };
    // Eight codes fill bytes at any width.
    let length = piece * (CHUNK / piece).next_multiple_of(8);
    let tiles = tiling.tiles_of(&(0..length)).len();
    let troubles = map_chunks_of_three(
        (packed, pack::bytes_for(length, bits)),
        (&mut *scales, tiles),
        (&mut [] as &mut [u8], 1),
        |chunk, packed, scales, _| {
            let start = chunk * length;
            let range = start..values.len().min(start + length);
            let part = Part {
                values: &values[range.clone()],
                range,
                first_tile: chunk * tiles,
            };
            let spans = part.spans(tiling, finite, scales.len())?;
            scale_tiles(&spans, largest, scales)
                .map_err(|tile| Trouble::Overflow(part.first_tile + tile))?;
            cast_part(&part, tiling, codes, scales, packed);
            Ok(())
        },
    );
    // A value that is not finite comes first: its tile's scale means nothing.
    let not_finite = |trouble: &&Result<(), Trouble>| matches!(trouble, Err(Trouble::NotFinite(_)));
    let first = troubles.iter().find(not_finite);
    let first = first.or_else(|| troubles.iter().find(|trouble| trouble.is_err()));
    first.copied().unwrap_or(Ok(()))
}

/// Finds the scales of tiles, or names the first tile whose scale does not fit.
fn scale_tiles<F: Real>(spans: &[Span<F>], largest: f32, scales: &mut [f32]) -> Result<(), usize> {
    for (span, scale) in spans.iter().zip(&mut *scales) {
        let reached = span.high.widen().max(-span.low.widen());
        *scale = scale_of(reached, largest);
    }
    match scales.iter().position(|scale| scale.is_infinite()) {
        Some(tile) => Err(tile),
        None => Ok(()),
    }
}

/// The scale that brings `largest` to `reached`: at least the smallest normal number, and so that f32 numbers come
/// back finite; infinite if it does not fit.
#[expect(
    clippy::cast_possible_truncation,
    reason = "scales are stored in f32; of two f32 the quotient in f64 rounds to that in f32"
)]
fn scale_of(reached: f64, largest: f32) -> f32 {
    let mut scale = ((reached / f64::from(largest)) as f32).max(f32::MIN_POSITIVE);
    if reached <= f64::from(f32::MAX) {
        while scale.is_finite() && (largest * scale).is_infinite() {
            scale = scale.next_down();
        }
    }
    scale
}

fn cast_part<F: Real, C: Cast<F>>(
    part: &Part<'_, F>,
    tiling: &Tiling,
    codes: Codes<'_, C>,
    scales: &[f32],
    packed: &mut [u8],
) {
    if codes.bits == 8 {
        return codes_of(part, tiling, codes, scales, packed);
    }
    let mut unpacked = vec![0; part.values.len()];
    codes_of(part, tiling, codes, scales, &mut unpacked);
    pack::pack(&unpacked, codes.bits, packed);
}

fn codes_of<F: Real, C: Cast<F>>(
    part: &Part<'_, F>,
    tiling: &Tiling,
    Codes { cast, order, .. }: Codes<'_, C>,
    scales: &[f32],
    codes: &mut [u8],
) {
    vectorize(
        #[inline(always)]
        || {
            tiling.stretches(
                part.range.clone(),
                #[inline(always)]
                |stretch, tiles| {
                    let values = &part.values[stretch.clone()];
                    let codes = &mut codes[stretch];
                    let pairs = codes.iter_mut().zip(values);
                    let scales = &scales[tiles.start - part.first_tile..];
                    match tiles.len() {
                        1 => {
                            let scale = F::from_single(scales[0]);
                            for (code, &value) in pairs {
                                *code = cast.code(value, scale);
                            }
                        }
                        _ => {
                            for ((code, &value), &scale) in pairs.zip(scales) {
                                *code = cast.code(value, F::from_single(scale));
                            }
                        }
                    }
                },
            );
        },
    );
    if let Some(order) = order {
        for code in codes {
            *code = order[usize::from(*code)];
        }
    }
}
