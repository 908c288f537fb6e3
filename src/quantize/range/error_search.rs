//! Searches the range whose codes give the values back with the least error.

use super::check_values;
use crate::calibrate::Histogram;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::fit::Fit;
use crate::kernels::grouped::{Grouped, map_tiles};
use crate::kernels::ranges::{Finite, spans};
use crate::kernels::real::Real;
use crate::kernels::search::{Power, Spacing, errors, least};
use crate::quantize::Linear;
use ndarray::{ArrayRef, Axis, Dimension};

/// Searches the range whose codes give the values back with the least error.
///
/// ```text
/// [a, b] the range of the values, with 0        candidates i = 0, 1, ...: (1 − i / grid) · [a, b]
/// error = Σ weight · |x̂ − x|ᵖ, x̂ what the codes of the candidate's scale and zero point give back
/// ```
///
/// The first candidate of the least error wins: among equals the widest range. The search ends where the range has
/// shrunk by `shrink`, or where `patience` candidates in a row were no better than the best. Each tile has its own.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | [`norm`](Self::norm) | p | 2.4 | above 0 |
/// | [`grid`](Self::grid) | steps from the whole range to none | 100 | at least 1 |
/// | [`shrink`](Self::shrink) | how much of the range may go; ⌊shrink · grid⌋ candidates | 0.2 | 0 to 1 |
/// | [`patience`](Self::patience) | how many candidates without a better one | 5 | at least 1 |
///
/// The defaults are those of llm-compressor's `mse` observer, which counts patience for all channels together; its
/// `imatrix_mse` is norm 3, grid 20, shrink 0.95 with [`ranges_weighted`](Self::ranges_weighted). The squared error is
/// norm 2, several times as quick as others. Where patience is
/// not less than the number of candidates, those that cannot win any more are not followed to the end: the same answer,
/// sooner. Profile, bits and codes are those of the quantizer; what is searched
/// always rounds half to even.
///
/// From values each counts: within 2⁻¹⁸ of the exact sum for f32, 2⁻⁴⁰ for f64, the same bits in any pool. From a
/// histogram the values of a bin are taken to lie at its middle, so that an error is known to about half a bin for each
/// value; take bins that are narrow beside a step of the codes.
///
/// # Examples
///
/// ```
/// use ndarray::{Array1, Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::quantize::{ErrorSearch, Linear};
///
/// // Two outliers make the step coarse for all others, and are better cut.
/// let mut weights = Array1::from_iter((0..2000).map(|i| (i as f32 * 0.7).sin()));
/// (weights[10], weights[20]) = (1.3, -1.3);
/// let linear = Linear::new(4);
/// let ranges = ErrorSearch::new(linear).norm(2.0).patience(20).ranges(&weights)?;
/// assert!(ranges[0].1 < 1.2);
/// let clipped = linear.quantize_with(&weights, &linear.parameters(&ranges)?)?;
/// let plain = linear.quantize(&weights)?;
/// let error = |back: ndarray::ArrayD<f32>| (&back - &weights).mapv(|d| d * d).sum();
/// assert!(error(clipped.dequantize()) < error(plain.dequantize()));
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::NumberOutOfRange`]: a setting outside its range.
/// * [`Error::BitsOutOfRange`]: no such width.
/// * [`Error::NotANumber`], [`Error::Infinite`]: the first value that is not finite.
/// * [`Error::Calibration`]: there is none.
/// * [`Error::ScaleOverflow`]: values too large for a scale in f32.
/// * Those of [`Granularity::scales`](crate::quantize::Granularity::scales).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ErrorSearch {
    linear: Linear,
    norm: f64,
    grid: usize,
    shrink: f64,
    patience: usize,
}

impl ErrorSearch {
    const NAME: &'static str = "error search";

    /// A search with the defaults, for this quantizer's codes and granularity.
    pub const fn new(linear: Linear) -> Self {
        Self {
            linear,
            norm: 2.4,
            grid: 100,
            shrink: 0.2,
            patience: 5,
        }
    }

    /// The same with another norm.
    #[must_use]
    pub const fn norm(mut self, norm: f64) -> Self {
        self.norm = norm;
        self
    }

    /// The same with another grid.
    #[must_use]
    pub const fn grid(mut self, grid: usize) -> Self {
        self.grid = grid;
        self
    }

    /// The same with another limit to how much of the range may go.
    #[must_use]
    pub const fn shrink(mut self, shrink: f64) -> Self {
        self.shrink = shrink;
        self
    }

    /// The same with another patience; `usize::MAX` for all candidates.
    #[must_use]
    pub const fn patience(mut self, patience: usize) -> Self {
        self.patience = patience;
        self
    }

    /// The factors of the candidates, from 1 down.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of the grid, which is small"
    )]
    fn factors(&self) -> Result<Vec<f64>> {
        const MOST: usize = 1 << 16;
        let (grid, patience) = (self.grid as f64, self.patience as f64);
        for (what, must, value, right) in [
            (
                "norm of an error",
                "positive and finite",
                self.norm,
                self.norm > 0.0 && self.norm < f64::INFINITY,
            ),
            (
                "grid of a search",
                "1 to 65536",
                grid,
                (1..=MOST).contains(&self.grid),
            ),
            (
                "shrink of a search",
                "0 to 1",
                self.shrink,
                (0.0..=1.0).contains(&self.shrink),
            ),
            (
                "patience of a search",
                "at least 1",
                patience,
                self.patience > 0,
            ),
        ] {
            if !right {
                return Err(Error::NumberOutOfRange { what, must, value });
            }
        }
        let steps = ((self.shrink * grid) as usize).clamp(1, self.grid);
        Ok((0..steps).map(|step| 1.0 - step as f64 / grid).collect())
    }

    /// The best range of each tile of the quantizer's granularity.
    ///
    /// # Errors
    ///
    /// See the type.
    pub fn ranges<F: Float, D: Dimension>(
        &self,
        weights: &ArrayRef<F, D>,
    ) -> Result<Vec<(f64, f64)>> {
        self.search(weights, None)
    }

    /// The same where the error of each weight counts as much as the importance of its index on `axis` says: for a layer's
    /// weight of shape `[outputs, inputs]` and `Axis(1)` the mean squares of the inputs, as
    /// [`ChannelSums`](crate::calibrate::ChannelSums) gathers them.
    ///
    /// Only ratios of importances matter. Where all of a tile are 0 it keeps its whole range.
    ///
    /// # Errors
    ///
    /// See the type; also [`Error::AxisOutOfRange`], [`Error::WrongCount`] unless there is an importance for each index,
    /// and [`Error::NumberOutOfRange`] for one that is negative or not finite.
    pub fn ranges_weighted<F: Float, D: Dimension>(
        &self,
        weights: &ArrayRef<F, D>,
        importances: &[f64],
        axis: Axis,
    ) -> Result<Vec<(f64, f64)>> {
        let shape = weights.shape();
        let Some(&length) = shape.get(axis.index()) else {
            return Err(Error::AxisOutOfRange {
                axis: axis.index(),
                ndim: shape.len(),
            });
        };
        if importances.len() != length {
            return Err(Error::WrongCount {
                what: "importances",
                given: importances.len(),
                expected: length,
            });
        }
        let wrong = |value: &&f64| !(**value >= 0.0 && **value < f64::INFINITY);
        if let Some(&value) = importances.iter().find(wrong) {
            return Err(Error::NumberOutOfRange {
                what: "importance of a channel",
                must: "finite and not negative",
                value,
            });
        }
        // Relative to the largest none leaves the range of the floats.
        let largest = importances
            .iter()
            .copied()
            .fold(f64::MIN_POSITIVE, f64::max);
        let inner: usize = shape[axis.index() + 1..].iter().product();
        let importance = |place: usize| F::cast(importances[place / inner % length] / largest);
        let spread: Vec<F> = (0..weights.len()).map(importance).collect();
        self.search(weights, Some(&spread))
    }

    fn search<F: Float, D: Dimension>(
        &self,
        weights: &ArrayRef<F, D>,
        importances: Option<&[F]>,
    ) -> Result<Vec<(f64, f64)>> {
        let factors = self.factors()?;
        let fit = self.linear.fit(size_of::<F>() == size_of::<f32>())?;
        let tiling = self.linear.tiling(weights.shape())?;
        let flat = array::elements(weights);
        check_values(weights, &flat, Self::NAME)?;
        let spans = spans(&flat, &tiling, Finite::Skipped).unwrap_or_default();
        let grouped = Grouped::new(&flat, &tiling);
        let importances = importances.map(|importances| Grouped::new(importances, &tiling));
        let power = Power::of(self.norm);
        let found = map_tiles(spans.len(), |tile| {
            let range = (spans[tile].low.widen(), spans[tile].high.widen());
            let importances = importances.as_ref().map(|all| all.tile(tile));
            let values = grouped.tile(tile);
            self.best(&fit, tile, range, &factors, (values, importances, power))
        });
        found.into_iter().collect()
    }

    /// The best range of each channel of a histogram; the quantizer's granularity does not count. Of a histogram of
    /// magnitudes the range is symmetric around 0.
    ///
    /// # Errors
    ///
    /// See the type.
    pub fn ranges_of(&self, histogram: &Histogram) -> Result<Vec<(f64, f64)>> {
        let factors = self.factors()?;
        let fit = self.linear.fit(true)?;
        let power = Power::of(self.norm);
        let extents = histogram.ranges()?;
        let found = map_tiles(extents.len(), |channel| {
            let (least, most) = extents[channel];
            let largest = most.max(-least);
            let (low, high) = if histogram.is_signed() {
                (least.min(0.0), most.max(0.0))
            } else {
                (-largest, largest)
            };
            #[expect(clippy::cast_precision_loss, reason = "how much a bin counts")]
            let (values, counts): (Vec<f64>, Vec<f64>) = histogram
                .filled(channel)
                .into_iter()
                // Of the outermost bins only that part counts in which there are values.
                .map(|bin| {
                    (
                        bin.low.max(low) / 2.0 + bin.high.min(high) / 2.0,
                        bin.count as f64,
                    )
                })
                .unzip();
            let of = (&values[..], Some(&counts[..]), power);
            self.best(&fit, channel, (low, high), &factors, of)
        });
        found.into_iter().collect()
    }

    /// The first of the candidates with the least error.
    fn best<F: Float>(
        &self,
        fit: &Fit,
        channel: usize,
        (low, high): (f64, f64),
        factors: &[f64],
        (values, weights, power): (&[F], Option<&[F]>, Power),
    ) -> Result<(f64, f64)> {
        let range = |factor: &f64| (factor * low, factor * high);
        let spacing = |factor: &f64| {
            let (low, high) = range(factor);
            let (scale, zero) = fit.parameters(low, high);
            if scale.is_infinite() {
                let largest = high.abs().max(low.abs());
                return Err(Error::ScaleOverflow { channel, largest });
            }
            Ok(Spacing {
                scale: f64::from(scale),
                lowest: fit.lowest - zero,
                highest: fit.highest - zero,
            })
        };
        let spacings: Vec<Spacing> = factors.iter().map(spacing).collect::<Result<_>>()?;
        if self.patience >= factors.len() {
            let found = least(values, weights, &spacings, power);
            return Ok(found.map_or((low, high), |place| range(&factors[place])));
        }
        let (mut best, mut lowest, mut idle) = ((low, high), f64::INFINITY, 0);
        let errors = errors(values, weights, &spacings, power);
        for (factor, error) in factors.iter().zip(errors) {
            if error < lowest {
                (best, lowest, idle) = (range(factor), error, 0);
                continue;
            }
            idle += 1;
            if idle >= self.patience {
                break;
            }
        }
        Ok(best)
    }
}
