//! Pruning: weights that matter little go.
//!
//! Two questions, two traits. *How much does each weight matter?* is an [`Importance`]; *which
//! weights may go together?* is a pattern, such as [`Unstructured`], which holds an importance and
//! an [`Amount`] and is a [`Pruner`]. Any importance works with any pattern, ours or yours.
//!
//! Pruning gives a [`Mask`]. It is what keeps a network sparse afterwards: apply it to the weights
//! after every step of the optimiser, or to gradients and optimiser state before. [`GradualPruning`]
//! does so under a training loop of yours, as a schedule says. What a mask left is pruned on by
//! [`compound`]; [`regrow_by_gradient`] and [`regrow_at_random`] move
//! connections; [`Mask::restore`] takes weights back and
//! [`Mask::rewind`] makes the lottery ticket.
//!
//! A mask makes nothing smaller. Whole neurons, channels or heads can really be taken away:
//! [`CoupledAxes`] says which axes of which tensors belong together, [`Shrinkage`] gives the smaller
//! arrays.
//!
//! | function | pattern and importance | PyTorch |
//! |---|---|---|
//! | [`l1_unstructured`] | [`Unstructured`], [`Magnitude`] | `l1_unstructured` |
//! | `l1_unstructured_stored` (feature `half`) | the same, of weights in f16 or bf16 | |
//! | [`ln_structured`] | [`Structured`], [`Magnitude`], [`Aggregate::Norm`] | `ln_structured` |
//! | [`random_unstructured`] | [`Unstructured`], [`Random`] | `random_unstructured` |
//! | [`random_structured`] | [`RandomStructured`] | `random_structured` |
//! | [`threshold`] | [`Threshold`], [`Magnitude`] | |
//! | [`slice_threshold`] | [`SliceThreshold`], [`Magnitude`] | |
//! | [`global_unstructured`] | [`Global`] over several [`Layer`]s | `global_unstructured` |
//! | [`semi_structured`] | [`SemiStructured`]: N of every M | |
//! | [`compound`] | any [`Compound`], on what a mask left | `PruningContainer` |
//! | | [`FromMask`], [`Identity`] | `custom_from_mask`, `identity` |
//! | | [`Blocks`]: blocks of A × B | |
//! | | [`GlobalStructured`], [`Coupled`]: slices of several tensors | |
//!
//! Which method when, and how counts and ties are decided: the guide's chapter on pruning, `docs/pruning.md`.

mod aggregate;
mod amount;
mod blocks;
mod compound;
mod given;
mod gradual;
mod importance;
mod many;
mod pruner;
mod random;
mod regrow;
mod rules;
mod scored;
mod semi_structured;
mod shrink;
#[cfg(feature = "half")]
mod stored;
mod structured;
mod threshold;
mod unstructured;

pub use crate::mask::Mask;
pub use aggregate::Aggregate;
pub use amount::Amount;
pub use blocks::Blocks;
pub use compound::{Compound, Remaining, compound, compound_along};
pub use given::{FromMask, Identity};
pub use gradual::{
    GradualPruning, PruningProgress, PruningState, PruningStep, SkipReason, Skipped, TensorChange,
};
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
pub use regrow::{Regrown, regrow_at_random, regrow_by_gradient};
pub use rules::{CountRule, NanRule, Profile, Rules, Scope, TieRule};
#[cfg(feature = "recipe")]
pub(crate) use semi_structured::check_group;
pub use semi_structured::{Search, SemiStructured, semi_structured};
pub use shrink::{CoupledAxes, CoupledAxis, Shrinkage, UnitScore};
#[cfg(feature = "half")]
pub use stored::{StoredWeight, l1_unstructured_stored};
pub use structured::{Structured, ln_structured};
pub use threshold::{SliceThreshold, Threshold, slice_threshold, threshold};
pub use unstructured::{Unstructured, l1_unstructured};
