//! Gradients of what quantization learns: scales, zero points, a limit.
//!
//! ```text
//! with q = round(x ÷ s) + z, from lowest to highest where nothing is cut off:
//! ∂/∂s   Σ g · (q − z − x ÷ s) inside,   Σ g · (the end − z) outside
//! ∂/∂z   −s · Σ g outside
//! ```

use super::coding::Step;
use super::fake::{self, Fake};
use super::real::Real;
use super::tile_sums;
use super::tiling::Tiling;
use super::way::{Way, WithWay, scaled, with_way};

struct Learned<'a, F> {
    values: &'a [F],
    fake: Fake<'a>,
    gradient: &'a mut [F],
}

impl<F: Real> WithWay for Learned<'_, F> {
    type Output = Vec<[f64; 2]>;

    fn run<W: Way>(self, way: W) -> Self::Output {
        let Self {
            values,
            fake,
            gradient,
        } = self;
        let mut zeros = Vec::new();
        let zeros = fake::zero_points(&fake, &mut zeros);
        let scales = fake.steps.scales;
        tile_sums::replace_and_sum(
            values,
            gradient,
            fake.tiling,
            #[inline(always)]
            |tile| Step::new(scales[tile], zeros[tile], fake.coding),
            #[inline(always)]
            |value, gradient, step, index| {
                let scaled = scaled(value, step, way, index);
                let zero = F::zero();
                let exact = if scaled.inside { scaled.exact } else { zero };
                // What NaN becomes does not depend on the scale.
                let counted = if value.is_nan() { zero } else { gradient };
                let outside = if scaled.inside { zero } else { counted };
                let passed = if scaled.inside { gradient } else { zero };
                let slope = (scaled.held - exact).widen();
                (passed, [counted.widen() * slope, outside.widen()])
            },
        )
    }
}

/// Makes `gradient` that of the values, 0 where they were cut off, and gives for each tile the sum for its scale
/// and the sum of the gradient where values were cut off. NaN counts for neither.
pub(super) fn backward<F: Real>(values: &[F], fake: Fake<'_>, gradient: &mut [F]) -> Vec<[f64; 2]> {
    with_way(
        fake.coding,
        Learned {
            values,
            fake,
            gradient,
        },
    )
}

/// Keeps `gradient` where 0 ≤ x < limit, makes it 0 elsewhere, and gives its sum where x ≥ limit.
pub(super) fn clipped_backward<F: Real>(values: &[F], limit: F, gradient: &mut [F]) -> f64 {
    let Some(whole) = Tiling::new(&[values.len()], &[usize::MAX]) else {
        return 0.0;
    };
    let sums = tile_sums::replace_and_sum(
        values,
        gradient,
        &whole,
        #[inline(always)]
        |_| (),
        #[inline(always)]
        |value, gradient, (), _| {
            let zero = F::zero();
            let passed = if value >= zero && value < limit {
                gradient
            } else {
                zero
            };
            let above = if value >= limit { gradient } else { zero };
            (passed, [above.widen()])
        },
    );
    sums.into_iter().map(|[sum]| sum).sum()
}

/// The mean |x| of each tile; NaN for one without elements. What is not finite counts as it is.
#[expect(
    clippy::cast_precision_loss,
    reason = "a tile of more than 2⁵³ elements does not exist"
)]
pub(super) fn mean_magnitudes<F: Real>(values: &[F], tiling: &Tiling) -> Vec<f64> {
    let sums = tile_sums::sum(
        values,
        tiling,
        |_| (),
        #[inline(always)]
        |value, ()| [value.widen().abs()],
    );
    let means = sums.into_iter().enumerate();
    means
        .map(|(tile, [sum])| sum / tiling.size(tile) as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{clipped_backward, mean_magnitudes};
    use crate::kernels::dispatch::forced;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::tiling::Tiling;

    #[test]
    fn a_limit_learns_from_what_it_cuts_off() {
        forced::at_every_level(|level| {
            let len = CHUNK + 77;
            let values: Vec<f32> = (0..len).map(|i| (i % 11) as f32 - 3.0).collect();
            let before: Vec<f32> = (0..len).map(|i| (i % 7) as f32 - 2.0).collect();
            let mut gradient = before.clone();
            let found = clipped_backward(&values, 4.0, &mut gradient);
            let mut right = 0.0;
            for (i, &value) in values.iter().enumerate() {
                let inside = (0.0..4.0).contains(&value);
                assert_eq!(
                    gradient[i],
                    if inside { before[i] } else { 0.0 },
                    "{level:?}"
                );
                right += f64::from(if value >= 4.0 { before[i] } else { 0.0 });
            }
            assert_eq!(found, right, "sums of small integers are exact");
        });
    }

    #[test]
    fn means_are_of_magnitudes() {
        let tiling = Tiling::new(&[2, 3], &[1, 2]).expect("four");
        let means = mean_magnitudes(&[1.0_f32, -3.0, 5.0, 0.0, -0.5, -7.0], &tiling);
        assert_eq!(means, [2.0, 5.0, 0.25, 7.0]);
    }
}
