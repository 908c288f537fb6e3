//! Makes tensors really smaller: the caller says which axes belong together.
//!
//! A neuron of a hidden layer is a row of one matrix, an entry of a bias and a column of the next
//! matrix. Take all three away and the network computes what it computed with all three set to zero,
//! with smaller arrays and no mask. Which axes of which tensors belong together only the network's
//! owner knows, so it is declared, never guessed.

mod axis;
mod scores;
mod shrinkage;

pub use axis::CoupledAxis;
pub use scores::UnitScore;
pub use shrinkage::Shrinkage;

use super::Amount;
use crate::error::{CouplingError, Error, Result};
use crate::float::Float;
use axis::Units;
use ndarray::ArrayRefD;
use std::collections::BTreeMap;
use std::ops::Deref;

/// Axes that lose their slices together, and the *units* that they have in common: neurons, channels,
/// heads.
///
/// Tensors come as a map by name, of owned arrays or of views.
///
/// # Examples
///
/// Two of four hidden neurons go:
///
/// ```
/// use ndarray::{ArrayD, Axis, array};
/// use rarefy::prune::{CoupledAxes, CoupledAxis, UnitScore};
/// use std::collections::BTreeMap;
///
/// let mut network: BTreeMap<String, ArrayD<f32>> = BTreeMap::from([
///     ("first".into(), array![[3.0, 1.0], [0.1, 0.0], [2.0, -2.0], [0.0, 0.2]].into_dyn()),
///     ("bias".into(), array![0.5, 0.1, -1.0, 0.0].into_dyn()),
///     ("second".into(), array![[1.0, 0.1, 2.0, 0.1]].into_dyn()),
/// ]);
/// let hidden = CoupledAxes::new([
///     CoupledAxis::new("first", Axis(0)),
///     CoupledAxis::new("bias", Axis(0)),
///     CoupledAxis::new("second", Axis(1)),
/// ]);
///
/// let scores = hidden.scores(&network, UnitScore::L2)?;
/// let smaller = hidden.choose(&network, &scores, 0.5)?;
/// assert_eq!(smaller.kept(), [0, 2]);
/// smaller.shrink(&mut network)?;
/// assert_eq!(network["first"], array![[3.0, 1.0], [2.0, -2.0]].into_dyn());
/// assert_eq!(network["second"], array![[1.0, 2.0]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// What the smaller network computes is what the larger one computes under [`Shrinkage::masks`], where
/// each unit acts through the coupled tensors alone. Statistics over units, as layer normalisation
/// takes them, are not the same over fewer.
///
/// # Errors
///
/// All methods fail with
///
/// * [`Error::UnknownName`]: a tensor is not in the map.
/// * [`Error::AxisOutOfRange`] with the name of the tensor: it has no such axis.
/// * [`CouplingError`] in [`Error::Coupling`]: the axes have different numbers of units, do not divide
///   into units, or an index is coupled twice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CoupledAxes {
    axes: Vec<CoupledAxis>,
}

impl CoupledAxes {
    /// These axes belong together.
    pub fn new(axes: impl IntoIterator<Item = CoupledAxis>) -> Self {
        Self {
            axes: axes.into_iter().collect(),
        }
    }

    /// The axes, in the order given.
    pub fn axes(&self) -> &[CoupledAxis] {
        &self.axes
    }

    /// How many units the axes have in common.
    ///
    /// # Errors
    ///
    /// See [`CoupledAxes`].
    pub fn units<F: Float, A: Deref<Target = ArrayRefD<F>>>(
        &self,
        tensors: &BTreeMap<String, A>,
    ) -> Result<usize> {
        Ok(self.resolve(tensors)?.0)
    }

    /// How much each unit matters.
    ///
    /// With arrays of scores of the same names and shapes, |w · g| for one, instead of the weights,
    /// and [`UnitScore::Sum`], any importance of single weights becomes one of units.
    ///
    /// # Errors
    ///
    /// See [`CoupledAxes`]; and [`Error::NotANumber`] with the name of the tensor,
    /// [`Error::SumOutOfRange`] if squares of finite weights leave the range of an f64.
    pub fn scores<F: Float, A: Deref<Target = ArrayRefD<F>>>(
        &self,
        tensors: &BTreeMap<String, A>,
        score: UnitScore,
    ) -> Result<Vec<f64>> {
        let (count, units) = self.resolve(tensors)?;
        let mut scores = vec![0.0; count];
        let mut any_infinite = false;
        for (axis, units) in self.axes.iter().zip(&units).filter(|(axis, _)| axis.scored) {
            let tensor = find(tensors, &axis.tensor)?;
            any_infinite |= tensor.iter().any(|value| value.is_infinite());
            score.collect(axis, units, tensor, &mut scores)?;
        }
        score.finish(&mut scores);
        if !any_infinite && scores.iter().any(|score| !score.is_finite()) {
            return Err(Error::SumOutOfRange);
        }
        Ok(scores)
    }

