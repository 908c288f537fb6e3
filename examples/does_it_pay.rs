//! Measures whether compressed layers are faster than dense ones on this machine, and from which sparsity on.
//!
//! ```text
//! cargo run --release --example does_it_pay [-- --quick]
//! ```
//!
//! Layers of 768 → 3072 and of 4096 → 4096, for one row (a token) and for 32 (a small batch), with random weights;
//! nothing that happens here depends on which. Progress goes to standard error.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to people"
)]

use ndarray::Array2;
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rarefy::Result;
use rarefy::infer::speed::{SpeedProgress, SpeedTest};
use rarefy::infer::{DenseLinear, GroupedLinear, Layer, QuantizedLinear, SparseLinear};
use rarefy::prune;
use rarefy::report::Report;
use std::ops::ControlFlow;
use std::time::Duration;

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (shapes, budget): (&[_], _) = if quick {
        (&[(96, 64)], Duration::from_millis(2))
    } else {
        (&[(768, 3072), (4096, 4096)], Duration::from_millis(500))
    };
    let sparsities = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95];
    let watch = |progress: SpeedProgress| {
        if progress.rounds == 0 && progress.elapsed.is_zero() {
            eprint!(".");
        }
        ControlFlow::Continue(())
    };

    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut report = Report::new();
    for &(inputs, outputs) in shapes {
        let weights: Array2<f32> =
            Array2::random_using((outputs, inputs), StandardNormal, &mut random);
        let dense = DenseLinear::new(&weights, None)?;
        let int8 = QuantizedLinear::new(&weights, None)?;
        let int4 = GroupedLinear::new(&weights, 4, 32, None)?;
        for rows in [1, 32] {
            let test = SpeedTest::new().rows(rows).budget(budget);
            report.add_speed("int8", test.measure_watched(&int8, &dense, watch)?);
            report.add_speed("int4", test.measure_watched(&int4, &dense, watch)?);
            // The smallest weights go, and the form that suits what is left is chosen.
            let sparse = |sparsity| -> Result<Box<dyn Layer>> {
                let mut pruned = weights.clone();
                prune::l1_unstructured(&mut pruned, sparsity)?;
                Ok(Box::new(SparseLinear::best(&pruned, None)?))
            };
            let name = format!("sparse, {rows} × {inputs} → {outputs}");
            let curve = test.break_even_watched(&sparsities, &dense, sparse, watch)?;
            report.add_break_even(name, curve);
        }
    }
    eprintln!();
    println!("{report}");
    Ok(())
}
