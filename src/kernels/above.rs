//! Keeps what is above a threshold.

use super::dispatch::vectorize;
use super::n_of_m::pack;
use super::parallel::{CHUNK, for_chunks_mut};
use super::ranked::Source;
use super::real::Real;

/// Mask bits that are set where the score of a weight is above `threshold`, compared in f64.
pub(crate) fn keep_above<F: Real>(
    weights: &[F],
    source: Source<'_, F>,
    threshold: f64,
) -> Vec<u64> {
    let mut flags = vec![0; weights.len()];
    for_chunks_mut(&mut flags, CHUNK, |chunk, flags| {
        let start = chunk * CHUNK;
        let weights = &weights[start..start + flags.len()];
        vectorize(
            #[inline(always)]
            || {
                for (index, (flag, &weight)) in flags.iter_mut().zip(weights).enumerate() {
                    let score = source.score(weight, start + index).widen();
                    *flag = u8::from(score > threshold);
                }
            },
        );
    });
    pack(&flags)
}

#[cfg(test)]
mod tests {
    use super::keep_above;
    use crate::kernels::ranked::Source;
    use crate::kernels::runs::is_set;

    #[test]
    fn what_equals_the_threshold_goes() {
        let weights: Vec<f32> = (0..70_000).map(|i| (i % 100) as f32 - 50.0).collect();
        let words = keep_above(&weights, Source::Magnitude, 20.0);
        let factors: Vec<f32> = weights.iter().map(|w| 1.0 - w).collect();
        let products = keep_above(&weights, Source::Product(&factors), 90.0);
        for (place, weight) in weights.iter().enumerate() {
            assert_eq!(is_set(&words, place), weight.abs() > 20.0);
            let product = weight * (1.0 - weight);
            assert_eq!(is_set(&products, place), product.abs() > 90.0);
        }
    }
}
