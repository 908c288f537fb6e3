//! A tensor of packed codes.

use super::rows::decode_codes;
use super::{Granularity, Parameters, Scheme};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::{array, bits, pack};
use crate::mask::Mask;
use crate::shape;
use ndarray::{ArrayD, ArrayRef, Dimension, IxDyn};
use std::fmt;

/// A tensor of packed codes with everything that is needed to turn it back into floats.
///
/// Codes take exactly their bits: code i in row-major order occupies bits i·b to (i+1)·b of one
/// little-endian bit stream, as a two's complement number of b bits.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::quantize;
///
/// let q = quantize::linear(&array![[0.5_f32, -1.0], [0.25, 0.0]], 4)?;
/// assert_eq!(q.codes(), array![[3, -7], [2, 0]].into_dyn());
/// assert_eq!(q.bytes(), 2 + 4); // four codes of four bits, one scale
/// let restored = q.dequantize::<f32>();
/// assert!((restored[[0, 1]] + 1.0).abs() < 1e-6);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub struct QuantizedTensor {
    shape: Vec<usize>,
    #[cfg_attr(feature = "serde", serde(skip))]
    len: usize,
    packed: Vec<u8>,
    parameters: Parameters,
    /// What comes back as +0 whatever its code means: see `masked.rs`.
    pub(super) mask: Option<Mask>,
}

/// A tensor as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written {
    shape: Vec<usize>,
    packed: Vec<u8>,
    parameters: Parameters,
    #[serde(default)]
    mask: Option<Mask>,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for QuantizedTensor {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let tensor = Self::from_packed(written.shape, written.packed, written.parameters)?;
        tensor.with_mask(written.mask)
    }
}

