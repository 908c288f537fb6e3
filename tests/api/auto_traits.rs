//! Public types can go to other threads, be copied, compared and printed without flooding a log.

use ndarray::{Array1, Array2};
use rarefy::calibrate::{
    self, ChannelSums, Histogram, MinMax, MovingAverage, ObserverExt, Saturated, Saturation,
    Statistics,
};
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
use rarefy::infer::speed::{BreakEven, Compared, Speed, SpeedProgress, SpeedTest, Timing, Verdict};
use rarefy::infer::{
    Activations, BlockLinear, Csr, DenseLinear, GroupedLinear, QuantizedConv2d, QuantizedEmbedding,
    QuantizedLinear, Scratch, SparseFormat, SparseLinear,
};
use rarefy::prune::{
    Aggregate, Amount, Blocks, CountRule, Coupled, CoupledAxes, CoupledAxis, Elementwise, Fisher,
    Fpgm, FromMask, GivenScores, Global, GlobalStructured, GradualPruning, Identity, Lamp, Layer,
    Magnitude, Movement, NanRule, Normaliser, Note, Obd, Pruned, PruningProgress, PruningState,
    PruningStep, Rail, Rails, Random, RandomStructured, Regrown, RelativeMagnitude, Remaining,
    Rules, Scope, Search, SemiStructured, Shrinkage, SignedTaylor, SkipReason, Skipped,
    SliceScores, SliceThreshold, Snip, Structured, Taylor, TensorChange, Threshold, TieRule,
    UnitScore, Unstructured, Wanda,
};
use rarefy::quantize::QuantizerExt;
use rarefy::quantize::{
    Bias, FakeQuantizer, Granularity, IntegerBias, LearnedGradient, Linear, Lsq, Pact, Parameters,
    PhasedQuantizer, Profile, QuantizationPhase, QuantizationProgress, QuantizationRules,
    QuantizedLayer, QuantizedModel, QuantizedTensor, RuledTensor, Scheme, UnusedRule,
};
use rarefy::quantize::{Binary, BlockFormat, BlockTensor, Codebook, Float8, KMeans, Minifloat};
use rarefy::report::{Drift, Report, TensorReport};
use rarefy::schedule::{Constant, Cosine, Exponential, Interval, MultiStep, Polynomial, Rounds};
use rarefy::{CouplingError, Error, Mask, prune, schedule};
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
    value::<CoupledAxes>();
    value::<CoupledAxis>();
    value::<FromMask>();
    value::<GradualPruning<Polynomial, fn(&str, Amount) -> Unstructured<Magnitude>>>();
    value::<Identity>();
    value::<PruningState>();
    value::<PruningStep>();
    value::<Regrown>();
    value::<Remaining<Unstructured<Magnitude>>>();
    value::<Shrinkage>();
    value::<SkipReason>();
    value::<Skipped>();
    value::<TensorChange>();
    value::<UnitScore>();
    value::<Aggregate>();
    value::<Blocks<Magnitude>>();
    value::<CountRule>();
    value::<Coupled>();
    value::<Fisher>();
    value::<Fpgm>();
    value::<Global>();
    value::<GlobalStructured>();
    value::<Lamp>();
    value::<Movement>();
    value::<NanRule>();
    value::<Normaliser>();
    value::<Note>();
    value::<Obd>();
    value::<prune::Profile>();
    value::<Pruned>();
    value::<Rail>();
    value::<Rails>();
    value::<Random>();
    value::<RandomStructured>();
    value::<RelativeMagnitude>();
    value::<Rules>();
    value::<Scope>();
    value::<Search>();
    value::<SemiStructured<Magnitude>>();
    value::<SliceScores<f32>>();
    value::<SliceThreshold<Magnitude>>();
    value::<Snip>();
    value::<Structured<Magnitude>>();
    value::<Threshold<Magnitude>>();
    value::<TieRule>();
    value::<Wanda<f64>>();
    value::<Scheme>();
    value::<Granularity>();
    value::<Profile>();
    value::<Linear>();
    value::<rarefy::quantize::Hqq>();
    value::<rarefy::quantize::Ternary>();
    value::<rarefy::quantize::TernaryRule>();
    value::<Parameters>();
    value::<FakeQuantizer>();
    value::<LearnedGradient>();
    value::<Lsq>();
    value::<Pact>();
    value::<PhasedQuantizer>();
    value::<QuantizationPhase>();
    value::<QuantizedTensor>();
    value::<QuantizedLayer<f32>>();
    value::<Bias<f64>>();
    value::<IntegerBias>();
    value::<QuantizedModel>();
    value::<RuledTensor>();
    value::<UnusedRule>();
    reference::<QuantizationProgress<'static>>();
    fn shared<T: Clone + Debug + Send + Sync + 'static>() {}
    shared::<QuantizationRules<f32>>();
    value::<BlockFormat>();
    value::<BlockTensor>();
    value::<Binary>();
    value::<Codebook>();
    value::<Float8>();
    value::<KMeans>();
    value::<Minifloat>();
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
    value::<Interval>();
    value::<Rounds>();
    value::<ChannelSums>();
    value::<Histogram>();
    value::<MinMax>();
    value::<MovingAverage>();
    value::<calibrate::NonFinite>();
    value::<Saturated>();
    value::<Saturation>();
    value::<Statistics>();
    value::<rarefy::quantize::Entropy>();
    value::<rarefy::quantize::ErrorSearch>();
    value::<rarefy::quantize::Percentile>();
    value::<DenseLinear>();
    value::<Activations>();
    value::<BlockLinear>();
    value::<Csr>();
    value::<GroupedLinear>();
    value::<QuantizedConv2d>();
    value::<QuantizedEmbedding>();
    value::<QuantizedLinear>();
    value::<SparseFormat>();
    value::<SparseLinear>();
    value::<BreakEven>();
    value::<Compared>();
    value::<Speed>();
    value::<SpeedProgress>();
    value::<Timing>();
    value::<Verdict>();
    value::<Report>();
    value::<TensorReport>();
    value::<Drift>();
    reference::<GivenScores<'static, f32>>();
    reference::<Layer<'static, f32>>();
    reference::<SignedTaylor<'static, f32>>();
    reference::<Taylor<'static, f64>>();
    reference::<Target<'static, f32>>();
    reference::<OutputLayer<'static, f32>>();
    reference::<StreamingBatch<'static, f32>>();
    exclusive::<GradientBuffers<'static, f32>>();
    reference::<Elementwise<'static, f32>>();
    reference::<PruningProgress<'static>>();
}

