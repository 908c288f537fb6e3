//! What quantizing and turning back does to floats, and its straight-through gradient, without codes in between.
//!
//! ```text
//! forward    x ↦ (hold(round(x ÷ s) + z) − z) · s
//! backward   g ↦ g  where lowest ≤ round(x ÷ s) + z ≤ highest,  else 0
//! ```
//!
//! The forward gives the bits of `encode` followed by `decode`. Here the codes are never stored: a value is read and
//! written once.

use super::coding::{Coding, Step, Steps};
use super::dispatch::vectorize;
use super::parallel::{CHUNK, for_chunks_mut};
use super::real::Real;
use super::tiling::Tiling;
use super::way::{Way, WithWay, scaled, with_way};

/// Everything that says what becomes of a value.
#[derive(Clone, Copy, Debug)]
pub struct Fake<'a> {
    pub(crate) tiling: &'a Tiling,
    pub(crate) coding: Coding,
    pub(crate) steps: Steps<'a>,
    /// Whether NaN stays NaN; otherwise it becomes 0.
    pub(crate) keep_nan: bool,
}

/// What becomes of one number, given what lies at its place in the arrays that are read.
trait Op<F, const N: usize>: Copy + Sync {
    fn of<W: Way>(self, to: F, from: [F; N], step: Step<F>, way: W, index: usize) -> F;
}

#[derive(Clone, Copy)]
struct Forward {
    keep_nan: bool,
}

impl Forward {
    #[inline(always)]
    fn value<F: Real, W: Way>(self, value: F, step: Step<F>, way: W, index: usize) -> F {
        let held = step.held(way.scaled(value, step));
        let code = F::from_integer(way.rounded(held, index));
        let back = way.back(code, step) * step.scale;
        if self.keep_nan && value.is_nan() {
            value
        } else {
            back
        }
    }
}

impl<F: Real> Op<F, 0> for Forward {
    #[inline(always)]
    fn of<W: Way>(self, to: F, []: [F; 0], step: Step<F>, way: W, index: usize) -> F {
        self.value(to, step, way, index)
    }
}

impl<F: Real> Op<F, 1> for Forward {
    #[inline(always)]
    fn of<W: Way>(self, _: F, [value]: [F; 1], step: Step<F>, way: W, index: usize) -> F {
        self.value(value, step, way, index)
    }
}

#[derive(Clone, Copy)]
struct Backward {
    add: bool,
}

impl<F: Real> Op<F, 1> for Backward {
    #[inline(always)]
    fn of<W: Way>(self, to: F, [value]: [F; 1], step: Step<F>, way: W, index: usize) -> F {
        let inside = scaled(value, step, way, index).inside;
        if inside { to } else { F::zero() }
    }
}

impl<F: Real> Op<F, 2> for Backward {
    #[inline(always)]
    fn of<W: Way>(self, to: F, from: [F; 2], step: Step<F>, way: W, index: usize) -> F {
        let [value, gradient] = from;
        let inside = scaled(value, step, way, index).inside;
        let gradient = if inside { gradient } else { F::zero() };
        if self.add { to + gradient } else { gradient }
    }
}

/// One stretch of a chunk.
struct Stretch<'a, F, O, const N: usize> {
    to: &'a mut [F],
    from: [&'a [F]; N],
    steps: Steps<'a>,
    coding: Coding,
    /// The index of the first number in the whole.
    start: usize,
    op: O,
}

impl<F: Real, O: Op<F, N>, const N: usize> WithWay for Stretch<'_, F, O, N> {
    type Output = ();

    #[inline(always)]
    fn run<W: Way>(self, way: W) {
        let Self {
            to,
            from,
            steps,
            coding,
            start,
            op,
        } = self;
        // As long as `to`, which spares the loops the question.
        let from = from.map(
            #[inline(always)]
            |from| &from[..to.len()],
        );
        let Steps {
            scales,
            zero_points,
        } = steps;
        if let [scale] = scales {
            let step = Step::new(*scale, zero_points[0], coding);
            for (index, to) in to.iter_mut().enumerate() {
                let from = from.map(
                    #[inline(always)]
                    |from| from[index],
                );
                *to = op.of(*to, from, step, way, start + index);
            }
            return;
        }
        let each = to.iter_mut().zip(scales).zip(zero_points);
        for (index, ((to, &scale), &zero)) in each.enumerate() {
            let from = from.map(
                #[inline(always)]
                |from| from[index],
            );
            let step = Step::new(scale, zero, coding);
            *to = op.of(*to, from, step, way, start + index);
        }
    }
}

