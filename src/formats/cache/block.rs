//! Rows as the bytes that stand in a file.

use super::memory::Place;
use crate::float::Float;
use crate::formats::checksum::checksum;
use crate::kernels::halves::widen_bytes;
use crate::kernels::real::Real;
use half::f16;
use ndarray::ArrayRef1;

pub(super) const INDEX_BYTES: usize = 4;
pub(super) const LOG_BYTES: usize = 2;

/// Rows that follow one another: their indices and their log-probabilities, as in a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) indices: Vec<u8>,
    pub(super) logs: Vec<u8>,
}

/// A row of a block, and where to.
#[derive(Debug)]
pub(super) struct Wanted<'a, F> {
    pub(super) place: Place,
    /// In the block.
    pub(super) row: usize,
    pub(super) indices: &'a mut [u32],
    pub(super) logs: &'a mut [F],
}

impl Rows {
    pub(super) fn push<F: Float>(&mut self, indices: &ArrayRef1<u32>, logs: &ArrayRef1<F>) {
        for index in indices {
            self.indices.extend(index.to_le_bytes());
        }
        for &log in logs {
            self.logs.extend(half(log.widen()).to_le_bytes());
        }
    }

    /// Forgets all but the first rows.
    pub(super) fn truncate(&mut self, rows: usize, k: usize) {
        self.indices.truncate(rows * k * INDEX_BYTES);
        self.logs.truncate(rows * k * LOG_BYTES);
    }

    pub(super) fn count(&self, k: usize) -> usize {
        self.indices.len() / (k * INDEX_BYTES)
    }

    /// Writes rows of these to where they are wanted.
    pub(super) fn copy<F: Float>(&self, k: usize, wanted: &mut [Wanted<'_, F>]) {
        let (from_indices, _) = self.indices.as_chunks::<INDEX_BYTES>();
        let (from_logs, _) = self.logs.as_chunks::<LOG_BYTES>();
        let range = |row: usize| row * k..(row + 1) * k;
        for Wanted { row, indices, .. } in &mut *wanted {
            for (to, from) in indices.iter_mut().zip(&from_indices[range(*row)]) {
                *to = u32::from_le_bytes(*from);
            }
        }
        let wanted = wanted.iter_mut();
        widen_bytes(wanted.map(|Wanted { row, logs, .. }| (&from_logs[range(*row)], &mut **logs)));
    }

    /// CRC-32 of each block.
    pub(super) fn checksums(&self, block_rows: usize, k: usize) -> Vec<u32> {
        let length = |bytes: usize| block_rows.saturating_mul(k).saturating_mul(bytes);
        let indices = self.indices.chunks(length(INDEX_BYTES));
        let logs = self.logs.chunks(length(LOG_BYTES));
        indices.zip(logs).map(|(i, l)| checksum([i, l])).collect()
    }
}

/// The nearest half; a class that is possible stays possible.
fn half(log: f64) -> f16 {
    if log == f64::NEG_INFINITY {
        f16::NEG_INFINITY
    } else {
        f16::from_f64(log.max(f16::MIN.to_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Rows, Wanted, half};
    use half::f16;
    use ndarray::array;

    #[test]
    fn a_row_comes_back_as_the_nearest_halves() {
        let mut rows = Rows::default();
        let logs = array![0.0, -1.0 / 3.0, f64::NEG_INFINITY];
        rows.push(&array![7, 0, u32::MAX], &logs);
        rows.push(&array![1, 2, 3], &array![-1e-9, -7e4, -2.0]);
        assert_eq!(rows.count(3), 2);
        let (mut indices, mut logs) = ([[0; 3]; 2], [[0.0_f32; 3]; 2]);
        let place = Place { shard: 0, block: 0 };
        let to = indices.iter_mut().zip(&mut logs);
        let mut wanted: Vec<Wanted<'_, f32>> = to
            .zip([1, 0])
            .map(|((indices, logs), row)| Wanted {
                place,
                row,
                indices,
                logs,
            })
            .collect();
        rows.copy(3, &mut wanted);
        assert_eq!(indices, [[1, 2, 3], [7, 0, u32::MAX]]);
        let first = [0.0, -0.333_251_95, f32::NEG_INFINITY];
        assert_eq!(logs, [[0.0, -65504.0, -2.0], first]);
        assert_eq!(rows.checksums(1, 3).len(), 2);
        rows.truncate(1, 3);
        assert_eq!(rows.checksums(1000, 3).len(), 1);
    }

    #[test]
    fn the_error_of_a_half_is_what_is_stated() {
        for step in 1..200_000 {
            let log = -f64::from(step) * 1.37e-4;
            let error = (half(log).to_f64() - log).abs();
            let (relative, least) = (2.0_f64.powi(-11), 2.0_f64.powi(-25));
            assert!(error <= (relative * -log).max(least), "{log}");
        }
        assert_eq!(half(-1e300), f16::MIN);
    }
}
