//! Chooses the range whose codes keep most of what a histogram tells.

use crate::calibrate::Histogram;
use crate::error::{Error, Result};
use crate::kernels::grouped::map_tiles;
use crate::kernels::real::Real;

/// Chooses the range for which a histogram in as many bins as there are codes is least different from the real one.
///
/// ```text
/// candidate i: P = the i bins nearest to 0, what lies beyond added to the outermost        KL(P‖Q) = Σ P · ln(P / Q)
///              Q = the same bins without what lies beyond, merged into the bins of the codes and spread again
/// ```
///
/// From TensorRT (Migacz 2017, *8-bit inference with TensorRT*); two of its readings by name:
///
/// | | [`nvidia`](Self::nvidia) | [`onnx`](Self::onnx) |
/// |---|---|---|
/// | histogram | of magnitudes; one with signs is folded | with signs; one of magnitudes counts for both |
/// | first bin | gets the count of the second | as it is |
/// | candidates | 128 bins to all | 64 bins of each sign to all |
/// | bins of codes | 2ᵇ⁻¹ of equal width, spread over bins with values | 128 of ⌊size ÷ 128⌋ bins, spread over all, rounded down |
/// | empty bins | of Q under a full one of P: no candidate | get 10⁻⁴, taken from the others |
/// | of equals | the last: the widest | the first: the narrowest |
/// | range | (−m, m), m the outer edge | the edges, not beyond the least and the largest value |
///
/// `nvidia` is that of pytorch-quantization and ModelOpt. `onnx` is ONNX Runtime's, computed in f64 where that has f32,
/// so candidates that differ in the last digits of an f32 may be told apart. Memory: some times the histogram.
///
/// # Examples
///
/// ```
/// use ndarray::Array1;
/// use rarefy::calibrate::{Histogram, ObserverExt};
/// use rarefy::quantize::Entropy;
///
/// let mut values = Array1::from_iter((0..100_000).map(|i| (i as f32 * 0.37).sin()));
/// values[5] = 4.0; // one outlier
/// let mut histogram = Histogram::new().of_magnitudes();
/// histogram.observe(&values)?;
/// let ranges = Entropy::nvidia(8).ranges_of(&histogram)?;
/// assert!(ranges[0].1 < 1.1);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entropy {
    reading: Reading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Reading {
    Nvidia { bits: u32 },
    Onnx,
}

impl Entropy {
    /// As pytorch-quantization does, for signed codes of `bits` bits.
    pub const fn nvidia(bits: u32) -> Self {
        let reading = Reading::Nvidia { bits };
        Self { reading }
    }

    /// As ONNX Runtime does, for its 128 bins of codes.
    pub const fn onnx() -> Self {
        let reading = Reading::Onnx;
        Self { reading }
    }

    /// The range of each channel of a histogram. One with too few bins for a candidate gives the whole range.
    ///
    /// # Errors
    ///
    /// * [`Error::Calibration`]: a channel without any.
    /// * [`Error::BitsOutOfRange`] unless 2 ≤ `bits` ≤ 8.
    pub fn ranges_of(&self, histogram: &Histogram) -> Result<Vec<(f64, f64)>> {
        if let Reading::Nvidia { bits } = self.reading
            && !(2..=8).contains(&bits)
        {
            return Err(Error::BitsOutOfRange {
                bits,
                least: 2,
                most: 8,
            });
        }
        let extents = histogram.ranges()?;
        Ok(map_tiles(extents.len(), |channel| {
            let counts = histogram.counts(channel).unwrap_or_default();
            let width = histogram.width(channel).unwrap_or_default();
            let (least, most) = extents[channel];
            #[expect(clippy::cast_precision_loss, reason = "a number of bins")]
            let edge = |bins: usize| bins as f64 * width;
            match self.reading {
                Reading::Nvidia { bits } => {
                    let folded = if histogram.is_signed() {
                        let (below, above) = counts.split_at(counts.len() / 2);
                        let pairs = below.iter().rev().zip(above);
                        pairs.map(|(a, b)| a.saturating_add(*b)).collect()
                    } else {
                        counts.to_vec()
                    };
                    let end = nvidia(folded, 1 << (bits - 1));
                    let largest = most.max(-least);
                    let end = end.map_or(largest, |bins| edge(bins).min(f64::MAX));
                    (-end, end)
                }
                Reading::Onnx => {
                    let mirrored: Vec<u64> = if histogram.is_signed() {
                        counts.to_vec()
                    } else {
                        counts.iter().rev().chain(counts).copied().collect()
                    };
                    match onnx(&mirrored) {
                        Some((below, above)) => {
                            let (low, high) = ((-edge(below)).max(least), edge(above).min(most));
                            (low.min(high), high)
                        }
                        None => (least, most),
                    }
                }
            }
        }))
    }
}

