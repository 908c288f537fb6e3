//! Scores of units: every slice that a unit has, in every tensor, counts.

use super::axis::{CoupledAxis, Units};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::real::Real;
use crate::shape;
use ndarray::ArrayRefD;

/// How much a unit matters, from all weights that would go with it.
///
/// | score | of the weights x of a unit, in all tensors that are scored |
/// |---|---|
/// | `L1` | Σ \|x\| |
/// | `L2` | √Σ x² |
/// | `Largest` | max \|x\| |
/// | `Sum` | Σ x, for arrays of scores rather than weights |
///
/// Sums are in f64, one after the other in the order of the axes and of their elements: the same on
/// every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum UnitScore {
    /// Σ |x|.
    L1,
    /// √Σ x².
    #[default]
    L2,
    /// max |x|.
    Largest,
    /// Σ x.
    Sum,
}

impl UnitScore {
    fn add(self, score: f64, value: f64) -> f64 {
        match self {
            Self::L1 => score + value.abs(),
            Self::L2 => score + value * value,
            Self::Largest => score.max(value.abs()),
            Self::Sum => score + value,
        }
    }

    /// Adds what one tensor has of each unit.
    pub(super) fn collect<F: Float>(
        self,
        axis: &CoupledAxis,
        units: &Units,
        tensor: &ArrayRefD<F>,
        scores: &mut [f64],
    ) -> Result<()> {
        let flat = array::elements(tensor);
        let (length, inner) = (units.of_index.len(), inner(tensor.shape(), axis.axis));
        // One sweep in the order of memory, whichever axis it is.
        for (number, run) in flat.chunks(inner).enumerate() {
            let Some(unit) = units.of_index[number % length] else {
                continue;
            };
            let mut score = scores[unit];
            for (place, &value) in run.iter().enumerate() {
                if value.is_nan() {
                    let index = shape::index_of(number * inner + place, tensor.shape());
                    let what = "weight";
                    return Err(Error::NotANumber { what, index }.in_tensor(&axis.tensor));
                }
                score = self.add(score, value.widen());
            }
            scores[unit] = score;
        }
        Ok(())
    }

    /// Makes scores of sums.
    pub(super) fn finish(self, scores: &mut [f64]) {
        if self == Self::L2 {
            scores.iter_mut().for_each(|score| *score = score.sqrt());
        }
    }
}

/// How many neighbours in row-major order share an index of the axis.
fn inner(shape: &[usize], axis: usize) -> usize {
    shape[axis + 1..].iter().product::<usize>().max(1)
}
