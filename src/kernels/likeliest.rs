//! Whether rows of classes and log-probabilities can be a teacher's likeliest.
//!
//! What makes a row good is cheap to see where it is good: the largest class, the largest logarithm and a
//! sum of quick exponentials are vectors, and a byte for each class says in which row it was met last, so that classes
//! need not be sorted to be found distinct. A row that does not pass at a glance is in doubt, and the caller
//! looks at it the slow and exact way; who passes would have passed there too.

use super::arithmetic::{Arithmetic, Kernel};
use super::dispatch::vectorize_arithmetic;
use super::divergence::sums::{BLOCK, LANES};
use super::parallel::{CHUNK, map_ranges};
use super::real::Real;

/// More than a sum of quick exponentials can be off by: each errs by some 1e-7 of itself, and so does each of
/// the at most 36 additions that one of them goes through before the sum is an f64.
const MARGIN: f64 = 1e-4;

/// A byte for each class pays where a task has at least a sixteenth as many entries: setting them to zero is
/// then less work than the rows are, and never more than 1 MiB if a row is shorter than a task.
const CLASSES_PER_ENTRY: usize = 16;

/// Calls `examine` for some rows, among them each that is not one of distinct classes below `classes` and
/// log-probabilities that are numbers, not above 0, not all −∞, and of probabilities that sum to at most `most`.
///
/// Rows have `k` > 0 entries. The first error of the first row with one is returned.
pub(crate) fn examine_doubtful<F: Real, E: Send>(
    (indices, logs): (&[u32], &[F]),
    k: usize,
    classes: usize,
    most: f64,
    examine: impl Fn(usize) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let parts = map_ranges(indices.len() / k, (CHUNK / k).max(1), |rows| {
        let entries = rows.start * k..rows.end * k;
        let mut doubtful = Vec::new();
        vectorize_arithmetic(Glance {
            indices: &indices[entries.clone()],
            logs: &logs[entries],
            k,
            classes,
            most: most - MARGIN,
            seen: &mut Seen::new(rows.len() * k, classes),
            doubtful: &mut doubtful,
        });
        let first = rows.start;
        doubtful
            .into_iter()
            .try_for_each(|row| examine(first + row))
    });
    parts.into_iter().collect()
}

/// Finds classes that stand in a row twice.
enum Seen {
    /// For each class the last row that had it, counted from 1 to 255 and again from 1.
    Marks(Vec<u8>, u8),
    /// The row, sorted: for few rows of many classes.
    Sorted(Vec<u32>),
}

impl Seen {
    fn new(entries: usize, classes: usize) -> Self {
        if classes / CLASSES_PER_ENTRY <= entries {
            Self::Marks(vec![0; classes], 0)
        } else {
            Self::Sorted(Vec::new())
        }
    }

    /// Whether no class stands twice in this row. All are below the number of classes.
    #[inline(always)]
    fn distinct(&mut self, indices: &[u32]) -> bool {
        match self {
            Self::Marks(marks, row) => {
                if *row == u8::MAX {
                    marks.fill(0);
                    *row = 0;
                }
                *row += 1;
                mark(marks, indices, *row)
            }
            Self::Sorted(sorted) => {
                sorted.clear();
                sorted.extend(indices);
                sorted.sort_unstable();
                sorted.windows(2).all(|pair| pair[0] != pair[1])
            }
        }
    }
}

/// Marks classes with a row; whether none had that mark.
#[inline(always)]
fn mark(marks: &mut [u8], indices: &[u32], row: u8) -> bool {
    let Some(last) = marks.len().checked_sub(1) else {
        return false;
    };
    let mut met = false;
    let mut visit = |class: u32| {
        // No class is larger; that is said so that the compiler need not look.
        let mark = &mut marks[(class as usize).min(last)];
        met |= *mark == row;
        *mark = row;
    };
    // In groups, so that counting them is not half of the work.
    let (groups, rest) = indices.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in groups {
        visit(a);
        visit(b);
        visit(c);
        visit(d);
        visit(e);
        visit(f);
        visit(g);
        visit(h);
    }
    for &class in rest {
        visit(class);
    }
    !met
}

/// A look at some rows.
struct Glance<'a, F> {
    indices: &'a [u32],
    logs: &'a [F],
    k: usize,
    classes: usize,
    most: f64,
    seen: &'a mut Seen,
    /// The rows that did not pass.
    doubtful: &'a mut Vec<usize>,
}