    /// Drops the `amount` of units with the lowest scores: exactly that many, and among equal scores
    /// the lower index first.
    ///
    /// # Errors
    ///
    /// See [`CoupledAxes`]; and [`Error::WrongCount`] unless there is one score a unit,
    /// [`Error::NotANumber`] if one is NaN, [`Error::AmountOutOfRange`] or
    /// [`CouplingError::CountOutOfRange`] if the amount does not fit the units.
    pub fn choose<F: Float, A: Deref<Target = ArrayRefD<F>>>(
        &self,
        tensors: &BTreeMap<String, A>,
        scores: &[f64],
        amount: impl Into<Amount>,
    ) -> Result<Shrinkage> {
        let count = self.units(tensors)?;
        if scores.len() != count {
            return Err(Error::WrongCount {
                what: "scores",
                given: scores.len(),
                expected: count,
            });
        }
        if let Some(unit) = scores.iter().position(|score| score.is_nan()) {
            return Err(Error::NotANumber {
                what: "score",
                index: vec![unit],
            });
        }
        let drop = amount.into().count(count).map_err(|error| match error {
            Error::CountOutOfRange { count, len: units } => {
                Error::Coupling(CouplingError::CountOutOfRange { count, units })
            }
            other => other,
        })?;
        let mut order: Vec<usize> = (0..count).collect();
        // Stable, and −0 equals +0.
        order.sort_by(|&a, &b| (scores[a] + 0.0).total_cmp(&(scores[b] + 0.0)));
        let mut kept = order.split_off(drop);
        kept.sort_unstable();
        self.keep(tensors, &kept)
    }

    /// Keeps these units, which must ascend, and drops all others.
    ///
    /// # Errors
    ///
    /// See [`CoupledAxes`]; and [`CouplingError::UnitOutOfRange`],
    /// [`CouplingError::UnitsNotAscending`].
    pub fn keep<F: Float, A: Deref<Target = ArrayRefD<F>>>(
        &self,
        tensors: &BTreeMap<String, A>,
        kept: &[usize],
    ) -> Result<Shrinkage> {
        let (count, units) = self.resolve(tensors)?;
        if let Some(&unit) = kept.iter().find(|&&unit| unit >= count) {
            let units = count;
            return Err(Error::Coupling(CouplingError::UnitOutOfRange {
                unit,
                units,
            }));
        }
        for pair in kept.windows(2) {
            if let [earlier, later] = *pair
                && later <= earlier
            {
                return Err(Error::Coupling(CouplingError::UnitsNotAscending {
                    earlier,
                    later,
                }));
            }
        }
        let mut shrinkage = Shrinkage::new(count, kept.to_vec());
        for (axis, units) in self.axes.iter().zip(&units) {
            let shape = find(tensors, &axis.tensor)?.shape();
            shrinkage.drop_units(axis, units, shape);
        }
        Ok(shrinkage)
    }

    /// The number of units, and the units of each axis.
    fn resolve<F: Float, A: Deref<Target = ArrayRefD<F>>>(
        &self,
        tensors: &BTreeMap<String, A>,
    ) -> Result<(usize, Vec<Units>)> {
        let mut all: Vec<Units> = Vec::with_capacity(self.axes.len());
        let mut coupled: BTreeMap<(&str, usize), Vec<bool>> = BTreeMap::new();
        for axis in &self.axes {
            let units = axis.units(find(tensors, &axis.tensor)?.shape())?;
            if let (Some(first), Some(other)) = (self.axes.first(), all.first())
                && other.count != units.count
            {
                return Err(Error::Coupling(CouplingError::Units {
                    first: first.tensor.clone(),
                    first_axis: first.axis,
                    first_units: other.count,
                    tensor: axis.tensor.clone(),
                    axis: axis.axis,
                    units: units.count,
                }));
            }
            let taken = coupled
                .entry((&axis.tensor, axis.axis))
                .or_insert_with(|| vec![false; units.of_index.len()]);
            for (index, unit) in units.of_index.iter().enumerate() {
                if unit.is_some() && taken[index] {
                    let (tensor, axis) = (axis.tensor.clone(), axis.axis);
                    return Err(Error::Coupling(CouplingError::Overlap {
                        tensor,
                        axis,
                        index,
                    }));
                }
                taken[index] |= unit.is_some();
            }
            all.push(units);
        }
        match all.first() {
            Some(first) => Ok((first.count, all)),
            None => Err(Error::Coupling(CouplingError::NoAxes)),
        }
    }
}

fn find<'a, F: Float, A: Deref<Target = ArrayRefD<F>>>(
    tensors: &'a BTreeMap<String, A>,
    name: &str,
) -> Result<&'a ArrayRefD<F>> {
    match tensors.get(name) {
        Some(tensor) => Ok(tensor),
        None => Err(Error::UnknownName {
            what: "tensor",
            name: name.to_owned(),
        }),
    }
}
