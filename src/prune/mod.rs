//! Pruning: weights that matter little go.
//!
//! Two questions, two traits. *How much does each weight matter?* is an [`Importance`]; *which
//! weights may go together?* is a pattern, such as [`Unstructured`], which holds an importance and
//! an [`Amount`] and is a [`Pruner`]. Any importance works with any pattern, ours or yours.
//!
//! Pruning gives a [`Mask`]. It is what keeps a network sparse afterwards: apply it to the weights
//! after every step of the optimiser, or to gradients and optimiser state before.
//!
//! | function | pattern and importance | PyTorch |
//! |---|---|---|
//! | [`l1_unstructured`] | [`Unstructured`], [`Magnitude`] | `l1_unstructured` |
//! | [`ln_structured`] | [`Structured`], [`Magnitude`], [`Aggregate::Norm`] | `ln_structured` |
//! | [`random_unstructured`] | [`Unstructured`], [`Random`] | `random_unstructured` |
//! | [`random_structured`] | [`RandomStructured`] | `random_structured` |
//! | [`threshold`] | [`Threshold`], [`Magnitude`] | |
//! | [`slice_threshold`] | [`SliceThreshold`], [`Magnitude`] | |
//! | [`global_unstructured`] | [`Global`] over several [`Layer`]s | `global_unstructured` |
//! | [`semi_structured`] | [`SemiStructured`]: N of every M | |
//! | | [`Blocks`]: blocks of A × B | |
//! | | [`GlobalStructured`], [`Coupled`]: slices of several tensors | |
//!
//! Which method when, and how counts and ties are decided: the guide's chapter on pruning, `docs/pruning.md`.

mod aggregate;
mod amount;
mod blocks;
mod importance;
mod many;
mod pruner;
mod random;
mod rules;
mod scored;
mod semi_structured;
mod structured;
mod threshold;
mod unstructured;

pub use crate::mask::Mask;
pub use aggregate::Aggregate;
pub use amount::Amount;
pub use blocks::Blocks;
pub use importance::{
    Elementwise, Fisher, Fpgm, GivenScores, Importance, Lamp, Magnitude, Movement, Obd, Random,
    RelativeMagnitude, SignedTaylor, SliceScores, Snip, Taylor, Wanda,
};
pub use many::allocation;
pub use many::{
    Coupled, Global, GlobalStructured, Layer, Normaliser, Note, Pruned, Rail, Rails,
    global_unstructured,
};
pub use pruner::{Pruner, PrunerExt};
pub use random::{RandomStructured, random_structured, random_unstructured};
pub use rules::{CountRule, NanRule, Profile, Rules, Scope, TieRule};
pub use semi_structured::{Search, SemiStructured, semi_structured};
pub use structured::{Structured, ln_structured};
pub use threshold::{SliceThreshold, Threshold, slice_threshold, threshold};
pub use unstructured::{Unstructured, l1_unstructured};
