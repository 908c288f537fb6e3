//! What is known of divergences without computing them: bounds, and how they are related.

use crate::inputs::logits;
use ndarray::{Array2, array};
use rarefy::distill::{
    AlphaDivergence, CrossEntropy, JensenShannon, KlDivergence, Loss, Output, ReverseKlDivergence,
    SkewedKl, SkewedReverseKl, SortedProbability, Target, TotalVariation,
};

const NONE: f64 = f64::NEG_INFINITY;

fn pair(spread: f64) -> (Output<f64>, Output<f64>) {
    let of = |seed| Output::from(logits(8, 30, seed, spread));
    (of(31), of(32))
}

fn value(loss: impl Loss<f64>, student: &Output<f64>, teacher: &Output<f64>) -> f64 {
    loss.value(student, Target::from(teacher)).unwrap()
}

/// As it is written, over rows that nothing masks.
fn log_softmax(logits: &Array2<f64>) -> Array2<f64> {
    let mut logs = logits.clone();
    for mut row in logs.rows_mut() {
        let total = row.mapv(f64::exp).sum().ln();
        row.mapv_inplace(|z| z - total);
    }
    logs
}

#[test]
fn divergence_and_entropy_are_the_cross_entropy() {
    for spread in [0.1, 2.0, 20.0] {
        let (student, teacher) = pair(spread);
        let (log_q, log_p) = (log_softmax(&student.logits), log_softmax(&teacher.logits));
        let p = log_p.mapv(f64::exp);
        let cross = -(&p * &log_q).sum() / 8.0;
        let entropy = -(&p * &log_p).sum() / 8.0;
        let kl = value(KlDivergence::new(1.0), &student, &teacher);
        assert!((kl + entropy - cross).abs() <= 1e-13 * cross, "±{spread}");
        // The entropy is what the divergence from the uniform distribution leaves of ln C.
        let uniform = Output::from(Array2::zeros((8, 30)));
        let from_uniform = value(KlDivergence::new(1.0), &uniform, &teacher);
        assert!(
            (30.0_f64.ln() - from_uniform - entropy).abs() <= 1e-13,
            "±{spread}"
        );
    }
}

#[test]
fn a_sure_teacher_is_a_label() {
    let (student, _) = pair(6.0);
    let labels = [0, 29, 7, 7, 1, 2, 3, 15];
    let mut sure = Array2::from_elem((8, 30), NONE);
    for (row, &label) in labels.iter().enumerate() {
        sure[[row, label]] = -3.0;
    }
    let sure = Output::from(sure);
    let soft = KlDivergence::new(1.0)
        .evaluate(&student, Target::from(&sure))
        .unwrap();
    let hard = CrossEntropy::new()
        .evaluate(&student, Target::new().labels(&labels))
        .unwrap();
    assert!((soft.value - hard.value).abs() <= 1e-14 * hard.value);
    let mut pairs = soft.grad.logits.iter().zip(&hard.grad.logits);
    assert!(pairs.all(|(a, b)| (a - b).abs() <= 1e-15));
}

#[test]
fn zero_means_equal_and_equal_means_zero() {
    let (student, teacher) = pair(6.0);
    let shifted = Output::from(&student.logits + 250.0);
    for loss in [
        Box::new(KlDivergence::new(1.5)) as Box<dyn Loss<f64>>,
        Box::new(ReverseKlDivergence::new(1.5)),
        Box::new(JensenShannon::new(1.5)),
        Box::new(TotalVariation::new(1.5)),
    ] {
        assert!(value(&*loss, &student, &shifted) <= 1e-12, "{loss:?}");
        assert!(value(&*loss, &student, &teacher) > 1e-3, "{loss:?}");
    }
}

#[test]
fn what_is_bounded_stays_below_and_gets_there_where_nothing_is_shared() {
    // Each is sure of what the other rules out.
    let apart = (
        Output::from(array![[0.0, 0.0, NONE, NONE]]),
        Output::from(array![[NONE, NONE, 0.0, 0.0]]),
    );
    let ln = f64::ln;
    let binary = |b: f64| -b * ln(b) - (1.0 - b) * ln(1.0 - b);
    let bounded: Vec<(Box<dyn Loss<f64>>, f64)> = vec![
        (Box::new(JensenShannon::new(1.0)), binary(0.5)),
        (Box::new(JensenShannon::new(1.0).beta(0.1)), binary(0.1)),
        (Box::new(JensenShannon::new(1.0).beta(0.8)), binary(0.8)),
        (Box::new(TotalVariation::new(1.0)), 1.0),
        (Box::new(SkewedKl::new(1.0).lambda(0.1)), -ln(0.1)),
        (Box::new(SkewedReverseKl::new(1.0).lambda(0.3)), -ln(0.3)),
        (Box::new(AlphaDivergence::new(1.0).alpha(0.5)), 4.0),
        (Box::new(SortedProbability::new(1.0)), f64::NAN),
    ];
    for (loss, bound) in bounded {
        let at_most = if bound.is_nan() { 2.0 } else { bound };
        for spread in [0.5, 8.0, 300.0, 2e4] {
            let (student, teacher) = pair(spread);
            let value = value(&*loss, &student, &teacher);
            assert!(
                (0.0..=at_most * (1.0 + 1e-12)).contains(&value),
                "{loss:?}, ±{spread}: {value}"
            );
        }
        let most = value(&*loss, &apart.0, &apart.1);
        // Sorted, two distributions that share nothing are equal.
        let right = if bound.is_nan() { 0.0 } else { bound };
        assert!(
            (most - right).abs() <= 1e-12,
            "{loss:?}: {most} for {right}"
        );
    }
}

#[test]
fn changing_sides_is_changing_shares() {
    let (student, teacher) = pair(6.0);
    for beta in [0.0, 0.1, 0.5, 0.75, 1.0] {
        let there = value(JensenShannon::new(1.0).beta(beta), &student, &teacher);
        let back = value(JensenShannon::new(1.0).beta(1.0 - beta), &teacher, &student);
        assert!((there - back).abs() <= 1e-14 * (1.0 + there), "β {beta}");
    }
    for alpha in [0.0, 0.3, 0.5, 1.0] {
        let there = value(AlphaDivergence::new(1.0).alpha(alpha), &student, &teacher);
        let back = value(
            AlphaDivergence::new(1.0).alpha(1.0 - alpha),
            &teacher,
            &student,
        );
        assert!((there - back).abs() <= 1e-13 * (1.0 + there), "α {alpha}");
    }
    let there = value(SkewedKl::new(1.0).lambda(0.2), &student, &teacher);
    let back = value(SkewedReverseKl::new(1.0).lambda(0.2), &teacher, &student);
    assert!((there - back).abs() <= 1e-14 * (1.0 + there), "skewed");
}
