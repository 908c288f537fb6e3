//! A checkpoint as the model that it was.

use super::{ROWS, config, groups, modules, opened, settings, symmetric, text, weights};
use CompressedLayout::{NaiveQuantized, PackQuantized};
use ndarray::{Array1, Array2, array};
use rarefy::Error;
use rarefy::formats::{
    CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights, Decompressed,
};
use rarefy::quantize::{BlockShape, Granularity, Parameters, QuantizedTensor, Scheme};
use rarefy::tensors::{DType, StoredTensor, TensorMap, TensorSource, TensorSourceExt};

#[test]
fn what_else_a_module_has_is_kept_or_refused() {
    let (layout, weights, parts) = modules().swap_remove(1);
    let floats = StoredTensor::of_floats(&array![1.0_f32, 2.0, 3.0], DType::F16).unwrap();
    let with = |name: &str, tensor: &StoredTensor| {
        let mut all = parts.clone();
        all.push((name.to_owned(), tensor.clone()));
        opened(layout, weights, all).1
    };
    for name in ["m.bias", "m.input_scale", "n.weight", "weight", "m.weights"] {
        let model = with(name, &floats).unwrap();
        assert_eq!(model.tensor(name).unwrap(), floats);
        assert!(model.quantized(name).unwrap().is_none());
        assert_eq!(model.infos().len(), 2);
    }
    assert!(matches!(
        with("m.weight", &floats),
        Err(Error::NameRepeated { .. })
    ));
    for name in ["m.weight_g_idx", "m.weight_global_scale"] {
        let error = text(with(name, &floats));
        assert!(
            error.contains("codes, scales, zero points and a shape"),
            "{error}"
        );
    }
    let error = text(with("m.weight_zero_point", &floats));
    assert!(
        error.contains("zero points only where weights are not symmetric"),
        "{error}"
    );
    assert_eq!(
        text(with("n.weight_scale", &floats)),
        "there is no tensor \"n.weight\""
    );
    assert_eq!(
        text(with("n.weight_shape", &floats)),
        "there is no tensor \"n.weight_packed\""
    );
    let model = with("m.bias", &floats).unwrap();
    assert_eq!(
        text(model.quantized("n.weight")),
        "there is no tensor \"n.weight\""
    );
    assert!(model.read_bytes(0, 40, &mut [0; 9]).is_err());
    assert!(model.read_bytes(0, usize::MAX, &mut [0; 9]).is_err());
    assert!(model.read_bytes(2, 0, &mut [0; 1]).is_err());

    // Weights that were rounded and are floats still: as they are.
    let weight = StoredTensor::of_floats(&Array2::<f32>::ones((3, 1)), DType::F16).unwrap();
    let names = ["n.weight", "n.weight_scale", "n.weight_zero_point"];
    let source = TensorMap::new(names.map(|name| (name.to_owned(), weight.clone()))).unwrap();
    let model = Decompressed::new(source, config(&settings()).unwrap()).unwrap();
    assert_eq!(model.infos().len(), 3);
}

#[test]
fn tensors_tell_which_group_a_module_is_in() {
    let group = |target: &str, scheme, granularity| {
        CompressedGroup::new([target], PackQuantized, weights(scheme, granularity)).unwrap()
    };
    let none = [] as [&str; 0];
    let (four, five) = (symmetric(4), symmetric(5));
    let source = || TensorMap::new(modules().swap_remove(1).2).unwrap();
    let quantized = |groups: Vec<CompressedGroup>| {
        let model = Decompressed::new(source(), CompressedConfig::new(groups, none))?;
        Ok::<_, Error>(model.quantized("m.weight")?.unwrap().scheme().bits())
    };
    // Eight codes of four bits are a word; of five, two.
    let both = || vec![group("re:.*", five, ROWS), group("Linear", four, ROWS)];
    assert_eq!(quantized(both()).unwrap(), 4);
    // A group of all eight is a row.
    let rows = vec![group("re:.*", four, groups(8)), group("Linear", four, ROWS)];
    assert_eq!(quantized(rows).unwrap(), 4);
    // Of three they are a word as well, so that only a name tells.
    let three = symmetric(3);
    let either = vec![group("Linear", three, ROWS), group("re:.*", four, ROWS)];
    assert_eq!(
        text(quantized(either)),
        "quantization_config.config_groups is several groups that the tensors of m fit, must be groups that tensors tell apart, or that name the module"
    );
    let named = vec![group("Linear", three, ROWS), group("m", four, ROWS)];
    assert_eq!(quantized(named).unwrap(), 4);
    assert_eq!(
        text(quantized(Vec::new())),
        "quantization_config.config_groups is no group for the quantized weight of m, must be groups with weights"
    );
    let error = text(quantized(vec![group("Linear", five, ROWS)]));
    assert!(
        error.contains("shape is [3, 1], needed is [3, 2]"),
        "{error}"
    );
}

#[test]
fn many_rows_are_decoded_in_parts() {
    // More values than are decoded at a time, in blocks of rows and with zero points that lie across words.
    let shape = (4100, 48);
    let block = Granularity::PerBlock(BlockShape::new(&[7, 20]).unwrap());
    for (layout, scheme, granularity) in [
        (PackQuantized, Scheme::affine(3).unwrap(), groups(16)),
        (NaiveQuantized, Scheme::affine(8).unwrap(), block),
        (PackQuantized, symmetric(4), Granularity::PerTensor),
    ] {
        let codes = Array2::from_shape_fn(shape, |(i, j)| ((i * 31 + j * 7) % 7) as i32 - 3);
        let count = granularity.scales(&[shape.0, shape.1]).unwrap();
        let scales = (0..count)
            .map(|place| (place % 200 + 1) as f32 / 256.0)
            .collect();
        let mut parameters = Parameters::new(scheme, granularity, scales);
        if scheme.has_zero_points() {
            let zeros = (0..count).map(|place| (place % 5) as i32 - 2).collect();
            parameters = parameters.with_zero_points(zeros);
        }
        let q = QuantizedTensor::from_codes(&codes, parameters).unwrap();
        let weights = CompressedWeights::of(&q).unwrap();
        let stored = layout.encode("m", &q, weights, DType::Bf16).unwrap();
        let (read, model) = opened(layout, weights, stored);
        let model = model.unwrap();
        assert_eq!(read.unwrap().codes(), q.codes());
        let right = StoredTensor::of_floats(&q.dequantize::<f32>(), DType::Bf16).unwrap();
        assert_eq!(model.tensor("m.weight").unwrap(), right);
        let mut values = Array1::<f32>::zeros(shape.0 * shape.1);
        let mut take = |from: usize, block: &[f32]| {
            for (to, value) in values.iter_mut().skip(from).zip(block) {
                *to = *value;
            }
            Ok(())
        };
        model.float_blocks("m.weight", 10_007, &mut take).unwrap();
        assert!(values.iter().eq(&right.floats::<f32>().unwrap()));
    }
}
