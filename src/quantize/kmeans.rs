//! Quantizes to the means of clusters: weights that share values.

use super::casting::cast;
use super::codebook::ascending;
use super::faults::check_finite;
use super::{Granularity, Linear, NonFinite, Parameters, QuantizedTensor, Quantizer, Scheme};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::clusters::{Start, Wanted};
use crate::kernels::real::{Real, Sealed};
use crate::kernels::uneven::{Casting, Uneven};
use ndarray::ArrayRefD;
use std::borrow::Cow;

/// Quantizes to a table of 2ᵇ numbers that is found for the tensor: weight sharing, palettization.
///
/// | setting | meaning | default |
/// |---|---|---|
/// | `bits` | bits of a code, 1 to 8 | none |
/// | [`keep_zero`](Self::keep_zero) | one entry is 0, so that what was pruned stays 0 | no |
/// | [`rounds`](Self::rounds) | of Lloyd's algorithm, at most | 1000 |
/// | [`non_finite`](Self::non_finite) | what becomes of NaN and infinity | an error |
///
/// Each round gives every weight to the nearest entry (of two equally near ones the lower) and makes each entry the
/// mean of its weights, in f64, until no weight changes its entry. That finds the best table near the one that it
/// starts with, so it starts four times: with the numbers of [`Linear`]'s codes, symmetric and affine, with entries
/// spread evenly over the range of the weights and 0, and with quantiles; and keeps the table with the least squared
/// error. Where there are no more values than entries, they are the table. No random numbers: the same weights give the
/// same table, in any order and pool.
///
/// Guarantees: the squared error is at most that of [`Linear`] per tensor with as many bits, symmetric and affine, up
/// to the rounding of entries to f32; each entry is the mean of its weights (if the rounds were enough), but for the 0 that
/// is kept; entries ascend; quantizing what came back gives the same weights. The scale is 1. No weights: one entry, 0.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::quantize::KMeans;
///
/// let weights = array![0.9_f32, 1.1, -2.0, -2.2, 0.0, 0.02, 5.0, 5.0];
/// let q = KMeans::new(2).quantize(&weights)?;
/// assert_eq!(q.parameters().codebook(), [-2.1, 0.01, 1.0, 5.0]);
/// assert_eq!(q.codes(), array![2, 2, 0, 0, 1, 1, 3, 3].into_dyn());
/// let q = KMeans::new(2).keep_zero().quantize(&weights)?;
/// assert_eq!(q.dequantize::<f32>()[4], 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::NumberOutOfRange`]: no such width.
/// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
/// * [`Error::NoCodeForNan`]: NaN should be propagated.
/// * [`Error::ScaleOverflow`]: weights in f64 that are too large for an entry in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KMeans {
    bits: u32,
    keep_zero: bool,
    rounds: usize,
    non_finite: NonFinite,
}

impl KMeans {
    /// 2 to the power of `bits` entries.
    pub const fn new(bits: u32) -> Self {
        Self {
            bits,
            keep_zero: false,
            rounds: 1000,
            non_finite: NonFinite::Error,
        }
    }

    /// The same with one entry that is 0 and does not move.
    #[must_use]
    pub const fn keep_zero(mut self) -> Self {
        self.keep_zero = true;
        self
    }

    /// The same with at most so many rounds from each start; 0 compares the starts as they are.
    #[must_use]
    pub const fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// The same with another answer to NaN and infinity. Where they are clamped they belong to no cluster; infinity
    /// gets the outermost entry, NaN that nearest to 0.
    #[must_use]
    pub const fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// What the codes mean.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`]: no such width.
    pub fn scheme(&self) -> Result<Scheme> {
        Scheme::codebook(self.bits)
    }

    /// The entries for these finite values.
    fn entries<F: Float>(&self, values: &[F]) -> Result<Vec<f32>> {
        let sorted = <F as Uneven>::sorted(values);
        let end = |value: Option<&F>| value.map_or(0.0, |value| value.widen());
        let (low, high) = (end(sorted.first()), end(sorted.last()));
        let largest = high.max(-low);
        if f32::narrow(largest).is_infinite() {
            return Err(Error::ScaleOverflow {
                channel: 0,
                largest,
            });
        }
        let wanted = Wanted {
            most: 1 << self.bits,
            zero: self.keep_zero,
            rounds: self.rounds,
        };
        let starts = self.starts(low.min(0.0), high.max(0.0))?;
        let clusters = <F as Uneven>::cluster(&sorted, &starts, wanted);
        let mut entries: Vec<f32> = clusters
            .into_iter()
            // A tiny negative number becomes -0, which is no other entry than 0.
            .map(|cluster| f32::narrow(cluster) + 0.0)
            .collect();
        entries.dedup();
        if entries.is_empty() {
            entries.push(0.0);
        }
        Ok(entries)
    }

    fn starts(&self, low: f64, high: f64) -> Result<Vec<Start>> {
        let most: u32 = 1 << self.bits;
        let mut starts = Vec::new();
        let affine = Linear::new(self.bits).affine().unsigned();
        let symmetric = (self.bits > 1).then(|| Linear::new(self.bits));
        for linear in symmetric.into_iter().chain([affine]) {
            let parameters = match linear.parameters(&[(low, high)]) {
                // From nearly the least to nearly the largest number: no such start.
                Err(Error::ScaleOverflow { .. }) => continue,
                parameters => parameters?,
            };
            let zero = parameters.zero_points().first().copied().unwrap_or(0);
            let codes = parameters.scheme().codes();
            let number = |scale: f32| {
                codes
                    .clone()
                    .map(move |code| f64::from(code - zero) * f64::from(scale))
            };
            let numbers = parameters.scales().iter().copied().flat_map(number);
            starts.push(Start::Numbers(numbers.collect()));
        }
        let last = f64::from(most - 1);
        let step = high / last - low / last;
        let even = (0..most).map(|number| low + f64::from(number) * step);
        starts.push(Start::Numbers(even.collect()));
        starts.push(Start::Quantiles(1 << self.bits));
        Ok(starts)
    }
}

impl<F: Float> Quantizer<F> for KMeans {
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor> {
        let scheme = self.scheme()?;
        let flat = array::elements(weights);
        check_finite(&flat, weights.shape(), self.non_finite)?;
        let finite = if self.non_finite == NonFinite::Clamp {
            let finite = flat.iter().copied().filter(|weight| weight.is_finite());
            finite.collect()
        } else {
            Cow::Borrowed(&flat[..])
        };
        let table = self.entries(&finite)?;
        let entries = ascending(&table, self.bits, false);
        let parameters =
            Parameters::new(scheme, Granularity::PerTensor, vec![1.0]).with_codebook(table);
        cast(
            &flat,
            weights.shape(),
            parameters,
            Casting::Entries(&entries),
        )
    }
}
