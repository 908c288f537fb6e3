//! Rows divided by their norms, and the way back.

use ndarray::{Array2, ArrayRef1, Zip};

/// Norms below this count as zero: their inverse, and products with it, would overflow.
const LEAST_NORM: f64 = 1e-150;

/// The norm, or 0 if it counts as zero.
pub(super) fn norm(row: &ArrayRef1<f64>) -> f64 {
    let norm = row.dot(row).sqrt();
    if norm < LEAST_NORM { 0.0 } else { norm }
}

/// 1 / x, or 0 where x counts as zero.
pub(super) fn inverse(norm: f64) -> f64 {
    if norm < LEAST_NORM { 0.0 } else { norm.recip() }
}

/// Rows of norm 1, or 0 where there is no direction.
#[derive(Debug)]
pub(super) struct Units {
    pub(super) rows: Array2<f64>,
    pub(super) norms: Vec<f64>,
}

impl Units {
    pub(super) fn new(mut rows: Array2<f64>) -> Self {
        let mut norms = Vec::with_capacity(rows.nrows());
        for mut row in rows.rows_mut() {
            let norm = norm(&row);
            if norm == 0.0 {
                row.fill(0.0);
            } else {
                row.mapv_inplace(|x| x / norm);
            }
            norms.push(norm);
        }
        Self { rows, norms }
    }

    /// From d value / d unit to d value / d row: what is tangent to the sphere, divided by the norm.
    pub(super) fn pull_back(&self, mut grad: Array2<f64>) -> Array2<f64> {
        let pairs = grad.rows_mut().into_iter().zip(self.rows.rows());
        for ((mut grad, unit), &norm) in pairs.zip(&self.norms) {
            let along = grad.dot(&unit);
            let inverse = inverse(norm);
            Zip::from(&mut grad)
                .and(&unit)
                .for_each(|g, &u| *g = (*g - along * u) * inverse);
        }
        grad
    }

    /// 1 − cosine of each row with another's. 0 where both are zero, 1 where one is.
    ///
    /// As half the squared distance of the units, which is exactly 0 for equal rows.
    pub(super) fn cosine_distances(&self, other: &Self) -> Vec<f64> {
        let norms = self.norms.iter().zip(&other.norms);
        let rows = self.rows.rows().into_iter().zip(other.rows.rows());
        rows.zip(norms)
            .map(|((ours, theirs), (&our_norm, &their_norm))| {
                if (our_norm == 0.0) != (their_norm == 0.0) {
                    return 1.0;
                }
                let difference = &ours - &theirs;
                0.5 * difference.dot(&difference)
            })
            .collect()
    }

    /// d (Σ shareᵢ · distanceᵢ) / d row: zero where either is zero.
    pub(super) fn cosine_gradient(&self, other: &Self, shares: &[f64]) -> Array2<f64> {
        let mut grad = &self.rows - &other.rows;
        let pairs = shares.iter().zip(&other.norms);
        for (mut row, (&share, &their_norm)) in grad.rows_mut().into_iter().zip(pairs) {
            let share = if their_norm == 0.0 { 0.0 } else { share };
            row.mapv_inplace(|g| g * share);
        }
        self.pull_back(grad)
    }
}

#[cfg(test)]
mod tests {
    use super::Units;
    use ndarray::array;

    #[test]
    fn zero_has_no_direction() {
        let ours = Units::new(array![[0.0, 0.0], [0.0, 0.0], [3.0, 4.0], [1e-160, 0.0]]);
        let theirs = Units::new(array![[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]);
        assert_eq!(ours.cosine_distances(&theirs), [0.0, 1.0, 1.0, 1.0]);
        let grad = ours.cosine_gradient(&theirs, &[1.0; 4]);
        assert!(grad.iter().all(|&g| g.abs() == 0.0 || g.abs() < 1e-300));
        assert_eq!(ours.norms, [0.0, 0.0, 5.0, 0.0]);
    }

    #[test]
    fn cosines_are_right() {
        let ours = Units::new(array![[1.0, 1.0], [1.0, 0.0], [2.0, 1.0]]);
        let theirs = Units::new(array![[5.0, 0.0], [-2.0, 0.0], [2.0, 1.0]]);
        let distances = ours.cosine_distances(&theirs);
        assert!((distances[0] - (1.0 - 0.5_f64.sqrt())).abs() < 1e-15);
        assert_eq!(distances[1..], [2.0, 0.0]);
    }
}
