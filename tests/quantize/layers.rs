//! Layers with quantized weights and their bias, next to onnxruntime's; rules by name.

use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn, array};
use rarefy::prelude::*;
use rarefy::quantize::{
    Bias, BlockShape, Codebook, Granularity, IntegerBias, Linear, Parameters, Profile,
    QuantizationRules, QuantizedLayer,
};
use rarefy::{BiasError, Error};
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::Arc;

fn floats(value: &Value) -> Vec<f32> {
    let bits: Vec<u32> = serde_json::from_value(value.clone()).unwrap();
    bits.into_iter().map(f32::from_bits).collect()
}

fn integers(value: &Value) -> Vec<i32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn weights_and_bias_are_those_of_onnxruntime() {
    let path = format!("{}/tests/golden/bias.json", env!("CARGO_MANIFEST_DIR"));
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (mut enlarged, cases) = (0, golden["cases"].as_array().unwrap());
    assert_eq!(cases.len(), 36);
    for case in cases {
        let at = format!(
            "{} {} per channel {}",
            case["kind"], case["how"], case["per_channel"]
        );
        let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        let weights = ArrayD::from_shape_vec(IxDyn(&shape), floats(&case["weights"])).unwrap();
        let bias = Array1::from(floats(&case["bias"]));
        let input = f32::from_bits(u32::try_from(case["input_scale"].as_u64().unwrap()).unwrap());
        let mut linear = Linear::new(8).profile(Profile::Onnx);
        if case["per_channel"].as_bool().unwrap() {
            linear = linear.per_channel(Axis(0));
        }
        let theirs = floats(&case["weight_scales"]);
        let mut q = linear.quantize(&weights).unwrap();
        let layer = QuantizedLayer::new(q.clone()).unwrap();
        let layer = match layer.integer_bias(&bias, input) {
            Ok(layer) => layer,
            // Where a code leaves 32 bits they enlarge the weights' scale, a little more than is needed.
            Err(Error::Bias(BiasError::Overflow { channel, least, .. })) => {
                enlarged += 1;
                let place = if theirs.len() == 1 { 0 } else { channel };
                assert!(theirs[place] > q.scales()[place], "{at}");
                assert!(input * theirs[place] >= least, "{at}");
                let ours = IntegerBias::least_weight_scales(&bias, input).unwrap();
                let ours = ours.into_iter().fold(0.0, f32::max);
                let most = theirs.iter().copied().fold(0.0, f32::max);
                assert!(
                    ours <= most && (most / ours < 1.001 || theirs.len() > 1),
                    "{at}"
                );
                let parameters = Parameters::new(q.scheme(), q.granularity(), theirs.clone());
                q = linear.quantize_with(&weights, &parameters).unwrap();
                let layer = QuantizedLayer::new(q.clone()).unwrap();
                layer.integer_bias(&bias, input).unwrap()
            }
            Err(error) => panic!("{error}, {at}"),
        };
        assert_eq!(bits(q.scales()), bits(&theirs), "{at}");
        let codes: Vec<i32> = q.codes().into_iter().collect();
        assert_eq!(codes, integers(&case["weight_codes"]), "{at}");
        let Bias::Integer(ours) = layer.bias() else {
            panic!("{at}")
        };
        assert_eq!(ours.codes(), integers(&case["bias_codes"]), "{at}");
        assert_eq!(
            bits(ours.scales()),
            bits(&floats(&case["bias_scales"])),
            "{at}"
        );
    }
    assert_eq!(enlarged, 12);
}

#[test]
fn the_least_scales_are_the_least() {
    let bias = array![
        1.0,
        -3.7,
        0.0,
        1e-30,
        1e30,
        2_147_483_647.0,
        2_147_483_648.0,
        -2_147_483_648.0,
        4.6e-38
    ];
    for input in [1.0_f32, 0.013, 7.3e-5, 123.4] {
        let scales = IntegerBias::least_weight_scales(&bias, input).unwrap();
        let codes = IntegerBias::quantize(&bias, input, &scales).unwrap();
        for (channel, &code) in codes.codes().iter().enumerate() {
            let product = codes.scales()[channel];
            assert!(product >= f32::MIN_POSITIVE);
            // A scale that is 2⁻²² less would not do, unless it is the least of all.
            let less = [scales[channel] * (1.0 - f32::EPSILON * 2.0)];
            let one = array![bias[channel]];
            let result = IntegerBias::quantize(&one, input, &less);
            let least = product <= 1.001 * f32::MIN_POSITIVE;
            assert!(least || result.is_err(), "{channel}: {code} at {input}");
        }
    }
    // What an error calls the least product does, and nothing below it.
    for bias in [5.3, -5.3, 1e10, 77.7] {
        let error = IntegerBias::quantize(&array![bias], 1.0, &[1e-30]).unwrap_err();
        let Error::Bias(BiasError::Overflow { least, .. }) = error else {
            panic!("{error}")
        };
        let with = |scale| IntegerBias::quantize(&array![bias], 1.0, &[scale]);
        assert!(with(least).is_ok(), "{bias}");
        assert!(with(least.next_down()).is_err(), "{bias}");
    }
}

