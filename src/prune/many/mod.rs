//! Several tensors at once: global pruning, slices that belong together, an amount for each.

pub mod allocation;
mod coupled;
mod global;
mod global_structured;
mod layer;
mod normaliser;
mod rails;

pub use coupled::Coupled;
pub use global::{Global, Pruned, global_unstructured};
pub use global_structured::GlobalStructured;
pub use layer::Layer;
pub use normaliser::Normaliser;
pub use rails::{Note, Rail, Rails};
