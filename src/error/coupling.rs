//! What can be wrong with axes that are declared to be coupled.

/// What can be wrong with axes that are declared to be coupled, or with a choice among their units.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CouplingError {
    /// Nothing is coupled.
    #[error("no axes are coupled, at least one is needed")]
    NoAxes,

    /// Two coupled axes have different numbers of units.
    #[error(
        "coupled axes have different numbers of units: axis {first_axis} of {first:?} has \
         {first_units}, axis {axis} of {tensor:?} has {units}"
    )]
    Units {
        /// The tensor of the first axis.
        first: String,
        /// The first axis.
        first_axis: usize,
        /// How many units that has.
        first_units: usize,
        /// The tensor of the axis that differs.
        tensor: String,
        /// The axis that differs.
        axis: usize,
        /// How many units that has.
        units: usize,
    },

    /// A part of an axis does not lie within it.
    #[error(
        "axis {axis} of {tensor:?} has {length} indices, the part {start}..{end} does not lie within"
    )]
    Part {
        /// The tensor.
        tensor: String,
        /// Its axis.
        axis: usize,
        /// How long that is.
        length: usize,
        /// Where the part begins.
        start: usize,
        /// Where the part ends.
        end: usize,
    },

    /// An axis does not divide into units.
    #[error("{length} indices of axis {axis} of {tensor:?} do not divide into units of {per_unit}")]
    Undivided {
        /// The tensor.
        tensor: String,
        /// Its axis.
        axis: usize,
        /// How many indices are coupled.
        length: usize,
        /// How many make a unit.
        per_unit: usize,
    },

    /// An index belongs to two units, or twice to one.
    #[error("index {index} of axis {axis} of {tensor:?} is coupled twice")]
    Overlap {
        /// The tensor.
        tensor: String,
        /// Its axis.
        axis: usize,
        /// The index.
        index: usize,
    },

    /// A unit that does not exist.
    #[error("unit must lie in 0..{units}, got {unit}")]
    UnitOutOfRange {
        /// The unit given.
        unit: usize,
        /// How many there are.
        units: usize,
    },

    /// A count of units to drop is larger than their number.
    #[error("count must lie in 0..={units}, the number of units, got {count}")]
    CountOutOfRange {
        /// The count given.
        count: usize,
        /// How many there are.
        units: usize,
    },

    /// Units are not in order, or one stands twice.
    #[error("units must ascend, got {later} after {earlier}")]
    UnitsNotAscending {
        /// The earlier in the list.
        earlier: usize,
        /// What follows it.
        later: usize,
    },
}
