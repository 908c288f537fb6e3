//! The k largest logits of each row, exactly, and the logarithms of their probabilities.
//!
//! One sweep over a row: a buffer holds the candidates, and the least of the best k so far is the
//! bar. Logits are looked at in groups, and nearly every group has nothing above the bar, which one
//! vector comparison settles. A full buffer is cut back to its best k, which raises the bar; since
//! at least k candidates go each time, that costs a constant for each candidate whatever the data.
//!
//! On a tie the lower class wins. Classes come in ascending order, so a later logit that only equals
//! the bar can never be among the best, and "above the bar" is all that must be asked.

use super::arithmetic::{Arithmetic, Kernel};
use super::dispatch::vectorize_arithmetic;
use super::divergence::logits::largest;
use super::divergence::sums::{BLOCK, LANES, add, softened};
use super::divergence::{Fault, FaultyRow, Side};
use super::parallel::{CHUNK, for_chunks_mut, map_chunks_mut};
use super::real::{Real, Sealed};

/// A class and its logit as an integer that orders as the logit does.
type Candidate<F> = (<F as Sealed>::Bits, u32);

/// The `k` likeliest classes of each row, the likeliest first, and ln of their probabilities.
///
/// 0 < `k` ≤ `classes`, and classes must be countable by a u32. A masked class has −∞.
pub(crate) fn top_k<F: Real>(
    logits: &[F],
    classes: usize,
    k: usize,
) -> Result<(Vec<u32>, Vec<F>), FaultyRow> {
    let rows = logits.len() / classes;
    let mut best = vec![(0, F::zero()); rows * k];
    let per_task = (CHUNK / classes).max(1);
    let parts = map_chunks_mut(&mut best, per_task * k, |task, best| {
        let mut candidates = Vec::with_capacity(capacity(k));
        let mut scratch = vec![F::zero(); BLOCK.min(classes)];
        for (row, best) in best.chunks_exact_mut(k).enumerate() {
            let row = task * per_task + row;
            let logits = &logits[row * classes..(row + 1) * classes];
            vectorize_arithmetic(Row {
                logits,
                candidates: &mut candidates,
                scratch: &mut scratch,
                best,
            })
            .map_err(|fault| FaultyRow { row, fault })?;
        }
        Ok(())
    });
    parts.into_iter().collect::<Result<(), FaultyRow>>()?;
    Ok(best.into_iter().unzip())
}

const fn capacity(k: usize) -> usize {
    let twice = k.saturating_mul(2);
    // A sweep adds whole groups, so there is room for one more than the bar is raised at.
    if twice < 4 * LANES { 4 * LANES } else { twice }
}

/// One row, and where its best classes go.
struct Row<'a, F: Real> {
    logits: &'a [F],
    candidates: &'a mut Vec<Candidate<F>>,
    scratch: &'a mut [F],
    best: &'a mut [(u32, F)],
}

impl<F: Real> Kernel for Row<'_, F> {
    type Output = Result<(), Fault>;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> Self::Output {
        let Self {
            logits,
            candidates,
            scratch,
            best,
        } = self;
        let most = largest(logits, Side::Teacher)?;
        select(logits, best.len(), candidates);
        let mut sums = [0.0; LANES];
        for block in logits.chunks(BLOCK) {
            let e = &mut scratch[..block.len()];
            softened::<F, A>(block, most, F::softening(1.0), e);
            add(&mut sums, [&*e], |[e]| e.widen());
        }
        let total = sums.iter().sum::<f64>().ln();
        for (best, &(_, class)) in best.iter_mut().zip(&*candidates) {
            let logit = logits[class as usize];
            // The difference first, as everywhere: it is exact for logits near the largest.
            *best = (class, F::narrow((logit - most).widen() - total));
        }
        Ok(())
    }
}

/// Leaves the `k` largest in `candidates`, the largest first.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the caller counts classes by a u32"
)]
fn select<F: Real>(logits: &[F], k: usize, candidates: &mut Vec<Candidate<F>>) {
    let full = capacity(k);
    candidates.clear();
    let mut bar = F::neg_infinity();
    let mut take = |start: usize, group: &[F], bar: &mut F| {
        for (offset, &logit) in group.iter().enumerate() {
            if candidates.len() < k || logit > *bar {
                candidates.push((logit.ordinal(), (start + offset) as u32));
                if candidates.len() == full {
                    cut(candidates, k);
                    // The k-th lies last now.
                    *bar = logits[candidates[k - 1].1 as usize];
                }
            }
        }
    };
    // Until k candidates are there, every logit is one.
    let first = k.min(logits.len());
    take(0, &logits[..first], &mut bar);
    let (groups, rest) = logits[first..].as_chunks::<LANES>();
    for (number, group) in groups.iter().enumerate() {
        let mut above = [F::zero(); LANES];
        for (above, &logit) in above.iter_mut().zip(group) {
            *above = if logit > bar { F::one() } else { F::zero() };
        }
        if above.iter().fold(F::zero(), |any, &one| any.max(one)) > F::zero() {
            take(first + number * LANES, group, &mut bar);
        }
    }
    take(first + groups.len() * LANES, rest, &mut bar);
    cut(candidates, k);
    candidates.sort_unstable_by(order);
}

