//! How far what comes back is from what was there, without having both as a whole.

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::fidelity::{self, Sums};
use crate::kernels::real::Real;
use crate::report::TensorReport;
use crate::shape;
use crate::tensors::{TensorInfo, TensorSource, TensorSourceExt};

/// How many elements are compared at a time. Fixed, so that sums are the same for any pool.
const BLOCK: usize = 1 << 20;

/// The report on a tensor that is restored as `restored`: the original is read once more, a block at a time.
pub(super) fn compare<F: Float>(
    source: &dyn TensorSource,
    info: &TensorInfo,
    restored: &[F],
    bytes_after: usize,
) -> Result<TensorReport> {
    let mut sums = Sums::default();
    source.float_blocks(&info.name, BLOCK, &mut |from, original: &[F]| {
        let restored = &restored[from..from + original.len()];
        let of_block = fidelity::sums(original, restored);
        sums = sums.plus(of_block);
        if of_block.is_finite() {
            return Ok(());
        }
        let infinite = |values: &[F]| values.iter().position(|value| !value.is_finite());
        for (what, values) in [("original weight", original), ("restored weight", restored)] {
            if let Some(place) = infinite(values) {
                let index = shape::index_of(from + place, &info.shape);
                return Err(Error::not_finite(what, index, values[place].widen()));
            }
        }
        Err(Error::SumOutOfRange)
    })?;
    if !sums.is_finite() {
        return Err(Error::SumOutOfRange);
    }
    let sizes = (info.bytes()?, bytes_after);
    Ok(TensorReport::of_sums(&info.name, &info.shape, sizes, sums))
}
