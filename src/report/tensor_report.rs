//! What compression did to one tensor.

#[cfg(feature = "serde")]
use crate::error::{Error, Result};
use crate::kernels::fidelity::Sums;
#[cfg(feature = "serde")]
use crate::shape;

/// What compression did to one tensor, or to all of them together.
///
/// With x the original weights and y what comes back:
///
/// | | formula | unit |
/// |---|---|---|
/// | [`bits_per_weight`](Self::bits_per_weight) | 8 · bytes after / weights | bits |
/// | [`sparsity`](Self::sparsity) | share of y that is 0 | |
/// | [`sqnr_db`](Self::sqnr_db) | 10 · log₁₀(Σ x² / Σ (x − y)²) | dB |
/// | [`mean_squared_error`](Self::mean_squared_error) | Σ (x − y)² / weights | |
/// | [`largest_error`](Self::largest_error) | max \|x − y\| | |
/// | [`cosine`](Self::cosine) | Σ x·y / (‖x‖ · ‖y‖) | |
///
/// The sums run in f64 and are the same bits for any number of threads.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub struct TensorReport {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) len: usize,
    pub(super) bytes_before: usize,
    pub(super) bytes_after: usize,
    pub(super) sums: Sums,
}

/// A report as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written {
    name: String,
    shape: Vec<usize>,
    len: usize,
    bytes_before: usize,
    bytes_after: usize,
    sums: Sums,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for TensorReport {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let counted = |what, given, expected| {
            Err(Error::WrongCount {
                what,
                given,
                expected,
            })
        };
        let len = shape::count(&written.shape)?;
        if written.len != len {
            return counted("weights", written.len, len);
        }
        if written.sums.zeros > len {
            return counted("weights that are 0", written.sums.zeros, len);
        }
        if !written.sums.is_finite() {
            return Err(Error::SumOutOfRange);
        }
        Ok(Self {
            name: written.name,
            shape: written.shape,
            len,
            bytes_before: written.bytes_before,
            bytes_after: written.bytes_after,
            sums: written.sums,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ratios; counts above 2⁵³ do not occur"
)]
impl TensorReport {
    pub(super) fn nothing(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            shape: vec![0],
            len: 0,
            bytes_before: 0,
            bytes_after: 0,
            sums: Sums::default(),
        }
    }

    /// What these sums say of a tensor that took so many bytes, before and after.
    #[cfg(feature = "recipe")]
    pub(crate) fn of_sums(name: &str, shape: &[usize], bytes: (usize, usize), sums: Sums) -> Self {
        Self {
            name: name.to_owned(),
            shape: shape.to_vec(),
            len: shape.iter().product(),
            bytes_before: bytes.0,
            bytes_after: bytes.1,
            sums,
        }
    }

    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tensor's shape; for a total, the number of weights.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many weights there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no weights at all.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the original weights.
    pub const fn bytes_before(&self) -> usize {
        self.bytes_before
    }

    /// Bytes of the compressed form, everything counted that is needed to restore it.
    pub const fn bytes_after(&self) -> usize {
        self.bytes_after
    }

    /// How many weights of the restored tensor are not zero.
    pub const fn nonzero(&self) -> usize {
        self.len - self.sums.zeros
    }

    /// Bits stored per weight; 0 where there are no weights.
    pub fn bits_per_weight(&self) -> f64 {
        self.per_weight(8.0 * self.bytes_after as f64)
    }

    /// The share of restored weights that are zero, in 0..=1.
    pub fn sparsity(&self) -> f64 {
        self.per_weight(self.sums.zeros as f64)
    }

    /// Signal to quantization noise ratio in decibels; infinite where nothing was lost.
    pub fn sqnr_db(&self) -> f64 {
        if self.sums.noise == 0.0 {
            return f64::INFINITY;
        }
        // Not the logarithm of the quotient, which may leave the range of an f64.
        10.0 * (self.sums.original.log10() - self.sums.noise.log10())
    }

    /// Mean squared error.
    pub fn mean_squared_error(&self) -> f64 {
        self.per_weight(self.sums.noise)
    }

    /// The largest difference between a weight and what came back.
    pub const fn largest_error(&self) -> f64 {
        self.sums.largest_error
    }

    /// Cosine similarity, in −1..=1; 1 where both are all zeros, 0 where only one is.
    pub fn cosine(&self) -> f64 {
        let norms = self.sums.original.sqrt() * self.sums.restored.sqrt();
        if norms > 0.0 {
            return (self.sums.product / norms).clamp(-1.0, 1.0);
        }
        if self.sums.original == self.sums.restored {
            1.0
        } else {
            0.0
        }
    }

    fn per_weight(&self, sum: f64) -> f64 {
        if self.is_empty() {
            0.0
        } else {
            sum / self.len as f64
        }
    }
}
