//! Losses next to others that they must be: members of a family, forms of the teacher, temperatures.

use crate::loss::Batch;
use approx::assert_relative_eq;
use ndarray::{Array1, Array2, Axis};
use rarefy::distill::{
    AlphaDivergence, JensenShannon, KlDivergence, Loss, Output, Reduction, ReverseKlDivergence,
    SkewedKl, SkewedReverseKl, Target, TeacherForm,
};

#[test]
fn a_high_temperature_is_a_squared_distance() {
    // T² · KL tends to Σ (z̃_t − z̃_s)² / 2C, with z̃ the logits less their mean.
    let batch = Batch::<f64>::new(1, 20, 2.0);
    let value =
        KlDivergence::new(1e4).value(&batch.student, batch.target().weights(&Array1::ones(1)));
    let centred = |z: &Array2<f64>| z - z.mean().unwrap();
    let difference = centred(&batch.teacher.logits) - centred(&batch.student.logits);
    let right = difference.mapv(|d| d * d).sum() / 40.0;
    assert_relative_eq!(value.unwrap(), right, max_relative = 1e-3);
}

type Boxed = Box<dyn Loss<f64>>;

#[test]
fn probabilities_and_their_logarithms_are_targets_too() {
    let batch = Batch::<f64>::new(5, 7, 6.0);
    let softmax = |z: &Array2<f64>| {
        let e = z.mapv(f64::exp);
        let total = e.sum_axis(Axis(1)).insert_axis(Axis(1));
        e / total
    };
    let p = softmax(&batch.teacher.logits);
    let (logs, p) = (Output::from(p.mapv(f64::ln)), Output::from(p));
    for (form, teacher) in [
        (TeacherForm::LogProbabilities, &logs),
        (TeacherForm::Probabilities, &p),
    ] {
        let losses: [(Boxed, Boxed); 3] = [
            (
                Box::new(KlDivergence::new(1.0)),
                Box::new(KlDivergence::new(1.0).teacher_form(form)),
            ),
            (
                Box::new(ReverseKlDivergence::new(1.0)),
                Box::new(ReverseKlDivergence::new(1.0).teacher_form(form)),
            ),
            (
                Box::new(JensenShannon::new(1.0)),
                Box::new(JensenShannon::new(1.0).teacher_form(form)),
            ),
        ];
        for (from_logits, loss) in losses {
            let right = from_logits
                .evaluate(&batch.student, batch.target())
                .unwrap();
            let target = batch.target().teacher(teacher);
            let ours = loss.evaluate(&batch.student, target).unwrap();
            assert_relative_eq!(ours.value, right.value, max_relative = 1e-12);
            let apart = &ours.grad.logits - &right.grad.logits;
            assert!(apart.iter().all(|g| g.abs() < 1e-13), "{loss:?}");
        }
    }
    // As PyTorch has it, numbers that do not sum to one are taken as they are: q · Σp − p.
    let doubled = Output::from(&p.logits * 2.0);
    let loss = KlDivergence::new(1.0).teacher_form(TeacherForm::Probabilities);
    let grad = loss
        .evaluate(&batch.student, Target::from(&doubled))
        .unwrap()
        .grad;
    let right = (softmax(&batch.student.logits) * 2.0 - &doubled.logits) / 5.0;
    assert!((grad.logits - right).iter().all(|g| g.abs() < 1e-12));
}

#[test]
fn the_ends_of_a_family_are_its_members_to_the_bit() {
    let batch = Batch::<f32>::new(9, 70, 8.0);
    let of = |loss: &dyn Loss<f32>| loss.evaluate(&batch.student, batch.target()).unwrap();
    let forward = of(&KlDivergence::new(2.0));
    let reverse = of(&ReverseKlDivergence::new(2.0));
    assert_eq!(of(&JensenShannon::new(2.0).beta(0.0)), forward);
    assert_eq!(of(&JensenShannon::new(2.0).beta(1.0)), reverse);
    assert_eq!(of(&AlphaDivergence::new(2.0).alpha(1.0)), forward);
    assert_eq!(of(&AlphaDivergence::new(2.0).alpha(0.0)), reverse);
    assert_eq!(of(&SkewedKl::new(2.0).lambda(0.0)), forward);
    assert_eq!(of(&SkewedReverseKl::new(2.0).lambda(0.0)), reverse);
    // Symmetric in the middle.
    let swapped = Output::clone(&batch.teacher);
    let target = Target::from(&batch.student).weights(&batch.weights);
    let there = JensenShannon::new(1.0).value(&swapped, target).unwrap();
    let here = batch.value(&JensenShannon::new(1.0));
    assert_relative_eq!(there, here, max_relative = 1e-5);
}

#[test]
fn a_temperature_for_each_row_is_that_of_its_row() {
    let batch = Batch::<f64>::new(3, 5, 4.0);
    let temperatures = Array1::from(vec![1.0, 2.0, 5.0]);
    let target = Target::from(&batch.teacher);
    let sum = KlDivergence::new(9.0).reduction(Reduction::Sum);
    let ours = sum
        .evaluate(&batch.student, target.temperatures(&temperatures))
        .unwrap();
    let mut value = 0.0;
    for (row, &t) in temperatures.iter().enumerate() {
        let of = |output: &Output<f64>| Output::from(output.logits.select(Axis(0), &[row]));
        let (s, t_logits) = (of(&batch.student), of(&batch.teacher));
        let alone = KlDivergence::new(t)
            .evaluate(&s, Target::from(&t_logits))
            .unwrap();
        value += alone.value;
        assert_eq!(ours.grad.logits.row(row), alone.grad.logits.row(0));
    }
    assert_relative_eq!(ours.value, value, max_relative = 1e-14);
}

#[test]
fn high_temperatures_keep_their_digits_in_f32() {
    let batch = Batch::<f32>::new(4, 1000, 4.0);
    let wide = |z: &Output<f32>| Output::from(z.logits.mapv(f64::from));
    let (student, teacher) = (wide(&batch.student), wide(&batch.teacher));
    for temperature in [1.0, 4.0, 31.0, 33.0, 1e3, 1e5] {
        let loss = KlDivergence::new(temperature);
        let ours = loss
            .value(&batch.student, Target::from(&batch.teacher))
            .unwrap();
        let right = loss.value(&student, Target::from(&teacher)).unwrap();
        // Where f32 is left for f64 its error has grown to this.
        assert_relative_eq!(f64::from(ours), right, max_relative = 5e-6);
    }
}
