//! Products with weights of 2, 3, 4 or 8 bits whose inputs fall into groups, each with a scale of its own.
//!
//! A weight is (u − zero) · scale, with a code u of b bits and without sign. Activations become codes of 8 or 16 bits
//! a row and a piece of a group. A piece gives an integer, Σ u · x − zero · Σ x, which no order of terms changes; it
//! counts f32(integer) · (scale of the weights · scale of the activations). Pieces are added in their order, by a
//! product and then a sum: so every machine gives the same bits.
//!
//! Sixteen outputs make a panel: a line of 64 bytes has four inputs of each, in sixteen words, as `vpdpbusd` takes
//! them. With fewer than 8 bits a byte holds inputs that are 4, 8, .. further on:
//!
//! | bits | lines | inputs | bits of byte b of a word |
//! |---|---|---|---|
//! | 8 | 1 | 4 | input b |
//! | 4 | 1 | 8 | nibble c: input 4c + b |
//! | 2 | 1 | 16 | crumb c: input 4c + b |
//! | 3 | 3 | 32 | two lines as of 2 bits; then bit c: the highest bit of input 4c + b |

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod cut;
mod portable;
mod product;
mod tile;
#[cfg(target_arch = "x86_64")]
mod vnni;
mod weights;

pub(crate) use activations::Width;
pub(crate) use cut::Cut;
pub(crate) use product::{Room, multiply};
pub(crate) use weights::Weights;

#[cfg(test)]
mod tests;
