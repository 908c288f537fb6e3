//! Packed checkpoints that are read as dense ones are never dense in memory: an allocator counts.

use crate::counting::{alone, held_during};
use ndarray::{Array1, Array2, Axis};
use rarefy::formats::{BitsAndBytesCheckpoint, GptqCheckpoint, GptqConfig, GptqWeights};
use rarefy::quantize::{Linear, QuantizerExt};
use rarefy::tensors::{StoredTensor, TensorMap, TensorSource, TensorSourceExt};

/// Reads `m.weight` in order, in pieces.
fn read(model: &impl TensorSource) {
    const PIECE: usize = 1 << 14;
    let number = model.number("m.weight").unwrap();
    let len = model.infos()[number].bytes().unwrap();
    let mut piece = vec![0; PIECE];
    for from in (0..len).step_by(PIECE) {
        let piece = &mut piece[..PIECE.min(len - from)];
        model.read_bytes(number, from, piece).unwrap();
    }
}

#[test]
fn gptq_holds_the_codes_of_a_tensor() {
    let _alone = alone();
    let (outputs, inputs) = (512, 1024);
    let weights = Array2::from_shape_fn((outputs, inputs), |(i, j)| ((i * 37 + j) % 61) as f32);
    let linear = Linear::new(4).per_group(Axis(1), 128);
    let first = linear.quantize(&weights).unwrap();
    let scales = GptqWeights::half_scales(first.parameters()).unwrap();
    let tensor = linear.quantize_with(&weights, &scales).unwrap();
    let parts = GptqWeights::new(tensor).unwrap().encode("m").unwrap();
    let parts = TensorMap::new(parts).unwrap();
    let model = GptqCheckpoint::new(&parts, GptqConfig::new(4, Some(128))).unwrap();
    let held = held_during(|| read(&model));
    // Words as they are stored and turned, scales and zero points, a piece of values.
    let codes = outputs * inputs / 2;
    let most = 2 * codes + outputs * inputs / 128 * 16 + (96 << 10);
    assert!(held <= most, "{held} bytes, {most} expected");
    // Nothing is left of it: reading again takes as much.
    let again = held_during(|| read(&model));
    assert!(again >= 2 * codes && again <= most, "{again} bytes");
}

#[test]
fn bitsandbytes_holds_a_piece() {
    let _alone = alone();
    let (rows, columns, block) = (512, 512, 64);
    let state = serde_json::json!({
        "quant_type": "nf4", "blocksize": block, "dtype": "float32", "shape": [rows, columns],
    });
    let parts = [
        (
            "m.weight",
            StoredTensor::of(&Array2::from_elem((rows * columns / 2, 1), 0x3A_u8)),
        ),
        (
            "m.weight.absmax",
            StoredTensor::of(&Array1::from_elem(rows * columns / block, 2.0_f32)),
        ),
        (
            "m.weight.quant_map",
            StoredTensor::of(&Array1::from_shape_fn(16, |code| code as f32)),
        ),
        (
            "m.weight.quant_state.bitsandbytes__nf4",
            StoredTensor::of(&Array1::from_vec(state.to_string().into_bytes())),
        ),
    ];
    let parts = TensorMap::new(parts.map(|(name, part)| (name.to_owned(), part))).unwrap();
    let model = BitsAndBytesCheckpoint::new(&parts).unwrap();
    let held = held_during(|| read(&model));
    assert!(held <= 64 << 10, "{held} bytes");
    let values = model.floats::<f32>("m.weight").unwrap();
    assert_eq!((values[[0, 0]], values[[0, 1]]), (6.0, 20.0));
}