#[test]
fn what_measures_travels_and_is_not_compared() {
    // It may hold a clock of the caller's, which is a closure.
    fn travels<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
    travels::<SpeedTest>();
    travels::<Scratch>();
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

#[cfg(feature = "masks")]
#[test]
fn files_of_masks_are_plain_values() {
    value::<rarefy::formats::MaskFile>();
}

#[cfg(feature = "calibration")]
#[test]
fn files_of_statistics_are_plain_values() {
    value::<rarefy::formats::CalibrationFile>();
}

#[cfg(feature = "gguf")]
#[test]
fn files_of_gguf_can_be_handed_to_other_threads() {
    use rarefy::formats::{
        GgufArray, GgufFile, GgufStrings, GgufTensorInfo, GgufType, GgufValue, GgufWriter,
    };
    fn travels<T: Debug + Send + Sync + Unpin + 'static>() {}
    value::<GgufArray>();
    value::<GgufStrings>();
    value::<GgufTensorInfo>();
    value::<GgufType>();
    value::<GgufValue>();
    travels::<GgufFile>();
    travels::<GgufWriter>();
    let many = GgufValue::from(vec!["token"; 100_000]);
    let said = format!("{many:?} {:?}", GgufValue::from(vec![0.5_f32; 9]));
    assert!(
        said.ends_with(" Array(F32[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5] and 1 more)"),
        "{said}"
    );
    assert!(said.len() < 300, "{said}");
}

#[cfg(feature = "compressed-tensors")]
#[test]
fn what_compressed_tensors_are_is_plain_values() {
    use rarefy::formats::{
        Checkpoint, CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights,
        Decompressed,
    };
    fn travels<T: Debug + Send + Sync + Unpin + 'static>() {}
    value::<CompressedConfig>();
    value::<CompressedGroup>();
    value::<CompressedLayout>();
    value::<CompressedWeights>();
    travels::<Decompressed<Checkpoint>>();
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
    value::<CouplingError>();
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
    let mut snip = Snip::new();
    snip.observe(&weights, &weights).unwrap();
    let top_k = TopKTarget::from_logits(&weights, 300).unwrap();
    let target = Target::from(&output).weights(&row_weights).top_k(&top_k);
    let mut observed: Vec<Statistics> = vec![
        MinMax::new().per_channel(ndarray::Axis(0)).into(),
        MovingAverage::new().per_channel(ndarray::Axis(0)).into(),
        Histogram::new().per_channel(ndarray::Axis(0)).into(),
        ChannelSums::new().per_channel(ndarray::Axis(0)).into(),
        Saturation::new(&[(0.0, 1.0)]).unwrap().into(),
    ];
    for statistics in &mut observed {
        statistics.observe(&weights).unwrap();
    }
    let mut report = Report::new();
    report.add_quantized("w", &weights, &quantized).unwrap();
    let prints = [
        format!("{mask:?}"),
        format!("{:?}", DenseLinear::new(&weights, None).unwrap()),
        format!("{:?}", QuantizedLinear::new(&weights, None).unwrap()),
        format!("{:?}", GroupedLinear::new(&weights, 4, 32, None).unwrap()),
        format!(
            "{:?}",
            SparseLinear::new(&weights, None, SparseFormat::Csr).unwrap()
        ),
        format!("{:?}", GivenScores::new(&weights)),
        format!("{:?}", Taylor::new(&weights)),
        format!("{:?}", SignedTaylor::new(&weights)),
        format!("{:?}", SliceScores::new(&row_weights, ndarray::Axis(0))),
        format!("{:?}", Wanda::new(&row_weights, ndarray::Axis(0))),
        format!("{:?}", Layer::new("w", &weights)),
        format!("{observed:?}"),
        format!("{snip:?}"),
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
