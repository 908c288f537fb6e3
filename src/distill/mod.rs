//! Distillation: a small student learns what a large teacher says.
//!
//! ```text
//! L = Σᵢ wᵢ · KL(p_teacher(xᵢ) ‖ p_student(xᵢ))
//! ```
//!
//! (Texts that put a minus before the sum do not mean it: the divergence is minimised.)
//!
//! We have no autodiff and want none. A [`Loss`] gives its value *and* its gradient with respect to
//! the student's output in one call, and the student, which is yours, goes on from there with its own
//! backward pass. In a framework with autodiff, minimise Σ z·stop_gradient(g), with z the student's
//! logits and g our gradient: its gradient with respect to z is exactly g.
//!
//! [`kl_divergence`] and [`cross_entropy`] are the losses as functions; behind them are [`KlDivergence`]
//! and [`CrossEntropy`] with their settings, [`WeightedSum`] mixes them, [`ScheduledSum`] lets weights
//! and temperatures change, and a [`Distiller`] does one step of a [`Teacher`] and a [`Student`].
//!
//! A teacher may be a network, a closure ([`teacher_fn`]), logits from before ([`StoredLogits`]), several
//! teachers ([`Ensemble`]), or the student's own past ([`Ema`]). Batches of sequences have
//! [a module of their own](sequence).
//!
//! Logits that are stored in f16 or bf16 need the feature `half` and no copy in f32: `Logit` has the methods. A
//! teacher that may be wrong where the label is known is corrected by a [`LabelCorrection`].
//!
//! Losses over inner activations compare named [`Output::features`]: hidden states ([`HiddenMse`],
//! [`HiddenCosine`], [`PatientHidden`]), attention ([`AttentionMse`], [`AttentionKl`], [`RelationKl`],
//! [`MiniLm`]), maps of convolutions ([`AttentionTransfer`], [`Fsp`], [`Mmd`]), and how the examples of
//! a batch relate ([`RelationalDistance`], [`RelationalAngle`], [`SimilarityPreserving`], [`Pkt`],
//! [`CorrelationCongruence`], and [`Dist`] on logits). They give the gradient back by name. VID and CRD
//! are not among them: both train networks of their own, and CRD keeps a memory of all examples.
//!
//! Logits have shape `[rows, classes]`. Sequences of shape [batch, time, classes] flatten to
//! [batch · time, classes] without a copy:
//!
//! ```
//! use ndarray::{Array3, Ix2};
//! use rarefy::distill;
//!
//! let student = Array3::<f32>::zeros((4, 16, 30));
//! let teacher = Array3::<f32>::ones((4, 16, 30));
//! let rows = (4 * 16, 30);
//! let loss = distill::kl_divergence(
//!     &student.view().into_shape_with_order(rows)?,
//!     &teacher.view().into_shape_with_order(rows)?,
//!     1.0,
//! )?;
//! let gradient = loss.grad.into_shape_with_order((4, 16, 30))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod distiller;
mod ema;
mod faults;
mod label_correction;
mod loss;
mod networks;
mod output;
pub mod sequence;
mod target;
mod teachers;
pub mod temperatures;
mod top_k;
mod vocabulary;

pub use distiller::Distiller;
pub use ema::Ema;
pub use label_correction::{LabelCorrection, LeadingLabel};
#[cfg(feature = "half")]
pub use loss::Logit;
pub use loss::{
    AlphaDivergence, AttentionKl, AttentionMeasure, AttentionMse, AttentionTransfer,
    CongruenceKernel, CorrelationCongruence, CrossEntropy, DecoupledKl, Dist, Evaluation, Fsp,
    GradientBuffers, HiddenCosine, HiddenMse, JensenShannon, KlDivergence, LogitMse, Loss,
    LossValue, MiniLm, MiniLmRelations, Mmd, MmdKernel, OutputLayer, OutputLayerGradient,
    PatientHidden, Pkt, Reduction, RelationKl, RelationalAngle, RelationalDistance,
    ReverseKlDivergence, ScheduledSum, SigmoidKl, SimilarityPreserving, SkewedKl, SkewedReverseKl,
    SortedProbability, Standardised, StreamingBatch, StreamingDistillation, TailBucketDivergence,
    TeacherForm, TemperatureFactor, TermValue, TopKDivergence, TotalVariation, WeightedSum,
    cross_entropy, kl_divergence,
};
pub use networks::{Student, Teacher};
pub use output::Output;
pub use target::Target;
pub use teachers::{Averaging, Ensemble, StoredLogits, TeacherFn, teacher_fn};
pub use top_k::TopKTarget;
pub use vocabulary::Vocabulary;
