//! Prunes a network while it trains, in a loop of one's own, and compares with pruning all at once.
//!
//! ```text
//! cargo run --release --example gradual_pruning [-- --quick]
//! ```

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "an example shows its result by printing it, and counts small numbers"
)]

use ndarray::{Array1, Array2, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::{Rng, SeedableRng};
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rarefy::prelude::*;
use rarefy::prune::{Amount, GradualPruning, Magnitude, Unstructured};
use rarefy::schedule::{Interval, Polynomial};
use rarefy::{Result, distill};

const INPUTS: usize = 32;
const HIDDEN: usize = 128;
const CLASSES: usize = 10;
const BATCH: usize = 64;
const SPARSITY: f64 = 0.95;

/// A gradual pruning of magnitudes.
type Pruning = GradualPruning<Polynomial, fn(&str, Amount) -> Unstructured<Magnitude>>;

fn magnitude(_: &str, amount: Amount) -> Unstructured<Magnitude> {
    Unstructured::new(Magnitude, amount)
}

/// Random numbers.
fn normal(rows: usize, columns: usize, deviation: f32, random: &mut ChaCha8Rng) -> Array2<f32> {
    Array2::random_using((rows, columns), StandardNormal, random) * deviation
}

/// One hidden layer; weights, or anything of their shapes.
#[derive(Clone)]
struct Network {
    first: Array2<f32>,
    bias: Array1<f32>,
    second: Array2<f32>,
}

impl Network {
    fn random(hidden: usize, random: &mut ChaCha8Rng) -> Self {
        Self {
            first: normal(INPUTS, hidden, (2.0 / INPUTS as f32).sqrt(), random),
            bias: Array1::zeros(hidden),
            second: normal(hidden, CLASSES, (1.0 / hidden as f32).sqrt(), random),
        }
    }

    fn hidden(&self, x: &Array2<f32>) -> Array2<f32> {
        (x.dot(&self.first) + &self.bias).mapv(|h| h.max(0.0))
    }

    fn classes(&self, x: &Array2<f32>) -> Vec<usize> {
        let logits = self.hidden(x).dot(&self.second);
        let best = |row: ndarray::ArrayView1<'_, f32>| {
            let better = |best, class| if row[class] > row[best] { class } else { best };
            (1..CLASSES).fold(0, better)
        };
        logits.axis_iter(Axis(0)).map(best).collect()
    }

    fn gradient(&self, x: &Array2<f32>, labels: &[usize]) -> Result<Self> {
        let hidden = self.hidden(x);
        let grad = distill::cross_entropy(&hidden.dot(&self.second), labels)?.grad;
        let mut back = grad.dot(&self.second.t());
        back.zip_mut_with(&hidden, |back, &hidden| {
            *back *= f32::from(hidden > 0.0);
        });
        Ok(Self {
            first: x.t().dot(&back),
            bias: back.sum_axis(Axis(0)),
            second: hidden.t().dot(&grad),
        })
    }

    fn zeros(&self) -> f64 {
        let weights = self.first.iter().chain(&self.second);
        let zeros = weights.filter(|&&weight| weight == 0.0).count();
        zeros as f64 / (self.first.len() + self.second.len()) as f64
    }
}

