//! Sums over a row in f64, and its exponentials.

use crate::kernels::arithmetic::Arithmetic;
use crate::kernels::real::Real;

/// Sums in flight. Fixed, so that every instruction set adds in the same order.
pub(in crate::kernels) const LANES: usize = 16;
/// Logits per block: two blocks of f64 and their sources fit in 32 KiB.
pub(in crate::kernels) const BLOCK: usize = 512;

/// Adds `term` of every index to sums that take turns by index.
///
/// One sum a call: several in one loop do not become vectors, and a block is in the first-level cache.
#[inline(always)]
pub(in crate::kernels) fn add<F: Real, const SOURCES: usize>(
    sums: &mut [f64; LANES],
    sources: [&[F]; SOURCES],
    term: impl Fn([F; SOURCES]) -> f64,
) {
    let length = sources[0].len();
    let whole = length - length % LANES;
    let groups = sources.map(|source| source[..length].as_chunks::<LANES>().0);
    let mut taking_turns = *sums;
    for group in 0..whole / LANES {
        let group = groups.map(|groups| &groups[group]);
        for (lane, sum) in taking_turns.iter_mut().enumerate() {
            *sum += term(group.map(|values| values[lane]));
        }
    }
    *sums = taking_turns;
    for (lane, sum) in sums.iter_mut().enumerate().take(length - whole) {
        *sum += term(sources.map(|source| source[whole + lane]));
    }
}

/// exp((z − most)/T), none of the z above `most`, with the factor that `Real::softening` made of 1/T.
#[inline(always)]
pub(in crate::kernels) fn softened<F: Real, A: Arithmetic>(
    logits: &[F],
    most: F,
    softening: F,
    to: &mut [F],
) {
    for (to, &z) in to.iter_mut().zip(logits) {
        *to = (z - most).softened::<A>(softening);
    }
}
