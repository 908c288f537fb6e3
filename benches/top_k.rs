//! Losses over a teacher's likeliest classes, next to the divergence over all of them.
//!
//! ```text
//! cargo bench --bench top_k
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
    KlDivergence, Output, TailBucketDivergence, Target, TopKDivergence, TopKTarget,
};
use rarefy::prelude::*;
use std::hint::black_box;

const SHAPE: (usize, usize) = (512, 32000);
const K: usize = 64;

/// What a good user would write: the k logits, their softmax, its distance from the teacher's, one row
/// a task, gradient in the order of the k classes.
fn naive_top_k(student: &Array2<f32>, target: &TopKTarget<f32>, grad: &mut Array2<f32>) -> f32 {
    let rows = student.nrows() as f32;
    let mut values = vec![0.0_f32; student.nrows()];
    Zip::from(student.rows())
        .and(target.indices().rows())
        .and(target.log_probabilities().rows())
        .and(grad.rows_mut())
        .and(&mut values[..])
        .par_for_each(|student, indices, logs, mut grad, value| {
            let log_sum = |row: &mut dyn Iterator<Item = f32>| {
                let row: Vec<f32> = row.collect();
                let largest = row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                largest + row.iter().map(|z| (z - largest).exp()).sum::<f32>().ln()
            };
            let picked = || indices.iter().map(|&class| student[class as usize]);
            let (of_student, of_teacher) =
                (log_sum(&mut picked()), log_sum(&mut logs.iter().copied()));
            for ((g, s), t) in grad.iter_mut().zip(picked()).zip(&logs) {
                let (log_q, log_p) = (s - of_student, t - of_teacher);
                *value += log_p.exp() * (log_p - log_q) / rows;
                *g = (log_q.exp() - log_p.exp()) / rows;
            }
        });
    values.iter().sum()
}

fn losses(c: &mut Criterion) {
    let student = Output::from(floors::normal(SHAPE, 3.0, 3));
    let teacher = Output::from(floors::normal(SHAPE, 3.0, 4));
    let top_k = TopKTarget::from_logits(&teacher.logits, K).expect("logits are finite");
    let target = Target::from(&teacher).top_k(&top_k);
    let mut grad = student.zeros_like();
    let bytes = size_of_val(student.logits.as_slice().expect("contiguous"));
    let mut group = c.benchmark_group(format!("top-k {}x{}, k {K}", SHAPE.0, SHAPE.1));
    floors::configure(&mut group, bytes);
    let dense: [(&str, Box<dyn Loss<f32>>); 3] = [
        (
            "KlDivergence, all classes",
            Box::new(KlDivergence::new(1.0)),
        ),
        (
            "TailBucketDivergence",
            Box::new(TailBucketDivergence::new()),
        ),
        (
            "TopKDivergence, dense gradient",
            Box::new(TopKDivergence::new(1.0)),
        ),
    ];
    for (name, loss) in dense {
        group.bench_function(format!("{name}, evaluate_into"), |b| {
            b.iter(|| {
                loss.evaluate_into(black_box(&student), target, &mut grad)
                    .expect("logits are finite")
            });
        });
    }
    group.bench_function("TopKDivergence, evaluate_sparse (gradient of k)", |b| {
        b.iter(|| {
            TopKDivergence::new(1.0)
                .evaluate_sparse(black_box(&student.logits), &top_k, None)
                .expect("logits are finite")
        });
    });
    let mut sparse = Array2::zeros((SHAPE.0, K));
    group.bench_function("naive: gradient of k (no allocation of it)", |b| {
        b.iter(|| naive_top_k(black_box(&student.logits), &top_k, &mut sparse));
    });
    floors::add(&mut group, &student.logits);
    group.finish();
}

fn targets(c: &mut Criterion) {
    let teacher = floors::normal(SHAPE, 3.0, 4);
    let bytes = size_of_val(teacher.as_slice().expect("contiguous"));
    let mut group = c.benchmark_group(format!("top-k target {}x{}, k {K}", SHAPE.0, SHAPE.1));
    floors::configure(&mut group, bytes);
    group.bench_function("TopKTarget::from_logits", |b| {
        b.iter(|| TopKTarget::from_logits(black_box(&teacher), K).expect("logits are finite"));
    });
    group.bench_function("naive: select_nth_unstable_by, a row a task", |b| {
        let mut kept = Array2::<u32>::zeros((SHAPE.0, K));
        b.iter(|| {
            Zip::from(black_box(&teacher).rows())
                .and(kept.rows_mut())
                .par_for_each(|row, mut kept| {
                    let mut order: Vec<u32> = (0..).take(row.len()).collect();
                    let by = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]);
                    let (likeliest, ..) = order.select_nth_unstable_by(K, by);
                    likeliest.sort_unstable_by(by);
                    kept.iter_mut()
                        .zip(likeliest)
                        .for_each(|(to, from)| *to = *from);
                });
        });
    });
    floors::add(&mut group, &teacher);
    group.finish();
}

criterion_group!(benches, losses, targets);
criterion_main!(benches);
