//! From floats to integer codes and back, and the packing of codes.
//!
//! The code of x is the integer nearest to x ÷ s (half to even), held within its range first: the
//! ends are integers, so clamping before rounding or after it is the same.

use super::dispatch::vectorize;
use super::extremes::Channels;
use super::pack;
use super::parallel::{CHUNK, for_chunks_mut};
use super::real::Real;

/// How a value is brought to the scale of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// x ÷ s, rounded once.
    Divide,
    /// x · (1 ÷ s), rounded twice: what PyTorch does.
    MultiplyByInverse,
}

/// Everything that turns values into codes but the values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coding<'a> {
    pub(crate) scales: &'a [f32],
    pub(crate) channels: Channels,
    pub(crate) bits: u32,
    pub(crate) lowest: i32,
    pub(crate) highest: i32,
    pub(crate) scaling: Scaling,
}

/// Writes the packed codes of `values`, which are finite.
pub(crate) fn encode<F: Real>(values: &[F], coding: Coding<'_>, packed: &mut [u8]) {
    assert_eq!(
        packed.len(),
        pack::bytes_for(values.len(), coding.bits),
        "room for the codes"
    );
    for_chunks_mut(
        packed,
        pack::bytes_for(CHUNK, coding.bits),
        |chunk, packed| {
            let start = chunk * CHUNK;
            let end = values.len().min(start + CHUNK);
            let part = &values[start..end];
            if coding.bits == 8 {
                encode_chunk(part, start, coding, packed);
            } else {
                let mut codes = vec![0; part.len()];
                encode_chunk(part, start, coding, &mut codes);
                pack::pack(&codes, coding.bits, packed);
            }
        },
    );
}

fn encode_chunk<F: Real>(values: &[F], start: usize, coding: Coding<'_>, codes: &mut [u8]) {
    vectorize(
        #[inline(always)]
        || {
            coding
                .channels
                .stretches(start..start + values.len(), |stretch, channels| {
                    let values = &values[stretch.clone()];
                    let codes = &mut codes[stretch];
                    let scales = &coding.scales[channels];
                    match coding.scaling {
                        Scaling::Divide => {
                            stretch_codes(values, codes, scales, coding, |x, s| x / s);
                        }
                        Scaling::MultiplyByInverse => {
                            stretch_codes(values, codes, scales, coding, |x, s| x * s.recip());
                        }
                    }
                });
        },
    );
}

#[inline(always)]
fn stretch_codes<F: Real>(
    values: &[F],
    codes: &mut [u8],
    scales: &[f32],
    coding: Coding<'_>,
    scaled: impl Fn(F, F) -> F,
) {
    let lowest = F::from_integer(coding.lowest);
    let highest = F::from_integer(coding.highest);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the low bits of the code are what is stored"
    )]
    let code = |value: F, scale: F| {
        let y = scaled(value, scale);
        let y = if y > highest { highest } else { y };
        let y = if y < lowest { lowest } else { y };
        y.nearest_even() as u8
    };
    if let [scale] = scales {
        let scale = F::from_single(*scale);
        for (to, &value) in codes.iter_mut().zip(values) {
            *to = code(value, scale);
        }
    } else {
        for ((to, &value), &scale) in codes.iter_mut().zip(values).zip(scales) {
            *to = code(value, F::from_single(scale));
        }
    }
}

/// What turns packed codes back into values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoding<'a> {
    pub(crate) scales: &'a [f32],
    /// One for each scale, or none at all: then they are zero.
    pub(crate) zero_points: &'a [i32],
    pub(crate) channels: Channels,
    pub(crate) bits: u32,
}

/// Writes (code − zero point) · scale for every packed code.
pub(crate) fn decode<F: Real>(packed: &[u8], decoding: Decoding<'_>, values: &mut [F]) {
    let bits = decoding.bits;
    assert_eq!(
        packed.len(),
        pack::bytes_for(values.len(), bits),
        "one code a value"
    );
    for_chunks_mut(values, CHUNK, |chunk, values| {
        let packed = &packed[chunk * pack::bytes_for(CHUNK, bits)..];
        let mut codes = vec![0; values.len()];
        pack::unpack(
            &packed[..pack::bytes_for(values.len(), bits)],
            bits,
            &mut codes,
        );
        decode_chunk(&codes, chunk * CHUNK, decoding, values);
    });
}

