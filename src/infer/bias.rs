//! The bias of a layer.

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{ArrayRef, ArrayRef1, Dimension};

/// The numbers of a bias as f32, checked; none where there is no bias.
pub(super) fn checked<F: Float>(bias: Option<&ArrayRef1<F>>, outputs: usize) -> Result<Vec<f32>> {
    let Some(bias) = bias else {
        return Ok(Vec::new());
    };
    if bias.len() != outputs {
        return Err(Error::WrongCount {
            what: "numbers of a bias",
            given: bias.len(),
            expected: outputs,
        });
    }
    singles("bias", bias)
}

/// Numbers as f32 in row-major order, all of them finite; `what` they are, for the error.
pub(super) fn singles<F: Float, D: Dimension>(
    what: &'static str,
    values: &ArrayRef<F, D>,
) -> Result<Vec<f32>> {
    let single = |(place, value): (usize, &F)| {
        let single = value.to_f32().unwrap_or(f32::NAN);
        match single.is_finite() {
            true => Ok(single),
            false => {
                let index = shape::index_of(place, values.shape());
                Err(Error::not_finite(what, index, value.widen()))
            }
        }
    };
    values.iter().enumerate().map(single).collect()
}