/// Trains with momentum. The loop is ours; the four marked lines are all that pruning adds to it.
fn train(network: &mut Network, data: &Data, steps: u64, pruning: &mut Pruning) -> Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut moments = network.clone();
    for moment in [&mut moments.first, &mut moments.second] {
        moment.fill(0.0);
    }
    moments.bias.fill(0.0);
    for step in 0..steps {
        let rows: Vec<usize> = (0..BATCH)
            .map(|_| random.random_range(0..data.labels.len()))
            .collect();
        let x = data.inputs.select(Axis(0), &rows);
        let labels: Vec<usize> = rows.iter().map(|&row| data.labels[row]).collect();
        let gradient = network.gradient(&x, &labels)?;
        let rate = 0.05 * (1.0 - step as f32 / steps as f32);
        let update = |weights: &mut Array2<f32>, moment: &mut Array2<f32>, grad: &Array2<f32>| {
            moment.zip_mut_with(grad, |moment, grad| *moment = 0.9 * *moment + grad);
            weights.scaled_add(-rate, moment);
        };
        update(&mut network.first, &mut moments.first, &gradient.first);
        update(&mut network.second, &mut moments.second, &gradient.second);
        moments.bias = &moments.bias * 0.9 + &gradient.bias;
        network.bias.scaled_add(-rate, &moments.bias);

        pruning.after_step("first", [&mut network.first, &mut moments.first])?; // 1
        pruning.after_step("second", [&mut network.second, &mut moments.second])?; // 2
        let first = ("first", network.first.view_mut().into_dyn()); // 3
        pruning.prune(
            step,
            &mut [first, ("second", network.second.view_mut().into_dyn())],
        )?; // 4
    }
    Ok(())
}

/// Inputs, and what a network that nobody knows says of them.
struct Data {
    inputs: Array2<f32>,
    labels: Vec<usize>,
}

impl Data {
    fn new(rows: usize, secret: &Network, random: &mut ChaCha8Rng) -> Self {
        let inputs = normal(rows, INPUTS, 1.0, random);
        let labels = secret.classes(&inputs);
        Self { inputs, labels }
    }

    fn right(&self, network: &Network) -> f64 {
        let classes = network.classes(&self.inputs);
        let pairs = classes.iter().zip(&self.labels);
        pairs.filter(|(a, b)| a == b).count() as f64 / self.labels.len() as f64
    }
}

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rows, steps) = if quick { (2_000, 300) } else { (20_000, 4_000) };

    let mut random = ChaCha8Rng::seed_from_u64(1);
    let secret = Network::random(6, &mut random);
    let (data, test) = (
        Data::new(rows, &secret, &mut random),
        Data::new(rows / 4, &secret, &mut random),
    );
    // From a tenth of the steps to the half, every hundredth part of them.
    let prune_to = |sparsity: f64| -> Result<Pruning> {
        let when = Interval::between(steps / 10..=steps / 2, (steps / 100).max(1))?;
        let cubic = Polynomial::cubic(0.0, sparsity, steps / 10..=steps / 2)?;
        Ok(GradualPruning::new(when, cubic, magnitude))
    };
    let row = |name: &str, network: &Network| {
        let (zeros, right) = (network.zeros() * 100.0, test.right(network) * 100.0);
        println!("{name:34} {zeros:6.2} % {right:6.2} %");
    };

    println!("{:34} {:>8} {:>8}", "", "zeros", "right");
    let mut dense = Network::random(HIDDEN, &mut random);
    train(&mut dense, &data, steps, &mut prune_to(0.0)?)?;
    row("dense", &dense);

    let mut longer = dense.clone();
    train(&mut longer, &data, steps, &mut prune_to(0.0)?)?;
    row("dense, trained as long again", &longer);

    let mut once = dense.clone();
    Unstructured::new(Magnitude, SPARSITY).prune(&mut once.first)?;
    Unstructured::new(Magnitude, SPARSITY).prune(&mut once.second)?;
    row("pruned at once", &once);

    // At once, and trained on: due at step 0 and never again.
    let now = Interval::between(0..=0, 1)?;
    let all = Polynomial::cubic(SPARSITY, SPARSITY, 0..=0)?;
    train(
        &mut once,
        &data,
        steps,
        &mut GradualPruning::new(now, all, magnitude),
    )?;
    row("pruned at once, trained as long", &once);

    let mut gradual = dense;
    train(&mut gradual, &data, steps, &mut prune_to(SPARSITY)?)?;
    row("pruned gradually, trained as long", &gradual);
    Ok(())
}
