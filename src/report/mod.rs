//! What compression did, in numbers that people can check.
//!
//! A [`Report`] has one row a tensor and the totals: bytes before and after, bits per weight with
//! everything counted that must be stored, sparsity, and how far the restored weights are from the
//! original ones. A [`Drift`] says how far the network's answers moved, a [`Speed`] whether a compressed layer is
//! faster than the dense one, a [`BreakEven`] from which sparsity on. All print as an aligned
//! table, as Markdown and as JSON, the same bytes for the same input. (Speeds are measured, so they are another input
//! each time.)
//!
//! ```
//! use ndarray::{Array2, array};
//! use rarefy::quantize;
//! use rarefy::report::Report;
//!
//! let weights = Array2::from_shape_fn((64, 32), |(i, j)| ((i * 37 + j * 11) % 101) as f32 - 50.0);
//! let bias = array![0.5_f32, -0.25];
//! let q = quantize::linear(&weights, 4)?;
//!
//! let mut report = Report::new();
//! report.add_quantized("hidden.weight", &weights, &q)?;
//! report.add("hidden.bias", &bias, &bias, 8)?; // left as it is
//! assert_eq!(report.total().bytes_after(), 64 * 32 / 2 + 4 + 8);
//! println!("{report}");
//! # Ok::<(), rarefy::Error>(())
//! ```

mod drift;
mod render;
mod speeds;
mod table;
mod tensor_report;

pub use drift::Drift;
pub use tensor_report::TensorReport;

use crate::error::{Error, Result};
use crate::float::Float;
use crate::infer::speed::{BreakEven, Speed};
use crate::kernels::array;
use crate::kernels::fidelity::{self, Sums};
use crate::kernels::real::Real;
use crate::quantize::QuantizedTensor;
use crate::shape;
use ndarray::{ArrayRef, Dimension};

/// What compression did to each tensor of a model, and in total; to its answers; and to its speed.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Report {
    tensors: Vec<TensorReport>,
    drift: Option<Drift>,
    speeds: Vec<(String, Speed)>,
    break_evens: Vec<(String, BreakEven)>,
}

impl Report {
    /// A report without rows.
    pub const fn new() -> Self {
        Self {
            tensors: Vec::new(),
            drift: None,
            speeds: Vec::new(),
            break_evens: Vec::new(),
        }
    }

    /// Adds a tensor that was compressed: what it was, what comes back from the compressed form, and
    /// how many bytes that form takes, all told.
    ///
    /// For a tensor that is left as it is, `restored` is `original` and `bytes_after` is
    /// `size_of::<F>()` times its length. For one stored as kept weights and a mask it is
    /// `mask.bytes() + mask.kept() * size_of::<F>()`.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`], [`Error::NotANumber`], [`Error::Infinite`] and
    /// [`Error::SumOutOfRange`], each with the name of the tensor. The report is then unchanged.
    pub fn add<F: Float, D: Dimension>(
        &mut self,
        name: impl Into<String>,
        original: &ArrayRef<F, D>,
        restored: &ArrayRef<F, D>,
        bytes_after: usize,
    ) -> Result<()> {
        let name = name.into();
        let sums = match compare(original, restored).and_then(|sums| self.check_total(sums)) {
            Ok(sums) => sums,
            Err(error) => return Err(error.in_tensor(name)),
        };
        self.tensors.push(TensorReport {
            name,
            shape: original.shape().to_vec(),
            len: original.len(),
            bytes_before: original.len().saturating_mul(size_of::<F>()),
            bytes_after,
            sums,
        });
        Ok(())
    }

    /// Fails if the sums over all tensors would leave the range of an f64 with these.
    fn check_total(&self, sums: Sums) -> Result<Sums> {
        if self.total().sums.plus(sums).is_finite() {
            Ok(sums)
        } else {
            Err(Error::SumOutOfRange)
        }
    }

    /// Adds what is known of a tensor: of one of another report, or of parts of a job.
    ///
    /// # Errors
    ///
    /// [`Error::SumOutOfRange`] if the sums over all tensors leave the range of an f64. The report is then unchanged.
    pub fn add_tensor(&mut self, tensor: TensorReport) -> Result<()> {
        let total = self.total();
        // Then no count of zeros can overflow either.
        let counted = total.len.checked_add(tensor.len).is_some();
        if !counted || !total.sums.plus(tensor.sums).is_finite() {
            return Err(Error::SumOutOfRange);
        }
        self.tensors.push(tensor);
        Ok(())
    }

