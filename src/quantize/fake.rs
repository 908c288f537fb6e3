//! Floats that behave as if they were quantized, and the gradient that passes straight through.

use super::{NonFinite, Parameters, Profile, Rounding};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::coding::Steps;
use crate::kernels::fake::Fake;
use crate::kernels::real::Real;
use crate::kernels::trained::Trained;
use crate::kernels::{array, finite};
use crate::shape;
use ndarray::{Array, ArrayRef, Dimension};

/// Quantizes and turns back in one sweep, for training with weights or activations that will be codes later.
///
/// ```text
/// forward    y = (hold(round(x / s) + z) − z) · s
/// backward   ∂L/∂x = ∂L/∂y  where l ≤ round(x / s) + z ≤ h,  else 0
/// ```
///
/// with scale s and zero point z of the tile that x belongs to, codes from l to h, `hold` cutting off at both. Rounding
/// has no slope that teaches anything, so its gradient is taken as if it were not there: the *straight-through
/// estimator* (Bengio, Léonard and Courville 2013, "Estimating or propagating gradients through stochastic neurons").
/// Both ends are inside, as in PyTorch.
///
/// | setting | meaning | default |
/// |---|---|---|
/// | [`profile`](Self::profile) | whose arithmetic: x / s or x · (1/s), z before rounding or after | ours |
/// | [`rounding`](Self::rounding) | which neighbour | half to even |
/// | [`non_finite`](Self::non_finite) | what becomes of NaN and infinity | an error |
///
/// The forward has the bits of [`Linear::quantize_with`](super::Linear::quantize_with) followed by
/// [`dequantize`](super::QuantizedTensor::dequantize): what a model was trained with is what it is shipped with.
/// The same bits whatever the pool and the memory order. Arrays of any rank and layout, f32 and f64.
///
/// Of values that are not finite, [`NonFinite::Error`] makes an error, before anything is written;
/// [`NonFinite::Clamp`] makes NaN 0 and infinity the outermost number; [`NonFinite::Propagate`] leaves NaN and makes
/// infinity the outermost number. Where x is not finite the gradient is 0, whatever the setting. PyTorch makes NaN the
/// lowest number, and per channel infinity too.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::quantize::{FakeQuantizer, Granularity, Parameters, Scheme};
///
/// let parameters = Parameters::new(Scheme::symmetric(4)?, Granularity::PerTensor, vec![0.5]);
/// let fake = FakeQuantizer::new(parameters);
/// let x = array![0.3_f32, -1.6, 9.0];
/// assert_eq!(fake.forward(&x)?, array![0.5, -1.5, 3.5]);
///
/// let mut gradient = array![1.0, 2.0, 3.0]; // of the loss, for what the forward gave
/// fake.backward_in_place(&x, &mut gradient)?;
/// assert_eq!(gradient, array![1.0, 2.0, 0.0]); // for x
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Of all methods that take arrays; nothing is written then.
///
/// * [`Error::ShapeMismatch`]: arrays of different shapes.
/// * [`Error::NotANumber`], [`Error::Infinite`]: with [`NonFinite::Error`], the first value that is not finite; in
///   the forward only.
/// * [`Error::CodesNotIntegers`]: parameters of another kind of code.
/// * Those of [`QuantizedTensor::from_codes`](super::QuantizedTensor::from_codes) for parameters that do not fit the
///   shape.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FakeQuantizer {
    parameters: Parameters,
    profile: Profile,
    rounding: Rounding,
    non_finite: NonFinite,
}

