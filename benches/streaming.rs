//! Distillation from hidden states, next to its products alone and to the way through all logits.
//!
//! ```text
//! cargo bench --bench streaming
//! ```
//!
//! The floor is the four products (logits of both networks, gradients of hidden states and projection)
//! over whole matrices in memory that is there already; nobody can do without them.

#![allow(
    clippy::expect_used,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

#[allow(dead_code, reason = "the floors of memory do not bound a product")]
mod floors;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::linalg::general_mat_mul;
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, Axis, s};
use rarefy::distill::{
    GradientBuffers, KlDivergence, Output, OutputLayer, SortedProbability, StreamingBatch,
    StreamingDistillation, Target,
};
use rarefy::prelude::*;
use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

const TEMPERATURE: f64 = 2.0;
const STRIPE: usize = 128;

/// What a good user would write: ndarray's product on stripes of the longer side, a task each.
fn product(left: &ArrayView2<'_, f32>, right: &ArrayView2<'_, f32>, out: &mut Array2<f32>) {
    let tall = out.nrows() > out.ncols();
    let axis = Axis(usize::from(!tall));
    out.axis_chunks_iter_mut(axis, STRIPE)
        .into_par_iter()
        .enumerate()
        .for_each(|(stripe, mut out)| {
            let range = stripe * STRIPE..stripe * STRIPE + out.len_of(axis);
            let (mut left, mut right) = (left.view(), right.view());
            if tall {
                left.slice_axis_inplace(Axis(0), range.into());
            } else {
                right.slice_axis_inplace(Axis(1), range.into());
            }
            general_mat_mul(1.0, &left, &right, 0.0, &mut out);
        });
}

/// Four products over a part of the tokens, in memory that is there already.
struct Products<'a> {
    hidden: &'a Array2<f32>,
    taught: &'a Array2<f32>,
    projection: &'a Array2<f32>,
    teacher_projection: &'a Array2<f32>,
    student: Output<f32>,
    teacher: Output<f32>,
    grad: Output<f32>,
    hidden_grad: Array2<f32>,
    projection_grad: Array2<f32>,
}

impl Products<'_> {
    fn logits(&mut self, tokens: &Range<usize>) {
        let rows = |all: &'_ Array2<f32>| all.slice(s![tokens.clone(), ..]).to_owned();
        let (hidden, taught) = (rows(self.hidden), rows(self.taught));
        product(
            &hidden.view(),
            &self.projection.t(),
            &mut self.student.logits,
        );
        product(
            &taught.view(),
            &self.teacher_projection.t(),
            &mut self.teacher.logits,
        );
    }

    fn gradients(&mut self, tokens: &Range<usize>) {
        let hidden = self.hidden.slice(s![tokens.clone(), ..]).to_owned();
        let grad = &self.grad.logits;
        product(&grad.view(), &self.projection.view(), &mut self.hidden_grad);
        product(&grad.t(), &hidden.view(), &mut self.projection_grad);
    }
}