impl<F: Real> Kernel for Glance<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        // Hardly ever a class or a logarithm is too large, so it need not be known in which row.
        let all = 0..self.indices.len() / self.k;
        let class = self.indices.iter().fold(0, |most, &class| class.max(most));
        if class as usize >= self.classes {
            return self.doubtful.extend(all);
        }
        let mut largest = [F::neg_infinity(); LANES];
        let rows = self.indices.chunks_exact(self.k);
        for (row, (indices, logs)) in rows.zip(self.logs.chunks_exact(self.k)).enumerate() {
            let sum = sum::<F, A>(logs, &mut largest);
            // A sum of NaN is in no range.
            let passes = sum > 0.0 && sum <= self.most;
            if !passes || !self.seen.distinct(indices) {
                self.doubtful.push(row);
            }
        }
        if fold(largest, |a, b| if a > b { a } else { b }) > F::zero() {
            self.doubtful.clear();
            self.doubtful.extend(all);
        }
    }
}

/// The sum of the exponentials of a row, whose largest numbers join those before.
#[inline(always)]
fn sum<F: Real, A: Arithmetic>(logs: &[F], largest: &mut [F; LANES]) -> f64 {
    let softening = F::softening(1.0);
    let mut most = *largest;
    let mut total = 0.0;
    for block in logs.chunks(BLOCK) {
        let mut sums = [F::zero(); LANES];
        let mut add = |group: &[F; LANES]| {
            for (most, &log) in most.iter_mut().zip(group) {
                *most = if log > *most { log } else { *most };
            }
            for (sum, &log) in sums.iter_mut().zip(group) {
                *sum = *sum + log.softened::<A>(softening);
            }
        };
        let (groups, rest) = block.as_chunks::<LANES>();
        groups.iter().for_each(&mut add);
        if !rest.is_empty() {
            // Filled up with what adds nothing: lanes that are written one by one leave the registers.
            let mut group = [F::neg_infinity(); LANES];
            group[..rest.len()].copy_from_slice(rest);
            add(&group);
        }
        total += fold(sums, |a, b| a + b).widen();
    }
    *largest = most;
    total
}

/// All lanes as one, the first half with the second until one is left.
#[inline(always)]
fn fold<F: Real>(lanes: [F; LANES], both: impl Fn(F, F) -> F) -> F {
    // Written out: of a loop over halves the compiler makes three times as many shuffles.
    let eight: [F; 8] = std::array::from_fn(|lane| both(lanes[lane], lanes[lane + 8]));
    let four: [F; 4] = std::array::from_fn(|lane| both(eight[lane], eight[lane + 4]));
    both(both(four[0], four[2]), both(four[1], four[3]))
}

#[cfg(test)]
mod tests {
    use super::examine_doubtful;
    use crate::kernels::dispatch::forced;
    use crate::kernels::real::Real;
    use std::sync::Mutex;

    const SLACK: f64 = 1.01;

    /// The obvious twin.
    fn is_good<F: Real>(indices: &[u32], logs: &[F], classes: usize) -> bool {
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let sum: f64 = logs.iter().map(|log| log.widen().exp()).sum();
        sorted.len() == indices.len()
            && indices.iter().all(|&class| (class as usize) < classes)
            && logs.iter().all(|&log| log <= F::zero())
            && logs.iter().any(|&log| log > F::neg_infinity())
            && sum <= SLACK
    }

    /// The rows in doubt, in order.
    fn doubtful<F: Real>(data: (&[u32], &[F]), k: usize, classes: usize) -> Vec<usize> {
        let found = Mutex::new(Vec::new());
        let result: Result<(), ()> = examine_doubtful(data, k, classes, SLACK, |row| {
            found.lock().unwrap().push(row);
            Ok(())
        });
        assert!(result.is_ok());
        let mut found = found.into_inner().unwrap();
        found.sort_unstable();
        found
    }

    /// Rows of distinct classes and equal probabilities that sum to 1.
    fn good<F: Real>(rows: usize, k: usize, classes: usize) -> (Vec<u32>, Vec<F>) {
        let index = |entry: usize| ((entry / k * 31 + entry % k) % classes) as u32;
        let log = F::narrow(-(k as f64).ln());
        ((0..rows * k).map(index).collect(), vec![log; rows * k])
    }

