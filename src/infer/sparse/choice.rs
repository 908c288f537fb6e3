//! Which format is fastest for which weights.

use super::SparseFormat;

/// Blocks that are looked for, the widest first.
const WIDTHS: [usize; 2] = [16, 8];

/// The format that takes least for one row.
///
/// In milliseconds for 4096 × 4096, by share d of weights that are stored, as measured: 3.6 d for CSR, 0.45 + 1.2 d for
/// a bitmask, 1.6 d for blocks.
pub(super) fn best(weights: &[f32], inputs: usize) -> SparseFormat {
    #[expect(clippy::cast_precision_loss, reason = "shares of counts")]
    let share = |stored: usize| stored as f64 / weights.len().max(1) as f64;
    let single = share(weights.iter().filter(|&&weight| weight != 0.0).count());
    let mut best = if 3.6 * single < 0.45 + 1.2 * single {
        (SparseFormat::Csr, 3.6 * single)
    } else {
        (SparseFormat::Bitmask, 0.45 + 1.2 * single)
    };
    for width in WIDTHS.into_iter().filter(|_| inputs > 0) {
        let runs = weights
            .chunks_exact(inputs)
            .flat_map(|row| row.chunks(width));
        let blocks = runs.filter(|run| run.iter().any(|&weight| weight != 0.0));
        let cost = 1.6 * share(blocks.count() * width);
        if cost < best.1 {
            let blocks = SparseFormat::Blocks {
                outputs: 1,
                inputs: width,
            };
            best = (blocks, cost);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::best;
    use crate::infer::SparseFormat;

    #[test]
    fn density_and_blocks_decide() {
        let every = |step: usize| -> Vec<f32> {
            (0..6400)
                .map(|i| f32::from(u8::from(i % step == 0)))
                .collect()
        };
        assert_eq!(best(&every(2), 64), SparseFormat::Bitmask);
        assert_eq!(best(&every(4), 64), SparseFormat::Bitmask);
        assert_eq!(best(&every(6), 64), SparseFormat::Csr);
        assert_eq!(best(&[0.0; 64], 64), SparseFormat::Csr);
        let blocks = |width: usize| -> Vec<f32> {
            (0..6400)
                .map(|i| f32::from(u8::from((i / width).is_multiple_of(3))))
                .collect()
        };
        let of = |inputs| SparseFormat::Blocks { outputs: 1, inputs };
        assert_eq!(best(&blocks(8), 64), of(8));
        assert_eq!(best(&blocks(16), 64), of(16));
        assert_eq!(best(&[], 0), SparseFormat::Csr);
    }
}