#[test]
fn a_bias_has_the_scale_of_its_outputs_sum() {
    let weights = Array2::from_shape_fn((4, 4), |(i, j)| (i * 4 + j) as f32 - 7.0);
    let bias = array![1.0_f32, -2.0, 3.0, -4.0];
    let with = |linear: Linear| {
        let q = linear.quantize(&weights).unwrap();
        let layer = QuantizedLayer::new(q.clone()).unwrap();
        (q, layer.integer_bias(&bias, 0.5))
    };
    let blocks = |a, b| Granularity::PerBlock(BlockShape::new(&[a, b]).unwrap());
    // One scale for each output, or for two, or for all.
    for (linear, shared) in [
        (Linear::new(8), 4),
        (Linear::new(8).per_channel(Axis(0)), 1),
        (Linear::new(8).affine().per_token(), 1),
        (Linear::new(8).per_group(Axis(1), 4), 1),
        (Linear::new(8).per_group(Axis(1), 128), 1),
        (Linear::new(8).granularity(blocks(2, 4)), 2),
        (Linear::new(4).granularity(blocks(9, 9)), 4),
    ] {
        let (q, layer) = with(linear);
        let layer = layer.unwrap();
        let Bias::Integer(bias) = layer.bias() else {
            panic!()
        };
        for (output, restored) in bias.dequantize::<f64>().into_iter().enumerate() {
            let scale = q.scales()[output / shared] * 0.5;
            let code = (f64::from([1.0, -2.0, 3.0, -4.0_f32][output]) / f64::from(scale)).round();
            assert_eq!(restored, code * f64::from(scale), "{linear:?}");
        }
        assert_eq!(layer.bytes(), q.bytes() + 16);
    }
    // Several scales for the weights of one output.
    for linear in [
        Linear::new(8).per_channel(Axis(1)), // as many as there are outputs, and none theirs
        Linear::new(8).per_group(Axis(1), 2),
        Linear::new(8).per_group(Axis(0), 2),
        Linear::new(8).granularity(blocks(4, 3)),
    ] {
        let error = with(linear).1.unwrap_err();
        assert!(matches!(error, Error::Bias(BiasError::NoScale)), "{error}");
        let q = linear.quantize(&weights).unwrap();
        let layer = QuantizedLayer::new(q.clone())
            .unwrap()
            .float_bias(&bias)
            .unwrap();
        assert_eq!(layer.bias(), &Bias::Float(bias.to_vec()));
        assert_eq!((layer.bytes(), layer.outputs()), (q.bytes() + 16, 4));
    }
    let table = Codebook::nf4().granularity(Granularity::PerTensor);
    let layer = QuantizedLayer::new(table.quantize(&weights).unwrap()).unwrap();
    let error = layer.integer_bias(&bias, 0.5).unwrap_err();
    assert!(matches!(error, Error::CodesNotIntegers), "{error}");
}

