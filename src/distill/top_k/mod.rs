//! A teacher's likeliest classes: what is kept of it where all classes are too many.

use crate::distill::faults::error_of;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::likeliest::examine_doubtful;
use crate::kernels::real::Real;
use crate::kernels::top_k::top_k;
use crate::shape;
use ndarray::{Array2, ArrayRef2};
use std::fmt;

/// The sum of a row's probabilities may be so much above 1: what rounding logarithms of 2³²
/// probabilities to half precision can add.
const SLACK: f64 = 0.01;

/// The k likeliest classes of each row, with the logarithms of their probabilities.
///
/// ```text
/// log p = z − m − ln Σ_c exp(z_c − m),   over all classes, at temperature 1;   m = max z
/// ```
///
/// A language model has some hundred thousand classes, and its teacher's say of one token is a few
/// dozen of them and a rest. This is a target for [`TopKDivergence`](super::TopKDivergence), which
/// forgets the rest, and [`TailBucketDivergence`](super::TailBucketDivergence), which keeps its sum.
///
/// Both arrays have shape `[rows, k]`. Classes of a row are distinct; in what
/// [`from_logits`](Self::from_logits) makes, the likeliest comes first.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::TopKTarget;
///
/// let logits = array![[0.0_f64, 3.0, 1.0, 3.0]];
/// let target = TopKTarget::from_logits(&logits, 2)?;
/// assert_eq!(target.indices(), array![[1, 3]]);
/// assert!((target.log_probabilities()[[0, 0]] + 0.781_672).abs() < 1e-6);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct TopKTarget<F> {
    classes: usize,
    indices: Array2<u32>,
    log_probabilities: Array2<F>,
}

impl<F: Float> TopKTarget<F> {
    /// Classes and log-probabilities that exist already, of `classes` classes in all.
    ///
    /// A log-probability of −∞ is a class that cannot occur. The probabilities of a row may sum to
    /// less than 1, and to 1.01 for what rounding does.
    ///
    /// # Errors
    ///
    /// * [`Error::ShapeMismatch`]: the arrays have different shapes.
    /// * [`Error::NumberOutOfRange`]: k is 0 or more than `classes`, or `classes` is above 2³².
    /// * [`Error::ClassOutOfRange`], [`Error::ClassRepeated`]: a class does not exist, or stands in its
    ///   row twice.
    /// * [`Error::NotANumber`], [`Error::LogProbabilityOutOfRange`]: a log-probability is NaN, or
    ///   above 0.
    /// * [`Error::MaskedRow`]: every log-probability of a row is −∞.
    /// * [`Error::ProbabilityOverflow`]: the probabilities of a row sum to more than 1.01.
    pub fn new(classes: usize, indices: Array2<u32>, log_probabilities: Array2<F>) -> Result<Self> {
        Self::checked(classes, indices, log_probabilities, SLACK)
    }

    fn checked(
        classes: usize,
        indices: Array2<u32>,
        log_probabilities: Array2<F>,
        slack: f64,
    ) -> Result<Self> {
        let (left, right) = (indices.shape(), log_probabilities.shape());
        shape::check_same("indices", left, "log-probabilities", right)?;
        check_k(indices.ncols(), classes)?;
        let standard = |array: Array2<F>| match array.is_standard_layout() {
            true => array,
            false => array.as_standard_layout().into_owned(),
        };
        let indices = match indices.is_standard_layout() {
            true => indices,
            false => indices.as_standard_layout().into_owned(),
        };
        let target = Self {
            classes,
            indices,
            log_probabilities: standard(log_probabilities),
        };
        target.check_rows(slack)?;
        Ok(target)
    }

    fn check_rows(&self, slack: f64) -> Result<()> {
        let entries = (
            &*array::elements(&self.indices),
            &*array::elements(&self.log_probabilities),
        );
        let examine = |row| self.check_row(row, slack);
        examine_doubtful(entries, self.k(), self.classes, 1.0 + slack, examine)
    }

