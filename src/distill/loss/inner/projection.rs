//! A learned linear map from the student's width to the teacher's.

use super::feature::{Feature, Sides};
use super::found::Part;
use crate::error::Result;
use crate::float::Float;
use ndarray::{Array2, Axis};

/// The names of a matrix and a bias among the student's features.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Projection {
    pub(super) matrix: Option<String>,
    pub(super) bias: Option<String>,
}

/// The projected rows, and what is needed to go back.
#[derive(Debug)]
pub(super) struct Projected {
    pub(super) rows: Array2<f64>,
    /// The rows before, and the matrix, where there is one.
    origin: Option<(Array2<f64>, Array2<f64>)>,
}

impl Projection {
    /// The width that a student's feature has after it.
    pub(super) fn width<F: Float>(&self, sides: &Sides<'_, F>, before: usize) -> Result<usize> {
        match &self.matrix {
            None => Ok(before),
            Some(name) => {
                let matrix = sides.student(name)?;
                let must = "have shape [student width, teacher width]";
                let matrix = matrix.need_axes(2, must)?;
                if matrix.shape().len() != 2 || matrix.shape()[0] != before {
                    return Err(matrix.unfit(must));
                }
                Ok(matrix.width())
            }
        }
    }

    pub(super) fn apply<F: Float>(
        &self,
        sides: &Sides<'_, F>,
        rows: Array2<f64>,
    ) -> Result<Projected> {
        let all = |feature: Feature<'_, F>, rows| feature.matrix(rows, |_, _| true);
        let (mut rows, origin) = match &self.matrix {
            None => (rows, None),
            Some(name) => {
                let matrix = all(sides.student(name)?, rows.ncols())?;
                (rows.dot(&matrix), Some((rows, matrix)))
            }
        };
        if let Some(name) = &self.bias {
            let bias = sides.student(name)?;
            let must = "have shape [teacher width]";
            let bias = bias.need_axes(1, must)?;
            if bias.shape() != [rows.ncols()] {
                return Err(bias.unfit(must));
            }
            rows += &all(bias, 1)?;
        }
        Ok(Projected { rows, origin })
    }

    /// From the gradient of the projected rows to those of the feature, the matrix and the bias.
    pub(super) fn back<'a>(
        &'a self,
        feature: &'a str,
        projected: &Projected,
        grad: Array2<f64>,
    ) -> Vec<(Part<'a>, Array2<f64>)> {
        let mut grads = Vec::with_capacity(3);
        if let Some(name) = &self.bias {
            let sums = grad.sum_axis(Axis(0)).insert_axis(Axis(0));
            grads.push((Part::Feature(name), sums));
        }
        match (&self.matrix, &projected.origin) {
            (Some(name), Some((rows, matrix))) => {
                grads.push((Part::Feature(feature), grad.dot(&matrix.t())));
                grads.push((Part::Feature(name), rows.t().dot(&grad)));
            }
            _ => grads.push((Part::Feature(feature), grad)),
        }
        grads
    }
}

/// Gives a loss the settings `projection` and `bias`.
macro_rules! projection_settings {
    () => {
        /// The same with the student's vectors multiplied by a learned matrix: `vector · matrix`.
        ///
        /// The matrix is the student's feature of this name, of shape `[student width, teacher
        /// width]`, the same for the whole batch. Its gradient comes back under that name.
        #[must_use]
        pub fn projection(mut self, matrix: impl Into<String>) -> Self {
            self.projection.matrix = Some(matrix.into());
            self
        }

        /// The same with a learned vector added after the projection, if there is one.
        ///
        /// It is the student's feature of this name, of shape `[teacher width]`.
        #[must_use]
        pub fn bias(mut self, bias: impl Into<String>) -> Self {
            self.projection.bias = Some(bias.into());
            self
        }
    };
}

pub(super) use projection_settings;
