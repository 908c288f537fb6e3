//! Clusters of numbers on a line: Lloyd's algorithm over sorted values.
//!
//! ```text
//! repeat   members of cᵢ = the values nearer to cᵢ than to its neighbours, of equally near ones the lower cᵢ
//!          cᵢ = mean of its members
//! ```
//!
//! Members of a cluster lie together once values are sorted, so a round is a search for each boundary and a sum of
//! sums for each mean. No step makes the squared error larger.

use super::parallel::{CHUNK, map_ranges};
use super::real::Real;
use rayon::prelude::*;
use std::ops::Range;

/// Where clusters begin.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// At these numbers, ascending.
    Numbers(Vec<f64>),
    /// At so many quantiles.
    Quantiles(usize),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// At most so many clusters, at least one.
    pub(crate) most: usize,
    /// Whether one of them is 0 and stays so.
    pub(crate) zero: bool,
    /// How many rounds at most.
    pub(crate) rounds: usize,
}

/// The values in ascending order. Finite ones only; zeros of both signs are equal.
pub(crate) fn sorted<F: Real>(values: &[F]) -> Vec<F> {
    let mut sorted = values.to_vec();
    sorted.par_sort_unstable_by_key(|value| value.ordinal());
    sorted
}

/// The clusters with the least squared error that any of the starts leads to, of equally good ones the first;
/// ascending, without empty ones. Of ascending values.
pub(crate) fn best<F: Real>(sorted: &[F], starts: &[Start], wanted: Wanted) -> Vec<f64> {
    if let Some(few) = few(sorted, wanted) {
        return few;
    }
    let sums = Sums::new(sorted);
    let mut best: Option<(f64, Vec<f64>)> = None;
    for start in starts {
        let clusters = lloyd(&sums, start, wanted);
        let error = sums.squared_error(&clusters);
        if best.as_ref().is_none_or(|(least, _)| error < *least) {
            best = Some((error, clusters));
        }
    }
    best.map_or_else(Vec::new, |(_, clusters)| clusters)
}

/// The values themselves if there are few.
fn few<F: Real>(sorted: &[F], wanted: Wanted) -> Option<Vec<f64>> {
    let mut few: Vec<f64> = Vec::new();
    let mut next = sorted.first().copied();
    while let Some(value) = next {
        if few.len() == wanted.most {
            return None;
        }
        few.push(value.widen() + 0.0);
        let behind = sorted.partition_point(|&other| other <= value);
        next = sorted.get(behind).copied();
    }
    if wanted.zero && !few.contains(&0.0) {
        let place = few.partition_point(|&value| value < 0.0);
        few.insert(place, 0.0);
    }
    (few.len() <= wanted.most).then_some(few)
}

/// Sorted values, and the sums of so many neighbours each. Not of all before: next to an outlier the rest would be lost
/// in the difference.
struct Sums<'a, F> {
    sorted: &'a [F],
    steps: Vec<f64>,
}

/// Values of a sum.
const STEP: usize = 256;

impl<'a, F: Real> Sums<'a, F> {
    fn new(sorted: &'a [F]) -> Self {
        let steps = sorted.chunks_exact(STEP).map(sum).collect();
        Self { sorted, steps }
    }

    /// The mean of members, of which there is one at least; never outside of them, whatever rounding does.
    #[expect(clippy::cast_precision_loss, reason = "counts below 2⁵³")]
    fn mean(&self, members: &Range<usize>) -> f64 {
        let values = &self.sorted[members.clone()];
        let (first, end) = (members.start.div_ceil(STEP), members.end / STEP);
        let total = if first < end {
            let (before, behind) = (first * STEP - members.start, members.end - end * STEP);
            sum(&values[..before])
                + self.steps[first..end].iter().sum::<f64>()
                + sum(&values[values.len() - behind..])
        } else {
            sum(values)
        };
        let mean = total / members.len() as f64;
        mean.max(values[0].widen())
            .min(values[values.len() - 1].widen())
    }

    /// The members of each cluster.
    fn members(&self, clusters: &[f64]) -> Vec<Range<usize>> {
        let mut start = 0;
        let last = clusters.len().saturating_sub(1);
        (0..clusters.len())
            .map(|number| {
                let end = if number == last {
                    self.sorted.len()
                } else {
                    let middle = f64::midpoint(clusters[number], clusters[number + 1]);
                    let end = self.sorted.partition_point(|value| value.widen() <= middle);
                    end.max(start)
                };
                let members = start..end;
                start = end;
                members
            })
            .collect()
    }

    fn squared_error(&self, clusters: &[f64]) -> f64 {
        let members = self.members(clusters);
        let errors = clusters.iter().zip(members).map(|(&cluster, members)| {
            let values = &self.sorted[members];
            let parts = map_ranges(values.len(), CHUNK, |range| {
                let square = |value: &F| (value.widen() - cluster) * (value.widen() - cluster);
                values[range].iter().map(square).sum::<f64>()
            });
            parts.into_iter().sum::<f64>()
        });
        errors.sum()
    }
}