/// Larger logits first, then lower classes. No two candidates are equal.
#[inline(always)]
fn order<K: Ord>(a: &(K, u32), b: &(K, u32)) -> std::cmp::Ordering {
    b.0.cmp(&a.0).then(a.1.cmp(&b.1))
}

/// Keeps the best `k`, the k-th of them last.
#[inline(always)]
fn cut<K: Ord>(candidates: &mut Vec<(K, u32)>, k: usize) {
    if candidates.len() > k {
        candidates.select_nth_unstable_by(k - 1, order);
        candidates.truncate(k);
    }
}

/// The logits of `k` classes of each row.
pub(crate) fn gather<F: Real>(logits: &[F], classes: usize, indices: &[u32], k: usize) -> Vec<F> {
    let mut gathered = vec![F::zero(); indices.len()];
    // Each is a line of memory of its own, which is what this costs.
    let per_task = (CHUNK / 16 / k).max(1);
    for_chunks_mut(&mut gathered, per_task * k, |task, gathered| {
        let start = task * per_task;
        let indices = indices[start * k..].chunks_exact(k);
        for (row, (to, indices)) in gathered.chunks_exact_mut(k).zip(indices).enumerate() {
            let row = start + row;
            let logits = &logits[row * classes..(row + 1) * classes];
            for (to, &class) in to.iter_mut().zip(indices) {
                *to = logits[class as usize];
            }
        }
    });
    gathered
}

#[cfg(test)]
mod tests {
    use super::{gather, top_k};
    use crate::kernels::dispatch::forced;
    use crate::kernels::divergence::{Fault, Side};
    use crate::kernels::real::Real;

    fn inputs<F: Real>(classes: usize) -> Vec<Vec<F>> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut noise = |levels: f64| -> Vec<F> {
            (0..classes)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
                    F::narrow((uniform * levels).round() / levels * 20.0)
                })
                .collect()
        };
        let mut rows = vec![noise(1e12), noise(7.0), noise(1.0)];
        rows.push((0..classes).map(|i| F::narrow(i as f64)).collect());
        rows.push((0..classes).map(|i| F::narrow(-(i as f64))).collect());
        let masked = |i| if i % 3 == 1 { 1.0 } else { f64::NEG_INFINITY };
        rows.push((0..classes).map(|i| F::narrow(masked(i + 1))).collect());
        rows
    }

    fn check<F: Real>(tolerance: f64) {
        forced::at_every_level(|level| {
            for classes in [1, 2, 15, 16, 17, 65, 1000, 4099] {
                let rows = inputs::<F>(classes);
                let logits = rows.concat();
                for k in [1, 2, 5, 31, 32, 33, 64, 999, classes] {
                    if k > classes {
                        continue;
                    }
                    let (indices, logs) = top_k(&logits, classes, k).unwrap();
                    for (number, row) in rows.iter().enumerate() {
                        let at = format!("row {number} of {classes}, {k}, {level:?}");
                        // The obvious twin: a stable sort, and a sum of all exponentials.
                        let mut order: Vec<usize> = (0..classes).collect();
                        order.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).unwrap());
                        let wide: Vec<f64> = row.iter().map(|z| z.widen()).collect();
                        let most = wide.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                        let total = wide.iter().map(|z| (z - most).exp()).sum::<f64>().ln();
                        for place in 0..k {
                            let class = indices[number * k + place] as usize;
                            assert_eq!(class, order[place], "{place}, {at}");
                            let ours = logs[number * k + place].widen();
                            let right = wide[class] - most - total;
                            let close = (ours - right).abs() <= tolerance * (1.0 + right.abs());
                            assert!(close || ours == right, "{ours} {right}, {at}");
                        }
                    }
                    let gathered = gather(&logits, classes, &indices, k);
                    for (place, &class) in indices.iter().enumerate() {
                        let right = logits[place / k * classes + class as usize];
                        assert!(gathered[place] == right);
                    }
                }
            }
        });
    }

    #[test]
    fn f32_agrees_with_a_stable_sort() {
        check::<f32>(2e-7);
    }

    #[test]
    fn f64_agrees_with_a_stable_sort() {
        check::<f64>(1e-14);
    }

    #[test]
    fn rows_without_a_distribution_are_found() {
        let mut logits = vec![0.0_f32; 40];
        logits[27] = f32::NAN;
        let error = top_k(&logits, 10, 3).unwrap_err();
        let fault = Fault::NotALogit {
            side: Side::Teacher,
            class: 7,
        };
        assert_eq!((error.row, error.fault), (2, fault));
        logits[10..20].fill(f32::NEG_INFINITY);
        let error = top_k(&logits, 10, 3).unwrap_err();
        let side = Side::Teacher;
        assert_eq!((error.row, error.fault), (1, Fault::AllMasked { side }));
    }
}
