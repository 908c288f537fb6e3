//! Which values go together, and which do not count: the settings that all observers have.

use crate::error::{CalibrationError, Error, Result};
use crate::float::Float;
use crate::kernels::ranges::Finite;
use crate::kernels::real::Real;
use crate::kernels::tiling::Tiling;
use crate::kernels::units::Slices;
use crate::shape;
use ndarray::Axis;

/// What an observer makes of values that are not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum NonFinite {
    /// The first is an error, and nothing of its batch counts.
    #[default]
    Error,
    /// They do not count.
    Skip,
}

/// The settings that all observers have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Channels {
    /// The axis each index of which is observed by itself.
    pub(super) axis: Option<Axis>,
    pub(super) non_finite: NonFinite,
}

impl Channels {
    pub(super) const fn new() -> Self {
        Self {
            axis: None,
            non_finite: NonFinite::Error,
        }
    }

    pub(super) fn finite(self) -> Finite {
        match self.non_finite {
            NonFinite::Error => Finite::Required,
            NonFinite::Skip => Finite::Skipped,
        }
    }

    /// How an array of this shape falls into channels, of which there should be `known` if that is not 0.
    pub(super) fn slices(self, shape: &[usize], known: usize) -> Result<Slices> {
        let Some(Axis(axis)) = self.axis else {
            return Ok(Slices {
                outer: 1,
                count: 1,
                inner: shape.iter().product(),
            });
        };
        let Some(&count) = shape.get(axis) else {
            let ndim = shape.len();
            return Err(Error::AxisOutOfRange { axis, ndim });
        };
        if known != 0 && count != known {
            return Err(wrong_count(count, known));
        }
        Ok(Slices {
            outer: shape[..axis].iter().product(),
            count,
            inner: shape[axis + 1..].iter().product(),
        })
    }

    /// The same as tiles.
    pub(super) fn tiling(self, shape: &[usize], known: usize) -> Result<Tiling> {
        self.slices(shape, known)?;
        let mut tile = vec![usize::MAX; shape.len()];
        if let Some(Axis(axis)) = self.axis {
            tile[axis] = 1;
        }
        let overflow = || Error::ShapeOverflow {
            shape: shape.to_vec(),
        };
        Tiling::new(shape, &tile).ok_or_else(overflow)
    }

    /// Fails unless statistics with these settings, of so many channels (0 if nothing was observed), can be merged.
    pub(super) fn check_same(self, own: usize, other: Self, others: usize) -> Result<()> {
        for (what, same) in [
            ("axis", self.axis == other.axis),
            (
                "treatment of what is not finite",
                self.non_finite == other.non_finite,
            ),
        ] {
            if !same {
                return Err(Error::Calibration(CalibrationError::StatisticsDiffer {
                    what,
                }));
            }
        }
        if own != 0 && others != 0 && own != others {
            return Err(wrong_count(others, own));
        }
        Ok(())
    }
}

fn wrong_count(given: usize, expected: usize) -> Error {
    Error::WrongCount {
        what: "channels",
        given,
        expected,
    }
}

/// The error for the value at `place`.
pub(super) fn not_finite<F: Float>(flat: &[F], place: usize, shape: &[usize]) -> Error {
    Error::not_finite("value", shape::index_of(place, shape), flat[place].widen())
}
