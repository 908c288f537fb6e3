//! Scales, and zero points, that are learned with the weights.

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use crate::kernels::trained::Trained;
use crate::kernels::{array, finite};
use crate::quantize::{FakeQuantizer, Granularity, NonFinite, Parameters, Profile, Scheme};
use crate::shape;
use ndarray::{Array, ArrayRef, Dimension};

/// The gradient for scales and zero points, one number for each.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedGradient {
    scales: Vec<f64>,
    zero_points: Vec<f64>,
}

impl LearnedGradient {
    /// ∂L/∂s.
    pub fn scales(&self) -> &[f64] {
        &self.scales
    }

    /// ∂L/∂z; empty where the scheme has no zero points.
    pub fn zero_points(&self) -> &[f64] {
        &self.zero_points
    }
}

/// Learned step size quantization: a [`FakeQuantizer`] whose scales, and zero points if it has them, are learned.
///
/// ```text
/// y = (hold(q) − z) · s         q = round(x / s) + z
/// ∂L/∂x = g                     where l ≤ q ≤ h, else 0
/// ∂L/∂s = f · Σ g · t           t = q − z − x / s  where l ≤ q ≤ h,  l − z below,  h − z above
/// ∂L/∂z = f · Σ g · (−s)        over l > q and q > h
/// f = 1 / √(N · h)              N elements of the tile that shares s
/// ```
///
/// with g = ∂L/∂y, codes from l to h. From Esser et al. 2020, "Learned step size quantization" (LSQ); zero points from
/// Bhalgat et al. 2020, "LSQ+: improving low-bit quantization through learnable offsets and better initialization",
/// in the form of PyTorch's `_fake_quantize_learnable_per_tensor_affine`: what is learned is any number, the
/// forward rounds it to a code. The factor f keeps the steps of a scale as large, for its size, as those of weights;
/// [`gradient_factor`](Self::gradient_factor) has another. For activations LSQ counts features in N and not the
/// batch: give its factor.
///
/// Sums are in f64 and the same bits whatever the pool. The caller's optimizer makes the steps: it reads
/// [`scales`](Self::scales) and [`zero_points`](Self::zero_points), and gives new ones to [`set`](Self::set).
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::quantize::{Granularity, Lsq, Scheme};
///
/// let weights = array![[0.9_f32, -0.4], [0.1, 2.0]];
/// let mut lsq = Lsq::from_weights(&weights, Scheme::symmetric(2)?, Granularity::PerTensor)?;
/// assert_eq!(lsq.scales(), [1.7]); // 2 · mean|w| / √1
/// let used = lsq.forward(&weights)?;
/// assert_eq!(used, array![[1.7, 0.0], [0.0, 1.7]]);
///
/// // With the loss Σ (y − w)² / 2 the scale should become smaller.
/// let mut gradient = &used - &weights;
/// let learned = lsq.backward_in_place(&weights, &mut gradient)?;
/// assert!(learned.scales()[0] > 0.0);
/// lsq.set(&[lsq.scales()[0] - 0.5 * learned.scales()[0] as f32], &[])?;
/// assert!(lsq.scales()[0] < 1.7);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Of all methods that take arrays: those of [`FakeQuantizer`].
#[derive(Clone, Debug, PartialEq)]
pub struct Lsq {
    fake: FakeQuantizer,
    /// As learned; the parameters have them rounded.
    zero_points: Vec<f32>,
    factor: Option<f64>,
}

