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
pub use compound::{Compound, Remaining, compound, compound_along};
pub use given::{FromMask, Identity};
pub use gradual::{
    GradualPruning, PruningProgress, PruningState, PruningStep, SkipReason, Skipped, TensorChange,
};
pub use importance::{Elementwise, Importance, Magnitude};
pub use pruner::{Pruner, PrunerExt};
pub use regrow::{Regrown, regrow_at_random, regrow_by_gradient};
pub use shrink::{CoupledAxes, CoupledAxis, Shrinkage, UnitScore};
pub use unstructured::{Unstructured, l1_unstructured};