impl QuantizedTensor {
    /// A tensor of these codes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::{Axis, array};
    /// use rarefy::quantize::{Granularity, Parameters, QuantizedTensor, Scheme};
    ///
    /// let per_row = Granularity::PerChannel(Axis(0));
    /// let parameters = Parameters::new(Scheme::affine(8)?, per_row, vec![0.5, 0.25])
    ///     .with_zero_points(vec![10, -3]);
    /// let q = QuantizedTensor::from_codes(&array![[10, 14], [-3, 1]], parameters)?;
    /// assert_eq!(q.dequantize::<f32>(), array![[0.0, 2.0], [0.0, 1.0]].into_dyn());
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`Error::CodeOutOfRange`]: a code or zero point is not one of the scheme's, or a code has no entry.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: a code of a float, a float zero point or an entry is.
    /// * [`Error::ScaleOutOfRange`]: a scale is zero, negative, infinite or NaN.
    /// * [`Error::WrongCount`]: not as many scales or zero points as there are channels.
    /// * [`Error::NumberOutOfRange`]: a codebook without entries, or with more than there are codes.
    /// * [`Error::AxisOutOfRange`]: the axis of the granularity does not exist.
    pub fn from_codes<D: Dimension>(
        codes: &ArrayRef<i32, D>,
        parameters: Parameters,
    ) -> Result<Self> {
        parameters.check(codes.shape())?;
        let scheme = parameters.scheme();
        let codes_flat = array::elements(codes);
        check_codes(&codes_flat, codes.shape(), &parameters)?;
        let mut packed = vec![0; pack::bytes_for(codes.len(), scheme.bits())];
        pack::pack_codes(&codes_flat, scheme.bits(), &mut packed);
        Ok(Self {
            shape: codes.shape().to_vec(),
            len: codes.len(),
            packed,
            parameters,
            mask: None,
        })
    }

    /// A tensor of codes that are packed already, as [`packed`](Self::packed) gives them.
    ///
    /// # Errors
    ///
    /// Those of [`from_codes`](Self::from_codes), and
    /// [`Error::WrongCount`] unless there are exactly as many bytes as the codes need,
    /// [`Error::PaddingNotZero`] if bits behind the last code are set,
    /// [`Error::ShapeOverflow`] if the shape has more elements than can be counted.
    pub fn from_packed(shape: Vec<usize>, packed: Vec<u8>, parameters: Parameters) -> Result<Self> {
        let len = shape::count(&shape)?;
        parameters.check(&shape)?;
        let bits = parameters.scheme().bits();
        let expected = pack::bytes_for(len, bits);
        if packed.len() != expected {
            return Err(Error::WrongCount {
                what: "bytes of packed codes",
                given: packed.len(),
                expected,
            });
        }
        if !pack::padding_is_zero(&packed, len, bits) {
            return Err(Error::PaddingNotZero { what: "codes", len });
        }
        let tensor = Self {
            shape,
            len,
            packed,
            parameters,
            mask: None,
        };
        if tensor.parameters.refuse_some() {
            check_codes(&tensor.flat_codes(), &tensor.shape, &tensor.parameters)?;
        }
        Ok(tensor)
    }

    /// A tensor whose parts a quantizer of ours has made.
    pub(super) fn from_checked(shape: &[usize], packed: Vec<u8>, parameters: Parameters) -> Self {
        debug_assert!(
            parameters.check(shape).is_ok(),
            "quantizers make whole tensors"
        );
        Self {
            shape: shape.to_vec(),
            len: shape.iter().product(),
            packed,
            parameters,
            mask: None,
        }
    }

    /// A tensor without weights.
    pub(super) fn none(scheme: Scheme) -> Self {
        let mut parameters = Parameters::new(scheme, Granularity::PerTensor, Vec::new());
        parameters.take();
        Self {
            shape: vec![0],
            len: 0,
            packed: Vec::new(),
            parameters,
            mask: None,
        }
    }

    /// The shape of the tensor.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many weights there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no weights at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What a code means.
    pub fn scheme(&self) -> Scheme {
        self.parameters.scheme()
    }

    /// Which weights share a scale.
    pub fn granularity(&self) -> Granularity {
        self.parameters.granularity()
    }

    /// Everything that turns codes back into numbers.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// One scale for the tensor, or one for each channel.
    pub fn scales(&self) -> &[f32] {
        self.parameters.scales()
    }

    /// The code that means 0, for each scale; empty where the scheme has no zero points: there it
    /// is 0.
    pub fn zero_points(&self) -> &[i32] {
        self.parameters.zero_points()
    }

    /// Whether some code of each scale means exactly 0: [`Parameters::keeps_zero`].
    pub fn keeps_zero(&self) -> bool {
        self.parameters.keeps_zero()
    }

    /// The packed codes.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The codes as an array.
    pub fn codes(&self) -> ArrayD<i32> {
        let mut codes = self.flat_codes().into_iter();
        ArrayD::from_shape_simple_fn(IxDyn(&self.shape), || codes.next().unwrap_or(0))
    }

    fn flat_codes(&self) -> Vec<i32> {
        let mut codes = vec![0; self.len];
        let scheme = self.scheme();
        pack::unpack_codes(&self.packed, scheme.bits(), scheme.is_signed(), &mut codes);
        codes
    }

    /// Bytes of everything that must be stored: packed codes, scales, zero points and codebook, and the mask if one is
    /// kept.
    pub fn bytes(&self) -> usize {
        let mask = self.mask.as_ref().map_or(0, Mask::bytes);
        self.packed.len() + self.parameters.bytes() + mask
    }

    /// Bits stored per weight, everything counted; 0 where there are no weights.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio; counts above 2⁵³ do not occur"
    )]
    pub fn bits_per_weight(&self) -> f64 {
        if self.is_empty() {
            0.0
        } else {
            8.0 * self.bytes() as f64 / self.len as f64
        }
    }

    /// The numbers that the codes mean, (code − zero point) · scale or entry · scale, in a new array.
    ///
    /// Each is rounded once to `F`; in f64 the product is exact. A zero point that is a float is taken off in `F`, with
    /// a rounding of its own. What a mask that is kept beside the codes drops is +0.
    pub fn dequantize<F: Float>(&self) -> ArrayD<F> {
        let mut values = ArrayD::zeros(IxDyn(&self.shape));
        self.decode(&mut values);
        values
    }

    /// The numbers that the codes mean, in a given array.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if `values` have another shape.
    pub fn dequantize_into<F: Float, D: Dimension>(
        &self,
        values: &mut ArrayRef<F, D>,
    ) -> Result<()> {
        shape::check_same("quantized tensor", &self.shape, "array", values.shape())?;
        self.decode(values);
        Ok(())
    }

    fn decode<F: Float, D: Dimension>(&self, values: &mut ArrayRef<F, D>) {
        // The parameters fit the shape, so there are tiles.
        let Ok(tiling) = self.granularity().tiling(&self.shape) else {
            return;
        };
        let table = self.parameters.table();
        let scales = 0..self.scales().len();
        array::update(values, |values| {
            let parameters = (&self.parameters, table.as_deref());
            decode_codes(&self.packed, &tiling, parameters, scales, values);
            if let Some(mask) = &self.mask {
                bits::apply(mask.words(), values, F::zero());
            }
        });
    }

    /// The buffers of a tensor that is written anew. What is left has no weights.
    pub(super) fn take_buffers(&mut self) -> (Vec<u8>, Vec<f32>, Vec<i32>) {
        self.shape = vec![0];
        self.len = 0;
        self.mask = None;
        let packed = std::mem::take(&mut self.packed);
        let (scales, zero_points) = self.parameters.take();
        (packed, scales, zero_points)
    }
}

