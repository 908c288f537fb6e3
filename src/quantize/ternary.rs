//! Ternary codes: −1, 0 and 1 times a mean.

use super::faults::{filled, singles, too_large};
use super::granularity::granularity_settings;
use super::{Granularity, Parameters, QuantizedTensor, Quantizer, Scheme};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::coding::{Coding, Known, Rounded, Scaling, Steps};
use crate::kernels::ranges::Finite;
use crate::kernels::real::Sealed;
use crate::kernels::tiling::Tiling;
use crate::kernels::trained::Trained;
use crate::kernels::{array, pack, ternary};
use ndarray::ArrayRefD;

/// How ternary codes and their scale are found.
///
/// With m the mean of |w| over those that share a scale:
///
/// | rule | code | scale | from |
/// |---|---|---|---|
/// | [`AbsMean`](Self::AbsMean) | round_half_even(w / s), held within −1 and 1 | s = m, at least ε | BitNet b1.58 (Ma et al. 2024) |
/// | [`Threshold`](Self::Threshold) | the sign of w where \|w\| > 0.7 · m, else 0 | the mean of \|w\| over those whose code is not 0 | ternary weight networks (Li and Liu 2016) |
///
/// `AbsMean` is what such networks are trained with; of weights that were not trained for it, `Threshold` keeps more: the
/// root mean square error of normal weights is 0.51 and 0.44 deviations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TernaryRule {
    /// The mean magnitude is the scale.
    #[default]
    AbsMean,
    /// The mean magnitude makes a threshold.
    Threshold,
}

/// Ternary codes: each weight becomes −s, 0 or s.
///
/// | setting | meaning | default |
/// |---|---|---|
/// | `rule` | how codes and scale are found | |
/// | [`granularity`](Self::granularity) | who shares a scale | per tensor |
/// | [`least_scale`](Self::least_scale) | ε of [`TernaryRule::AbsMean`] | 10⁻⁵, as in BitNet's code |
///
/// The codes are those of [`Scheme::symmetric`] with 2 bits, of which −1, 0 and 1 are all there are. A weight of 0 stays
/// 0. Opposite weights have opposite codes. Weights are rounded to f32 first; means are computed in f64 and rounded to f32,
/// the threshold as well, and are the same for any number of threads and on every machine. Quantizing what came back
/// gives the same codes, and with `Threshold` the same scale, unless all of it is below the least scale.
///
/// All weights zero: codes 0, and ε or the smallest normal f32 as scale. No weights: no codes, scale 1.
///
/// [`BlockFormat::Tq1_0`](super::BlockFormat::Tq1_0) stores what came back in 1.6875 bits a weight, where groups are of
/// 256 or more along the last axis.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::quantize::{Ternary, TernaryRule};
///
/// let weights = array![0.5_f32, -2.0, 0.25, 1.25];
/// let q = Ternary::new(TernaryRule::AbsMean).quantize(&weights)?;
/// assert_eq!((q.scales(), q.codes()), (&[1.0][..], array![0, -1, 0, 1].into_dyn()));
/// let q = Ternary::new(TernaryRule::Threshold).quantize(&weights)?; // 0.7 is between them too
/// assert_eq!((q.scales(), q.codes()), (&[1.625][..], array![0, -1, 0, 1].into_dyn()));
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
/// * [`Error::NumberOutOfRange`]: a least scale that is not positive and finite.
/// * [`Error::AxisOutOfRange`] and the others of [`Granularity::scales`].
/// * [`Error::ScaleOverflow`]: weights in f64 that are too large for an f32; with `Threshold` also a mean magnitude above
///   5/7 of the largest f32.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ternary {
    rule: TernaryRule,
    granularity: Granularity,
    least_scale: f32,
}

/// Codes within −1 and 1.
const CODING: Coding = Coding {
    bits: 2,
    lowest: -1,
    highest: 1,
    scaling: Scaling::Divide,
    rounded: Rounded::HalfEven,
    shift_first: false,
    known: Known::Nothing,
};

/// What the mean is multiplied by to be a threshold: near the best for normal weights.
const SHARE: f64 = 0.7;

impl Ternary {
    /// Ternary codes, one scale for the tensor.
    pub const fn new(rule: TernaryRule) -> Self {
        Self {
            rule,
            granularity: Granularity::PerTensor,
            least_scale: 1e-5,
        }
    }

    granularity_settings!(granularity);

    /// The same with another least scale.
    #[must_use]
    pub const fn least_scale(mut self, least: f32) -> Self {
        self.least_scale = least;
        self
    }

    /// The scales that codes are found with, and those that are stored.
    fn scales(&self, singles: &[f32], tiling: &Tiling) -> (Vec<f32>, Vec<f32>) {
        let means = <f32 as Trained>::mean_magnitudes(singles, tiling);
        match self.rule {
            TernaryRule::AbsMean => {
                let scales: Vec<f32> = means
                    .iter()
                    .map(|&mean| nearest(mean).max(self.least_scale))
                    .collect();
                (scales.clone(), scales)
            }
            TernaryRule::Threshold => {
                let thresholds: Vec<f32> = means.iter().map(|mean| nearest(mean * SHARE)).collect();
                let above = ternary::means_above(singles, tiling, &thresholds);
                let at_least = |scale: f32| scale.max(f32::MIN_POSITIVE);
                // What is above the threshold is above half of twice the threshold, and a tie is rounded to 0.
                let with = thresholds
                    .iter()
                    .map(|&threshold| at_least(2.0 * threshold));
                (
                    with.collect(),
                    above
                        .into_iter()
                        .map(|mean| at_least(nearest(mean)))
                        .collect(),
                )
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is wanted")]
fn nearest(number: f64) -> f32 {
    number as f32
}

impl<F: Float> Quantizer<F> for Ternary {
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor> {
        let scheme = Scheme::symmetric(2)?;
        let least = self.least_scale;
        if !(least > 0.0 && least.is_finite()) {
            return Err(Error::NumberOutOfRange {
                what: "least scale",
                must: "positive and finite",
                value: least.into(),
            });
        }
        let shape = weights.shape();
        let tiling = self.granularity.tiling(shape)?;
        let mut packed = vec![0; pack::bytes_for(weights.len(), 2)];
        let scales = if weights.is_empty() {
            filled(1.0, tiling.count(), shape)?
        } else {
            let flat = array::elements(weights);
            let singles = singles(&flat, shape)?;
            let (with, scales) = self.scales(&singles, &tiling);
            let unfit = |scale: &f32| !scale.is_finite();
            if let Some(tile) = (0..scales.len()).find(|&i| unfit(&with[i]) || unfit(&scales[i])) {
                return Err(too_large(&flat, &tiling, tile));
            }
            let steps = Steps {
                scales: &with,
                zero_points: &[],
            };
            // All are finite: an infinite one has an infinite mean.
            let how = (CODING, Finite::Skipped);
            <f32 as Sealed>::encode(&singles, &tiling, how, steps, &mut packed)
                .map_err(|_| too_large(&flat, &tiling, 0))?;
            scales
        };
        let parameters = Parameters::new(scheme, self.granularity, scales);
        Ok(QuantizedTensor::from_checked(shape, packed, parameters))
    }
}