impl FakeQuantizer {
    /// With these scales and zero points, in our arithmetic.
    pub const fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            profile: Profile::Rarefy,
            rounding: Rounding::HalfEven,
            non_finite: NonFinite::Error,
        }
    }

    /// The same with somebody else's arithmetic.
    #[must_use]
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// The same with another rounding. Stochastic rounding takes a new seed for each step, and the backward of a step
    /// the one of its forward.
    #[must_use]
    pub const fn rounding(mut self, rounding: Rounding) -> Self {
        self.rounding = rounding;
        self
    }

    /// The same with another answer to NaN and infinity.
    #[must_use]
    pub const fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// The scales and zero points.
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Other scales and zero points: those of an observer that has seen more.
    pub fn set_parameters(&mut self, parameters: Parameters) {
        self.parameters = parameters;
    }

    /// The values as if they were quantized, in a new array.
    ///
    /// # Errors
    ///
    /// Those of [`FakeQuantizer`].
    pub fn forward<F: Float, D: Dimension>(&self, values: &ArrayRef<F, D>) -> Result<Array<F, D>> {
        let mut to = Array::zeros(values.raw_dim());
        self.forward_into(values, &mut to)?;
        Ok(to)
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
        self.parameters.check_integer(values.shape())?;
        self.check_finite(values)?;
        let shape = values.shape().to_vec();
        self.with_fake(&shape, |fake| {
            array::update(values, |values| {
                <F as Trained>::fake_forward_in_place(values, fake);
            });
        })
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
        self.parameters.check_integer(values.shape())?;
        shape::check_same("values", values.shape(), "array", to.shape())?;
        self.check_finite(values)?;
        let flat = array::elements(values);
        self.with_fake(values.shape(), |fake| {
            array::update(to, |to| <F as Trained>::fake_forward_into(&flat, fake, to));
        })
    }

    /// Turns the gradient for what the forward gave into that for the values, which are those before the forward.
    ///
    /// # Errors
    ///
    /// Those of [`FakeQuantizer`].
    pub fn backward_in_place<F: Float, D: Dimension, E: Dimension>(
        &self,
        values: &ArrayRef<F, D>,
        gradient: &mut ArrayRef<F, E>,
    ) -> Result<()> {
        self.parameters.check_integer(values.shape())?;
        shape::check_same("values", values.shape(), "gradient", gradient.shape())?;
        let flat = array::elements(values);
        self.with_fake(values.shape(), |fake| {
            array::update(gradient, |gradient| {
                <F as Trained>::fake_backward_in_place(&flat, fake, gradient);
            });
        })
    }

    /// The gradient for the values, in another array.
    ///
    /// # Errors
    ///
    /// Those of [`FakeQuantizer`].
    pub fn backward_into<F: Float, D: Dimension, E: Dimension, G: Dimension>(
        &self,
        values: &ArrayRef<F, D>,
        gradient: &ArrayRef<F, E>,
        to: &mut ArrayRef<F, G>,
    ) -> Result<()> {
        self.backward_to(values, gradient, (false, to))
    }

    /// The gradient for the values, added to what is in another array.
    ///
    /// # Errors
    ///
    /// Those of [`FakeQuantizer`].
    pub fn accumulate_backward<F: Float, D: Dimension, E: Dimension, G: Dimension>(
        &self,
        values: &ArrayRef<F, D>,
        gradient: &ArrayRef<F, E>,
        to: &mut ArrayRef<F, G>,
    ) -> Result<()> {
        self.backward_to(values, gradient, (true, to))
    }

    fn backward_to<F: Float, D: Dimension, E: Dimension, G: Dimension>(
        &self,
        values: &ArrayRef<F, D>,
        gradient: &ArrayRef<F, E>,
        (add, to): (bool, &mut ArrayRef<F, G>),
    ) -> Result<()> {
        self.parameters.check_integer(values.shape())?;
        shape::check_same("values", values.shape(), "gradient", gradient.shape())?;
        shape::check_same("values", values.shape(), "array", to.shape())?;
        let (flat, gradient) = (array::elements(values), array::elements(gradient));
        self.with_fake(values.shape(), |fake| {
            array::update(to, |to| {
                <F as Trained>::fake_backward_into(&flat, &gradient, fake, (add, to));
            });
        })
    }

    /// Fails with the first value that is not finite, if that is an error.
    pub(super) fn check_finite<F: Float, D: Dimension>(
        &self,
        values: &ArrayRef<F, D>,
    ) -> Result<()> {
        if self.non_finite != NonFinite::Error {
            return Ok(());
        }
        let Some(place) = finite::first_not_finite(values) else {
            return Ok(());
        };
        let value = values.iter().nth(place).map_or(f64::NAN, |x| x.widen());
        let index = shape::index_of(place, values.shape());
        Err(Error::not_finite("value", index, value))
    }

    /// Calls a kernel for an array of this shape, which the parameters fit.
    pub(super) fn with_fake<R>(
        &self,
        shape: &[usize],
        run: impl FnOnce(Fake<'_>) -> R,
    ) -> Result<R> {
        let tiling = self.parameters.granularity().tiling(shape)?;
        Ok(run(Fake {
            tiling: &tiling,
            coding: self.profile.coding(self.parameters.scheme(), self.rounding),
            steps: Steps {
                scales: self.parameters.scales(),
                zero_points: self.parameters.zero_points(),
            },
            keep_nan: self.non_finite == NonFinite::Propagate,
        }))
    }
}