    /// Adds a tensor that was quantized.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn add_quantized<F: Float, D: Dimension>(
        &mut self,
        name: impl Into<String>,
        original: &ArrayRef<F, D>,
        quantized: &QuantizedTensor,
    ) -> Result<()> {
        let original = original.view().into_dyn();
        self.add(
            name,
            &*original,
            &*quantized.dequantize::<F>(),
            quantized.bytes(),
        )
    }

    /// The same with what happened to the network's answers.
    #[must_use]
    pub const fn with_drift(mut self, drift: Drift) -> Self {
        self.drift = Some(drift);
        self
    }

    /// Adds how fast a compressed layer is next to its dense twin.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::infer::speed::{Compared, Speed};
    /// use rarefy::report::Report;
    ///
    /// let layers = Compared {
    ///     rows: 1,
    ///     inputs: 64,
    ///     outputs: 32,
    ///     compressed_bytes: 2176,
    ///     dense_bytes: 8192,
    /// };
    /// let mut report = Report::new();
    /// // In earnest it comes from `SpeedTest::measure`.
    /// report.add_speed("hidden", Speed::of_rounds(layers, &[(0.5e-6, 2e-6); 8])?);
    /// let text = "\
    /// layer   shape     rows  sparsity  bytes  stored  dense µs    µs  ratio  least  largest  verdict
    /// hidden  [32, 64]     1             8192    2176      2.00  0.50  0.250  0.250    0.250  faster";
    /// assert_eq!(report.to_string(), text);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    pub fn add_speed(&mut self, name: impl Into<String>, speed: Speed) {
        self.speeds.push((name.into(), speed));
    }

    /// Adds from which sparsity on a compressed form of a layer pays.
    pub fn add_break_even(&mut self, name: impl Into<String>, curve: BreakEven) {
        self.break_evens.push((name.into(), curve));
    }

    /// One row a tensor, in the order in which they were added.
    pub fn tensors(&self) -> &[TensorReport] {
        &self.tensors
    }

    /// What happened to the network's answers, if that was given.
    pub const fn drift(&self) -> Option<Drift> {
        self.drift
    }

    /// How fast layers are, by name, in the order in which they were added.
    pub fn speeds(&self) -> &[(String, Speed)] {
        &self.speeds
    }

    /// From which sparsity on forms of layers pay, by name, in the order in which they were added.
    pub fn break_evens(&self) -> &[(String, BreakEven)] {
        &self.break_evens
    }

    /// All tensors together, as if they were one.
    pub fn total(&self) -> TensorReport {
        let mut total = TensorReport::nothing("total");
        for tensor in &self.tensors {
            total.len += tensor.len;
            total.bytes_before = total.bytes_before.saturating_add(tensor.bytes_before);
            total.bytes_after = total.bytes_after.saturating_add(tensor.bytes_after);
            total.sums = total.sums.plus(tensor.sums);
        }
        total.shape = vec![total.len];
        total
    }
}

fn compare<F: Float, D: Dimension>(
    original: &ArrayRef<F, D>,
    restored: &ArrayRef<F, D>,
) -> Result<Sums> {
    shape::check_same("original", original.shape(), "restored", restored.shape())?;
    let (x, y) = (array::elements(original), array::elements(restored));
    let sums = fidelity::sums(&x, &y);
    if sums.is_finite() {
        // Squares of f64 numbers below 1e-162 are 0, and then the sums say that nothing is there.
        let lost = (sums.noise == 0.0 && sums.largest_error > 0.0)
            || (sums.restored == 0.0 && sums.zeros < y.len())
            || (sums.original == 0.0 && x.iter().any(|&x| x != F::zero()));
        return if lost {
            Err(Error::SumOutOfRange)
        } else {
            Ok(sums)
        };
    }
    for (what, values) in [("original weight", &x), ("restored weight", &y)] {
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            let index = shape::index_of(place, original.shape());
            return Err(Error::not_finite(what, index, values[place].widen()));
        }
    }
    Err(Error::SumOutOfRange)
}
