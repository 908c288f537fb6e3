//! Public types can go to other threads, be copied, compared and printed without flooding a log.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, prints what it did not run, and casts small numbers of its own"
)]

use ndarray::{Array1, Array2};
use rarefy::distill::sequence::{Lengths, NextTokens};
use rarefy::distill::{
    AlphaDivergence, AttentionKl, AttentionMeasure, AttentionMse, AttentionTransfer, Averaging,
    CongruenceKernel, CorrelationCongruence, CrossEntropy, DecoupledKl, Dist, Distiller, Ema,
    Ensemble, Evaluation, Fsp, GradientBuffers, HiddenCosine, HiddenMse, JensenShannon,
    KlDivergence, LabelCorrection, LeadingLabel, LogitMse, LossValue, MiniLm, MiniLmRelations, Mmd,
    MmdKernel, Output, OutputLayer, OutputLayerGradient, PatientHidden, Pkt, Reduction, RelationKl,
    RelationalAngle, RelationalDistance, ReverseKlDivergence, ScheduledSum, SigmoidKl,
    SimilarityPreserving, SkewedKl, SkewedReverseKl, SortedProbability, Standardised, StoredLogits,
    StreamingBatch, StreamingDistillation, TailBucketDivergence, Target, TeacherForm,
    TemperatureFactor, TermValue, TopKDivergence, TopKTarget, TotalVariation, Vocabulary,
    WeightedSum,
};
use rarefy::prune::{Amount, Elementwise, Magnitude, Unstructured};
use rarefy::quantize::QuantizerExt;
use rarefy::quantize::{Granularity, Linear, Parameters, Profile, QuantizedTensor, Scheme};
use rarefy::report::{Drift, Report, TensorReport};
use rarefy::schedule::{Constant, Cosine, Exponential, MultiStep, Polynomial};
use rarefy::{Error, Mask, prune, schedule};
use std::fmt::Debug;

fn value<T: Clone + PartialEq + Debug + Send + Sync + Unpin + 'static>() {}
fn reference<T: Clone + PartialEq + Debug + Send + Sync>() {}
fn exclusive<T: PartialEq + Debug + Send + Sync>() {}

#[test]
fn public_types_are_plain_values() {
    value::<Mask>();
    value::<Amount>();
    value::<Magnitude>();
    value::<Unstructured<Magnitude>>();
    value::<Scheme>();
    value::<Granularity>();
    value::<Profile>();
    value::<Linear>();
    value::<Parameters>();
    value::<QuantizedTensor>();
    value::<Output<f32>>();
    value::<LossValue<f64>>();
    value::<LossValue<f32, Array2<f32>>>();
    value::<Reduction>();
    value::<TemperatureFactor>();
    value::<KlDivergence>();
    value::<CrossEntropy>();
    value::<TopKTarget<f32>>();
    value::<TopKDivergence>();
    value::<TailBucketDivergence>();
    value::<AttentionKl>();
    value::<AttentionMeasure>();
    value::<AttentionMse>();
    value::<AttentionTransfer>();
    value::<CongruenceKernel>();
    value::<CorrelationCongruence>();
    value::<Dist>();
    value::<Fsp>();
    value::<HiddenCosine>();
    value::<HiddenMse>();
    value::<MiniLm>();
    value::<MiniLmRelations>();
    value::<Mmd>();
    value::<MmdKernel>();
    value::<PatientHidden>();
    value::<Pkt>();
    value::<RelationKl>();
    value::<RelationalAngle>();
    value::<RelationalDistance>();
    value::<SimilarityPreserving>();
    value::<AlphaDivergence>();
    value::<DecoupledKl>();
    value::<JensenShannon>();
    value::<ReverseKlDivergence>();
    value::<SigmoidKl>();
    value::<SkewedKl>();
    value::<SkewedReverseKl>();
    value::<TeacherForm>();
    value::<TotalVariation>();
    value::<LogitMse>();
    value::<LabelCorrection>();
    value::<LeadingLabel>();
    value::<Standardised<KlDivergence>>();
    value::<WeightedSum<f32>>();
    value::<ScheduledSum<f32>>();
    value::<Evaluation<f32>>();
    value::<TermValue<f64>>();
    value::<Averaging>();
    value::<Ensemble<StoredLogits<f32>>>();
    value::<StoredLogits<f64>>();
    value::<Ema>();
    value::<Lengths>();
    value::<NextTokens>();
    value::<Distiller<KlDivergence>>();
    value::<SortedProbability>();
    value::<StreamingDistillation>();
    value::<OutputLayerGradient<f32>>();
    value::<Vocabulary>();
    value::<Constant>();
    value::<schedule::Linear>();
    value::<Cosine>();
    value::<Polynomial>();
    value::<Exponential>();
    value::<MultiStep>();
    value::<Report>();
    value::<TensorReport>();
    value::<Drift>();
    reference::<Target<'static, f32>>();
    reference::<OutputLayer<'static, f32>>();
    reference::<StreamingBatch<'static, f32>>();
    exclusive::<GradientBuffers<'static, f32>>();
    reference::<Elementwise<'static, f32>>();
}

#[cfg(feature = "cache")]
#[test]
fn files_can_be_handed_to_other_threads() {
    use rarefy::formats::{CacheReader, CacheSettings, CacheWriter};
    fn travels<T: Debug + Send + Sync + Unpin + 'static>() {}
    value::<CacheSettings>();
    travels::<CacheReader>();
    travels::<CacheWriter>();
}

#[cfg(feature = "half")]
#[test]
fn types_that_logits_are_stored_in_are_plain_values() {
    use half::{bf16, f16};
    fn all<T: rarefy::distill::Logit + Clone + PartialEq + Debug + Unpin>() {
        value::<T>();
    }
    all::<f16>();
    all::<bf16>();
    all::<f32>();
}

#[test]
fn errors_travel_but_are_not_compared() {
    fn travels<T: Clone + Debug + std::error::Error + Send + Sync + Unpin + 'static>() {}
    travels::<Error>();
    travels::<rarefy::External>();
    // A result should not be large because its error is.
    assert!(size_of::<Error>() <= 128, "{} bytes", size_of::<Error>());
}

#[test]
fn debug_prints_shapes_and_counts_and_not_megabytes() {
    let weights = Array2::<f32>::from_shape_fn((500, 400), |(i, j)| (i * 400 + j) as f32);
    let mask = prune::l1_unstructured(&mut weights.clone(), 0.5).unwrap();
    let quantizer = Linear::new(4).per_channel(ndarray::Axis(0));
    let quantized = quantizer.quantize(&weights).unwrap();
    let output = Output::from(weights.clone());
    let row_weights = Array1::<f32>::ones(500);
    let top_k = TopKTarget::from_logits(&weights, 300).unwrap();
    let target = Target::from(&output).weights(&row_weights).top_k(&top_k);
    let mut report = Report::new();
    report.add_quantized("w", &weights, &quantized).unwrap();
    let prints = [
        format!("{mask:?}"),
        format!("{quantized:?}"),
        format!("{:?}", quantized.parameters()),
        format!("{output:?}"),
        format!("{target:?}"),
        format!("{report:?}"),
        format!(
            "{:?}",
            LossValue {
                value: 1.0,
                grad: output.clone()
            }
        ),
    ];
    for print in prints {
        assert!(print.len() < 700, "{} bytes: {print:.200}", print.len());
    }
    assert!(format!("{mask:?}").contains("100000"));
}
