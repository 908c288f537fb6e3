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

/// What is known of the differences so far. Blocks come in the order of the tensor, cut by its shape alone, so that the
/// sums are the same for any pool.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    info: &'a TensorInfo,
    sums: Sums,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(info: &'a TensorInfo) -> Self {
        Self {
            info,
            sums: Sums::default(),
        }
    }

    /// Adds a block that begins at place `from`.
    pub(super) fn add<F: Float>(
        &mut self,
        from: usize,
        original: &[F],
        restored: &[F],
    ) -> Result<()> {
        let of_block = fidelity::sums(original, restored);
        self.sums = self.sums.plus(of_block);
        if of_block.is_finite() {
            return Ok(());
        }
        for (what, values) in [("original weight", original), ("restored weight", restored)] {
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                let index = shape::index_of(from + place, &self.info.shape);
                return Err(Error::not_finite(what, index, values[place].widen()));
            }
        }
        Err(Error::SumOutOfRange)
    }

    /// The report on the tensor, if all of it came.
    pub(super) fn report(self, bytes_after: usize) -> Result<TensorReport> {
        if !self.sums.is_finite() {
            return Err(Error::SumOutOfRange);
        }
        let sizes = (self.info.bytes()?, bytes_after);
        let Self { info, sums } = self;
        Ok(TensorReport::of_sums(&info.name, &info.shape, sizes, sums))
    }
}

/// The report on a tensor that is restored as `restored`: the original is read once more, a block at a time.
pub(super) fn compare<F: Float>(
    source: &dyn TensorSource,
    info: &TensorInfo,
    restored: &[F],
    bytes_after: usize,
) -> Result<TensorReport> {
    let mut comparison = Comparison::new(info);
    source.float_blocks(&info.name, BLOCK, &mut |from, original: &[F]| {
        comparison.add(from, original, &restored[from..from + original.len()])
    })?;
    comparison.report(bytes_after)
}