impl Lsq {
    /// Learns from these scales and zero points on.
    pub fn new(parameters: Parameters) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "codes have at most 16 bits; others are refused where they meet an array"
        )]
        let zero_points = parameters.zero_points().iter().map(|&z| z as f32).collect();
        Self {
            fake: FakeQuantizer::new(parameters),
            zero_points,
            factor: None,
        }
    }

    /// Learns from the scales that LSQ starts with, 2 · mean|w| / √h, and zero points that mean the middle code
    /// (signed: 0). The scale is at least the smallest normal f32.
    ///
    /// # Errors
    ///
    /// * [`Error::CodesNotIntegers`]: another kind of scheme.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
    /// * [`Error::ScaleOverflow`]: weights in f64 that are too large for a scale in f32.
    /// * Those of [`Granularity::scales`].
    pub fn from_weights<F: Float, D: Dimension>(
        weights: &ArrayRef<F, D>,
        scheme: Scheme,
        granularity: Granularity,
    ) -> Result<Self> {
        if !scheme.is_integer() {
            return Err(Error::CodesNotIntegers);
        }
        let tiling = granularity.tiling(weights.shape())?;
        let flat = array::elements(weights);
        if let Some(place) = finite::first_not_finite(weights) {
            let index = shape::index_of(place, weights.shape());
            return Err(Error::not_finite("weight", index, flat[place].widen()));
        }
        let codes = scheme.codes();
        let root = f64::from(*codes.end()).sqrt();
        let means = <F as Trained>::mean_magnitudes(&flat, &tiling);
        let mut scales = Vec::with_capacity(means.len());
        for (channel, largest) in means.into_iter().enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "scales are stored in f32")]
            let scale = (2.0 * largest / root) as f32;
            if !scale.is_finite() {
                return Err(Error::ScaleOverflow { channel, largest });
            }
            scales.push(scale.max(f32::MIN_POSITIVE));
        }
        let mut parameters = Parameters::new(scheme, granularity, scales);
        if !scheme.is_signed() {
            let middle = (*codes.end() + 1) / 2;
            let zero_points = vec![middle; parameters.scales().len()];
            parameters = parameters.with_zero_points(zero_points);
        }
        Ok(Self::new(parameters))
    }

    /// The same with somebody else's arithmetic.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.fake = self.fake.profile(profile);
        self
    }

    /// The same with another answer to NaN and infinity. NaN teaches scales nothing; infinity was cut off.
    #[must_use]
    pub fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.fake = self.fake.non_finite(non_finite);
        self
    }

    /// The same with this f in place of 1 / √(N · h); 1 for the plain gradient.
    #[must_use]
    pub const fn gradient_factor(mut self, factor: f64) -> Self {
        self.factor = Some(factor);
        self
    }

    /// The scales.
    pub fn scales(&self) -> &[f32] {
        self.parameters().scales()
    }

    /// The zero points as learned, before they are rounded; empty where the scheme has none.
    pub fn zero_points(&self) -> &[f32] {
        &self.zero_points
    }

    /// Scales and rounded zero points: with them [`Linear::quantize_with`](crate::quantize::Linear::quantize_with)
    /// makes the codes that were trained for.
    pub const fn parameters(&self) -> &Parameters {
        self.fake.parameters()
    }

    /// Takes what an optimizer's step gave. A step may go too far: a scale below the smallest normal f32, a negative
    /// one included, becomes that, and a zero point outside the codes the outermost one.
    ///
    /// # Errors
    ///
    /// And nothing changes:
    ///
    /// * [`Error::WrongCount`]: not as many scales or zero points as there were.
    /// * [`Error::ScaleOutOfRange`]: a scale is infinite or NaN.
    /// * [`Error::NumberOutOfRange`]: a zero point is NaN.
    pub fn set(&mut self, scales: &[f32], zero_points: &[f32]) -> Result<()> {
        for (what, given, expected) in [
            ("scales", scales.len(), self.scales().len()),
            ("zero points", zero_points.len(), self.zero_points.len()),
        ] {
            if given != expected {
                return Err(Error::WrongCount {
                    what,
                    given,
                    expected,
                });
            }
        }
        let wrong = |scale: &f32| scale.is_nan() || *scale == f32::INFINITY;
        if let Some(index) = scales.iter().position(wrong) {
            let scale = scales[index];
            return Err(Error::ScaleOutOfRange { index, scale });
        }
        if let Some(zero_point) = zero_points.iter().find(|zero| zero.is_nan()) {
            return Err(Error::NumberOutOfRange {
                what: "zero point",
                must: "a number",
                value: f64::from(*zero_point),
            });
        }
        let old = self.parameters();
        let (scheme, granularity) = (old.scheme(), old.granularity());
        let codes = scheme.codes();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "codes have at most 16 bits"
        )]
        let rounded = |zero: &f32| {
            let held = zero.clamp(*codes.start() as f32, *codes.end() as f32);
            (held, held.round_ties_even() as i32)
        };
        let held = scales.iter().map(|scale| scale.max(f32::MIN_POSITIVE));
        let (learned, rounded) = zero_points.iter().map(rounded).unzip();
        let parameters = Parameters::new(scheme, granularity, held.collect());
        self.fake
            .set_parameters(parameters.with_zero_points(rounded));
        self.zero_points = learned;
        Ok(())
    }

    /// The values as if they were quantized, in a new array.
    ///
    /// # Errors
    ///
    /// Those of [`FakeQuantizer`].
    pub fn forward<F: Float, D: Dimension>(&self, values: &ArrayRef<F, D>) -> Result<Array<F, D>> {
        self.fake.forward(values)
    }

    /// The values as if they were quantized, where they are.
    ///
    /// # Errors
    ///
    /// Those of [`FakeQuantizer`].
    pub fn forward_in_place<F: Float, D: Dimension>(
        &self,
        values: &mut ArrayRef<F, D>,
    ) -> Result<()> {
        self.fake.forward_in_place(values)
    }

    /// The values as if they were quantized, in another array.
    ///
    /// # Errors
    ///
    /// Those of [`FakeQuantizer`].
    pub fn forward_into<F: Float, D: Dimension, E: Dimension>(
        &self,
        values: &ArrayRef<F, D>,
        to: &mut ArrayRef<F, E>,
    ) -> Result<()> {
        self.fake.forward_into(values, to)
    }

    /// Turns the gradient for what the forward gave into that for the values, and gives that for scales and zero
    /// points.
    ///
    /// # Errors
    ///
    /// Those of [`FakeQuantizer`].
    pub fn backward_in_place<F: Float, D: Dimension, E: Dimension>(
        &self,
        values: &ArrayRef<F, D>,
        gradient: &mut ArrayRef<F, E>,
    ) -> Result<LearnedGradient> {
        let parameters = self.parameters();
        parameters.check_integer(values.shape())?;
        shape::check_same("values", values.shape(), "gradient", gradient.shape())?;
        let flat = array::elements(values);
        let highest = f64::from(*parameters.scheme().codes().end());
        self.fake.with_fake(values.shape(), |fake| {
            let sums = array::update(gradient, |gradient| {
                <F as Trained>::learned_backward(&flat, fake, gradient)
            });
            #[expect(
                clippy::cast_precision_loss,
                reason = "a tile of more than 2⁵³ elements does not exist"
            )]
            let factor = |tile| {
                self.factor
                    .unwrap_or_else(|| 1.0 / (fake.tiling.size(tile) as f64 * highest).sqrt())
            };
            let numbered = || sums.iter().zip(parameters.scales()).enumerate();
            let mut zero_points = Vec::new();
            if parameters.scheme().has_zero_points() {
                let slope = |(tile, ([_, cut], &scale)): (usize, (&[f64; 2], &f32))| {
                    -f64::from(scale) * cut * factor(tile)
                };
                zero_points = numbered().map(slope).collect();
            }
            LearnedGradient {
                scales: numbered()
                    .map(|(tile, ([slope, _], _))| slope * factor(tile))
                    .collect(),
                zero_points,
            }
        })
    }
}