/// The zero points, and zeros where there are none: one loop for both.
pub(super) fn zero_points<'a>(fake: &Fake<'a>, zeros: &'a mut Vec<i32>) -> &'a [i32] {
    if !fake.steps.zero_points.is_empty() {
        return fake.steps.zero_points;
    }
    zeros.resize(fake.steps.scales.len(), 0);
    zeros
}

fn sweep<F: Real, O: Op<F, N>, const N: usize>(
    to: &mut [F],
    from: [&[F]; N],
    fake: Fake<'_>,
    op: O,
) {
    assert!(
        from.iter().all(|from| from.len() == to.len()),
        "as many numbers everywhere"
    );
    let mut zeros = Vec::new();
    let zeros = zero_points(&fake, &mut zeros);
    for_chunks_mut(to, CHUNK, |chunk, to| {
        let first = chunk * CHUNK;
        vectorize(
            #[inline(always)]
            || {
                fake.tiling.stretches(
                    first..first + to.len(),
                    #[inline(always)]
                    |stretch, tiles| {
                        let start = first + stretch.start;
                        let here = Stretch {
                            to: &mut to[stretch],
                            from: from.map(
                                #[inline(always)]
                                |from| &from[start..],
                            ),
                            steps: Steps {
                                scales: &fake.steps.scales[tiles.clone()],
                                zero_points: &zeros[tiles],
                            },
                            coding: fake.coding,
                            start,
                            op,
                        };
                        with_way(fake.coding, here);
                    },
                );
            },
        );
    });
}

/// Every value becomes what its code means.
pub(super) fn forward_in_place<F: Real>(values: &mut [F], fake: Fake<'_>) {
    let keep_nan = fake.keep_nan;
    sweep(values, [], fake, Forward { keep_nan });
}

/// The same elsewhere.
pub(super) fn forward_into<F: Real>(values: &[F], fake: Fake<'_>, to: &mut [F]) {
    let keep_nan = fake.keep_nan;
    sweep(to, [values], fake, Forward { keep_nan });
}

/// The gradient becomes 0 where a value was cut off.
pub(super) fn backward_in_place<F: Real>(values: &[F], fake: Fake<'_>, gradient: &mut [F]) {
    sweep(gradient, [values], fake, Backward { add: false });
}

/// The same elsewhere, or on top of what is there.
pub(super) fn backward_into<F: Real>(
    values: &[F],
    gradient: &[F],
    fake: Fake<'_>,
    (add, to): (bool, &mut [F]),
) {
    sweep(to, [values, gradient], fake, Backward { add });
}

#[cfg(test)]
mod tests {
    use super::{Fake, backward_in_place, backward_into, forward_in_place, forward_into};
    use crate::kernels::coding::{Coding, Known, Rounded, Scaling, Steps};
    use crate::kernels::decode::{Stored, decode};
    use crate::kernels::dispatch::forced;
    use crate::kernels::encode::encode;
    use crate::kernels::learned;
    use crate::kernels::pack;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::ranges::Finite;
    use crate::kernels::real::Real;
    use crate::kernels::stream;
    use crate::kernels::tiling::Tiling;

    /// In f64 from the scaled value on: the integer before the ends hold it, and the scaled value with what is added
    /// before rounding.
    fn slow<F: Real>(value: F, scale: f32, zero: i32, coding: Coding, index: usize) -> [f64; 2] {
        let scale = F::from_single(scale);
        let y = match coding.scaling {
            Scaling::Divide => value / scale,
            Scaling::MultiplyByInverse => value * (F::one() / scale),
        };
        let before = if coding.shift_first { zero } else { 0 };
        let y = (y + F::from_integer(before)).widen();
        let rounded = match coding.rounded {
            Rounded::HalfEven => y.round_ties_even(),
            Rounded::HalfAway => y.round(),
            Rounded::Stochastic(seed) => {
                let up = stream::uniform::<F>(seed, index as u64).widen() < y - y.floor();
                y.floor() + f64::from(u8::from(up))
            }
        };
        [
            rounded + f64::from(zero - before),
            y + f64::from(zero - before),
        ]
    }

