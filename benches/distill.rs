//! Distillation losses, next to what a good user would write and to the machine's floors.
//!
//! ```text
//! cargo bench --bench distill
//! ```

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Zip};
use rarefy::distill::{
    self, AlphaDivergence, CrossEntropy, DecoupledKl, JensenShannon, KlDivergence, Output,
    ReverseKlDivergence, SigmoidKl, SkewedKl, SkewedReverseKl, Target, TotalVariation,
};
use rarefy::prelude::*;
use std::hint::black_box;

const TEMPERATURE: f32 = 2.0;

/// What a good user would write: one row a task, softmax with the largest logit taken off.
fn naive_kl(student: &Array2<f32>, teacher: &Array2<f32>, grad: &mut Array2<f32>) -> f32 {
    let rows = student.nrows() as f32;
    let mut values = vec![0.0_f32; student.nrows()];
    Zip::from(student.rows())
        .and(teacher.rows())
        .and(grad.rows_mut())
        .and(&mut values[..])
        .par_for_each(|student, teacher, mut grad, value| {
            let log_sum = |row: &ndarray::ArrayView1<'_, f32>| {
                let largest = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b)) / TEMPERATURE;
                largest
                    + row
                        .fold(0.0, |sum, z| sum + (z / TEMPERATURE - largest).exp())
                        .ln()
            };
            let (log_student, log_teacher) = (log_sum(&student), log_sum(&teacher));
            let mut sum = 0.0;
            Zip::from(&mut grad)
                .and(&student)
                .and(&teacher)
                .for_each(|grad, s, t| {
                    let log_q = s / TEMPERATURE - log_student;
                    let log_p = t / TEMPERATURE - log_teacher;
                    let p = log_p.exp();
                    sum += p * (log_p - log_q);
                    *grad = TEMPERATURE / rows * (log_q.exp() - p);
                });
            *value = TEMPERATURE * TEMPERATURE / rows * sum;
        });
    values.iter().sum()
}

fn kl_divergence(c: &mut Criterion) {
    for shape in [(512, 32000), (4096, 1000)] {
        let student = floors::normal(shape, 3.0, 3);
        let teacher = floors::normal(shape, 3.0, 4);
        let bytes = 3 * size_of_val(student.as_slice().expect("a fresh array is contiguous"));
        let mut group = c.benchmark_group(format!("kl_divergence {}x{}", shape.0, shape.1));
        floors::configure(&mut group, bytes);
        let loss = KlDivergence::new(TEMPERATURE.into());
        let (s, t) = (Output::from(student.clone()), Output::from(teacher.clone()));
        let mut grad = s.zeros_like();
        group.bench_function("evaluate_into (value and gradient, no allocation)", |b| {
            b.iter(|| {
                let target = Target::from(&t);
                loss.evaluate_into(black_box(&s), target, &mut grad)
                    .expect("logits are finite")
            });
        });
        group.bench_function("accumulate (value and gradient, no allocation)", |b| {
            b.iter(|| {
                let target = Target::from(&t);
                loss.accumulate(black_box(&s), target, 1.0, &mut grad)
                    .expect("logits are finite")
            });
        });
        group.bench_function("value", |b| {
            b.iter(|| {
                loss.value(black_box(&s), Target::from(&t))
                    .expect("logits are finite")
            });
        });
        group.bench_function("kl_divergence (gradient in new memory)", |b| {
            b.iter(|| {
                distill::kl_divergence(black_box(&student), &teacher, TEMPERATURE.into())
                    .expect("logits are finite")
            });
        });
        group.bench_function("naive (value and gradient, no allocation)", |b| {
            b.iter(|| naive_kl(black_box(&student), &teacher, &mut grad.logits));
        });
        floors::add(&mut group, &student);
        group.finish();
    }
}

fn cross_entropy(c: &mut Criterion) {
    let shape = (512, 32000);
    let student = floors::normal(shape, 3.0, 5);
    let labels: Vec<usize> = (0..shape.0).map(|row| row * 61 % shape.1).collect();
    let bytes = 2 * size_of_val(student.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("cross_entropy 512x32000");
    floors::configure(&mut group, bytes);
    let s = Output::from(student.clone());
    let mut grad = s.zeros_like();
    group.bench_function("accumulate (value and gradient, no allocation)", |b| {
        b.iter(|| {
            let target = Target::new().labels(&labels);
            CrossEntropy::new()
                .accumulate(black_box(&s), target, 1.0, &mut grad)
                .expect("logits are finite")
        });
    });
    group.bench_function("naive (value and gradient, no allocation)", |b| {
        b.iter(|| {
            let rows = shape.0 as f32;
            let mut values = vec![0.0_f32; shape.0];
            let labels = ndarray::ArrayView1::from(&labels);
            Zip::from(black_box(&student).rows())
                .and(grad.logits.rows_mut())
                .and(&labels)
                .and(&mut values[..])
                .par_for_each(|row, mut grad, &label, value| {
                    let largest = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                    grad.zip_mut_with(&row, |g, z| *g = (z - largest).exp());
                    let sum = grad.sum();
                    grad.mapv_inplace(|g| g / (sum * rows));
                    grad[label] -= 1.0 / rows;
                    *value = (sum.ln() + largest - row[label]) / rows;
                });
            values.iter().sum::<f32>()
        });
    });
    floors::add(&mut group, &student);
    group.finish();
}

/// Every divergence over the same logits, next to forward KL.
fn divergences(c: &mut Criterion) {
    let shape = (512, 32000);
    let student = Output::from(floors::normal(shape, 3.0, 3));
    let teacher = Output::from(floors::normal(shape, 3.0, 4));
    let labels: Vec<usize> = (0..shape.0).map(|row| row * 61 % shape.1).collect();
    let bytes = 3 * size_of_val(student.logits.as_slice().expect("contiguous"));
    let mut grad = student.zeros_like();
    let mut group = c.benchmark_group("divergences 512x32000, evaluate_into");
    floors::configure(&mut group, bytes);
    let losses: [(&str, Box<dyn Loss<f32>>); 9] = [
        ("KlDivergence", Box::new(KlDivergence::new(2.0))),
        (
            "ReverseKlDivergence",
            Box::new(ReverseKlDivergence::new(2.0)),
        ),
        ("JensenShannon", Box::new(JensenShannon::new(2.0))),
        ("SkewedKl", Box::new(SkewedKl::new(2.0))),
        ("SkewedReverseKl", Box::new(SkewedReverseKl::new(2.0))),
        ("TotalVariation", Box::new(TotalVariation::new(2.0))),
        ("AlphaDivergence", Box::new(AlphaDivergence::new(2.0))),
        ("DecoupledKl", Box::new(DecoupledKl::new(2.0))),
        ("SigmoidKl", Box::new(SigmoidKl::new(2.0))),
    ];
    for (name, loss) in losses {
        group.bench_function(name, |b| {
            b.iter(|| {
                let target = Target::from(&teacher).labels(&labels);
                loss.evaluate_into(black_box(&student), target, &mut grad)
                    .expect("logits are finite")
            });
        });
    }
    floors::add(&mut group, &student.logits);
    group.finish();
}

criterion_group!(benches, kl_divergence, cross_entropy, divergences);
criterion_main!(benches);