    fn check<F: Real>() {
        forced::at_every_level(|level| {
            // Marks and sorting, more rows than marks have numbers, rows shorter and longer than a vector,
            // several tasks.
            for (rows, k, classes) in [
                (1, 1, 1),
                (3, 1, 70_000),
                (600, 3, 50),
                (5, 64, 1 << 20),
                (3000, 64, 1000),
                (70, 1000, 1000),
            ] {
                let (indices, logs) = good::<F>(rows, k, classes);
                let at = format!("{rows} rows of {k} of {classes}, {level:?}");
                assert!(doubtful((&indices, &logs), k, classes).is_empty(), "{at}");
                let row = rows * 2 / 3;
                let place = row * k + k / 2;
                let mut faults: Vec<(Vec<u32>, Vec<F>)> = Vec::new();
                // What is too large is found for several rows at once.
                for log in [1e-7, 3.0, f64::INFINITY] {
                    let mut above = logs.clone();
                    above[place] = F::narrow(log);
                    let found = doubtful((&indices, &above), k, classes);
                    assert!(found.contains(&row), "{log}, {at}");
                }
                for class in [classes as u32, u32::MAX] {
                    let mut beyond = indices.clone();
                    beyond[place] = class;
                    let found = doubtful((&beyond, &logs), k, classes);
                    assert!(found.contains(&row), "{class}, {at}");
                }
                if k > 1 {
                    let mut bad = indices.clone();
                    bad[place] = bad[row * k];
                    faults.push((bad, logs.clone()));
                }
                let mut bad = logs.clone();
                bad[place] = F::narrow(f64::NAN);
                faults.push((indices.clone(), bad));
                for log in [f64::NEG_INFINITY, 0.02 - (k as f64).ln()] {
                    if log > 0.0 {
                        continue;
                    }
                    let mut bad = logs.clone();
                    bad[row * k..(row + 1) * k].fill(F::narrow(log));
                    faults.push((indices.clone(), bad));
                }
                for (number, (indices, logs)) in faults.iter().enumerate() {
                    let found = doubtful((indices, logs), k, classes);
                    assert_eq!(found, [row], "fault {number}, {at}");
                }
            }
        });
    }

    #[test]
    fn every_fault_is_seen_in_its_row_f32() {
        check::<f32>();
    }

    #[test]
    fn every_fault_is_seen_in_its_row_f64() {
        check::<f64>();
    }

    #[test]
    fn none_passes_that_the_slow_twin_would_not() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 20) % below
        };
        let (rows, k, classes) = (20_000, 7, 40);
        let mut logs = Vec::new();
        let indices: Vec<u32> = (0..rows * k)
            .map(|_| random(classes as u64) as u32)
            .collect();
        for _ in 0..rows {
            // Sums near the limit, from some rows with special values.
            let sum = 1.0 + (random(2000) as f64 - 800.0) * 1e-5;
            let each = (sum / k as f64).ln();
            logs.extend((0..k).map(|_| match random(300) {
                0 => 0.0,
                1 => f64::NEG_INFINITY,
                2 => f64::NAN,
                _ => each,
            }));
        }
        let logs: Vec<f32> = logs.into_iter().map(|log| log as f32).collect();
        forced::at_every_level(|level| {
            let found = doubtful((&indices, &logs), k, classes);
            let passed = (0..rows).filter(|row| !found.contains(row));
            let mut count = 0;
            for row in passed {
                let row = row * k..(row + 1) * k;
                assert!(
                    is_good(&indices[row.clone()], &logs[row], classes),
                    "{level:?}"
                );
                count += 1;
            }
            assert!(count > rows / 4, "{count} of {rows}");
        });
    }

    #[test]
    fn the_first_error_is_the_one_of_the_first_row() {
        let (rows, k) = (5000, 40);
        let (mut indices, logs) = good::<f32>(rows, k, 100);
        for row in [4900, 77, 3000, 12] {
            indices[row * k] = indices[row * k + 1];
        }
        let first = |good: usize| {
            let all = (&*indices, &*logs);
            examine_doubtful(all, k, 100, SLACK, |row| {
                if row == good { Ok(()) } else { Err(row) }
            })
        };
        assert_eq!((first(rows), first(12)), (Err(12), Err(77)));
    }
}