    fn codings() -> Vec<Coding> {
        let plain = Coding {
            bits: 4,
            lowest: -8,
            highest: 7,
            scaling: Scaling::Divide,
            rounded: Rounded::HalfEven,
            shift_first: false,
            known: Known::Nothing,
        };
        let mut all = vec![Coding {
            lowest: -7,
            ..plain
        }];
        for scaling in [Scaling::Divide, Scaling::MultiplyByInverse] {
            for shift_first in [false, true] {
                let rounded = [Rounded::HalfEven, Rounded::HalfAway, Rounded::Stochastic(5)];
                all.extend(rounded.map(|rounded| Coding {
                    scaling,
                    rounded,
                    shift_first,
                    known: Known::Nothing,
                    ..plain
                }));
            }
        }
        all.push(Coding {
            bits: 8,
            lowest: 0,
            highest: 255,
            ..plain
        });
        all.push(Coding {
            bits: 16,
            lowest: -32768,
            highest: 32767,
            ..plain
        });
        all
    }

    const SHAPES: [([usize; 2], [usize; 2]); 7] = [
        ([1, 1000], [1, usize::MAX]),
        ([3, 35], [1, usize::MAX]),
        ([35, 3], [usize::MAX, 1]),
        ([7, 50], [1, 16]),
        ([7, 50], [2, 20]),
        ([2, CHUNK / 2 + 9], [1, usize::MAX]),
        ([0, 50], [1, usize::MAX]),
    ];

    fn check<F: Real>() {
        forced::at_every_level(|level| {
            for (shape, tile) in SHAPES {
                let tiling = Tiling::new(&shape, &tile).expect("few tiles");
                let len = shape.iter().product();
                // Multiples of half a step of 0.1, so that many lie on a tie; some far outside.
                let mut values: Vec<F> = (0..len)
                    .map(|i| F::narrow(((i * 37 % 601) as f64 - 300.0) * 0.05))
                    .collect();
                for (place, odd) in [(3, -1e30), (4, 1e30), (5, 0.0), (6, -0.0), (7, 1e-40)] {
                    if let Some(value) = values.get_mut(place) {
                        *value = F::narrow(odd);
                    }
                }
                let mut tiles = vec![0; len];
                tiling.stretches(0..len, |stretch, numbers| {
                    let own = usize::from(numbers.len() > 1);
                    for (offset, tile) in tiles[stretch].iter_mut().enumerate() {
                        *tile = numbers.start + own * offset;
                    }
                });
                let scales: Vec<f32> = (0..tiling.count())
                    .map(|t| [0.1, 0.007, 2.5][t % 3])
                    .collect();
                for coding in codings() {
                    let middle = (coding.lowest + coding.highest) / 2;
                    let zeros: Vec<i32> = (0..tiling.count())
                        .map(|tile| middle + tile as i32 % 3)
                        .collect();
                    for zero_points in [&[][..], &zeros] {
                        let steps = Steps {
                            scales: &scales,
                            zero_points,
                        };
                        let fake = Fake {
                            tiling: &tiling,
                            coding,
                            steps,
                            keep_nan: false,
                        };
                        let at = format!("{coding:?} {zero_points:?} {shape:?} {tile:?} {level:?}");
                        one::<F>(&values, fake, &tiles, &at);
                    }
                }
            }
        });
    }

    fn one<F: Real>(values: &[F], fake: Fake<'_>, tiles: &[usize], at: &str) {
        let Fake {
            tiling,
            coding,
            steps,
            ..
        } = fake;
        let len = values.len();
        let mut packed = vec![0; pack::bytes_for(len, coding.bits)];
        encode(
            values,
            tiling,
            (coding, Finite::Required),
            steps,
            &mut packed,
        )
        .expect("finite");
        let mut right = vec![F::nan(); len];
        let stored = Stored {
            bits: coding.bits,
            signed: coding.lowest < 0,
        };
        decode(&packed, tiling, stored, steps, &mut right);
        let mut forward = values.to_vec();
        forward_in_place(&mut forward, fake);
        let mut into = vec![F::nan(); len];
        forward_into(values, fake, &mut into);
        let same = |a: &[F], b: &[F]| {
            let bits = |x: &F| (x.magnitude(), x.is_sign_negative());
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| bits(a) == bits(b))
        };
        assert!(same(&forward, &right) && same(&into, &right), "{at}");

