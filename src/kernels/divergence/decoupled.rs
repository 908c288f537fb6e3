//! One row of the decoupled divergence (Zhao et al. 2022): the label against all others, and the others
//! among themselves.
//!
//! ```text
//! value = α · KL((p_y, 1 − p_y) ‖ (q_y, 1 − q_y)) + β · KL(p̂ ‖ q̂)
//! ```
//!
//! p̂ and q̂ are the probabilities of the classes without the label y, brought to sum to one. With
//! a = z_y/T − ln Σ_{c≠y} exp(z_c/T), the first part is the KL of two logistic probabilities of a, so
//! nothing is lost where the teacher is nearly sure.

use super::forward::{forward, put};
use super::row::{Outcome, Scratch};
use super::softmax::Keep;
use super::{Fault, RowAgainst, Side, Store};
use crate::kernels::real::Real;

/// The value, and `factor` times the gradient if it is asked for.
pub(super) fn row<F: Real>(
    student: &[F],
    against: RowAgainst<'_, F>,
    scratch: &mut Scratch<F>,
    gradient: Option<(F, Store, &mut [F])>,
) -> Result<Outcome, Fault> {
    let RowAgainst::Decoupled {
        teacher,
        label,
        weights: [on_label, on_others],
        inverse_temperature,
    } = against
    else {
        return Ok(NOTHING);
    };
    if student.len() == 1 {
        // No others: both sides are sure.
        for (side, z) in [(Side::Student, student[0]), (Side::Teacher, teacher[0])] {
            check_one(side, z, 0)?;
        }
        if let Some((_, Store::Write, gradient)) = gradient {
            gradient.fill(F::zero());
        }
        return Ok(NOTHING);
    }
    for (side, z) in [
        (Side::Student, student[label]),
        (Side::Teacher, teacher[label]),
    ] {
        check_one(side, z, label)?;
    }
    let sides = [student, teacher];
    let others = forward(
        sides,
        Some(label),
        inverse_temperature,
        scratch,
        Keep::Exponentials,
    )?;
    let inverse = F::softening(inverse_temperature.widen()).hardened();
    let lead = |z: F, most: f64, total: f64| (z.widen() - most) * inverse - total.ln();
    let [most_s, most_t] = others.largest;
    let a = lead(student[label], most_s, others.student_total);
    let b = lead(teacher[label], most_t, others.teacher_total);
    let (q, p) = (logistic(a), logistic(b));
    let masked = student[label] == F::neg_infinity() && teacher[label] > F::neg_infinity();
    let apart = if p > 0.0 { p * (b - a) } else { 0.0 };
    let sure = (softplus(a) - softplus(b) + apart).max(0.0);
    let ruled_out = if masked {
        Some((Side::Student, label))
    } else {
        others.ruled_out
    };
    if let Some((factor, store, gradient)) = gradient {
        if let Some((side, class)) = ruled_out {
            return Err(Fault::RuledOut { side, class });
        }
        let factor = factor.widen();
        let ahead = factor * on_label * (q - p);
        let on_student = (factor * on_others - ahead) / others.student_total;
        let on_teacher = factor * on_others / others.teacher_total;
        let on_both = (on_student, Some(on_teacher));
        put(scratch, Some(label), on_both, store, gradient);
        gradient[label] = match store {
            Store::Write => F::narrow(ahead),
            Store::Add => gradient[label] + F::narrow(ahead),
        };
    }
    // A part of weight 0 is left out, also if it overflows.
    let part = |weight: f64, value: f64| if weight == 0.0 { 0.0 } else { weight * value };
    Ok(Outcome {
        value: if ruled_out.is_some() {
            f64::INFINITY
        } else {
            part(on_label, sure) + part(on_others, others.value)
        },
        ruled_out,
        ..NOTHING
    })
}

const NOTHING: Outcome = Outcome {
    value: 0.0,
    ruled_out: None,
    student_total: 1.0,
    teacher_total: 1.0,
    largest: [0.0; 2],
    slopes: 0.0,
};

fn check_one<F: Real>(side: Side, z: F, class: usize) -> Result<(), Fault> {
    if z < F::infinity() {
        Ok(())
    } else {
        Err(Fault::NotALogit { side, class })
    }
}

fn logistic(x: f64) -> f64 {
    let e = (-x.abs()).exponential();
    let share = 1.0 / (1.0 + e);
    if x < 0.0 { e * share } else { share }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exponential().logarithm_1p()
}
