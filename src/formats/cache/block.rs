//! Rows as the bytes that stand in a file.

use crate::float::Float;
use crate::formats::file::checksum;
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

    /// Adds the classes and log-probabilities of one row to the end of two lists.
    pub(super) fn row<F: Float>(&self, row: usize, k: usize, indices: &mut [u32], logs: &mut [F]) {
        let (from_indices, _) = self.indices.as_chunks::<INDEX_BYTES>();
        let (from_logs, _) = self.logs.as_chunks::<LOG_BYTES>();
        let range = row * k..(row + 1) * k;
        for (to, from) in indices.iter_mut().zip(&from_indices[range.clone()]) {
            *to = u32::from_le_bytes(*from);
        }
        for (to, from) in logs.iter_mut().zip(&from_logs[range]) {
            *to = F::cast(f16::from_le_bytes(*from).to_f64());
        }
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
    use super::{Rows, half};
    use half::f16;
    use ndarray::array;

    #[test]
    fn a_row_comes_back_as_the_nearest_halves() {
        let mut rows = Rows::default();
        let logs = array![0.0, -1.0 / 3.0, f64::NEG_INFINITY];
        rows.push(&array![7, 0, u32::MAX], &logs);
        rows.push(&array![1, 2, 3], &array![-1e-9, -7e4, -2.0]);
        assert_eq!(rows.count(3), 2);
        let (mut indices, mut logs) = ([0; 3], [0.0_f32; 3]);
        rows.row(0, 3, &mut indices, &mut logs);
        assert_eq!(indices, [7, 0, u32::MAX]);
        assert_eq!(logs, [0.0, -0.333_251_95, f32::NEG_INFINITY]);
        rows.row(1, 3, &mut indices, &mut logs);
        assert_eq!(logs, [0.0, -65504.0, -2.0]);
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