        let gradient: Vec<F> = (0..len).map(|i| F::narrow((i % 17) as f64 - 7.5)).collect();
        let mut passed = gradient.clone();
        let mut slopes = vec![[0.0_f64; 2]; tiling.count()];
        let mut sizes = slopes.clone();
        for (i, &value) in values.iter().enumerate() {
            let tile = tiles[i];
            let zero = steps.zero_points.get(tile).copied().unwrap_or(0);
            let [code, exact] = slow(value, steps.scales[tile], zero, coding, i);
            let ends = [coding.lowest, coding.highest].map(f64::from);
            let g = gradient[i].widen();
            let terms = if code < ends[0] || code > ends[1] {
                passed[i] = F::zero();
                [g * (code.clamp(ends[0], ends[1]) - f64::from(zero)), g]
            } else {
                [g * (code - exact), 0.0]
            };
            for k in 0..2 {
                slopes[tile][k] += terms[k];
                sizes[tile][k] += terms[k].abs();
            }
        }
        let mut found = gradient.clone();
        backward_in_place(values, fake, &mut found);
        assert!(same(&found, &passed), "{at}");
        let mut found = vec![F::nan(); len];
        backward_into(values, &gradient, fake, (false, &mut found));
        assert!(same(&found, &passed), "{at}");
        let mut found = vec![F::one(); len];
        backward_into(values, &gradient, fake, (true, &mut found));
        let sums: Vec<F> = passed.iter().map(|&passed| F::one() + passed).collect();
        assert!(same(&found, &sums), "{at}");
        let mut found = gradient;
        let learned = learned::backward(values, fake, &mut found);
        assert!(same(&found, &passed), "{at}");
        for ((learned, right), size) in learned.iter().zip(&slopes).zip(&sizes) {
            // Terms of f32 lose their own rounding where the zero point is added first.
            let exact = if size_of::<F>() == 8 { 1e-12 } else { 1e-6 };
            for k in 0..2 {
                let off = (learned[k] - right[k]).abs();
                assert!(off <= exact * (1.0 + size[k]), "{learned:?} {right:?} {at}");
            }
        }
    }

    #[test]
    fn f32_agrees_with_codes_and_the_slow_twin() {
        check::<f32>();
    }

    #[test]
    fn f64_agrees_with_codes_and_the_slow_twin() {
        check::<f64>();
    }

    #[test]
    fn nan_is_kept_or_becomes_zero_and_infinity_the_end() {
        forced::at_every_level(|level| {
            let tiling = Tiling::new(&[40], &[usize::MAX]).expect("one");
            for coding in codings() {
                let lowest = coding.lowest;
                let steps = Steps {
                    scales: &[0.5],
                    zero_points: &[lowest + 2],
                };
                for keep_nan in [false, true] {
                    let fake = Fake {
                        tiling: &tiling,
                        coding,
                        steps,
                        keep_nan,
                    };
                    let mut values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.5].repeat(10);
                    let before = values.clone();
                    forward_in_place(&mut values, fake);
                    let most = (coding.highest - lowest - 2) as f32 * 0.5;
                    for group in values.chunks(4) {
                        assert_eq!(group[0].is_nan(), keep_nan, "{level:?} {coding:?}");
                        assert!(keep_nan || group[0] == 0.0);
                        assert_eq!(group[1..], [most, -1.0, 0.5], "{level:?} {coding:?}");
                    }
                    let mut gradient = vec![f32::NAN; 40];
                    gradient[3] = 2.0;
                    backward_in_place(&before, fake, &mut gradient);
                    assert_eq!(gradient[..4], [0.0, 0.0, 0.0, 2.0], "{level:?} {coding:?}");
                }
            }
        });
    }
}