    /// The `k` likeliest classes of each row of a teacher's logits, the likeliest first.
    ///
    /// Exact; of equal logits the lower class goes first. Where fewer than k classes of a row are
    /// finite, the masked ones with the lowest numbers follow, with a log-probability of −∞.
    ///
    /// PyTorch: `log_softmax(logits, 1).topk(k)`, which leaves it open which of equal ones it takes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::distill::TopKTarget;
    ///
    /// let masked = f32::NEG_INFINITY;
    /// let target = TopKTarget::from_logits(&array![[masked, 0.0, masked]], 2)?;
    /// assert_eq!(target.indices(), array![[1, 0]]);
    /// assert_eq!(target.log_probabilities(), array![[0.0, masked]]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`Error::NoLogits`]: no rows or no classes.
    /// * [`Error::NumberOutOfRange`]: k is 0 or more than the number of classes, or there are more
    ///   than 2³² of those.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: a logit is NaN or +∞.
    /// * [`Error::MaskedRow`]: every logit of a row is −∞.
    pub fn from_logits(logits: &ArrayRef2<F>, k: usize) -> Result<Self> {
        let (rows, classes) = logits.dim();
        if logits.is_empty() {
            let shape = logits.shape().to_vec();
            return Err(Error::NoLogits { shape });
        }
        check_k(k, classes)?;
        let found = top_k(&array::elements(logits), classes, k);
        let (indices, logs) = found
            .map_err(|faulty| error_of(faulty, |_, class| logits[[faulty.row, class]].widen()))?;
        let of_shape = |_| Error::ShapeOverflow {
            shape: vec![rows, k],
        };
        Ok(Self {
            classes,
            indices: Array2::from_shape_vec((rows, k), indices).map_err(of_shape)?,
            log_probabilities: Array2::from_shape_vec((rows, k), logs).map_err(of_shape)?,
        })
    }

    /// Log-probabilities of all classes, −∞ for those that are not among the k: logits of a
    /// teacher that knows nothing else.
    ///
    /// [`KlDivergence`](super::KlDivergence) to them has the value of
    /// [`TopKDivergence`](super::TopKDivergence) if the student has the other classes masked as well.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeOverflow`] if they are more than memory has addresses.
    pub fn to_logits(&self) -> Result<Array2<F>> {
        let dimension = [self.rows(), self.classes];
        shape::count(&dimension)?;
        let mut logits = Array2::from_elem(dimension, F::neg_infinity());
        for (row, (indices, logs)) in self.pairs().enumerate() {
            for (&class, &log) in indices.iter().zip(logs) {
                logits[[row, class as usize]] = log;
            }
        }
        Ok(logits)
    }

    /// Classes and log-probabilities of each row.
    fn pairs(
        &self,
    ) -> impl Iterator<Item = (ndarray::ArrayView1<'_, u32>, ndarray::ArrayView1<'_, F>)> {
        let rows = self.indices.rows().into_iter();
        rows.zip(self.log_probabilities.rows())
    }

    fn check_row(&self, row: usize, slack: f64) -> Result<()> {
        let (indices, logs) = (self.indices.row(row), self.log_probabilities.row(row));
        if let Some(&class) = indices
            .iter()
            .find(|&&class| class as usize >= self.classes)
        {
            let classes = self.classes;
            return Err(Error::ClassOutOfRange {
                row,
                class: class as usize,
                classes,
            });
        }
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let class = pair[0] as usize;
            return Err(Error::ClassRepeated { row, class });
        }
        let mut sum = 0.0;
        for (place, &log) in logs.iter().enumerate() {
            if log.is_nan() {
                let (what, index) = ("log-probability", vec![row, place]);
                return Err(Error::NotANumber { what, index });
            }
            if log > F::zero() {
                return Err(Error::LogProbabilityOutOfRange {
                    row,
                    class: indices[place] as usize,
                    value: log.widen(),
                });
            }
            sum += log.widen().exp();
        }
        if logs.iter().all(|&log| log == F::neg_infinity()) {
            let side = "teacher top-k";
            return Err(Error::MaskedRow { side, row });
        }
        if sum > 1.0 + slack {
            return Err(Error::ProbabilityOverflow { row, sum });
        }
        Ok(())
    }
}

#[cfg(feature = "cache")]
mod refill;

impl<F> TopKTarget<F> {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.indices.nrows()
    }

    /// How many classes of each row are kept.
    pub fn k(&self) -> usize {
        self.indices.ncols()
    }

    /// How many classes there are in all.
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// The classes, of shape `[rows, k]`, in row-major order in memory.
    pub const fn indices(&self) -> &Array2<u32> {
        &self.indices
    }

    /// The logarithms of their probabilities, of shape `[rows, k]`, in row-major order in memory.
    pub const fn log_probabilities(&self) -> &Array2<F> {
        &self.log_probabilities
    }
}

impl<F> fmt::Debug for TopKTarget<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopKTarget")
            .field("rows", &self.rows())
            .field("k", &self.k())
            .field("classes", &self.classes)
            .finish()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number for a message")]
fn check_k(k: usize, classes: usize) -> Result<()> {
    if k == 0 || k > classes {
        return Err(Error::NumberOutOfRange {
            what: "k",
            must: "at least 1 and at most the number of classes",
            value: k as f64,
        });
    }
    if u32::try_from(classes - 1).is_err() {
        return Err(Error::NumberOutOfRange {
            what: "number of classes",
            must: "at most 2^32",
            value: classes as f64,
        });
    }
    Ok(())
}