/// The proportions of a language model; the twin holds all logits of 512 tokens and goes through more in
/// pieces of as many.
fn streaming(c: &mut Criterion) {
    const PIECE: usize = 512;
    let (classes, width) = (32_000, 768);
    for tokens in [PIECE, 4096] {
        let hidden = floors::normal((tokens, width), 1.0, 1);
        let taught = floors::normal((tokens, width), 1.0, 2);
        let projection = floors::normal((classes, width), 0.1, 3);
        let teacher_projection = floors::normal((classes, width), 0.1, 4);
        let mut hidden_grad = Array2::zeros((tokens, width));
        let mut projection_grad = Array2::zeros((classes, width));
        let mut group = c.benchmark_group(format!("streaming {tokens}x{width}x{classes}"));
        let multiplications = 4 * tokens * classes * width;
        group
            .sample_size(10)
            .warm_up_time(Duration::from_secs(1))
            .measurement_time(Duration::from_secs(10))
            .throughput(Throughput::Elements(multiplications as u64));

        let batch = StreamingBatch::new(OutputLayer::new(&hidden, &projection))
            .teacher(OutputLayer::new(&taught, &teacher_projection));
        let loss = StreamingDistillation::new(TEMPERATURE);
        group.bench_function("evaluate_into (no allocation of gradients)", |b| {
            b.iter(|| {
                let buffers = GradientBuffers::new()
                    .hidden(&mut hidden_grad)
                    .projection(&mut projection_grad);
                loss.evaluate_into(black_box(batch), buffers)
                    .expect("hidden states are finite")
            });
        });

        let logits = Output::from(Array2::zeros((PIECE, classes)));
        let mut products = Products {
            hidden: &hidden,
            taught: &taught,
            projection: &projection,
            teacher_projection: &teacher_projection,
            student: logits.clone(),
            teacher: logits.clone(),
            grad: logits,
            hidden_grad: Array2::zeros((PIECE, width)),
            projection_grad: Array2::zeros((classes, width)),
        };
        let pieces = || (0..tokens).step_by(PIECE).map(|start| start..start + PIECE);
        let kl = KlDivergence::new(TEMPERATURE);
        group.bench_function(
            "naive: all logits of a piece (no allocation of them)",
            |b| {
                b.iter(|| {
                    let mut sum = 0.0;
                    for tokens in pieces() {
                        products.logits(&tokens);
                        let (student, teacher) =
                            (&products.student, Target::from(&products.teacher));
                        sum += kl
                            .evaluate_into(student, teacher, &mut products.grad)
                            .expect("logits are finite");
                        products.gradients(&tokens);
                    }
                    sum
                });
            },
        );
        group.bench_function("floor: the four products", |b| {
            b.iter(|| {
                for tokens in pieces() {
                    products.logits(black_box(&tokens));
                    products.gradients(&tokens);
                }
            });
        });
        group.finish();
    }
}

/// What a good user would write: softmax, sort with the classes, signs, one row a task.
fn naive_sorted(student: &Array2<f32>, teacher: &Array2<f32>, grad: &mut Array2<f32>) -> f32 {
    let softmax = |row: &[f32]| {
        let most = row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let mut p: Vec<(f32, usize)> = row
            .iter()
            .enumerate()
            .map(|(class, z)| ((z - most).exp(), class))
            .collect();
        let total: f32 = p.iter().map(|p| p.0).sum();
        p.iter_mut().for_each(|p| p.0 /= total);
        p.sort_by(|a, b| b.0.total_cmp(&a.0));
        p
    };
    #[expect(clippy::cast_precision_loss, reason = "few rows")]
    let rows = student.nrows() as f32;
    let values = student
        .axis_iter(Axis(0))
        .into_par_iter()
        .zip(teacher.axis_iter(Axis(0)))
        .zip(grad.axis_iter_mut(Axis(0)))
        .map(|((student, teacher), mut grad)| {
            let q = softmax(student.as_slice().expect("a row is contiguous"));
            let p = softmax(teacher.as_slice().expect("a row is contiguous"));
            let mut value = 0.0;
            let mut mean = 0.0;
            for (&(q, class), &(p, _)) in q.iter().zip(&p) {
                let sign = if q == p { 0.0 } else { (q - p).signum() };
                value += (q - p).abs();
                mean += q * sign;
                grad[class] = sign;
            }
            for &(q, class) in &q {
                grad[class] = q * (grad[class] - mean) / rows;
            }
            value
        });
    values.sum::<f32>() / rows
}

fn sorted_probability(c: &mut Criterion) {
    let shape = (64, 32_000);
    let student = floors::normal(shape, 3.0, 5);
    let teacher = floors::normal(shape, 3.0, 6);
    let bytes = 3 * size_of_val(student.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("sorted_probability 64x32000");
    floors::configure(&mut group, bytes);
    let (s, t) = (Output::from(student.clone()), Output::from(teacher.clone()));
    let loss = SortedProbability::new(1.0);
    group.bench_function("evaluate (gradient in new memory)", |b| {
        b.iter(|| {
            loss.evaluate(black_box(&s), Target::from(&t))
                .expect("logits are finite")
        });
    });
    let mut grad = Array2::zeros(shape);
    group.bench_function("naive (no allocation of the gradient)", |b| {
        b.iter(|| naive_sorted(black_box(&student), &teacher, &mut grad));
    });
    floors::add(&mut group, &student);
    group.finish();
}

criterion_group!(benches, streaming, sorted_probability);
criterion_main!(benches);
