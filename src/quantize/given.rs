//! Codes with parameters that exist, and parameters of ranges that are known.

use super::faults::not_finite;
use super::{Linear, Parameters, QuantizedTensor};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::coding::Steps;
use crate::kernels::real::Sealed;
use crate::kernels::{array, pack};
use ndarray::{ArrayRef, Dimension};

impl Linear {
    /// The parameters for ranges that are known already, one for each scale: those of an observer, for activations.
    ///
    /// Each range is widened to hold 0. The arithmetic is that of f32 weights.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::quantize::Linear;
    ///
    /// let linear = Linear::new(8).affine().unsigned();
    /// let parameters = linear.parameters(&[(-1.0, 1.55)])?;
    /// assert_eq!((parameters.scales(), parameters.zero_points()), (&[0.01][..], &[100][..]));
    /// let q = linear.quantize_with(&array![-1.0_f32, 0.0, 9.0], &parameters)?;
    /// assert_eq!(q.codes(), array![0, 100, 255].into_dyn());
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`Error::BitsOutOfRange`]: no such width.
    /// * [`Error::NumberOutOfRange`]: an end that is not finite, or a range that ends before it starts.
    /// * [`Error::ScaleOverflow`]: a range too wide for a scale in f32.
    pub fn parameters(&self, ranges: &[(f64, f64)]) -> Result<Parameters> {
        let scheme = self.scheme()?;
        let fit = self.profile.fit(scheme, self.shape, true);
        let mut scales = Vec::with_capacity(ranges.len());
        let mut zero_points = Vec::new();
        for (channel, &(low, high)) in ranges.iter().enumerate() {
            for (what, value, right) in [
                ("least number of a range", low, low.is_finite()),
                ("largest number of a range", high, high.is_finite()),
            ] {
                if !right {
                    let must = "finite";
                    return Err(Error::NumberOutOfRange { what, must, value });
                }
            }
            if low > high {
                return Err(Error::NumberOutOfRange {
                    what: "width of a range",
                    must: "at least 0",
                    value: high - low,
                });
            }
            let (scale, zero_point) = fit.parameters(low, high);
            if scale.is_infinite() {
                let largest = high.abs().max(low.abs());
                return Err(Error::ScaleOverflow { channel, largest });
            }
            scales.push(scale);
            if scheme.has_zero_points() {
                zero_points.push(zero_point);
            }
        }
        Ok(Parameters::new(scheme, self.granularity, scales).with_zero_points(zero_points))
    }

    /// The weights as codes with these parameters; of this quantizer count only profile, rounding and what becomes of
    /// NaN and infinity. What lies outside gets the outermost code.
    ///
    /// # Errors
    ///
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
    /// * [`Error::CodesNotIntegers`]: parameters of another kind of code.
    /// * Those of [`QuantizedTensor::from_codes`] for parameters that do not fit.
    pub fn quantize_with<F: Float, D: Dimension>(
        &self,
        weights: &ArrayRef<F, D>,
        parameters: &Parameters,
    ) -> Result<QuantizedTensor> {
        let mut tensor = QuantizedTensor::none(parameters.scheme());
        self.quantize_with_into(weights, parameters, &mut tensor)?;
        Ok(tensor)
    }

    /// [`quantize_with`](Self::quantize_with) in the memory of another tensor: for activations, batch after batch.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::quantize::Linear;
    ///
    /// let linear = Linear::new(8);
    /// let parameters = linear.parameters(&[(-1.27, 1.27)])?;
    /// let mut q = linear.quantize_with(&array![0.5_f32, 0.1], &parameters)?;
    /// linear.quantize_with_into(&array![-1.0_f32, 2.0], &parameters, &mut q)?;
    /// assert_eq!(q.codes(), array![-100, 127].into_dyn());
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`quantize_with`](Self::quantize_with); after a weight that is not finite the tensor has no weights,
    /// after any other error it is as it was.
    pub fn quantize_with_into<F: Float, D: Dimension>(
        &self,
        weights: &ArrayRef<F, D>,
        parameters: &Parameters,
        tensor: &mut QuantizedTensor,
    ) -> Result<()> {
        parameters.check_integer(weights.shape())?;
        let finite = self.non_finite.for_codes()?;
        let scheme = parameters.scheme();
        let tiling = parameters.granularity().tiling(weights.shape())?;
        let (mut packed, _, _) = tensor.take_buffers();
        packed.resize(pack::bytes_for(weights.len(), scheme.bits()), 0);
        let coding = self.profile.coding(scheme, self.rounding);
        let steps = Steps {
            scales: parameters.scales(),
            zero_points: parameters.zero_points(),
        };
        let flat = array::elements(weights);
        <F as Sealed>::encode(&flat, &tiling, (coding, finite), steps, &mut packed)
            .map_err(|place| not_finite(&flat, place, weights.shape()))?;
        *tensor = QuantizedTensor::from_checked(weights.shape(), packed, parameters.clone());
        Ok(())
    }
}
