//! Layers that decode or code while they compute take no memory beyond their scratch: an allocator counts.

use crate::counting::{alone, held_during};
use ndarray::{Array2, s};
use rarefy::infer::{
    Activations, BlockLinear, DenseLinear, GroupedLinear, Layer, QuantizedLinear, Reordered,
    Scratch, SparseFormat, SparseLinear,
};
use rarefy::quantize::{BlockFormat, BlockTensor};

#[test]
fn nothing_is_allocated_beyond_the_scratch() {
    let _alone = alone();
    let number = |(i, j): (usize, usize)| ((i * 37 + j * 101) % 61) as f32 / 30.0 - 1.0;
    let weights = Array2::from_shape_fn((192, 512), number);
    let grouped = GroupedLinear::new(&weights, 4, 64, None).unwrap();
    let blocks = BlockTensor::encode(&weights, BlockFormat::Q4K).unwrap();
    let pruned = weights.mapv(|w: f32| if w.abs() > 0.4 { w } else { 0.0 });
    let sparse = |format| SparseLinear::new(&pruned, None, format).unwrap();
    let eights = SparseFormat::Blocks {
        outputs: 1,
        inputs: 8,
    };
    let backwards = Reordered::new(grouped.clone(), (0..512).rev().collect()).unwrap();
    let layers: [Box<dyn Layer>; 9] = [
        Box::new(backwards),
        Box::new(DenseLinear::new(&weights, None).unwrap()),
        Box::new(sparse(SparseFormat::Csr)),
        Box::new(sparse(SparseFormat::Bitmask)),
        Box::new(sparse(eights).quantized()),
        Box::new(QuantizedLinear::new(&weights, None).unwrap()),
        Box::new(grouped.clone()),
        Box::new(grouped.activations(Activations::Int16)),
        Box::new(BlockLinear::new(blocks, None).unwrap()),
    ];
    // The pool is awake, so that its queues are not what is counted.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2);
    pool.build().unwrap().install(|| {
        for layer in &layers {
            let x = Array2::from_shape_fn((70, 1024), number);
            let (mut out, mut scratch) = (Array2::zeros((70, 192)), Scratch::default());
            for x in [x.slice(s![.., ..512]), x.slice(s![.., ..;2])] {
                let mut run = || layer.forward_into(&x, &mut out, &mut scratch).unwrap();
                run();
                let held = held_during(run);
                assert!(held <= 4096, "{held} bytes by {layer:?}");
            }
        }
    });
}
