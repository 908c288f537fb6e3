//! A layer that stores few of its weights.

mod checks;
mod choice;
mod csr;
#[cfg(feature = "sprs")]
mod foreign;
mod format;
mod values;

pub use csr::Csr;
pub use format::SparseFormat;

use super::layer::check_activations;
use super::scratch::take;
use super::{Layer, Scratch, bias};
use crate::error::{Error, InferError, Result};
use crate::float::Float;
use crate::kernels::bits;
use crate::kernels::sparse::bits::Bits;
use crate::kernels::sparse::runs::Runs;
use crate::kernels::sparse::{self, Finish, Pattern, Stored};
use crate::mask::Mask;
use crate::shape;
use checks::{finite, singles};
use ndarray::{Array2, ArrayRef1, ArrayRef2, ArrayView2, ArrayViewMut2};
use std::fmt;
use values::Values;

/// A linear layer that stores only weights that are not zero, in f32 or as int8.
///
/// Where they belong is said in the way of a [`SparseFormat`]; [`best`](Self::best) chooses one. What is computed is
/// y = x · Wᵀ + bias in f32. With [`quantized`](Self::quantized) values, w = code · scale with one scale for each output,
/// and activations stay f32.
///
/// |y − exact| ≤ (n + 2) · 2⁻²⁴ · Σ|w·x| to first order, n stored values in the row, plus the rounding of the bias.
/// A few rows are read where the weights are, more are turned so that each weight meets all of them; sums go
/// another way there. So rows have the same bits whatever is given with them as long as there are few, and as long as
/// there are more: up to 3 are few for single columns (CSR) and for blocks whose width 8 does not divide, 16 for other
/// blocks, and 4 + ⌊24 · density⌋ for bitmasks and N:M; without AVX2, 3 for all.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::infer::{Layer, SparseFormat, SparseLinear};
///
/// let weights = array![[0.5_f32, 0.0, 0.0, -1.0], [0.0, 0.0, 2.0, 0.0]];
/// let layer = SparseLinear::new(&weights, None, SparseFormat::Csr)?;
/// let x = array![[2.0, 1.0, 3.0, 1.0]];
/// assert_eq!(layer.forward(&x)?, array![[0.0, 6.0]]);
/// assert_eq!((layer.stored(), layer.to_dense()), (3, weights));
///
/// // The same in a byte a value, one scale for each output.
/// let small = layer.quantized();
/// assert!((small.forward(&x)? - layer.forward(&x)?).iter().all(|error| error.abs() < 0.01));
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct SparseLinear {
    outputs: usize,
    inputs: usize,
    format: SparseFormat,
    places: Places,
    values: Values,
    bias: Vec<f32>,
}

/// Where stored values belong.
#[derive(Clone, Debug, PartialEq)]
enum Places {
    Bits(Bits),
    Runs(Runs),
}

impl SparseLinear {
    /// A layer of the weights that are not zero, of weights outputs × inputs.
    ///
    /// # Errors
    ///
    /// * [`Error::NotANumber`], [`Error::Infinite`]: a weight or a number of the bias is, as an f32.
    /// * [`Error::WrongCount`]: the bias has not one number for each output.
    /// * [`Error::NumberOutOfRange`]: a length in the format is 0, or more is kept of a group than it has.
    /// * [`InferError::TooManyInGroup`]: the weights are not N:M as the format says.
    /// * [`InferError::TooLarge`]: there is more to store than 32 bits count.
    pub fn new<F: Float>(
        weights: &ArrayRef2<F>,
        bias: Option<&ArrayRef1<F>>,
        format: SparseFormat,
    ) -> Result<Self> {
        let bias = bias::checked(bias, weights.nrows())?;
        Self::of(&singles(weights)?, weights.dim(), bias, format)
    }

    /// A layer of the weights that a mask keeps; the others count as zeros, whatever they are.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::infer::{SparseFormat, SparseLinear};
    /// use rarefy::prelude::*;
    /// use rarefy::prune::{Magnitude, Unstructured};
    ///
    /// let weights = array![[0.5_f32, 0.1, 0.2, -1.0]];
    /// let mask = Unstructured::new(Magnitude, 0.5).mask(&weights)?;
    /// let layer = SparseLinear::masked(&weights, &mask, None, SparseFormat::Bitmask)?;
    /// assert_eq!(layer.to_dense(), array![[0.5, 0.0, 0.0, -1.0]]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and [`Error::ShapeMismatch`] unless the mask has the shape of the weights.
    pub fn masked<F: Float>(
        weights: &ArrayRef2<F>,
        mask: &Mask,
        bias: Option<&ArrayRef1<F>>,
        format: SparseFormat,
    ) -> Result<Self> {
        shape::check_same("weights", weights.shape(), "mask", mask.shape())?;
        let bias = bias::checked(bias, weights.nrows())?;
        let elements = crate::kernels::array::elements(weights);
        let mut singles = F::singles_of(&elements).into_owned();
        bits::apply(mask.words(), &mut singles, 0.0);
        finite(&singles, weights.shape())?;
        Self::of(&singles, weights.dim(), bias, format)
    }