fn decode_chunk<F: Real>(codes: &[i8], start: usize, decoding: Decoding<'_>, values: &mut [F]) {
    let Decoding {
        scales,
        zero_points,
        channels,
        ..
    } = decoding;
    let value = |code: i8, zero_point: i32, scale: f32| {
        F::from_integer(i32::from(code) - zero_point) * F::from_single(scale)
    };
    vectorize(
        #[inline(always)]
        || {
            channels.stretches(start..start + values.len(), |stretch, channels| {
                let pairs = values[stretch.clone()].iter_mut().zip(&codes[stretch]);
                let zero_points = zero_points.get(channels.clone()).unwrap_or(&[]);
                match (&scales[channels], zero_points) {
                    (&[scale], &[]) => pairs.for_each(|(to, &code)| *to = value(code, 0, scale)),
                    (&[scale], &[zero_point]) => {
                        pairs.for_each(|(to, &code)| *to = value(code, zero_point, scale));
                    }
                    (scales, []) => {
                        pairs.zip(scales).for_each(|((to, &code), &scale)| {
                            *to = value(code, 0, scale);
                        });
                    }
                    (scales, zero_points) => {
                        pairs.zip(scales).zip(zero_points).for_each(
                            |(((to, &code), &scale), &zero_point)| {
                                *to = value(code, zero_point, scale);
                            },
                        );
                    }
                }
            });
        },
    );
}

#[cfg(test)]
mod tests {
    use super::{Coding, Decoding, Scaling, decode, encode};
    use crate::kernels::dispatch::forced;
    use crate::kernels::extremes::Channels;
    use crate::kernels::pack;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::real::Real;

    const SCALES: [f32; 3] = [0.1, 0.007, 0.25];
    const SHAPES: [Channels; 4] = [
        Channels {
            count: 1,
            inner: usize::MAX,
        },
        Channels { count: 3, inner: 1 },
        Channels { count: 3, inner: 5 },
        Channels {
            count: 3,
            inner: 70_000,
        },
    ];

    fn values<F: Real>(len: usize) -> Vec<F> {
        // Multiples of half a step of the first scale, so that many lie on a tie.
        (0..len)
            .map(|i| F::narrow(((i * 37 % 601) as f64 - 300.0) * 0.05))
            .collect()
    }

    /// The obvious twin: one value after the other, in the type's own arithmetic.
    fn slow_code<F: Real>(value: F, scale: f32, coding: Coding<'_>) -> i8 {
        let scale = F::from_single(scale);
        let y = match coding.scaling {
            Scaling::Divide => value / scale,
            Scaling::MultiplyByInverse => value * (F::one() / scale),
        };
        let y = y.widen().round_ties_even();
        y.clamp(f64::from(coding.lowest), f64::from(coding.highest)) as i8
    }

    fn check<F: Real>() {
        forced::at_every_level(|level| {
            for bits in 2..=8 {
                for channels in SHAPES {
                    for len in [0, 1, 7, 8, 9, 1000, CHUNK + 13] {
                        for scaling in [Scaling::Divide, Scaling::MultiplyByInverse] {
                            let at = format!("{bits} bits, {channels:?}, {len}, {level:?}");
                            let highest = (1 << (bits - 1)) - 1;
                            let coding = Coding {
                                scales: &SCALES[..channels.count],
                                channels,
                                bits,
                                lowest: -highest,
                                highest,
                                scaling,
                            };
                            let values = values::<F>(len);
                            let mut packed = vec![0xAA; pack::bytes_for(len, bits)];
                            encode(&values, coding, &mut packed);
                            let mut codes = vec![0; len];
                            pack::unpack(&packed, bits, &mut codes);
                            let channel = |i: usize| i / channels.inner % channels.count;
                            for (i, &value) in values.iter().enumerate() {
                                let right = slow_code(value, SCALES[channel(i)], coding);
                                assert_eq!(codes[i], right, "{value:?} at {i}, {at}");
                            }
                            let zero_points = &[3, -5, 7][..channels.count];
                            for zero_points in [&[][..], zero_points] {
                                let decoding = Decoding {
                                    scales: coding.scales,
                                    zero_points,
                                    channels,
                                    bits,
                                };
                                let mut restored = vec![F::nan(); len];
                                decode(&packed, decoding, &mut restored);
                                for (i, &value) in restored.iter().enumerate() {
                                    let zero = zero_points.get(channel(i)).copied().unwrap_or(0);
                                    let right = F::from_integer(i32::from(codes[i]) - zero)
                                        * F::from_single(SCALES[channel(i)]);
                                    assert!(value == right, "{value:?}, not {right:?}, {at}");
                                }
                            }
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn f32_agrees_with_the_slow_twin() {
        check::<f32>();
    }

    #[test]
    fn f64_agrees_with_the_slow_twin() {
        check::<f64>();
    }
}
