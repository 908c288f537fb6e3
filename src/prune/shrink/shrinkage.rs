//! Which units stay, and what that means for each tensor.

use super::axis::{CoupledAxis, Units};
use super::find;
use crate::error::Result;
use crate::float::Float;
use crate::mask::Mask;
use crate::shape;
use ndarray::{ArrayD, ArrayRef, ArrayRefD, Axis, Dimension, IxDyn};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

/// Which units stay, with the index maps of every tensor that is concerned.
///
/// Made by [`CoupledAxes::choose`](super::CoupledAxes::choose) and
/// [`CoupledAxes::keep`](super::CoupledAxes::keep). A plain value: apply it to weights, gradients and
/// optimiser state alike.
#[derive(Clone, PartialEq, Eq)]
pub struct Shrinkage {
    units: usize,
    kept: Vec<usize>,
    tensors: BTreeMap<String, Plan>,
}

/// What happens to one tensor.
#[derive(Clone, PartialEq, Eq)]
struct Plan {
    shape: Vec<usize>,
    /// For each axis that loses slices, whether each index stays.
    stays: BTreeMap<usize, Vec<bool>>,
}

impl Plan {
    fn indices(&self, axis: usize) -> Vec<usize> {
        let stays = self.stays.get(&axis).map_or(&[][..], Vec::as_slice);
        (0..stays.len()).filter(|&index| stays[index]).collect()
    }

    fn shrunk<F: Float>(&self, tensor: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        shape::check_same("shrinkage", &self.shape, "array", tensor.shape())?;
        let mut axes = self.stays.keys();
        let Some(&first) = axes.next() else {
            return Ok(tensor.to_owned());
        };
        let start = tensor.select(Axis(first), &self.indices(first));
        Ok(axes.fold(start, |tensor, &axis| {
            tensor.select(Axis(axis), &self.indices(axis))
        }))
    }
}

impl Shrinkage {
    pub(super) const fn new(units: usize, kept: Vec<usize>) -> Self {
        Self {
            units,
            kept,
            tensors: BTreeMap::new(),
        }
    }

    pub(super) fn drop_units(&mut self, axis: &CoupledAxis, units: &Units, shape: &[usize]) {
        let mut keeps = vec![false; self.units];
        for &unit in &self.kept {
            keeps[unit] = true;
        }
        let plan = self
            .tensors
            .entry(axis.tensor.clone())
            .or_insert_with(|| Plan {
                shape: shape.to_vec(),
                stays: BTreeMap::new(),
            });
        let stays = plan
            .stays
            .entry(axis.axis)
            .or_insert_with(|| vec![true; units.of_index.len()]);
        for (stays, unit) in stays.iter_mut().zip(&units.of_index) {
            *stays &= unit.is_none_or(|unit| keeps[unit]);
        }
    }

    /// How many units there were.
    pub const fn units(&self) -> usize {
        self.units
    }

    /// The units that stay, in order: entry i is what unit i of the smaller network was before.
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// The units that go, in order.
    pub fn dropped(&self) -> Vec<usize> {
        let kept = &self.kept;
        let gone = |unit: &usize| kept.binary_search(unit).is_err();
        (0..self.units).filter(gone).collect()
    }

    /// The names of the tensors that become smaller.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The index map of an axis of a tensor: entry i is where slice i of the smaller tensor was before.
    /// `None` if the axis stays as it is.
    pub fn indices(&self, tensor: &str, axis: Axis) -> Option<Vec<usize>> {
        let plan = self.tensors.get(tensor)?;
        plan.stays.get(&axis.index())?;
        Some(plan.indices(axis.index()))
    }

    /// The masks under which the network as it was computes what the smaller one does.
    ///
    /// # Errors
    ///
    /// None that shapes of existing arrays can cause.
    pub fn masks(&self) -> Result<BTreeMap<String, Mask>> {
        let mask = |plan: &Plan| {
            shape::count(&plan.shape)?;
            let mut kept = ArrayD::from_elem(IxDyn(&plan.shape), true);
            for (&axis, stays) in &plan.stays {
                for (index, _) in stays.iter().enumerate().filter(|(_, stays)| !**stays) {
                    kept.index_axis_mut(Axis(axis), index).fill(false);
                }
            }
            Ok(Mask::from_array(&kept))
        };
        let tensors = self.tensors.iter();
        tensors
            .map(|(name, plan)| Ok((name.clone(), mask(plan)?)))
            .collect()
    }

    /// The smaller form of one array of the shape of this tensor: its weights, its gradient, a moment.
    ///
    /// A tensor that is not concerned comes back as it is.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) with the name of the tensor if it has not
    /// the shape that it had.
    pub fn shrunk<F: Float, D: Dimension>(
        &self,
        tensor: &str,
        array: &ArrayRef<F, D>,
    ) -> Result<ArrayD<F>> {
        let array = array.view().into_dyn();
        match self.tensors.get(tensor) {
            Some(plan) => plan.shrunk(&array).map_err(|error| error.in_tensor(tensor)),
            None => Ok(array.to_owned()),
        }
    }

    /// The smaller form of every tensor that is concerned.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`](crate::Error::UnknownName) if one is not in the map,
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) with its name if it has not the shape that
    /// it had.
    pub fn smaller<F: Float, A: Deref<Target = ArrayRefD<F>>>(
        &self,
        tensors: &BTreeMap<String, A>,
    ) -> Result<BTreeMap<String, ArrayD<F>>> {
        let smaller = |name: &String| Ok((name.clone(), self.shrunk(name, find(tensors, name)?)?));
        self.tensors.keys().map(smaller).collect()
    }

    /// Puts the smaller form of every tensor that is concerned in its place.
    ///
    /// # Errors
    ///
    /// Those of [`smaller`](Self::smaller); the map is then unchanged.
    pub fn shrink<F: Float>(&self, tensors: &mut BTreeMap<String, ArrayD<F>>) -> Result<()> {
        let smaller = self.smaller(tensors)?;
        tensors.extend(smaller);
        Ok(())
    }
}

impl fmt::Debug for Shrinkage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shrinkage")
            .field("units", &self.units)
            .field("kept", &self.kept.len())
            .field("tensors", &self.tensors.keys().collect::<Vec<_>>())
            .finish()
    }
}
