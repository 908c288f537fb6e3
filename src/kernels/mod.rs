//! The machine room: loops over slices of numbers, and nothing else.
//!
//! The rules of this room:
//!
//! * A kernel sees slices and numbers. Shapes, ranges and NaN are checked one floor up, once; a
//!   kernel that meets bad data says where it is, and its caller makes the error.
//! * A kernel is a plain `#[inline(always)]` function. [`dispatch`] compiles it for every
//!   instruction set we know and picks one at run time. That, [`compare`] and [`memory`] have the only
//!   `unsafe` of the crate.
//! * [`parallel`] cuts work into chunks whose length never depends on the number of threads and
//!   puts results together in order, so that one thread and sixteen give the same bits. That is
//!   the only `rayon` of the crate, and it runs in the caller's pool.
//! * A fixed number of lanes in every float sum, and no fused multiply-add, so that instruction sets
//!   agree to the bit as well. [`arithmetic`] has the exception and says which machines still agree:
//!   the exponentials and logarithms of losses.
//! * Each kernel is tested against a slow twin that is right at a glance, at every instruction set
//!   that the machine has.

pub(crate) mod above;
mod absmax;
mod arithmetic;
pub(crate) mod array;
pub(crate) mod best_class;
pub(crate) mod beyond;
pub(crate) mod bits;
pub(crate) mod blocks;
mod bracket;
mod cast;
pub(crate) mod clusters;
pub(crate) mod coded;
pub(crate) mod coding;
mod compare;
pub(crate) mod decode;
pub(crate) mod decoded;
pub(crate) mod dense;
pub(crate) mod dispatch;
pub(crate) mod divergence;
pub(crate) mod encode;
mod exp;
pub(crate) mod extremes;
pub(crate) mod factors;
pub(crate) mod fake;
pub(crate) mod fidelity;
pub(crate) mod finite;
pub(crate) mod fit;
pub(crate) mod fitted;
pub(crate) mod folds;
pub(crate) mod gather;
pub(crate) mod grouped;
#[cfg(any(feature = "half", feature = "cache", feature = "tensors"))]
pub(crate) mod halves;
pub(crate) mod histogram;
pub(crate) mod hqq;
pub(crate) mod integer;
pub(crate) mod keys;
mod learned;
pub(crate) mod likeliest;
mod log;
mod logistic;
pub(crate) mod lookup;
#[cfg(feature = "mmap")]
pub(crate) mod mapped;
mod memory;
pub(crate) mod minifloat;
pub(crate) mod mixture;
pub(crate) mod n_of_m;
mod nearest;
mod ordinal;
pub(crate) mod pack;
pub(crate) mod parallel;
pub(crate) mod product;
pub(crate) mod protect;
pub(crate) mod ranges;
pub(crate) mod ranked;
pub(crate) mod real;
pub(crate) mod runs;
pub(crate) mod scaled;
pub(crate) mod search;
pub(crate) mod select;
pub(crate) mod shifted;
pub(crate) mod short_groups;
pub(crate) mod sort;
pub(crate) mod sparse;
pub(crate) mod standard;
pub(crate) mod stream;
pub(crate) mod tail;
pub(crate) mod ternary;
pub(crate) mod ties;
mod tile_sums;
pub(crate) mod tiling;
pub(crate) mod top_k;
pub(crate) mod trained;
pub(crate) mod uneven;
pub(crate) mod units;
mod way;
#[cfg(feature = "half")]
pub(crate) mod widen;
