//! How much memory a streaming loss really holds, by an allocator that counts.

use crate::counting::{alone, held_during};
use ndarray::Array2;
use rarefy::distill::{GradientBuffers, OutputLayer, StreamingBatch, StreamingDistillation};

/// What the standard library, rayon and small lists may take beside what the budget counts.
const SLACK: usize = 256 << 10;

#[test]
fn what_is_held_fits_the_budget_and_not_all_logits() {
    let _alone = alone();
    let (tokens, classes, width) = (700, 3000, 24);
    let number = |(i, j): (usize, usize)| ((i * 37 + j * 101) % 61) as f32 / 30.0 - 1.0;
    let hidden = Array2::from_shape_fn((tokens, width), number);
    let projection = Array2::from_shape_fn((classes, width), number);
    let taught = Array2::from_shape_fn((tokens, 2 * width), number);
    let teacher_projection = Array2::from_shape_fn((classes, 2 * width), number);
    let labels: Vec<usize> = (0..tokens).collect();
    let batch = StreamingBatch::new(OutputLayer::new(&hidden, &projection))
        .teacher(OutputLayer::new(&taught, &teacher_projection))
        .labels(&labels);
    let mut grads = (
        Array2::zeros(hidden.raw_dim()),
        Array2::zeros(projection.raw_dim()),
    );
    let all_logits = tokens * classes * size_of::<f32>();
    for threads in [1, 2, 16] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        for (budget, term_weights) in [
            (1 << 20, (1.0, 0.0)),
            (2 << 20, (0.5, 0.5)),
            (4 << 20, (0.5, 0.5)),
            (6 << 20, (0.0, 1.0)),
        ] {
            let loss = StreamingDistillation::new(2.0)
                .term_weights(term_weights.0, term_weights.1)
                .memory_budget(budget);
            let mut run = || {
                pool.install(|| {
                    let buffers = GradientBuffers::new()
                        .hidden(&mut grads.0)
                        .projection(&mut grads.1);
                    loss.evaluate_into(batch, buffers).unwrap()
                })
            };
            // Threads make what they keep for good the first time that they have work.
            run();
            let held = held_during(run);
            let at = format!("{held} of {budget} bytes, {threads} threads");
            assert!(held <= budget + SLACK, "{at}");
            assert!(held >= budget / 8 && held < all_logits, "{at}");
        }
    }
}