/// Fails with the first code that means no number.
fn check_codes(codes: &[i32], shape: &[usize], parameters: &Parameters) -> Result<()> {
    let range = parameters.codes();
    if let Some(place) = codes.iter().position(|code| !range.contains(code)) {
        return Err(Error::CodeOutOfRange {
            what: "code",
            index: shape::index_of(place, shape),
            value: codes[place],
            least: *range.start(),
            most: *range.end(),
        });
    }
    let Some(format) = parameters.scheme().minifloat() else {
        return Ok(());
    };
    let number = |code: i32| format.decode(u8::try_from(code).unwrap_or_default());
    match codes.iter().position(|&code| !number(code).is_finite()) {
        None => Ok(()),
        Some(place) => {
            let value = f64::from(number(codes[place]));
            Err(Error::not_finite(
                "code",
                shape::index_of(place, shape),
                value,
            ))
        }
    }
}

impl fmt::Debug for QuantizedTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuantizedTensor")
            .field("shape", &self.shape)
            .field("scheme", &self.scheme())
            .field("granularity", &self.granularity())
            .field("scales", &self.scales().len())
            .field("bytes", &self.bytes())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Granularity, Parameters, QuantizedTensor, Scheme};
    use crate::Error;
    use ndarray::{Array2, Axis, array};

    fn per_tensor(scheme: Scheme, scale: f32) -> Parameters {
        Parameters::new(scheme, Granularity::PerTensor, vec![scale])
    }

    #[test]
    fn parts_come_back_as_they_went_in() {
        for bits in (2..=8).chain([16]) {
            let scheme = Scheme::affine(bits).unwrap();
            let codes = Array2::from_shape_fn((5, 7), |(i, j)| {
                let span = 1 << bits;
                (i * 7 + j) as i32 % span - span / 2
            });
            let parameters =
                Parameters::new(scheme, Granularity::PerChannel(Axis(1)), vec![0.5; 7])
                    .with_zero_points(vec![-1; 7]);
            let tensor = QuantizedTensor::from_codes(&codes, parameters.clone()).unwrap();
            assert_eq!(tensor.codes(), codes.clone().into_dyn());
            assert_eq!(tensor.bytes(), (35 * bits as usize).div_ceil(8) + 7 * 8);
            let packed = tensor.packed().to_vec();
            let again = QuantizedTensor::from_packed(vec![5, 7], packed, parameters).unwrap();
            assert_eq!(again, tensor);
            let restored = tensor.dequantize::<f64>();
            assert_eq!(
                restored,
                codes.mapv(|code| f64::from(code + 1) * 0.5).into_dyn()
            );
            let mut columns = Array2::<f32>::zeros((7, 5));
            tensor
                .dequantize_into(&mut columns.view_mut().reversed_axes())
                .unwrap();
            assert_eq!(columns.t().mapv(f64::from).into_dyn(), restored);
        }
    }

    #[test]
    fn codes_outside_the_scheme_are_refused() {
        let narrow = Scheme::symmetric(4).unwrap();
        let error = QuantizedTensor::from_codes(&array![[0, 1], [-8, 0]], per_tensor(narrow, 1.0));
        assert_eq!(
            error.unwrap_err().to_string(),
            "code [1, 0] must lie in -7..=7, got -8"
        );
        let error = QuantizedTensor::from_packed(vec![2], vec![0x80], per_tensor(narrow, 1.0));
        assert_eq!(
            error.unwrap_err().to_string(),
            "code [1] must lie in -7..=7, got -8"
        );
        let full = Scheme::symmetric_full_range(4).unwrap();
        assert!(QuantizedTensor::from_packed(vec![2], vec![0x80], per_tensor(full, 1.0)).is_ok());
    }

    #[test]
    fn scales_and_counts_are_checked() {
        let scheme = Scheme::symmetric(8).unwrap();
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let error = QuantizedTensor::from_codes(&array![1, 2], per_tensor(scheme, scale));
            assert!(
                matches!(error, Err(Error::ScaleOutOfRange { index: 0, .. })),
                "{scale}"
            );
        }
        let too_many = Parameters::new(scheme, Granularity::PerTensor, vec![1.0; 2]);
        let error = QuantizedTensor::from_codes(&array![1], too_many).unwrap_err();
        assert_eq!(error.to_string(), "2 scales given, 1 needed");
        let unasked = per_tensor(scheme, 1.0).with_zero_points(vec![0]);
        let error = QuantizedTensor::from_codes(&array![1], unasked).unwrap_err();
        assert_eq!(error.to_string(), "1 zero points given, 0 needed");
        let affine = Scheme::affine(4).unwrap();
        let outside = per_tensor(affine, 1.0).with_zero_points(vec![8]);
        let error = QuantizedTensor::from_codes(&array![1], outside).unwrap_err();
        assert_eq!(
            error.to_string(),
            "zero point [0] must lie in -8..=7, got 8"
        );
        let no_axis = Parameters::new(scheme, Granularity::PerChannel(Axis(1)), vec![1.0]);
        assert!(QuantizedTensor::from_codes(&array![1], no_axis).is_err());
    }

    #[test]
    fn packed_bytes_are_checked() {
        let parameters = || per_tensor(Scheme::affine(3).unwrap(), 1.0);
        let make =
            |bytes: &[u8]| QuantizedTensor::from_packed(vec![3], bytes.to_vec(), parameters());
        assert!(make(&[0xFF, 0x01]).is_ok());
        assert!(matches!(
            make(&[0xFF, 0x03]),
            Err(Error::PaddingNotZero { len: 3, .. })
        ));
        assert!(matches!(
            make(&[0xFF]),
            Err(Error::WrongCount {
                given: 1,
                expected: 2,
                ..
            })
        ));
        let huge = QuantizedTensor::from_packed(vec![usize::MAX, 2], vec![], parameters());
        assert!(matches!(huge, Err(Error::ShapeOverflow { .. })));
    }

    #[test]
    fn debug_is_short() {
        let parameters = per_tensor(Scheme::symmetric(4).unwrap(), 1.0);
        let tensor = QuantizedTensor::from_codes(&Array2::zeros((100, 100)), parameters).unwrap();
        let text = format!("{tensor:?}");
        assert!(
            text.contains("[100, 100]") && text.contains("bytes: 5004"),
            "{text}"
        );
        assert!(text.len() < 200, "{text}");
    }
}