    /// A layer in the format that should be fastest for one row, by how many weights are zeros and how they lie.
    ///
    /// Blocks of 1 × 16 or 1 × 8 where they hold few zeros, CSR where 19 % of the weights or fewer are not zeros, and
    /// otherwise a bitmask: what 4096 × 4096 weights take in each, measured with AVX-512, decides. On a machine with
    /// AVX2 alone CSR is better from somewhat fewer zeros on.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn best<F: Float>(weights: &ArrayRef2<F>, bias: Option<&ArrayRef1<F>>) -> Result<Self> {
        let bias = bias::checked(bias, weights.nrows())?;
        let singles = singles(weights)?;
        let format = choice::best(&singles, weights.ncols());
        Self::of(&singles, weights.dim(), bias, format)
    }

    fn of(
        weights: &[f32],
        (outputs, inputs): (usize, usize),
        bias: Vec<f32>,
        format: SparseFormat,
    ) -> Result<Self> {
        format.check()?;
        let too_large = Error::Infer(InferError::TooLarge { outputs, inputs });
        // Blocks may reach beyond the inputs, by less than all of them.
        if u32::try_from(inputs.saturating_mul(2)).is_err() {
            return Err(too_large);
        }
        let shape = (outputs, inputs);
        let places = match format {
            SparseFormat::Bitmask => Bits::of_nonzero(weights, shape).map(Places::Bits),
            SparseFormat::SemiStructured { keep, of } => {
                let bits = Bits::of_groups(weights, shape, (keep, of)).map_err(|place| {
                    let index = [place / inputs, place % inputs];
                    Error::Infer(InferError::TooManyInGroup { index, keep, of })
                })?;
                Some(Places::Bits(bits))
            }
            SparseFormat::Csr => Runs::of_nonzero(weights, shape, (1, 1)).map(Places::Runs),
            SparseFormat::Blocks { outputs, inputs } => {
                Runs::of_nonzero(weights, shape, (outputs, inputs)).map(Places::Runs)
            }
        };
        let places = places.ok_or(too_large)?;
        let values = match &places {
            Places::Bits(bits) => bits.values_of(weights),
            Places::Runs(runs) => runs.values_of(weights),
        };
        Ok(Self {
            outputs,
            inputs,
            format,
            places,
            values: Values::Floats(values),
            bias,
        })
    }

    /// The same layer with values of int8: code · scale with the scale of its output, the largest magnitude there / 127.
    ///
    /// Places stay; a value that becomes the code 0 is still stored. Of a layer that is quantized already, it is a copy.
    #[must_use]
    pub fn quantized(&self) -> Self {
        Self {
            values: self.values.quantized(self.outputs, |output, call| {
                self.each(output, |value, _| call(value));
            }),
            ..self.clone()
        }
    }

    /// Whether values are int8.
    pub fn is_quantized(&self) -> bool {
        matches!(self.values, Values::Codes(..))
    }

    /// How it says where its weights belong.
    pub fn format(&self) -> SparseFormat {
        self.format
    }

    /// How many weights are stored, zeros among them where the format asks for them.
    pub fn stored(&self) -> usize {
        let mut count = 0;
        for output in 0..self.outputs {
            self.each(output, |_, _| count += 1);
        }
        count
    }

    /// The weights, outputs × inputs, exactly as they are computed with.
    pub fn to_dense(&self) -> Array2<f32> {
        let mut weights = Array2::zeros((self.outputs, self.inputs));
        for (output, mut row) in weights.outer_iter_mut().enumerate() {
            self.each(output, |value, input| {
                row[input] = self.values.get(output, value);
            });
        }
        weights
    }

    /// Calls with the number of each stored value of an output and its input.
    fn each(&self, output: usize, call: impl FnMut(usize, usize)) {
        match &self.places {
            Places::Bits(bits) => bits.each(output, call),
            Places::Runs(runs) => runs.each(output, call),
        }
    }

    fn compute(&self, x: &ArrayView2<'_, f32>, out: ArrayViewMut2<'_, f32>, scratch: &mut Scratch) {
        match &self.places {
            Places::Bits(bits) => self.compute_by(bits, x, out, scratch),
            Places::Runs(runs) => self.compute_by(runs, x, out, scratch),
        }
    }

    fn compute_by(
        &self,
        pattern: &impl Pattern,
        x: &ArrayView2<'_, f32>,
        out: ArrayViewMut2<'_, f32>,
        scratch: &mut Scratch,
    ) {
        match &self.values {
            Values::Floats(values) => self.compute_with(pattern, (values, &[]), x, out, scratch),
            Values::Codes(codes, scales) => {
                self.compute_with(pattern, (codes, scales), x, out, scratch);
            }
        }
    }

    fn compute_with<V: Stored>(
        &self,
        pattern: &impl Pattern,
        (values, scales): (&[V], &[f32]),
        x: &ArrayView2<'_, f32>,
        out: ArrayViewMut2<'_, f32>,
        scratch: &mut Scratch,
    ) {
        let finish = Finish {
            scales,
            bias: &self.bias,
        };
        let room = take(&mut scratch.floats, sparse::room(pattern, x.nrows()));
        sparse::product(pattern, values, finish, x, out, room);
    }
}

impl fmt::Debug for SparseLinear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SparseLinear")
            .field("outputs", &self.outputs)
            .field("inputs", &self.inputs)
            .field("format", &self.format)
            .field("stored", &self.stored())
            .field("quantized", &self.is_quantized())
            .field("bias", &!self.bias.is_empty())
            .finish_non_exhaustive()
    }
}

impl Layer for SparseLinear {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn bytes(&self) -> usize {
        let places = match &self.places {
            Places::Bits(bits) => bits.bytes(),
            Places::Runs(runs) => runs.bytes(),
        };
        places + self.values.bytes() + size_of_val(self.bias.as_slice())
    }

    fn forward_into(
        &self,
        x: &ArrayRef2<f32>,
        out: &mut ArrayRef2<f32>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        check_activations(self, x, out)?;
        self.compute(&x.view(), out.view_mut(), scratch);
        Ok(())
    }
}
