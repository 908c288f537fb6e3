//! Products of integers.
//!
//! Exact: what they give is the integer that the formula means, for all inputs, at every instruction set.

pub(crate) mod grouped;
pub(crate) mod machine;
