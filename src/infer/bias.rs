//! The bias of a layer.

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use ndarray::ArrayRef1;

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
    let single = |(output, value): (usize, &F)| {
        let single = value.to_f32().unwrap_or(f32::NAN);
        match single.is_finite() {
            true => Ok(single),
            false => Err(Error::not_finite("bias", vec![output], value.widen())),
        }
    };
    bias.iter().enumerate().map(single).collect()
}
