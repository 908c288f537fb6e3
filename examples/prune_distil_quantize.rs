//! A trained network is pruned, distilled from its former self to recover, and quantized, with a report
//! of what that did.
//!
//! ```text
//! cargo run --release --example prune_distil_quantize [-- --quick]
//! ```

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "an example shows its result by printing it, counts small numbers, and knows its shapes"
)]

use ndarray::{Array1, Array2, Axis, Ix2};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::{Rng, SeedableRng};
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rarefy::distill::{CrossEntropy, Distiller, KlDivergence, Output, Student, Target, Teacher};
use rarefy::quantize::QuantizedTensor;
use rarefy::report::{Drift, Report};
use rarefy::{Mask, Result, prune, quantize};

const INPUTS: usize = 32;
const CLASSES: usize = 10;
const BATCH: usize = 64;

/// One hidden layer and plain gradient descent; it keeps to its masks, if it has any.
#[derive(Clone)]
struct Network {
    first: Array2<f32>,
    bias: Array1<f32>,
    second: Array2<f32>,
    masks: Option<[Mask; 2]>,
    rate: f32,
    inputs: Array2<f32>,
    hidden: Array2<f32>,
}

fn normal(rows: usize, columns: usize, deviation: f32, random: &mut ChaCha8Rng) -> Array2<f32> {
    Array2::random_using((rows, columns), StandardNormal, random) * deviation
}

impl Network {
    fn random(hidden: usize, random: &mut ChaCha8Rng) -> Self {
        Self {
            first: normal(INPUTS, hidden, (2.0 / INPUTS as f32).sqrt(), random),
            bias: Array1::zeros(hidden),
            second: normal(hidden, CLASSES, (1.0 / hidden as f32).sqrt(), random),
            masks: None,
            rate: 0.1,
            inputs: Array2::zeros((0, INPUTS)),
            hidden: Array2::zeros((0, hidden)),
        }
    }

    fn logits(&self, x: &Array2<f32>) -> Array2<f32> {
        self.activations(x).dot(&self.second)
    }

    fn activations(&self, x: &Array2<f32>) -> Array2<f32> {
        (x.dot(&self.first) + &self.bias).mapv(|h| h.max(0.0))
    }
}

impl Teacher<f32, Array2<f32>> for Network {
    fn teach(&self, input: &Array2<f32>) -> Result<Output<f32>> {
        Ok(Output::from(self.logits(input)))
    }
}

impl Student<f32, Array2<f32>> for Network {
    fn forward(&mut self, input: &Array2<f32>) -> Result<Output<f32>> {
        self.inputs.clone_from(input);
        self.hidden = self.activations(input);
        Ok(Output::from(self.hidden.dot(&self.second)))
    }

    fn backward(&mut self, grad: &Output<f32>) -> Result<()> {
        let mut back = grad.logits.dot(&self.second.t());
        back.zip_mut_with(&self.hidden, |back, &hidden| {
            *back *= f32::from(hidden > 0.0);
        });
        let second = self.hidden.t().dot(&grad.logits);
        self.second.scaled_add(-self.rate, &second);
        self.first
            .scaled_add(-self.rate, &self.inputs.t().dot(&back));
        self.bias.scaled_add(-self.rate, &back.sum_axis(Axis(0)));
        if let Some([first, second]) = &self.masks {
            first.apply(&mut self.first)?;
            second.apply(&mut self.second)?;
        }
        Ok(())
    }
}

fn classes(logits: &Array2<f32>) -> Vec<usize> {
    let best = |row: ndarray::ArrayView1<'_, f32>| {
        let better = |best, class| if row[class] > row[best] { class } else { best };
        (1..CLASSES).fold(0, better)
    };
    logits.axis_iter(Axis(0)).map(best).collect()
}

/// A tensor as it is stored: which weights there are, and the codes of those.
fn bytes(mask: &Mask, codes: &QuantizedTensor) -> usize {
    mask.bytes()
        + mask.kept() * codes.parameters().scheme().bits() as usize / 8
        + codes.parameters().bytes()
}

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rows, steps) = if quick { (2_000, 300) } else { (20_000, 6_000) };

    let mut random = ChaCha8Rng::seed_from_u64(1);
    let secret = Network::random(6, &mut random);
    let x = normal(rows, INPUTS, 1.0, &mut random);
    let (labels, test) = (
        classes(&secret.logits(&x)),
        normal(rows / 4, INPUTS, 1.0, &mut random),
    );
    let right = classes(&secret.logits(&test));
    let row = |name: &str, network: &Network| {
        let given = classes(&network.logits(&test));
        let hits = given.iter().zip(&right).filter(|(a, b)| a == b).count();
        let nonzero = |weights: &Array2<f32>| weights.iter().filter(|&&w| w != 0.0).count();
        let nonzero = nonzero(&network.first) + nonzero(&network.second);
        let share = hits as f64 / right.len() as f64 * 100.0;
        println!("{name:28} {nonzero:8} {share:8.2} %");
    };
    let draw = |random: &mut ChaCha8Rng| -> Vec<usize> {
        (0..BATCH).map(|_| random.random_range(0..rows)).collect()
    };

    println!("{:28} {:>8} {:>10}", "", "nonzero", "right");
    let mut teacher = Network::random(256, &mut random);
    let from_labels = Distiller::new(CrossEntropy::new());
    for _ in 0..steps {
        let batch = draw(&mut random);
        let of_batch: Vec<usize> = batch.iter().map(|&row| labels[row]).collect();
        let target = Target::new().labels(&of_batch);
        from_labels.learn(&mut teacher, &x.select(Axis(0), &batch), target)?;
    }
    row("trained", &teacher);

    // Prune.
    let mut student = teacher.clone();
    let masks = [
        prune::l1_unstructured(&mut student.first, 0.9)?,
        prune::l1_unstructured(&mut student.second, 0.7)?,
    ];
    student.masks = Some(masks.clone());
    row("pruned", &student);

    // Distil to recover: no label is needed, the masks hold.
    student.rate = 0.05;
    let from_teacher = Distiller::new(KlDivergence::new(2.0));
    for _ in 0..steps {
        let batch = x.select(Axis(0), &draw(&mut random));
        from_teacher.step(&teacher, &mut student, &batch, Target::new())?;
    }
    row("pruned, distilled", &student);

    // Quantize: 0 has the code 0, so what was pruned stays pruned.
    let codes = [
        quantize::linear(&student.first, 8)?,
        quantize::linear(&student.second, 8)?,
    ];
    let restore = |codes: &QuantizedTensor| -> Array2<f32> {
        let weights = codes.dequantize::<f32>().into_dimensionality::<Ix2>();
        weights.expect("a matrix stays one")
    };
    student.first = restore(&codes[0]);
    student.second = restore(&codes[1]);
    row("pruned, distilled, quantized", &student);

    let mut report = Report::new();
    let pairs = [
        ("first", &teacher.first, &student.first),
        ("second", &teacher.second, &student.second),
    ];
    for (((name, before, after), mask), codes) in pairs.into_iter().zip(&masks).zip(&codes) {
        let dropped = Mask::of_nonzero(after).and_not(mask)?;
        assert_eq!(dropped.kept(), 0, "what was pruned stays 0");
        report.add(name, before, after, bytes(mask, codes))?;
    }
    let drift = Drift::between(&teacher.logits(&test), &student.logits(&test))?;
    println!("\n{}", report.with_drift(drift));
    Ok(())
}