/// KL(P‖Q) of what is proportional to these; infinite where Q has nothing and P something.
fn divergence(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let (of_p, of_q) = pairs
        .clone()
        .fold((0.0, 0.0), |(a, b), (p, q)| (a + p, b + q));
    pairs.fold(0.0, |sum, (p, q)| {
        let (p, q) = (p / of_p, q / of_q);
        if p == 0.0 {
            sum
        } else if q == 0.0 {
            f64::INFINITY
        } else {
            // Our own logarithm: the same candidate on every machine.
            sum + p * (p / q).logarithm()
        }
    })
}

/// How many bins from 0 the range should have.
#[expect(clippy::cast_precision_loss, reason = "counts become probabilities")]
fn nvidia(mut bins: Vec<u64>, codes: usize) -> Option<usize> {
    const FIRST: usize = 128;
    bins[0] = bins[1];
    let total: u64 = bins.iter().sum();
    let mut within: u64 = bins.iter().take(FIRST - 1).sum();
    let (mut best, mut least) = (None, f64::INFINITY);
    let (mut sums, mut filled) = (vec![0.0; codes], vec![0.0; codes]);
    for end in FIRST..=bins.len() {
        within += bins[end - 1];
        sums.fill(0.0);
        filled.fill(0.0);
        for (place, &count) in bins[..end].iter().enumerate().filter(|bin| *bin.1 != 0) {
            sums[place * codes / end] += count as f64;
            filled[place * codes / end] += 1.0;
        }
        let beyond = (total - within) as f64;
        let pairs = bins[..end].iter().enumerate().map(|(place, &count)| {
            let code = place * codes / end;
            let q = if count == 0 {
                0.0
            } else {
                sums[code] / filled[code]
            };
            let outermost = place + 1 == end;
            (count as f64 + if outermost { beyond } else { 0.0 }, q)
        });
        let found = divergence(pairs);
        if found <= least {
            (best, least) = (Some(end), found);
        }
    }
    best
}

/// How many bins below and above 0 the range should have.
fn onnx(bins: &[u64]) -> Option<(usize, usize)> {
    const CODES: usize = 128;
    let zero = bins.len() / 2;
    let (mut best, mut least) = (None, f64::INFINITY);
    for half in CODES / 2..=zero {
        let (start, end) = (zero - half, bins.len().min(zero + half + 1));
        let slice = &bins[start..end];
        let mut full = slice.to_vec();
        full[0] += bins[..start].iter().sum::<u64>();
        if let Some(last) = full.last_mut() {
            *last += bins[end..].iter().sum::<u64>();
        }
        let merged = slice.len() / CODES;
        let mut spread = vec![0; slice.len()];
        for code in 0..CODES {
            let own = code * merged..(code + 1) * merged;
            // The last takes what is left over, and does not spread over it.
            let counted = if code + 1 == CODES {
                own.start..slice.len()
            } else {
                own.clone()
            };
            let sum: u64 = slice[counted].iter().sum();
            let filled = full[own.clone()]
                .iter()
                .filter(|count| **count != 0)
                .count();
            if filled != 0 {
                spread[own].fill(sum / filled as u64);
            }
        }
        let (Some(p), Some(q)) = (smoothed(&full), smoothed(&spread)) else {
            continue;
        };
        let found = divergence(p.into_iter().zip(q));
        if found < least {
            (best, least) = (Some((half, end - zero)), found);
        }
    }
    best
}

/// Gives empty bins a little of what the others have; nothing if all are empty.
#[expect(clippy::cast_precision_loss, reason = "counts become probabilities")]
fn smoothed(counts: &[u64]) -> Option<Vec<f64>> {
    const LITTLE: f64 = 1e-4;
    let empty = counts.iter().filter(|count| **count == 0).count();
    let filled = counts.len() - empty;
    let less = LITTLE * empty as f64 / filled as f64;
    let smooth = |&count: &u64| {
        if count == 0 {
            LITTLE
        } else {
            count as f64 - less
        }
    };
    (less < 1.0).then(|| counts.iter().map(smooth).collect())
}
