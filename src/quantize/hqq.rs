//! Half-quadratic quantization: zero points that are floats, moved until the error is small.

use super::faults::{filled, singles, too_large};
use super::granularity::granularity_settings;
use super::{Granularity, Parameters, QuantizedTensor, Quantizer, Scheme};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::hqq::{Solver, solve};
use crate::kernels::{array, pack, shifted};
use ndarray::ArrayRefD;

/// Half-quadratic quantization (Badri and Shaji 2023): better codes at 2 to 4 bits, without data.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `bits` | bits of a code | none | 1 to 8 |
/// | [`granularity`](Self::granularity) | who shares a scale | groups of 64 along the last axis | any [`Granularity`] |
/// | [`lp_norm`](Self::lp_norm) | p of the norm of the error | 0.7 | above 0, at most 1 |
/// | [`beta`](Self::beta) | β, how much of the error is quadratic | 6 | positive, finite |
/// | [`kappa`](Self::kappa) | what β is multiplied by each time | 1.01 | at least 1, finite |
/// | [`iterations`](Self::iterations) | how often a zero point moves | 20 | at most 1000000 |
/// | [`round_zero`](Self::round_zero) | whether zero points start from an integer | no | |
///
/// The scale of a group is s = (max − min) / (2ᵇ − 1), at least the smallest normal f32, and a code c means
/// (c − z) · s with z any f32: [`Scheme::float_zero_point`]. From z = −min / s on, with x = w / s and everything in
/// units of s,
///
/// ```text
/// c = hold(round_half_even(x + z))     u = x + z − c     v = sign(u) · max(0, |u| − |u|^(p−1) / β)
/// z ← z − mean(u − v)                  β ← κ · β
/// ```
///
/// and the z on the way with the least Σu² is kept, so that no group has more squared error than it began with.
/// The error lets outliers be cut off where that helps the many. Weights are rounded to f32 first, and so is all
/// arithmetic; the result is the same for any number of threads, memory order and machine.
///
/// It differs from the reference implementation in this: u is measured in steps and not in the unit of the weights,
/// so that weights a thousand times as large have the same codes (there v is 0 unless weights are far larger than those
/// of trained layers, and a scale is at least 5 · 10⁻⁵); it looks at all turns and keeps the best z of each group, where
/// the reference stops for all groups at the first turn at which the mean error of the tensor does not fall. Its β is
/// 10; with u in steps 6 has the least error. `docs/quantization.md` has both errors side by side.
///
/// A group of equal weights comes back exactly. In others 0 need not be what some code means, so a pruned tensor does
/// not stay sparse. No weights: no codes, scale 1.
///
/// # Examples
///
/// ```
/// use ndarray::Array2;
/// use rarefy::prelude::*;
/// use rarefy::quantize::{Hqq, Linear};
///
/// let weights = Array2::from_shape_fn((8, 128), |(i, j)| ((i * 128 + j) as f32 * 0.7).sin().powi(3));
/// let error = |q: rarefy::quantize::QuantizedTensor| {
///     (q.dequantize::<f32>() - weights.view().into_dyn()).mapv(|e| e * e).sum()
/// };
/// let q = Hqq::new(2).quantize(&weights)?;
/// assert_eq!(q.parameters().float_zero_points().len(), 8 * 2);
/// let nearest = Linear::new(2).affine().per_group(ndarray::Axis(1), 64).quantize(&weights)?;
/// assert!(error(q) < error(nearest));
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::NumberOutOfRange`]: a setting out of its range.
/// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
/// * [`Error::AxisOutOfRange`] and the others of [`Granularity::scales`].
/// * [`Error::ScaleOverflow`]: weights that are too large for a scale in f32, or too near the largest f32.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Hqq {
    bits: u32,
    granularity: Option<Granularity>,
    lp_norm: f64,
    beta: f64,
    kappa: f64,
    iterations: usize,
    round_zero: bool,
}

impl Hqq {
    /// Codes of `bits` bits, a scale and a zero point for each 64 neighbours along the last axis.
    pub const fn new(bits: u32) -> Self {
        Self {
            bits,
            granularity: None,
            lp_norm: 0.7,
            beta: 6.0,
            kappa: 1.01,
            iterations: 20,
            round_zero: false,
        }
    }

    granularity_settings!(granularity, Some);

    /// The same with another norm of the error.
    #[must_use]
    pub const fn lp_norm(mut self, p: f64) -> Self {
        self.lp_norm = p;
        self
    }

    /// The same with another β to begin with.
    #[must_use]
    pub const fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// The same with another factor for β.
    #[must_use]
    pub const fn kappa(mut self, kappa: f64) -> Self {
        self.kappa = kappa;
        self
    }

    /// The same with another number of moves; with 0, zero points are −min / s.
    #[must_use]
    pub const fn iterations(mut self, iterations: usize) -> Self {
        self.iterations = iterations;
        self
    }

    /// The same with zero points that start from an integer, as the reference does for 4 bits.
    #[must_use]
    pub const fn round_zero(mut self) -> Self {
        self.round_zero = true;
        self
    }

    /// What the codes mean.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`]: no such width.
    pub fn scheme(&self) -> Result<Scheme> {
        Scheme::float_zero_point(self.bits)
    }

    fn solver(&self) -> Result<Solver> {
        let finite = "finite and positive";
        /// More than anyone waits for; each has a place in memory.
        const MOST_ITERATIONS: usize = 1_000_000;
        #[expect(clippy::cast_precision_loss, reason = "only to say what was given")]
        let iterations = self.iterations as f64;
        for (what, must, value, right) in [
            (
                "number of iterations",
                "at most 1000000",
                iterations,
                self.iterations <= MOST_ITERATIONS,
            ),
            (
                "norm of the error",
                "above 0 and at most 1",
                self.lp_norm,
                self.lp_norm > 0.0 && self.lp_norm <= 1.0,
            ),
            (
                "beta",
                finite,
                self.beta,
                self.beta > 0.0 && self.beta.is_finite(),
            ),
            (
                "kappa",
                "finite and at least 1",
                self.kappa,
                self.kappa >= 1.0 && self.kappa.is_finite(),
            ),
        ] {
            if !right {
                return Err(Error::NumberOutOfRange { what, must, value });
            }
        }
        Ok(Solver {
            highest: f32::from(u8::MAX >> (u8::BITS - self.bits)),
            lp_norm: self.lp_norm,
            beta: self.beta,
            kappa: self.kappa,
            iterations: self.iterations,
            round_start: self.round_zero,
        })
    }
}

impl<F: Float> Quantizer<F> for Hqq {
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor> {
        let scheme = self.scheme()?;
        let solver = self.solver()?;
        let shape = weights.shape();
        let granularity = Granularity::or_groups(self.granularity, shape.len());
        let tiling = granularity.tiling(shape)?;
        let mut scales = filled(1.0, tiling.count(), shape)?;
        let mut zeros = filled(0.0, tiling.count(), shape)?;
        let mut packed = vec![0; pack::bytes_for(weights.len(), self.bits)];
        if !weights.is_empty() {
            let flat = array::elements(weights);
            let singles = singles(&flat, shape)?;
            solve(&singles, &tiling, &solver, &mut scales, &mut zeros)
                .map_err(|tile| too_large(&flat, &tiling, tile))?;
            let steps = (&scales[..], &zeros[..]);
            shifted::encode(&singles, &tiling, self.bits, steps, &mut packed);
        }
        let parameters = Parameters::new(scheme, granularity, scales).with_float_zero_points(zeros);
        Ok(QuantizedTensor::from_checked(shape, packed, parameters))
    }
}
