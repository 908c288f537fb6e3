//! Distances between all pairs of examples, and matrices over pairs on their way back to examples.

use ndarray::{Array1, Array2, ArrayRef2, Axis};

/// Sums in flight.
const LANES: usize = 8;

/// |xᵢ − xⱼ|² for all pairs. From the differences, not from |xᵢ|² + |xⱼ|² − 2·xᵢ·xⱼ, which loses its
/// digits where points are close to one another.
pub(super) fn squared_distances(rows: &ArrayRef2<f64>) -> Array2<f64> {
    let rows = rows.as_standard_layout();
    let width = rows.ncols();
    let flat = rows.as_slice().unwrap_or(&[]);
    let row = |index: usize| &flat[index * width..(index + 1) * width];
    let mut distances = Array2::zeros((rows.nrows(), rows.nrows()));
    for i in 0..rows.nrows() {
        for j in 0..i {
            let distance = squared_distance(row(i), row(j));
            distances[[i, j]] = distance;
            distances[[j, i]] = distance;
        }
    }
    distances
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let ((groups_a, rest_a), (groups_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in groups_a.iter().zip(groups_b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (a - b) * (a - b);
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(rest_a.iter().zip(rest_b)) {
        *sum += (a - b) * (a - b);
    }
    sums.iter().sum()
}

/// d value / d x, from mᵢⱼ = d value / d |xᵢ − xⱼ|² where all (i, j) count as variables of their own.
///
/// ```text
/// d value / d xᵢ = 2 · Σⱼ (mᵢⱼ + mⱼᵢ) · (xᵢ − xⱼ)
/// ```
pub(super) fn from_squared_distances(m: &Array2<f64>, rows: &Array2<f64>) -> Array2<f64> {
    let both = (m + &m.t()) * 2.0;
    // Only differences count; near their mean the rows lose the fewest digits.
    let mean = rows
        .mean_axis(Axis(0))
        .unwrap_or_else(|| Array1::zeros(rows.ncols()));
    let centred = rows - &mean;
    let totals = both.sum_axis(Axis(1)).insert_axis(Axis(1));
    &centred * &totals - both.dot(&centred)
}

/// d value / d x, from mᵢⱼ = d value / d (xᵢ · xⱼ) likewise.
pub(super) fn from_products(m: &Array2<f64>, rows: &Array2<f64>) -> Array2<f64> {
    (m + &m.t()).dot(rows)
}

/// Huber's function with its corner at 1: x²/2, and |x| − ½ beyond; and its derivative.
pub(super) fn huber(x: f64) -> (f64, f64) {
    if x.abs() <= 1.0 {
        (0.5 * x * x, x)
    } else {
        (x.abs() - 0.5, x.signum())
    }
}

#[cfg(test)]
mod tests {
    use super::{huber, squared_distances};
    use ndarray::{Array2, array};

    #[test]
    fn distances_are_right() {
        let rows = array![[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]];
        let right = array![[0.0, 25.0, 25.0], [25.0, 0.0, 0.0], [25.0, 0.0, 0.0]];
        assert_eq!(squared_distances(&rows), right);
        let wide = Array2::from_shape_fn((2, 29), |(i, j)| (i * (j + 1)) as f64);
        assert_eq!(squared_distances(&wide)[[0, 1]], 29.0 * 30.0 * 59.0 / 6.0);
    }

    #[test]
    fn huber_is_a_parabola_and_two_lines() {
        assert_eq!(huber(0.5), (0.125, 0.5));
        assert_eq!(huber(-1.0), (0.5, -1.0));
        assert_eq!(huber(-3.0), (2.5, -1.0));
    }
}
