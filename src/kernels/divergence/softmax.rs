//! The exponentials of a row, block by block, each block relative to its own largest logit.
//!
//! So a row is read from memory once, without a sweep that looks for its largest logit before. What the
//! blocks of a row are multiplied by to be relative to the largest of all is known at its end, and goes
//! into the last sweep, which has to multiply anyway.

use super::sums::{BLOCK, LANES, add};
use crate::kernels::arithmetic::Arithmetic;
use crate::kernels::memory::prefetch;
use crate::kernels::real::Real;
use std::ops::Range;

/// Logits between two prefetches.
const GROUP: usize = 128;

/// Whether the exponentials of a row are wanted afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernels) enum Keep {
    /// No: the scratch holds one block and is used over and over.
    Nothing,
    /// Yes: they stay in the scratch, each block with its factor.
    Exponentials,
}

impl Keep {
    /// How many exponentials of a row there must be room for.
    pub(in crate::kernels) fn room(self, classes: usize) -> usize {
        match self {
            Self::Nothing => classes.min(BLOCK),
            Self::Exponentials => classes,
        }
    }

    /// Where those of a block go.
    #[inline(always)]
    pub(in crate::kernels) fn place(self, block: Range<usize>) -> Range<usize> {
        match self {
            Self::Nothing => 0..block.len(),
            Self::Exponentials => block,
        }
    }
}

/// One block of one side of a row.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Part {
    /// Its largest logit; the lowest finite number if there is none.
    pub(in crate::kernels) most: f64,
    /// Σ exp((z − most)/T).
    pub(in crate::kernels) total: f64,
    /// What its exponentials are multiplied by to be relative to the row's largest logit.
    pub(in crate::kernels) factor: f64,
}

/// A row of one side after its blocks.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Whole {
    /// Its largest logit; the lowest finite number if there is none.
    pub(in crate::kernels) most: f64,
    /// Σ exp((z − most)/T); NaN if a logit is NaN or +∞, 0 if all are −∞.
    pub(in crate::kernels) total: f64,
}

impl Whole {
    /// Whether every logit is one, and one of them is finite.
    pub(in crate::kernels) fn is_fine(self) -> bool {
        self.total > 0.0
    }
}

/// The blocks of a row, of which one class may be left out.
#[inline(always)]
pub(super) fn ranges(
    classes: usize,
    without: Option<usize>,
) -> impl Iterator<Item = Range<usize>> + Clone {
    let first = without.unwrap_or(classes);
    let second = without.map_or(classes, |class| class + 1);
    let blocks = |from: usize, to: usize| {
        (from..to)
            .step_by(BLOCK)
            .map(move |start| start..to.min(start + BLOCK))
    };
    blocks(0, first).chain(blocks(second, classes))
}

/// Writes exp((z − m)/T) of a block to `e`, with m its largest logit, and gives m and the part.
#[inline(always)]
pub(in crate::kernels) fn block<F: Real, A: Arithmetic>(
    logits: &[F],
    softening: F,
    e: &mut [F],
) -> (F, Part) {
    let most = most(logits);
    let (whole, rest) = logits.as_chunks::<GROUP>();
    let (e_whole, e_rest) = e.as_chunks_mut::<GROUP>();
    for (logits, e) in whole.iter().zip(e_whole) {
        // The next block, or what the next row begins with.
        prefetch(logits, BLOCK);
        for (e, &z) in e.iter_mut().zip(logits) {
            *e = (z - most).softened::<A>(softening);
        }
    }
    for (e, &z) in e_rest.iter_mut().zip(rest) {
        *e = (z - most).softened::<A>(softening);
    }
    let mut sums = [0.0; LANES];
    add(&mut sums, [&*e], |[e]| e.widen());
    let part = Part {
        most: most.widen(),
        total: sums.iter().sum(),
        factor: 1.0,
    };
    (most, part)
}

/// Sets the factors of a row's parts. `inverse` is 1/T as the exponentials have it.
#[inline(always)]
pub(in crate::kernels) fn combine(parts: &mut [Part], inverse: f64) -> Whole {
    let most = parts
        .iter()
        .map(|part| part.most)
        .fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for part in parts {
        part.factor = ((part.most - most) * inverse).exponential();
        total += part.factor * part.total;
    }
    Whole { most, total }
}

/// The largest logit, not less than the lowest finite number. What is NaN is passed over: its exponential
/// will be NaN too.
#[inline(always)]
fn most<F: Real>(logits: &[F]) -> F {
    /// Extremes in flight.
    const LANES: usize = 32;
    let mut most = [F::min_value(); LANES];
    let (groups, rest) = logits.as_chunks::<LANES>();
    for group in groups {
        for (most, &z) in most.iter_mut().zip(group) {
            *most = if z > *most { z } else { *most };
        }
    }
    for (most, &z) in most.iter_mut().zip(rest) {
        *most = if z > *most { z } else { *most };
    }
    most.into_iter().fold(F::min_value(), F::max)
}
