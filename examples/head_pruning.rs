//! Takes heads out of an attention block, and measures what is gained: bytes, time, and what it costs.
//!
//! A mask makes nothing smaller or faster; arrays without the heads are both, and compute the same.
//!
//! ```text
//! cargo run --release --example head_pruning [-- --quick]
//! ```

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "an example shows its result by printing it, counts small numbers, and knows its shapes"
)]

use ndarray::{Array1, Array2, ArrayD, Axis, Ix1, Ix2, s};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::{Rng, SeedableRng};
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rarefy::Result;
use rarefy::prune::{CoupledAxes, CoupledAxis, UnitScore};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

const HEAD: usize = 32;

/// A block's tensors, as a program would load them: `[3 · heads · HEAD, width]` for queries, keys and
/// values in one, and `[width, heads · HEAD]` for the way out.
type Tensors = BTreeMap<String, ArrayD<f32>>;

/// The same, ready to compute with.
struct Attention {
    qkv: Array2<f32>,
    bias: Array1<f32>,
    out: Array2<f32>,
}

impl Attention {
    fn new(tensors: &Tensors) -> Self {
        let matrix = |name: &str| -> Array2<f32> {
            let tensor = tensors[name].clone();
            tensor.into_dimensionality::<Ix2>().expect("it is a matrix")
        };
        let bias = tensors["qkv.bias"].clone();
        Self {
            qkv: matrix("qkv.weight"),
            bias: bias.into_dimensionality::<Ix1>().expect("it is a vector"),
            out: matrix("out.weight"),
        }
    }

    /// How many heads there are is a matter of the arrays alone.
    fn forward(&self, x: &Array2<f32>) -> Array2<f32> {
        let qkv = x.dot(&self.qkv.t()) + &self.bias;
        let width = self.out.ncols();
        let mut joined = Array2::zeros((x.nrows(), width));
        for start in (0..width).step_by(HEAD) {
            let part = |n: usize| qkv.slice(s![.., n * width + start..n * width + start + HEAD]);
            let mut weights = part(0).dot(&part(1).t()) / (HEAD as f32).sqrt();
            for mut row in weights.rows_mut() {
                let largest = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                row.mapv_inplace(|x| (x - largest).exp());
                let sum = row.sum();
                row.mapv_inplace(|x| x / sum);
            }
            let head = weights.dot(&part(2));
            joined.slice_mut(s![.., start..start + HEAD]).assign(&head);
        }
        joined.dot(&self.out.t())
    }
}

/// The shortest of several runs of each, in milliseconds; they take turns, so that a machine that is
/// busy for a while is so for all.
fn time<const N: usize>(blocks: [&Attention; N], x: &Array2<f32>, runs: usize) -> [f64; N] {
    let mut shortest = [f64::INFINITY; N];
    for _ in 0..runs {
        for (shortest, block) in shortest.iter_mut().zip(blocks) {
            let start = Instant::now();
            black_box(block.forward(black_box(x)));
            *shortest = shortest.min(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    shortest
}

fn norm(x: &Array2<f32>) -> f64 {
    x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (heads, tokens, runs) = if quick { (4, 32, 3) } else { (16, 256, 20) };
    let width = heads * HEAD;

    let mut random = ChaCha8Rng::seed_from_u64(1);
    let scale = 1.0 / (width as f32).sqrt();
    let mut tensors: Tensors = [
        ("qkv.weight", vec![3 * width, width]),
        ("qkv.bias", vec![3 * width]),
        ("out.weight", vec![width, width]),
    ]
    .map(|(name, shape)| {
        let values = ArrayD::random_using(shape, StandardNormal, &mut random);
        (name.to_owned(), values * scale)
    })
    .into();
    // Heads of trained networks matter unequally; here, each by a random factor.
    let out = tensors.get_mut("out.weight").expect("it was just put in");
    for mut columns in out.axis_chunks_iter_mut(Axis(1), HEAD) {
        columns *= random.random::<f32>().powi(2);
    }

    // The declaration: a head is HEAD rows three times over, and HEAD columns of the way out.
    let members = (0..3).flat_map(|n| {
        ["qkv.weight", "qkv.bias"].map(|name| {
            let rows = n * width..(n + 1) * width;
            CoupledAxis::new(name, Axis(0)).part(rows).blocks(HEAD)
        })
    });
    let out = CoupledAxis::new("out.weight", Axis(1)).blocks(HEAD);
    let coupled = CoupledAxes::new(members.chain([out.clone()]));

    let x = Array2::random_using((tokens, width), StandardNormal, &mut random);
    let dense = Attention::new(&tensors);
    let (right, [whole]) = (dense.forward(&x), time([&dense], &x, runs));
    let bytes = |tensors: &Tensors| tensors.values().map(|t| t.len() * 4).sum::<usize>();
    println!("heads    bytes   smaller ms   masked ms   smaller = masked   output lost");
    println!("{heads:5} {:8} {whole:12.3}", bytes(&tensors));

    // What a head brings is what leaves through its columns.
    let scores = CoupledAxes::new([out]).scores(&tensors, UnitScore::L2)?;
    for amount in [0.25, 0.5, 0.75] {
        let shrinkage = coupled.choose(&tensors, &scores, amount)?;
        let smaller = shrinkage.smaller(&tensors)?;
        let mut masked = tensors.clone();
        for (name, mask) in shrinkage.masks()? {
            if let Some(tensor) = masked.get_mut(&name) {
                mask.apply(tensor)?;
            }
        }
        let (small, masked) = (Attention::new(&smaller), Attention::new(&masked));
        let (answer, under_mask) = (small.forward(&x), masked.forward(&x));
        let [time_small, time_masked] = time([&small, &masked], &x, runs);
        println!(
            "{:5} {:8} {:12.3} {:11.3} {:>18} {:11.1} %",
            shrinkage.kept().len(),
            bytes(&smaller),
            time_small,
            time_masked,
            format!("to {:.0e}", norm(&(&answer - &under_mask)) / norm(&right)),
            100.0 * norm(&(&answer - &right)) / norm(&right),
        );
    }
    println!("Nothing was trained after heads went; that is where the output lost comes back.");
    Ok(())
}
