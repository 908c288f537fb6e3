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
//! | [`l1_unstructured`] | [`Unstructured`], [`Magnitude`] | `torch.nn.utils.prune.l1_unstructured` |
//! | [`compound`] | any [`Compound`], on what a mask left | `torch.nn.utils.prune.PruningContainer` |
//! | | [`FromMask`], [`Identity`] | `custom_from_mask`, `identity` |

mod amount;
mod compound;
mod given;
mod gradual;
mod importance;
mod pruner;
mod regrow;
mod shrink;
mod unstructured;

pub use crate::mask::Mask;
pub use amount::Amount;
pub use compound::{Compound, Remaining, compound, compound_along, left_after};
pub use given::{FromMask, Identity};
pub use gradual::{
    GradualPruning, Pruned, PrunedTensor, PruningProgress, PruningState, SkipReason, Skipped,
};
pub use importance::{Elementwise, Importance, Magnitude};
pub use pruner::{Pruner, PrunerExt};
pub use regrow::{Regrown, rigl, set};
pub use shrink::{CoupledAxes, CoupledAxis, Shrinkage, UnitScore};
pub use unstructured::{Unstructured, l1_unstructured};
