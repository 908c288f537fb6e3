//! What can go wrong, in one type.

mod bias;
mod calibration;
mod coupling;
mod external;
mod feature;
mod file;
mod infer;

pub use bias::BiasError;
pub use calibration::CalibrationError;
pub use coupling::CouplingError;
pub use external::{External, Result};
pub use feature::FeatureError;
pub use file::FileError;
pub use infer::InferError;

/// What can go wrong. Each message says what was given and what would be right; an index has a number an axis.
///
/// It is not `PartialEq`, as a failure from outside ([`Error::External`]) cannot be compared: match on the variant.
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

    /// A count of units to prune is larger than their number.
    #[error("count must lie in 0..={len}, the number of {what}, got {count}")]
    UnitCountOutOfRange {
        /// What is counted: "slices", "blocks", "units".
        what: &'static str,
        /// The count given.
        count: usize,
        /// How many there are.
        len: usize,
    },

    /// An axis does not fall into groups of equal size.
    #[error("axis {axis} has length {length}, which {by} does not divide")]
    NotDivisible {
        /// The axis.
        axis: usize,
        /// Its length.
        length: usize,
        /// The number that should divide it.
        by: usize,
    },

    /// Pruning what a mask left, by a pattern that ranks weights within groups.
    #[error("what a mask left is ranked over the whole tensor: the scope must be the tensor")]
    ScopeInCompound,

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
    #[error("bits must lie in {least}..={most} or be 16, got {bits}")]
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

    /// NaN should stay NaN in codes, none of which means it.
    #[error("no code means NaN: it can be an error or be clamped, not propagated")]
    NoCodeForNan,

    /// Parameters whose codes mean something else, where only integers will do.
    #[error("codes must be integers with an integer zero point or none, this scheme has others")]
    CodesNotIntegers,

    /// A scale is not a positive finite number.
    #[error("scale {index} must be positive and finite, got {scale}")]
    ScaleOutOfRange {
        /// Which scale.
        index: usize,
        /// The number given.
        scale: f32,
    },

    /// Weights are so large that their scale does not fit the float that it is stored in.
    #[error("weights of channel or block {channel} reach {largest:e}, too large for their scale")]
    ScaleOverflow {
        /// Which channel, 0 when quantizing per tensor; of a block format, which block.
        channel: usize,
        /// The largest magnitude there.
        largest: f64,
    },

    /// A temperature that is not positive, or whose square or inverse would leave the range of its float.
    #[error("temperature must lie in {least:e}..={most:e}, got {temperature}")]
    TemperatureOutOfRange {
        /// The temperature given.
        temperature: f64,
        /// The lowest that works.
        least: f64,
        /// The highest that works.
        most: f64,
    },

    /// A teacher's probability is not one.
    #[error("teacher probability {index:?} must be finite and not negative, got {value}")]
    NotAProbability {
        /// Row and class.
        index: Vec<usize>,
        /// What is there.
        value: f64,
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
        /// "student", "teacher", or "ensemble" for the mean of several teachers.
        side: &'static str,
        /// Which row.
        row: usize,
    },

    /// The loss is infinite and therefore has no gradient.
    #[error(
        "the loss of row {row} is infinite: class {class} is possible for the other side and has a {side} logit of -inf"
    )]
    InfiniteLoss {
        /// Who rules the class out: "student" or "teacher".
        side: &'static str,
        /// Which row.
        row: usize,
        /// The first such class.
        class: usize,
    },

    /// Terms of a sum are infinite with opposite signs.
    #[error("terms of the sum are infinite with opposite signs, so it has no value")]
    OppositeInfinities,

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

    /// A target names a class that does not exist.
    #[error("class in row {row} of a top-k target must lie in 0..{classes}, got {class}")]
    ClassOutOfRange {
        /// Which row.
        row: usize,
        /// The class given.
        class: usize,
        /// How many classes there are.
        classes: usize,
    },

    /// A class stands twice in a row of a target.
    #[error("classes in row {row} of a top-k target must differ, class {class} is there twice")]
    ClassRepeated {
        /// Which row.
        row: usize,
        /// The class.
        class: usize,
    },

    /// The logarithm of a probability is positive.
    #[error("log-probability of class {class} in row {row} must be at most 0, got {value}")]
    LogProbabilityOutOfRange {
        /// Which row.
        row: usize,
        /// Which class.
        class: usize,
        /// The number given.
        value: f64,
    },

    /// Probabilities of one row sum to more than 1.
    #[error("probabilities of row {row} must sum to at most 1, got {sum}")]
    ProbabilityOverflow {
        /// Which row.
        row: usize,
        /// Their sum.
        sum: f64,
    },

    /// A limit on memory is so low that not even one row fits.
    #[error("memory budget of {budget} bytes is too small, these shapes need at least {least}")]
    BudgetTooSmall {
        /// The budget given.
        budget: usize,
        /// The smallest that would do.
        least: usize,
    },

    /// A teacher's class would go to two of the student's, and count twice.
    #[error("teacher class {class} goes to student classes {first} and {second}, one is right")]
    ClassUsedTwice {
        /// The teacher's class.
        class: usize,
        /// The first student class that takes it.
        first: usize,
        /// The next one.
        second: usize,
    },

    /// A map between vocabularies names a class that does not exist.
    #[error("entry {entry} of the map must lie in 0..{classes}, got {class}")]
    MappedClassOutOfRange {
        /// Which entry of the map.
        entry: usize,
        /// The class that it names.
        class: usize,
        /// How many there are.
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
    #[error("none of {rows} rows counts, so there is no mean over them")]
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

    /// An output lacks a named feature that a loss compares.
    #[error("the {side} output has no feature {name:?}")]
    MissingFeature {
        /// "student" or "teacher".
        side: &'static str,
        /// The name that was looked for.
        name: String,
    },

    /// A feature cannot be used by a loss.
    #[error(transparent)]
    Feature(FeatureError),

    /// The steps of a schedule are not in order.
    #[error("steps must ascend, got {later} after {earlier}")]
    StepsNotAscending {
        /// The earlier in the list.
        earlier: u64,
        /// What follows it.
        later: u64,
    },

    /// A position in a store of examples is beyond its end.
    #[error("example of row {row} must lie in 0..{examples}, got {example}")]
    ExampleOutOfRange {
        /// Which row of the batch asks for it.
        row: usize,
        /// The position given.
        example: usize,
        /// How many examples are stored.
        examples: usize,
    },

    /// A sequence is said to be longer than the batch has steps.
    #[error("length of sequence {sequence} must lie in 0..={time}, got {length}")]
    LengthOutOfRange {
        /// Which sequence of the batch.
        sequence: usize,
        /// The length given.
        length: usize,
        /// How many steps the batch has.
        time: usize,
    },

    /// Nothing has the name that was given.
    #[error("no {what} is named {name:?}")]
    UnknownName {
        /// What was looked for: "teacher", "averaged tensor", ...
        what: &'static str,
        /// The name given.
        name: String,
    },

    /// Two things have one name.
    #[error("two {what} are named {name:?}")]
    NameRepeated {
        /// What they are: "tensors", ...
        what: &'static str,
        /// The name.
        name: String,
    },

    /// The caller's watch said to stop; nothing was changed.
    #[error("stopped by the caller after {done} of {total}, nothing was changed")]
    Interrupted {
        /// How much was done.
        done: usize,
        /// How much there was to do.
        total: usize,
    },

    /// An error with the name of the teacher that it belongs to, one of several.
    #[error("teacher {name:?}: {error}")]
    Teacher {
        /// The teacher's name.
        name: String,
        /// What went wrong there.
        error: Box<Self>,
    },

    /// Something is to be timed on a target whose standard library has no clock.
    #[error("this target has no clock, one must be given: `SpeedTest::clock`")]
    NoClock,

    /// Squares of the values leave the range of an f64, so errors cannot be summed.
    #[error("values are too large or too small to sum their squares")]
    SumOutOfRange,

    /// A file that cannot be read or written, or is not what it should be.
    #[error(transparent)]
    File(FileError),

    /// A row that a file does not hold.
    #[error("position must lie in 0..{rows}, got {position}")]
    PositionOutOfRange {
        /// The position given.
        position: u64,
        /// How many rows there are.
        rows: u64,
    },

    /// An error with the name of the tensor that it belongs to.
    #[error("tensor {tensor:?}: {error}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// What went wrong there.
        error: Box<Self>,
    },

    /// A bias cannot be made of integers.
    #[error(transparent)]
    Bias(BiasError),

    /// Statistics cannot be merged, or have seen nothing.
    #[error(transparent)]
    Calibration(CalibrationError),

    /// Axes are declared to be coupled that cannot be.
    #[error(transparent)]
    Coupling(CouplingError),

    /// A layer cannot be made of these weights, or not compute.
    #[error(transparent)]
    Infer(InferError),

    /// A failure of the caller's own code: a model, a teacher, a loss.
    #[error(transparent)]
    External(External),
}
