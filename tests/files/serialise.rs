//! What serde writes comes back, and what is wrong is refused.

use ndarray::{Array1, Axis, array};
use rarefy::Mask;
use rarefy::prune::{
    Amount, CoupledAxes, CoupledAxis, FromMask, GradualPruning, Identity, Magnitude, PruningState,
    Remaining, UnitScore, Unstructured,
};
use rarefy::quantize::{self, Granularity, Linear, Profile, QuantizedTensor, QuantizerExt, Scheme};
use rarefy::quantize::{BlockFormat, BlockTensor, Minifloat, Parameters, QuantizedLayer};
use rarefy::schedule::{
    self, Constant, Cosine, Exponential, Interval, MultiStep, Polynomial, Rounds,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

fn returns<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> String {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
    text
}

fn refused<T: DeserializeOwned + Debug>(text: &str, why: &str) {
    let error = serde_json::from_str::<T>(text).unwrap_err().to_string();
    assert!(error.starts_with(why), "{text}: {error}");
}

#[test]
fn values_come_back() {
    let mask = Mask::from_fn((7, 11), |(i, j)| (i * j) % 3 == 1).unwrap();
    returns(&mask);
    let small = Mask::from_array(&array![true, false, true]);
    assert_eq!(returns(&small), r#"{"shape":[3],"words":[5]}"#);
    assert_eq!(returns(&Amount::from(0.25)), r#"{"fraction":0.25}"#);
    assert_eq!(returns(&Amount::from(3_usize)), r#"{"count":3}"#);
    returns(&Unstructured::new(Magnitude, 0.5));
    returns(&Remaining::new(Unstructured::new(Magnitude, 0.5), mask));
    returns(&FromMask::new(small));
    returns(&Identity);
    let axis = CoupledAxis::new("w", Axis(1))
        .part(2..8)
        .blocks(3)
        .unscored();
    returns(&CoupledAxes::new([axis.clone(), axis.interleaved(2)]));
    returns(&UnitScore::L2);

    returns(&Constant::new(0.5).unwrap());
    returns(&schedule::Linear::new(0.0, 1.0, 3..=9).unwrap());
    returns(&Cosine::new(0.5, 0.0, 3..=9).unwrap());
    returns(&Polynomial::cubic(0.0, 0.75, 3..=9).unwrap());
    returns(&Exponential::new(4.0, 1.0, 3..=9).unwrap());
    returns(&MultiStep::new(8.0, [(10, 6.0), (20, 4.0)]).unwrap());
    returns(&Interval::between(3..=9, 2).unwrap());
    returns(&Interval::starting(3, 2).unwrap());
    returns(&Rounds::new(0.75, 2).unwrap());

    let weights = array![[0.5_f32, -1.0], [0.25, 0.0]];
    let q = quantize::linear(&weights, 4).unwrap();
    let mask = Mask::from_array(&array![[true, false], [true, true]]);
    let masked = q.clone().masked(&mask).unwrap();
    assert!(masked.mask().is_some());
    let text = returns(&masked);
    let other = text.replace("{\"shape\":[2,2],\"words\"", "{\"shape\":[4],\"words\"");
    refused::<QuantizedTensor>(&other, "shapes differ: mask [4], quantized tensor [2, 2]");
    let layer = QuantizedLayer::new(q).unwrap();
    returns(&layer);
    let bias = array![0.5_f32, 1.0];
    returns(&layer.clone().float_bias(&bias).unwrap());
    let text = returns(&layer.integer_bias(&bias, 0.5).unwrap());
    let scales = text.replacen("\"scales\":[0.07142857", "\"scales\":[-0.07142857", 1);
    refused::<QuantizedLayer<f32>>(&scales, "scale 0 must be positive and finite");
    let short = text.replace("{\"codes\":[7,14]", "{\"codes\":[7]");
    refused::<QuantizedLayer<f32>>(&short, "1 numbers of a bias given, 2 needed");
    returns(&Linear::new(4).per_channel(Axis(0)));
    returns(&Profile::Torch);
    returns(&Granularity::PerChannel(Axis(1)));
    returns(&Scheme::affine(5).unwrap());
    returns(&quantize::linear(&weights, 4).unwrap());
    returns(
        &Linear::new(3)
            .per_channel(Axis(1))
            .quantize(&weights)
            .unwrap(),
    );
}

#[test]
fn what_is_wrong_is_refused() {
    refused::<Mask>(
        r#"{"shape":[3],"words":[8]}"#,
        "bits behind the last of 3 mask bits",
    );
    refused::<Mask>(
        r#"{"shape":[65],"words":[1]}"#,
        "1 mask words given, 2 needed",
    );
    refused::<Mask>(r#"{"shape":[-3],"words":[1]}"#, "invalid value");
    let overflow = r#"{"shape":[18446744073709551615,2],"words":[]}"#;
    refused::<Mask>(
        overflow,
        "shape [18446744073709551615, 2] has more elements",
    );
    refused::<Interval>(
        r#"{"first":5,"last":4,"every":1}"#,
        "steps must ascend, got 4 after 5",
    );
    refused::<Interval>(
        r#"{"first":5,"last":null,"every":0}"#,
        "steps from one to the next",
    );
    refused::<Rounds>(
        r#"{"target":1.5,"rounds":1}"#,
        "amount must lie in 0..=1, got 1.5",
    );
    let backwards = r#"{"from":0.0,"to":1.0,"first":9,"last":3}"#;
    refused::<schedule::Linear>(backwards, "steps must ascend");
    refused::<Cosine>(backwards, "steps must ascend");
    refused::<Exponential>(
        r#"{"from":0.0,"to":1.0,"first":1,"last":3}"#,
        "from must be positive",
    );
    let power = r#"{"ramp":{"from":0.0,"to":1.0,"first":1,"last":3},"power":-1.0}"#;
    refused::<Polynomial>(power, "power must be positive");
    let table = r#"{"initial":0.0,"milestones":[[3,1.0],[3,2.0]]}"#;
    refused::<MultiStep>(table, "steps must ascend, got 3 after 3");
    refused::<Scheme>(
        r#"{"bits":1,"kind":"Affine"}"#,
        "bits must lie in 2..=8 or be 16, got 1",
    );
    let text = returns(&quantize::linear(&array![1.0_f32, 2.0], 4).unwrap());
    let short = text.replace("\"shape\":[2]", "\"shape\":[3]");
    refused::<QuantizedTensor>(&short, "1 bytes of packed codes given, 2 needed");
}

#[test]
fn codes_that_are_no_integers_come_back_checked() {
    let whole = Granularity::PerTensor;
    let table = Parameters::new(Scheme::codebook(2).unwrap(), whole, vec![0.5])
        .with_codebook(vec![-1.0, 0.0, 1.0]);
    let shifted = Parameters::new(Scheme::float_zero_point(2).unwrap(), whole, vec![0.5])
        .with_float_zero_points(vec![1.25]);
    let float = Parameters::new(Scheme::float(Minifloat::E4M3), whole, vec![0.5]);
    let binary = Parameters::new(Scheme::binary(), whole, vec![0.5]);
    let make = |codes, parameters| {
        returns(&QuantizedTensor::from_codes(&Array1::from_vec(codes), parameters).unwrap())
    };
    let text = make(vec![2, 0], table);
    refused::<QuantizedTensor>(
        &text.replace("\"packed\":[2]", "\"packed\":[3]"),
        "code [0] must lie in 0..=2, got 3",
    );
    refused::<QuantizedTensor>(
        &text.replace("[-1.0,0.0,1.0]", "[]"),
        "number of entries of a codebook must be at least 1",
    );
    make(vec![3, 0], shifted);
    let text = make(vec![0, 0x7E], float);
    assert!(
        text.contains(r#""scheme":{"bits":8,"kind":{"Float":"E4M3"}}"#),
        "{text}"
    );
    refused::<QuantizedTensor>(&text.replace("[0,126]", "[0,127]"), "code [1] is NaN");
    refused::<QuantizedTensor>(
        &text.replace("\"bits\":8", "\"bits\":4"),
        "number of bits must be",
    );
    make(vec![1, 0], binary);
}

#[test]
fn parameters_from_before_codebooks_still_open() {
    let text = r#"{"shape":[2],"packed":[73],"parameters":{"scheme":{"bits":4,"kind":"Symmetric"},
        "granularity":"PerTensor","scales":[0.5],"zero_points":[]}}"#;
    let tensor: QuantizedTensor = serde_json::from_str(text).unwrap();
    assert_eq!(tensor.dequantize::<f32>(), array![-3.5, 2.0].into_dyn());
}

type Linearly = GradualPruning<schedule::Linear, fn(&str, Amount) -> Unstructured<Magnitude>>;

fn magnitude(_: &str, amount: Amount) -> Unstructured<Magnitude> {
    Unstructured::new(Magnitude, amount)
}

#[test]
fn a_run_goes_on_from_its_written_state() {
    let pruning = || -> Linearly {
        let when = Interval::starting(0, 2).unwrap();
        let sparsity = schedule::Linear::new(0.0, 0.9, 0..=20).unwrap();
        GradualPruning::new(when, sparsity, magnitude)
    };
    let start = Array1::from_iter((0..100).map(|i| f64::from(i * 37 % 101)));
    let step = |pruning: &mut Linearly, weights: &mut Array1<f64>, step: u64| {
        let mut tensors = [("w", weights.view_mut().into_dyn())];
        pruning.prune(step, &mut tensors).unwrap();
    };
    let (mut whole, mut weights) = (pruning(), start.clone());
    (0..21).for_each(|number| step(&mut whole, &mut weights, number));

    let (mut first, mut halves) = (pruning(), start);
    (0..9).for_each(|number| step(&mut first, &mut halves, number));
    let text = serde_json::to_string(first.state()).unwrap();
    let state: PruningState = serde_json::from_str(&text).unwrap();
    let mut second = pruning().resume(state);
    (9..21).for_each(|number| step(&mut second, &mut halves, number));
    assert_eq!(second.state(), whole.state());
    assert_eq!(halves, weights);
}

#[test]
fn blocks_come_back_checked() {
    let weights = Array1::from_iter((0..32_u8).map(f32::from));
    let blocks = BlockTensor::encode(&weights, BlockFormat::Mxfp4).unwrap();
    let mask = Mask::from_fn(32, |i| i % 2 == 0).unwrap();
    let masked = blocks.clone().masked(&mask).unwrap();
    assert!(masked.mask().is_some());
    returns(&masked);
    let text = returns(&blocks);
    let short = text.replace("[32]", "[64]");
    refused::<BlockTensor>(&short, "17 bytes of blocks given, 34 needed");
    let forged = text.replace("\"bytes\":[129", "\"bytes\":[255");
    refused::<BlockTensor>(&forged, "scale of block [0] is NaN");
}

#[test]
fn reports_come_back_checked() {
    let weights = array![[0.5_f32, -1.0], [0.0, 3.0]];
    let mut report = rarefy::report::Report::new();
    let q = quantize::linear(&weights, 4).unwrap();
    report.add_quantized("layer", &weights, &q).unwrap();
    let row = &report.tensors()[0];
    let text = returns(row);
    let wrong = |from: &str, to: &str, why| {
        assert!(text.contains(from), "{text}");
        refused::<rarefy::report::TensorReport>(&text.replace(from, to), why);
    };
    wrong("\"len\":4", "\"len\":5", "5 weights given, 4 needed");
    wrong(
        "\"zeros\":1",
        "\"zeros\":5",
        "5 weights that are 0 given, 4 needed",
    );
    wrong("[2,2]", "[9223372036854775807,2]", "shape");
    assert!(
        serde_json::to_string(&report)
            .unwrap()
            .contains("\"layer\"")
    );
}
