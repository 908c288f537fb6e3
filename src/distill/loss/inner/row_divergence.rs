//! KL divergence of the softmax of two rows of scores, over the entries that are compared.

use crate::kernels::real::Real;

/// What two rows of scores have to do with one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowDivergence {
    /// KL(softmax(teacher) ‖ softmax(student)).
    pub(super) kl: f64,
    /// The entropy of softmax(teacher).
    pub(super) entropy: f64,
}

/// The divergence over entries for which `keeps` is true, and its gradient, softmax(student) −
/// softmax(teacher), into `grad`: 0 at all others. `scratch` is as long as a row.
///
/// All entries that are kept must be finite, and there must be one.
pub(super) fn row_divergence(
    student: &[f64],
    teacher: &[f64],
    keeps: impl Fn(usize) -> bool,
    grad: &mut [f64],
    scratch: &mut [f64],
) -> RowDivergence {
    let largest = |row: &[f64]| {
        let kept = row.iter().enumerate().filter(|(entry, _)| keeps(*entry));
        kept.fold(f64::NEG_INFINITY, |most, (_, &score)| most.max(score))
    };
    let (most_s, most_t) = (largest(student), largest(teacher));
    let exponentials = |row: &[f64], most: f64, out: &mut [f64]| {
        for (entry, (out, &score)) in out.iter_mut().zip(row).enumerate() {
            let power = (score - most).exponential();
            *out = if keeps(entry) { power } else { 0.0 };
        }
        out.iter().sum::<f64>()
    };
    let total_s = exponentials(student, most_s, grad);
    let total_t = exponentials(teacher, most_t, scratch);
    let (mut apart, mut surprise) = (0.0, 0.0);
    let scores = student.iter().zip(teacher);
    for (entry, ((grad, p), (&s, &t))) in grad.iter_mut().zip(scratch).zip(scores).enumerate() {
        if !keeps(entry) {
            continue;
        }
        *p /= total_t;
        apart += *p * ((t - most_t) - (s - most_s));
        surprise -= *p * (t - most_t);
        *grad = *grad / total_s - *p;
    }
    let (ln_s, ln_t) = (total_s.ln(), total_t.ln());
    RowDivergence {
        // A divergence is not negative; its rounding error may be.
        kl: (apart + (ln_s - ln_t)).max(0.0),
        entropy: (surprise + ln_t).max(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::row_divergence;

    #[test]
    fn it_is_the_divergence_of_the_kept() {
        let (student, teacher) = ([1.0, f64::NAN, -0.5, 2.0], [0.0, 7.0, 3.0, 1.0]);
        let softmax = |row: [f64; 4]| {
            let kept = [row[0], row[2], row[3]].map(f64::exp);
            let total: f64 = kept.iter().sum();
            kept.map(|e| e / total)
        };
        let (q, p) = (softmax(student), softmax(teacher));
        let kl: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        let entropy: f64 = p.iter().map(|p| -p * p.ln()).sum();
        let (mut grad, mut scratch) = ([9.0; 4], [9.0; 4]);
        let found = row_divergence(
            &student,
            &teacher,
            |entry| entry != 1,
            &mut grad,
            &mut scratch,
        );
        assert!((found.kl - kl).abs() < 1e-14);
        assert!((found.entropy - entropy).abs() < 1e-14);
        let right = [q[0] - p[0], 0.0, q[1] - p[1], q[2] - p[2]];
        for (grad, right) in grad.iter().zip(right) {
            assert!((grad - right).abs() < 1e-15);
        }
    }

    #[test]
    fn it_is_zero_for_equal_rows() {
        let row = [0.3, -1e4, 5.0];
        let (mut grad, mut scratch) = ([9.0; 3], [9.0; 3]);
        let found = row_divergence(&row, &row, |_| true, &mut grad, &mut scratch);
        assert_eq!((found.kl, grad), (0.0, [0.0; 3]));
    }
}
