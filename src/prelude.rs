//! The traits that calls need in scope: `use rarefy::prelude::*;`.
//!
//! Functions such as [`prune::l1_unstructured`](crate::prune::l1_unstructured) need no import.

#[doc(no_inline)]
pub use crate::calibrate::{Observer, ObserverExt};
#[doc(no_inline)]
pub use crate::distill::{Loss, Student, Teacher};
#[doc(no_inline)]
pub use crate::infer::Layer;
#[doc(no_inline)]
pub use crate::prune::{Importance, Pruner, PrunerExt};
#[doc(no_inline)]
pub use crate::quantize::{Quantizer, QuantizerExt};
#[doc(no_inline)]
pub use crate::schedule::Schedule;