type Named = (&'static str, ArrayD<f32>);

fn model() -> Vec<Named> {
    let of = |shape: &[usize], seed: usize| {
        let mut number = seed;
        ArrayD::from_shape_simple_fn(IxDyn(shape), || {
            number += 1;
            ((number * 37) % 101) as f32 / 50.0 - 1.0
        })
    };
    vec![
        ("embed.weight", of(&[20, 8], 1)),
        ("layer.0.attn.q.weight", of(&[8, 8], 2)),
        ("layer.0.attn.q.bias", of(&[8], 3)),
        ("layer.10.mlp.weight", of(&[8, 16], 4)),
        ("conv.weight", of(&[4, 2, 3, 3], 5)),
        ("norm", of(&[8], 6)),
    ]
}

#[test]
fn the_first_rule_that_fits_decides() {
    let model = model();
    let tensors: Vec<_> = model.iter().map(|(name, w)| (*name, w.view())).collect();
    let boxed: Box<dyn Quantizer<f32>> = Box::new(Linear::new(2));
    let shared: Arc<dyn Quantizer<f32>> = Arc::new(Linear::new(3).per_channel(Axis(0)));
    let rules = QuantizationRules::new()
        .leave("*.bias")
        .quantize("layer.?.*", boxed)
        .quantize("layer.*.weight", Arc::clone(&shared))
        .leave_where("convolutions", |_, shape| shape.len() > 2)
        .quantize_where(
            "matrices",
            |name, shape| shape.len() == 2 && name != "x",
            Linear::new(5),
        )
        .quantize("conv.*", Linear::new(8))
        .leave("nothing.*");
    let done = rules.apply(&tensors).unwrap();
    let by: Vec<_> = done.tensors.iter().map(|t| t.rule).collect();
    assert_eq!(by, [Some(4), Some(1), Some(0), Some(2), Some(3), None]);
    let widths: Vec<_> = done
        .tensors
        .iter()
        .map(|t| t.quantized.as_ref().map(|q| q.scheme().bits()))
        .collect();
    assert_eq!(widths, [Some(5), Some(2), None, Some(3), None, None]);
    for (tensor, (name, weights)) in done.tensors.iter().zip(&model) {
        assert_eq!(&tensor.name, name);
        assert_eq!(rules.rule_for(name, weights.shape()), tensor.rule);
        let direct = rules.quantizer_for(name, weights.shape());
        assert_eq!(
            direct.map(|q| q.quantize(weights).unwrap()),
            tensor.quantized
        );
    }
    // One is behind another, one fits nothing.
    let unused: Vec<_> = done.unused.iter().map(|u| (u.rule, u.behind)).collect();
    assert_eq!(unused, [(5, Some(3)), (6, None)]);
    assert_eq!(
        (rules.label(3), rules.label(7)),
        (Some("convolutions"), None)
    );
    let rest = rules.clone().otherwise(Linear::new(8)).apply(&tensors);
    let rest = rest.unwrap().tensors.pop().unwrap();
    assert_eq!((rest.rule, rest.quantized.unwrap().len()), (None, 8));
    assert!(format!("{rules:?}").contains("\"convolutions\": None"));
    // Any pool, and in another order, the same codes.
    for threads in [1, 3, 16] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        assert_eq!(pool.install(|| rules.apply(&tensors).unwrap()), done);
    }
    let backwards: Vec<_> = tensors.into_iter().rev().collect();
    let mut again = rules.apply(&backwards).unwrap().tensors;
    again.reverse();
    assert_eq!(again, done.tensors);
}

#[test]
fn patterns_are_of_the_whole_name() {
    let fits = |pattern: &str, name: &str| {
        let rules = QuantizationRules::<f32>::new().leave(pattern);
        rules.rule_for(name, &[]).is_some()
    };
    for (pattern, name, right) in [
        ("a.b", "a.b", true),
        ("a.b", "a.bc", false),
        ("a.b", "xa.b", false),
        ("a.b", "a-b", false),
        ("*", "", true),
        ("*", "a.b.c", true),
        ("", "", true),
        ("", "a", false),
        ("?", "", false),
        ("?", "é", true),
        ("a.*.c", "a.b.b.c", true),
        ("a.*.c", "a.c", false),
        ("*.weight", "a.weight", true),
        ("*.weight", "a.weight.b", false),
        ("l.?.w", "l.1.w", true),
        ("l.?.w", "l.10.w", false),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b*", "xxbxxaxx", false),
        ("A", "a", false),
        ("[ab]", "a", false),
    ] {
        assert_eq!(fits(pattern, name), right, "{pattern:?} of {name:?}");
    }
}

#[test]
fn rules_stop_when_told_and_name_what_fails() {
    let mut model = model();
    model[3].1[[1, 2]] = f32::NAN;
    let rules = QuantizationRules::new().otherwise(Linear::new(8));
    let tensors: Vec<_> = model.iter().map(|(name, w)| (*name, w.view())).collect();
    assert_eq!(
        rules.apply(&tensors).unwrap_err().to_string(),
        "tensor \"layer.10.mlp.weight\": weight [1, 2] is NaN"
    );
    let mut seen = Vec::new();
    let error = rules.apply_watched(&tensors, |progress| {
        seen.push((progress.name.to_owned(), progress.done, progress.total));
        match progress.done {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert!(
        matches!(error, Err(Error::Interrupted { done: 2, total: 6 })),
        "{error:?}"
    );
    assert_eq!(seen[2], ("layer.0.attn.q.bias".to_owned(), 2, 6));
    let twice = [tensors[0].clone(), tensors[0].clone()];
    let error = rules.apply(&twice).unwrap_err().to_string();
    assert_eq!(error, "two tensors are named \"embed.weight\"");
    let none = rules.apply(&[]).unwrap();
    assert!(none.tensors.is_empty() && none.unused.is_empty());
}
