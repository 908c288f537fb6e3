//! Logits stored in 16 bits are never all there in 32: an allocator counts.

use crate::counting::{alone, held_during};
use half::{bf16, f16};
use ndarray::Array2;
use rarefy::distill::{KlDivergence, LabelCorrection, Target};

#[test]
fn what_is_held_is_some_rows_for_each_thread() {
    let _alone = alone();
    let (rows, classes, threads) = (256, 20_000, 2);
    let number = |(i, j): (usize, usize)| ((i * 37 + j * 101) % 61) as f32 / 30.0 - 1.0;
    let student = Array2::from_shape_fn((rows, classes), |at| bf16::from_f32(number(at)));
    let teacher = Array2::from_shape_fn((rows, classes), |(i, j)| f16::from_f32(number((j, i))));
    let labels = vec![7; rows];
    let mut grad = Array2::zeros((rows, classes));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = pool.build().unwrap();
    // In f64 too, from T = 32 on, and with the teacher's rows made into probabilities.
    let plain = KlDivergence::new(1.0);
    for (loss, in_f64) in [
        (plain, 0),
        (KlDivergence::new(40.0), 1),
        (plain.label_correction(LabelCorrection::new()), 0),
    ] {
        let target = Target::new().labels(&labels);
        let mut run = || {
            pool.install(|| loss.evaluate_stored_into(&student, &teacher, target, &mut grad))
                .unwrap()
        };
        run();
        let held = held_during(run);
        // Two sides widened and their exponentials; three rows, and the exponentials, of eight bytes.
        let row = classes * (4 * size_of::<f32>() + in_f64 * 5 * size_of::<f64>());
        let most = threads * row + (128 << 10);
        assert!(held <= most, "{held} bytes, {most} expected, {loss:?}");
        assert!(held >= classes * 2 * size_of::<f32>(), "{held} bytes");
    }
}
