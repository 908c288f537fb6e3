//! A limit for activations that is learned.

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::trained::Trained;
use crate::quantize::{FakeQuantizer, Granularity, NonFinite, Parameters, Scheme};
use crate::shape;
use ndarray::{Array, ArrayRef, Dimension};

/// Parameterized clipping activation: in place of a ReLU, cut off at a limit α that is learned, and quantized.
///
/// ```text
/// y = round(clamp(x, 0, α) / s) · s      s = α / (2ᵇ − 1)
/// ∂L/∂x = g    where 0 ≤ x < α, else 0
/// ∂L/∂α = Σ g  over x ≥ α
/// ```
///
/// with g = ∂L/∂y. From Choi et al. 2018, "PACT: parameterized clipping activation for quantized neural networks", who
/// add an L2 penalty of α to the loss: the caller's optimizer does that. The sum is in f64 and the same bits whatever
/// the pool.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::quantize::Pact;
///
/// let mut pact = Pact::new(2, 3.0)?;
/// let x = array![-1.0_f32, 0.4, 1.6, 5.0];
/// assert_eq!(pact.forward(&x)?, array![0.0, 0.0, 2.0, 3.0]);
///
/// let mut gradient = array![0.1_f32, 0.2, 0.3, 0.5];
/// let slope = pact.backward_in_place(&x, &mut gradient)?;
/// assert_eq!((gradient, slope), (array![0.0, 0.2, 0.3, 0.0], 0.5));
/// pact.set_limit(pact.limit() - 0.1 * slope as f32)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Of all methods that take arrays: those of [`FakeQuantizer`].
#[derive(Clone, Debug, PartialEq)]
pub struct Pact {
    limit: f32,
    fake: FakeQuantizer,
}

impl Pact {
    /// Codes of `bits` bits, 1 to 8 or 16, from 0 to `limit`.
    ///
    /// # Errors
    ///
    /// * [`Error::BitsOutOfRange`]: no such width.
    /// * [`Error::NumberOutOfRange`]: a limit that is not finite, or whose scale is below the smallest normal f32.
    pub fn new(bits: u32, limit: f32) -> Result<Self> {
        let scheme = Scheme::unsigned(bits)?;
        let parameters = Self::parameters_of(scheme, limit)?;
        Ok(Self {
            limit,
            fake: FakeQuantizer::new(parameters),
        })
    }

    fn parameters_of(scheme: Scheme, limit: f32) -> Result<Parameters> {
        #[expect(clippy::cast_precision_loss, reason = "codes have at most 16 bits")]
        let scale = limit / *scheme.codes().end() as f32;
        if !(scale >= f32::MIN_POSITIVE && limit.is_finite()) {
            return Err(Error::NumberOutOfRange {
                what: "limit of an activation",
                must: "positive, finite, and a normal number when divided by the highest code",
                value: f64::from(limit),
            });
        }
        Ok(Parameters::new(scheme, Granularity::PerTensor, vec![scale]))
    }

    /// The same with another answer to NaN and infinity. Infinity was cut off and counts for the limit.
    #[must_use]
    pub fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.fake = self.fake.non_finite(non_finite);
        self
    }

    /// The limit α.
    pub const fn limit(&self) -> f32 {
        self.limit
    }

    /// Another limit: that after an optimizer's step.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] as in [`new`](Self::new); the limit is then as it was.
    pub fn set_limit(&mut self, limit: f32) -> Result<()> {
        let parameters = Self::parameters_of(self.parameters().scheme(), limit)?;
        self.fake.set_parameters(parameters);
        self.limit = limit;
        Ok(())
    }

    /// Scheme and scale of the codes.
    pub const fn parameters(&self) -> &Parameters {
        self.fake.parameters()
    }

    /// The activations, cut off and quantized, in a new array.
    ///
    /// # Errors
    ///
    /// Those of [`FakeQuantizer`].
    pub fn forward<F: Float, D: Dimension>(&self, values: &ArrayRef<F, D>) -> Result<Array<F, D>> {
        self.fake.forward(values)
    }

    /// The activations, cut off and quantized, where they are.
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

    /// Turns the gradient for what the forward gave into that for the activations, and gives that for the limit.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`]: a gradient of another shape.
    pub fn backward_in_place<F: Float, D: Dimension, E: Dimension>(
        &self,
        values: &ArrayRef<F, D>,
        gradient: &mut ArrayRef<F, E>,
    ) -> Result<f64> {
        shape::check_same("values", values.shape(), "gradient", gradient.shape())?;
        let flat = array::elements(values);
        let limit = F::from_single(self.limit);
        Ok(array::update(gradient, |gradient| {
            <F as Trained>::clipped_backward(&flat, limit, gradient)
        }))
    }
}
