//! Means of magnitudes, which ternary codes are chosen by: in f64, the same bits on any pool.

use super::tile_sums::sum;
use super::tiling::Tiling;

/// The mean magnitude of those elements of each tile whose magnitude is above its threshold; 0 where there are none.
pub(crate) fn means_above(values: &[f32], tiling: &Tiling, thresholds: &[f32]) -> Vec<f64> {
    let sums = sum(
        values,
        tiling,
        |tile| thresholds[tile],
        #[inline(always)]
        |x, threshold| {
            if x.abs() > threshold {
                [f64::from(x.abs()), 1.0]
            } else {
                [0.0; 2]
            }
        },
    );
    let mean = |[sum, count]: [f64; 2]| if count > 0.0 { sum / count } else { 0.0 };
    sums.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::means_above;
    use crate::kernels::dispatch::forced;
    use crate::kernels::learned::mean_magnitudes as means;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::tiling::Tiling;
    use std::sync::Mutex;

    #[test]
    fn means_are_those_of_a_plain_loop_and_the_same_at_every_level() {
        let seen = Mutex::new(Vec::new());
        forced::at_every_level(|level| {
            let mut all = Vec::new();
            for (shape, tile) in [
                ([1, CHUNK + 77], [1, usize::MAX]),
                ([700, 103], [usize::MAX, 1]),
                ([700, 103], [1, 32]),
            ] {
                let tiling = Tiling::new(&shape, &tile).unwrap();
                let len = shape[0] * shape[1];
                let value = |i: usize| (i * 7919 % 1009) as f32 / 7.0 - 70.0;
                let values: Vec<f32> = (0..len).map(value).collect();
                let thresholds: Vec<f32> =
                    (0..tiling.count()).map(|i| (i % 3) as f32 * 40.0).collect();
                let found = (
                    means(&values, &tiling),
                    means_above(&values, &tiling, &thresholds),
                );
                for (tile, &threshold) in thresholds.iter().enumerate() {
                    let mut sizes: Vec<f64> = Vec::new();
                    tiling.runs(tile, |run| {
                        sizes.extend(values[run].iter().map(|x| f64::from(x.abs())));
                    });
                    // At least 1, so that the mean of none is 0.
                    let mean =
                        |sizes: &[f64]| sizes.iter().sum::<f64>() / sizes.len().max(1) as f64;
                    assert!((found.0[tile] - mean(&sizes)).abs() < 1e-11, "{level:?}");
                    sizes.retain(|&size| size > f64::from(threshold));
                    assert!((found.1[tile] - mean(&sizes)).abs() < 1e-11, "{level:?}");
                }
                all.push(found);
            }
            seen.lock().unwrap().push(all);
        });
        let seen = seen.into_inner().unwrap();
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
