//! One axis of one tensor, and which of its indices make a unit.

use crate::error::{CouplingError, Error, Result};
use ndarray::Axis;
use std::ops::Range;

/// How the indices of an axis make units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Layout {
    /// A unit is this many indices in a row.
    Blocks(usize),
    /// A unit has this many indices, as far from one another as there are units.
    Interleaved(usize),
}

/// An axis of a named tensor that loses its slices together with others: one member of
/// [`CoupledAxes`](super::CoupledAxes).
///
/// | setting | default | meaning |
/// |---|---|---|
/// | [`blocks`](Self::blocks) | 1 | a unit is so many indices in a row: an attention head, a channel that was flattened as the slow index |
/// | [`interleaved`](Self::interleaved) | | a unit is every n-th index, n the number of units: a channel that was flattened as the fast index |
/// | [`part`](Self::part) | the whole axis | only these indices are coupled: the queries of a fused projection |
/// | [`unscored`](Self::unscored) | scored | it shrinks with the others and does not count when units are scored: running means |
///
/// # Examples
///
/// ```
/// use ndarray::Axis;
/// use rarefy::prune::CoupledAxis;
///
/// // Twelve heads of 64 in the keys of a projection that holds queries, keys and values.
/// let keys = CoupledAxis::new("attention.weight", Axis(0)).part(768..1536).blocks(64);
/// assert_eq!(keys.tensor(), "attention.weight");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CoupledAxis {
    pub(super) tensor: String,
    pub(super) axis: usize,
    part: Option<Range<usize>>,
    layout: Layout,
    pub(super) scored: bool,
}

impl CoupledAxis {
    /// This axis of the tensor of this name; each index is a unit.
    pub fn new(tensor: impl Into<String>, axis: Axis) -> Self {
        Self {
            tensor: tensor.into(),
            axis: axis.index(),
            part: None,
            layout: Layout::Blocks(1),
            scored: true,
        }
    }

    /// Makes `length` indices in a row one unit.
    #[must_use]
    pub const fn blocks(mut self, length: usize) -> Self {
        self.layout = Layout::Blocks(length);
        self
    }

    /// Makes `count` indices one unit, each as far from the next as there are units: u, u + units,
    /// u + 2 · units, ...
    #[must_use]
    pub const fn interleaved(mut self, count: usize) -> Self {
        self.layout = Layout::Interleaved(count);
        self
    }

    /// Couples only these indices; the others stay whatever is dropped.
    #[must_use]
    pub const fn part(mut self, indices: Range<usize>) -> Self {
        self.part = Some(indices);
        self
    }

    /// Leaves this axis out of the scores.
    #[must_use]
    pub const fn unscored(mut self) -> Self {
        self.scored = false;
        self
    }

    /// The name of the tensor.
    pub fn tensor(&self) -> &str {
        &self.tensor
    }

    /// The axis.
    pub const fn axis(&self) -> Axis {
        Axis(self.axis)
    }

    /// Which unit each index of the axis belongs to, and how many units there are.
    pub(super) fn units(&self, shape: &[usize]) -> Result<Units> {
        let Some(&length) = shape.get(self.axis) else {
            return Err(Error::AxisOutOfRange {
                axis: self.axis,
                ndim: shape.len(),
            }
            .in_tensor(&self.tensor));
        };
        let part = self.part.clone().unwrap_or(0..length);
        if part.start > part.end || part.end > length {
            return Err(Error::Coupling(CouplingError::Part {
                tensor: self.tensor.clone(),
                axis: self.axis,
                length,
                start: part.start,
                end: part.end,
            }));
        }
        let (Layout::Blocks(per_unit) | Layout::Interleaved(per_unit)) = self.layout;
        if per_unit == 0 || !part.len().is_multiple_of(per_unit) {
            return Err(Error::Coupling(CouplingError::Undivided {
                tensor: self.tensor.clone(),
                axis: self.axis,
                length: part.len(),
                per_unit,
            }));
        }
        let count = part.len() / per_unit;
        let mut of_index = vec![None; length];
        for (place, unit) in of_index[part].iter_mut().enumerate() {
            *unit = Some(match self.layout {
                Layout::Blocks(per_unit) => place / per_unit,
                Layout::Interleaved(_) => place % count,
            });
        }
        Ok(Units { count, of_index })
    }
}

/// The units of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Units {
    pub(super) count: usize,
    /// For each index the unit that it belongs to.
    pub(super) of_index: Vec<Option<usize>>,
}

#[cfg(test)]
mod tests {
    use super::CoupledAxis;
    use ndarray::Axis;

    fn units(axis: &CoupledAxis, length: usize) -> Vec<Option<usize>> {
        axis.units(&[length]).unwrap().of_index
    }

    #[test]
    fn indices_find_their_units() {
        let axis = CoupledAxis::new("w", Axis(0));
        assert_eq!(units(&axis, 3), [Some(0), Some(1), Some(2)]);
        let axis = axis.part(1..5);
        let blocks = axis.clone().blocks(2);
        assert_eq!(
            units(&blocks, 6),
            [None, Some(0), Some(0), Some(1), Some(1), None]
        );
        let interleaved = axis.interleaved(2);
        assert_eq!(
            units(&interleaved, 5),
            [None, Some(0), Some(1), Some(0), Some(1)]
        );
        let none = CoupledAxis::new("w", Axis(0)).interleaved(3);
        assert!(units(&none, 0).is_empty());
    }
}