fn sum<F: Real>(values: &[F]) -> f64 {
    values.iter().map(|value| value.widen()).sum()
}

fn lloyd<F: Real>(sums: &Sums<'_, F>, start: &Start, wanted: Wanted) -> Vec<f64> {
    let mut clusters = match start {
        Start::Numbers(numbers) => numbers.clone(),
        Start::Quantiles(count) => {
            let len = sums.sorted.len();
            let middle = |number: usize| (2 * number + 1) * len / (2 * count);
            let quantile = |number| sums.sorted[middle(number)].widen();
            (0..*count).map(quantile).collect()
        }
    };
    clusters.dedup();
    let mut pinned = None;
    if wanted.zero {
        // The one nearest to 0 becomes it: those above and below stay above and below.
        let above = clusters.partition_point(|&cluster| cluster < 0.0);
        let nearer = |a: usize, b: usize| clusters[a].abs() < clusters[b].abs();
        let place = match above {
            0 => 0,
            above if above == clusters.len() || nearer(above - 1, above) => above - 1,
            above => above,
        };
        clusters[place] = 0.0;
        pinned = Some(place);
    }
    let mut members = sums.members(&clusters);
    for _ in 0..wanted.rounds {
        for (number, members) in members.iter().enumerate() {
            if !members.is_empty() && pinned != Some(number) {
                clusters[number] = sums.mean(members);
            }
        }
        let moved = sums.members(&clusters);
        if moved == members {
            break;
        }
        members = moved;
    }
    let pinned = pinned.map(|number| clusters[number]);
    let kept = clusters.iter().zip(&members);
    kept.filter(|(cluster, members)| !members.is_empty() || pinned == Some(**cluster))
        .map(|(&cluster, _)| cluster)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Start, Wanted, best, sorted};
    use crate::kernels::stream;

    fn numbers(len: usize) -> Vec<f64> {
        // Sums of four: nearly normal.
        let one = |i: usize| {
            (0..4)
                .map(|j| stream::uniform::<f64>(3, (4 * i + j) as u64))
                .sum::<f64>()
        };
        (0..len).map(|i| one(i) - 2.1).collect()
    }

    /// The obvious twin: every value looks at every cluster.
    fn slow(values: &[f64], mut clusters: Vec<f64>, rounds: usize) -> Vec<f64> {
        let nearest = |clusters: &[f64], value: f64| {
            let distance = |i: &usize| (clusters[*i] - value).abs();
            let order = |a: &usize, b: &usize| distance(a).total_cmp(&distance(b));
            (0..clusters.len()).min_by(order).expect("some")
        };
        let mut before = Vec::new();
        for _ in 0..rounds {
            let codes: Vec<usize> = values.iter().map(|&x| nearest(&clusters, x)).collect();
            if codes == before {
                break;
            }
            for (i, cluster) in clusters.iter_mut().enumerate() {
                let members = values.iter().zip(&codes).filter(|(_, code)| **code == i);
                let (sum, count) = members.fold((0.0, 0.0), |(s, n), (x, _)| (s + x, n + 1.0));
                if count > 0.0 {
                    *cluster = sum / count;
                }
            }
            before = codes;
        }
        clusters
    }

    #[test]
    fn clusters_are_those_of_the_slow_twin() {
        let values = sorted(&numbers(3000));
        for count in [1, 2, 5, 16] {
            let start: Vec<f64> = (0..count).map(|i| f64::from(i) * 0.2 - 1.5).collect();
            let wanted = Wanted {
                most: count as usize,
                zero: false,
                rounds: 1000,
            };
            let found = best(&values, &[Start::Numbers(start.clone())], wanted);
            let right = slow(&values, start, 1000);
            assert!(found.len() <= right.len());
            for found in &found {
                let near = right.iter().any(|right| (found - right).abs() < 1e-12);
                assert!(near, "{found} of {count} is none of {right:?}");
            }
        }
    }

    #[test]
    fn the_best_start_wins_and_few_values_are_kept() {
        let wanted = |most, zero| Wanted {
            most,
            zero,
            rounds: 100,
        };
        let values = sorted(&numbers(1000));
        let starts = [Start::Numbers(vec![5.0, 6.0]), Start::Quantiles(2)];
        let found = best(&values, &starts, wanted(2, false));
        assert_eq!(found, best(&values, &starts[1..], wanted(2, false)));
        let pinned = best(&values, &starts, wanted(2, true));
        assert!(pinned.contains(&0.0) && pinned.is_sorted(), "{pinned:?}");
        let few = sorted(&[2.0_f32, -1.0, 2.0, -0.0, 0.0]);
        assert_eq!(best(&few, &starts, wanted(3, false)), [-1.0, 0.0, 2.0]);
        let few = sorted(&[2.0_f32, -1.0, 2.0]);
        assert_eq!(best(&few, &starts, wanted(3, true)), [-1.0, 0.0, 2.0]);
        assert_eq!(best::<f32>(&[], &starts, wanted(3, true)), [0.0]);
    }
}
