//! One layer of attention, by hand: forward, backward, and Adam.
//!
//! ```text
//! h = tanh(x·E)   a = (h·Q)(h·K)ᵀ / √d   o = h + softmax(a)·(h·V)   logits = o of the first token · W
//! ```

use crate::task::{Batch, CLASSES, INPUTS, TIME};
use ndarray::{Array2, Array3, Axis, Zip, s};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::Normal;
use rand_chacha::ChaCha8Rng;
use rarefy::Result;
use rarefy::distill::{Output, Student, Teacher};

const EMBED: usize = 0;
const QUERY: usize = 1;
const KEY: usize = 2;
const VALUE: usize = 3;
const CLASSIFY: usize = 4;
/// Learned as the others are, but no part of the network: from the student's width to the teacher's.
const PROJECT: usize = 5;

pub struct Network {
    weights: Vec<Array2<f32>>,
    moments: Vec<[Array2<f32>; 2]>,
    steps: i32,
    passed: Option<Passed>,
}

/// What the backward pass needs of the forward pass.
struct Passed {
    x: Array2<f32>,
    h: Array2<f32>,
    qkv: [Array2<f32>; 3],
    attention: Array3<f32>,
    first: Array2<f32>,
}

impl Network {
    pub fn new(width: usize, teacher_width: usize, random: &mut ChaCha8Rng) -> Self {
        let shapes = [
            (INPUTS, width),
            (width, width),
            (width, width),
            (width, width),
            (width, CLASSES),
            (width, teacher_width),
        ];
        let weights = shapes.map(|shape| {
            let deviation = (shape.0 as f32).sqrt().recip();
            let normal = Normal::new(0.0, deviation).expect("the deviation is positive");
            Array2::random_using(shape, normal, random)
        });
        let zeros = |w: &Array2<f32>| [Array2::zeros(w.raw_dim()), Array2::zeros(w.raw_dim())];
        Self {
            moments: weights.iter().map(zeros).collect(),
            weights: weights.into(),
            steps: 0,
            passed: None,
        }
    }

    /// How many weights the network has, without the projection, which training leaves behind.
    pub fn size(&self) -> usize {
        self.weights[..PROJECT].iter().map(Array2::len).sum()
    }

    fn width(&self) -> usize {
        self.weights[QUERY].nrows()
    }

    fn pass(&self, batch: &Batch) -> (Output<f32>, Passed) {
        let (rows, width) = (batch.x.nrows(), self.width());
        let count = rows / TIME;
        let h = batch.x.dot(&self.weights[EMBED]).mapv(f32::tanh);
        let qkv = [QUERY, KEY, VALUE].map(|part| h.dot(&self.weights[part]));
        let mut scores = Array3::zeros((count, TIME, TIME));
        let mut hidden = h.clone();
        let mut attention = scores.clone();
        for (i, mut a) in scores.outer_iter_mut().enumerate() {
            let of = |part: usize| qkv[part].slice(s![i * TIME..(i + 1) * TIME, ..]);
            a.assign(&(of(0).dot(&of(1).t()) / (width as f32).sqrt()));
            let mut p = attention.index_axis_mut(Axis(0), i);
            p.assign(&a);
            for mut row in p.rows_mut() {
                let most = row.fold(f32::NEG_INFINITY, |most, &z| most.max(z));
                row.mapv_inplace(|z| (z - most).exp());
                let total = row.sum();
                row /= total;
            }
            let mut o = hidden.slice_mut(s![i * TIME..(i + 1) * TIME, ..]);
            o += &p.dot(&of(2));
        }
        let first = hidden.slice(s![..;TIME, ..]).to_owned();
        let logits = first.dot(&self.weights[CLASSIFY]);
        let output = Output::from(logits)
            .with_feature("hidden", hidden)
            .with_feature("attention", scores)
            .with_feature("projection", self.weights[PROJECT].clone());
        let x = batch.x.clone();
        (
            output,
            Passed {
                x,
                h,
                qkv,
                attention,
                first,
            },
        )
    }

    fn adam(&mut self, gradients: &[Array2<f32>]) {
        self.steps += 1;
        let correct = |beta: f32| 1.0 - beta.powi(self.steps);
        let (first, second) = (correct(0.9), correct(0.999));
        let each = self
            .weights
            .iter_mut()
            .zip(gradients)
            .zip(&mut self.moments);
        for ((w, g), [m, v]) in each {
            Zip::from(w).and(g).and(m).and(v).for_each(|w, &g, m, v| {
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                *w -= 0.005 * (*m / first) / ((*v / second).sqrt() + 1e-8);
            });
        }
    }
}

impl Teacher<f32, Batch> for Network {
    fn teach(&self, batch: &Batch) -> Result<Output<f32>> {
        Ok(self.pass(batch).0)
    }
}

impl Student<f32, Batch> for Network {
    fn forward(&mut self, batch: &Batch) -> Result<Output<f32>> {
        let (output, passed) = self.pass(batch);
        self.passed = Some(passed);
        Ok(output)
    }

    /// The gradient comes with the names that `forward` gave.
    fn backward(&mut self, grad: &Output<f32>) -> Result<()> {
        let Some(Passed {
            x,
            h,
            qkv,
            attention,
            first,
        }) = self.passed.take()
        else {
            return Ok(());
        };
        let rows = h.nrows();
        let of = |name: &str, shape| {
            let feature = grad.features[name].to_shape(shape);
            feature
                .expect("a gradient has its feature's shape")
                .to_owned()
        };
        let mut d_hidden = of("hidden", (rows, self.width()));
        let d_scores = of("attention", (rows, TIME));
        let d_project = of("projection", self.weights[PROJECT].dim());
        let mut heads = d_hidden.slice_mut(s![..;TIME, ..]);
        heads += &grad.logits.dot(&self.weights[CLASSIFY].t());
        let d_classify = first.t().dot(&grad.logits);

        let mut d_qkv = qkv.each_ref().map(|part| Array2::zeros(part.raw_dim()));
        let root = (self.width() as f32).sqrt();
        for (i, p) in attention.outer_iter().enumerate() {
            let one = s![i * TIME..(i + 1) * TIME, ..];
            let d_o = d_hidden.slice(one);
            d_qkv[2].slice_mut(one).assign(&p.t().dot(&d_o));
            let d_p = d_o.dot(&qkv[2].slice(one).t());
            let mean = (&d_p * &p).sum_axis(Axis(1)).insert_axis(Axis(1));
            // From the softmax, and from the loss that compares scores.
            let d_a = (&p * &(&d_p - &mean) + d_scores.slice(one)) / root;
            d_qkv[0].slice_mut(one).assign(&d_a.dot(&qkv[1].slice(one)));
            d_qkv[1]
                .slice_mut(one)
                .assign(&d_a.t().dot(&qkv[0].slice(one)));
        }
        let mut d_h = d_hidden;
        for (part, d) in [QUERY, KEY, VALUE].into_iter().zip(&d_qkv) {
            d_h += &d.dot(&self.weights[part].t());
        }
        let d_embed = x.t().dot(&(d_h * h.mapv(|h| 1.0 - h * h)));
        let [d_query, d_key, d_value] = d_qkv.map(|d| h.t().dot(&d));
        self.adam(&[d_embed, d_query, d_key, d_value, d_classify, d_project]);
        Ok(())
    }
}
