//! From which sparsity on a layer is faster than its dense twin.

use super::Speed;
use crate::error::{Error, Result};
use std::fmt;

/// How fast layers of several sparsities are next to one dense layer, and from which on they pay.
///
/// It comes from [`SpeedTest::break_even`](super::SpeedTest::break_even), or from a caller's own measurements by
/// [`of`](Self::of).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BreakEven {
    points: Vec<(f64, Speed)>,
}

impl BreakEven {
    /// The curve through these measurements, sparsity by sparsity.
    ///
    /// # Errors
    ///
    /// [`Error::WrongCount`] where there is none, [`Error::NumberOutOfRange`] where a sparsity does not lie in 0..=1 or
    /// is not larger than the one before it.
    pub fn of(points: Vec<(f64, Speed)>) -> Result<Self> {
        check_sparsities(points.iter().map(|(sparsity, _)| *sparsity))?;
        Ok(Self { points })
    }

    /// Each sparsity and how fast the layer of it is, the least sparse first.
    pub fn points(&self) -> &[(f64, Speed)] {
        &self.points
    }

    /// The least measured sparsity from which on it pays: there, and at every larger one that was measured. `None`
    /// where it does not pay at the largest.
    pub fn pays_from(&self) -> Option<f64> {
        let paying = self.points.iter().rev();
        paying
            .take_while(|(_, speed)| speed.pays())
            .last()
            .map(|(sparsity, _)| *sparsity)
    }
}

/// Fails unless these are sparsities that a curve can go through.
pub(super) fn check_sparsities(sparsities: impl IntoIterator<Item = f64>) -> Result<()> {
    let mut before = None;
    for sparsity in sparsities {
        let wrong = |must| Error::NumberOutOfRange {
            what: "sparsity",
            must,
            value: sparsity,
        };
        if !(0.0..=1.0).contains(&sparsity) {
            return Err(wrong("in 0..=1"));
        }
        if before.is_some_and(|before| sparsity <= before) {
            return Err(wrong("larger than the one before it"));
        }
        before = Some(sparsity);
    }
    before.map(drop).ok_or(Error::WrongCount {
        what: "sparsities",
        given: 0,
        expected: 1,
    })
}

impl fmt::Display for BreakEven {
    /// A line a sparsity, and one that says from where on it pays.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (sparsity, speed) in &self.points {
            writeln!(f, "sparsity {sparsity}, {speed}")?;
        }
        match self.pays_from() {
            Some(sparsity) => write!(f, "pays from sparsity {sparsity} on"),
            None => f.write_str("does not pay at any of these sparsities"),
        }
    }
}
