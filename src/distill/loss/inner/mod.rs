//! Distances between inner activations of student and teacher: hidden states, attention, relations.
//!
//! Each loss names the features that it compares, on both sides, and gives the gradient back by the
//! student's names. All of them compute in f64, whatever the features are in. What they share:
//!
//! * **Row weights** count for the leading axes of the student's feature: as many weights as axis 0
//!   is long, or as the first two axes hold, and so on as far as the loss says. What has weight 0 is
//!   not read.
//! * Losses that compare the *examples of a batch with one another* have no row to weigh. An example
//!   of weight 0 is then left out of the batch as if it were not there, any other counts as one.
//! * A vector whose norm is below 1e-150 counts as zero. Zero has no direction: what is divided by
//!   its norm is zero, and so is the gradient.
//! * Features must be finite and at most 1e70 in magnitude, so that no square overflows.
//!
//! Two methods are left out on purpose. Variational information distillation (VID) trains networks
//! that predict the teacher's activations and a variance for each channel; contrastive
//! representation distillation (CRD) trains two embeddings and keeps a memory of all examples. Both
//! are learners with a state and an optimiser of their own, and a loss here has neither.

mod attention_kl;
mod attention_mse;
mod attention_transfer;
mod correlation_congruence;
mod dist;
mod feature;
mod found;
mod fsp;
mod hidden_cosine;
mod hidden_mse;
mod mask;
mod mini_lm;
mod mmd;
mod pairs;
mod patient_hidden;
mod pkt;
mod projection;
mod relation_kl;
mod relational_angle;
mod relational_distance;
mod row_divergence;
mod similarity_preserving;
mod units;

pub use attention_kl::{AttentionKl, AttentionMeasure};
pub use attention_mse::AttentionMse;
pub use attention_transfer::AttentionTransfer;
pub use correlation_congruence::{CongruenceKernel, CorrelationCongruence};
pub use dist::Dist;
pub use fsp::Fsp;
pub use hidden_cosine::HiddenCosine;
pub use hidden_mse::HiddenMse;
pub use mini_lm::{MiniLm, MiniLmRelations};
pub use mmd::{Mmd, MmdKernel};
pub use patient_hidden::PatientHidden;
pub use pkt::Pkt;
pub use relation_kl::RelationKl;
pub use relational_angle::RelationalAngle;
pub use relational_distance::RelationalDistance;
pub use similarity_preserving::SimilarityPreserving;
