//! What can go wrong, in one type.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What can go wrong.
///
/// Every message says what was given and what would be right. Indices are those of the array that
/// was passed, one number an axis.
///
/// `Error` is `Clone`, `Send` and `Sync`; it is not `PartialEq`, because a failure from outside
/// ([`Error::External`]) cannot be compared. Match on the variant instead.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A fraction to prune is not a share: below 0, above 1, or NaN.
    #[error("amount must lie in 0..=1, got {amount}")]
    AmountOutOfRange {
        /// The fraction given.
        amount: f64,
    },

    /// A count to prune is larger than the tensor.
    #[error("count must lie in 0..={len}, the number of weights, got {count}")]
    CountOutOfRange {
        /// The count given.
        count: usize,
        /// How many weights there are.
        len: usize,
    },

    /// An element is NaN.
    #[error("{what} {index:?} is NaN")]
    NotANumber {
        /// What the element is: "weight", "score", "student logit", ...
        what: &'static str,
        /// Where it is; the first in row-major order.
        index: Vec<usize>,
    },

    /// An element is infinite where only finite numbers make sense.
    #[error("{what} {index:?} is {value}, must be finite")]
    Infinite {
        /// What the element is: "weight", "student logit", ...
        what: &'static str,
        /// Where it is; the first in row-major order.
        index: Vec<usize>,
        /// Positive or negative infinity.
        value: f64,
    },

    /// Two arrays that belong together have different shapes.
    #[error("shapes differ: {left} {left_shape:?}, {right} {right_shape:?}")]
    ShapeMismatch {
        /// What the one is.
        left: &'static str,
        /// Its shape.
        left_shape: Vec<usize>,
        /// What the other is.
        right: &'static str,
        /// Its shape.
        right_shape: Vec<usize>,
    },

    /// A shape has more elements than memory has addresses.
    #[error("shape {shape:?} has more elements than can be counted")]
    ShapeOverflow {
        /// The shape given.
        shape: Vec<usize>,
    },

    /// An axis does not exist.
    #[error("axis {axis} does not exist, the array has {ndim} axes")]
    AxisOutOfRange {
        /// The axis given.
        axis: usize,
        /// How many there are.
        ndim: usize,
    },

    /// A list has the wrong length.
    #[error("{given} {what} given, {expected} needed")]
    WrongCount {
        /// What is counted: "mask words", "scales", "labels", ...
        what: &'static str,
        /// How many were given.
        given: usize,
        /// How many would be right.
        expected: usize,
    },

    /// Bits behind the last element are set.
    #[error("bits behind the last of {len} {what} must be zero")]
    PaddingNotZero {
        /// What is packed: "mask bits" or "codes".
        what: &'static str,
        /// How many there are.
        len: usize,
    },

    /// A bit width that the scheme does not have.
    #[error("bits must lie in {least}..={most}, got {bits}")]
    BitsOutOfRange {
        /// The width given.
        bits: u32,
        /// The smallest width.
        least: u32,
        /// The largest width.
        most: u32,
    },

    /// A code or zero point does not fit its scheme.
    #[error("{what} {index:?} must lie in {least}..={most}, got {value}")]
    CodeOutOfRange {
        /// "code" or "zero point".
        what: &'static str,
        /// Where it is.
        index: Vec<usize>,
        /// The number given.
        value: i32,
        /// The smallest right one.
        least: i32,
        /// The largest right one.
        most: i32,
    },

    /// A scale is not a positive finite number.
    #[error("scale {index} must be positive and finite, got {scale}")]
    ScaleOutOfRange {
        /// Which scale.
        index: usize,
        /// The number given.
        scale: f32,
    },

    /// Weights are so large that their scale does not fit an f32.
    #[error("weights of channel {channel} reach {largest:e}, too large for a scale in f32")]
    ScaleOverflow {
        /// Which channel; 0 when quantizing per tensor.
        channel: usize,
        /// The largest magnitude there.
        largest: f64,
    },

    /// A temperature is not a positive finite number.
    #[error("temperature must be positive and finite, got {temperature}")]
    TemperatureOutOfRange {
        /// The temperature given.
        temperature: f64,
    },

    /// There is nothing to compute a loss over.
    #[error("logits have shape {shape:?}, at least one row and one class are needed")]
    NoLogits {
        /// The shape given.
        shape: Vec<usize>,
    },

    /// Every logit of a row is −∞, so it has no distribution.
    #[error("every logit of {side} row {row} is -inf, at least one must be finite")]
    MaskedRow {
        /// "student" or "teacher".
        side: &'static str,
        /// Which row.
        row: usize,
    },

    /// The loss is infinite and therefore has no gradient.
    #[error(
        "the loss of row {row} is infinite: class {class} is possible for the target \
         and has a student logit of -inf"
    )]
    InfiniteLoss {
        /// Which row.
        row: usize,
        /// The first such class.
        class: usize,
    },

    /// A label names a class that does not exist.
    #[error("label of row {row} must lie in 0..{classes}, got {label}")]
    LabelOutOfRange {
        /// Which row.
        row: usize,
        /// The label given.
        label: usize,
        /// How many classes there are.
        classes: usize,
    },

    /// A setting is not usable.
    #[error("{what} must be {must}, got {value}")]
    NumberOutOfRange {
        /// What the number is: "power", "weight of a term", ...
        what: &'static str,
        /// What would be right.
        must: &'static str,
        /// The number given.
        value: f64,
    },

    /// The weight of a row is negative, infinite or NaN.
    #[error("weight of row {row} must be finite and not negative, got {weight}")]
    RowWeightOutOfRange {
        /// Which row.
        row: usize,
        /// The weight given.
        weight: f64,
    },

    /// All rows weigh nothing, so there is no mean over weights.
    #[error("the weights of all {rows} rows are zero, so there is no mean over them")]
    NoWeight {
        /// How many rows there are.
        rows: usize,
    },

    /// A loss needs a part of the target that is not there.
    #[error("{loss} needs a target with {part}")]
    MissingTarget {
        /// Which loss.
        loss: &'static str,
        /// Which part: "teacher output", "labels", ...
        part: &'static str,
    },

    /// A target already holds a teacher's output where the teacher is about to be asked.
    #[error("the target already holds a teacher output; pass it to `Distiller::learn` instead")]
    TeacherGivenTwice,

    /// A gradient or output lacks a named feature, or has one that does not belong.
    #[error("feature {name:?} is in one output and not in the other")]
    FeatureMismatch {
        /// Its name.
        name: String,
    },

    /// The steps of a schedule are not in order.
    #[error("steps must ascend, got {later} after {earlier}")]
    StepsNotAscending {
        /// The earlier in the list.
        earlier: u64,
        /// What follows it.
        later: u64,
    },

    /// Squares of the values do not fit an f64, so errors cannot be summed.
    #[error("values of tensor {tensor:?} are too large to sum their squares")]
    SumOverflow {
        /// The tensor's name.
        tensor: String,
    },

    /// An error with the name of the tensor that it belongs to.
    #[error("tensor {tensor:?}: {source}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// What went wrong there.
        source: Box<Self>,
    },

    /// A failure of the caller's own code: a model, a teacher, a loss.
    #[error("{0}")]
    External(#[source] External),
}

impl Error {
    /// Wraps a failure of the caller's own code, so that it can pass through ours.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::Error;
    ///
    /// let error = Error::external(std::fmt::Error);
    /// assert!(error.downcast_ref::<std::fmt::Error>().is_some());
    /// ```
    pub fn external(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::External(External(Arc::from(source.into())))
    }

    /// The failure that went in by [`Error::external`], if this is one of type `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Self::External(external) => external.0.downcast_ref(),
            Self::Tensor { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }

    /// The same error with the name of the tensor that it belongs to.
    #[must_use]
    pub fn in_tensor(self, tensor: impl Into<String>) -> Self {
        Self::Tensor {
            tensor: tensor.into(),
            source: Box::new(self),
        }
    }
}

/// A failure of the caller's own code, as [`Error::external`] took it.
#[derive(Clone)]
pub struct External(Arc<dyn StdError + Send + Sync>);

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for External {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// What our functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
