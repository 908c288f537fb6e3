//! Products with weights most of which are zero.
//!
//! Stored weights are f32 or int8 codes, [`Stored`] both. Where they belong is said in one of two ways, by a [`Pattern`]:
//! a bit for each weight ([`bits`]), or a column for each run of neighbours ([`runs`]).
//!
//! A few rows of activations are read where the weights are ([`few`]); many rows are turned so that rows are lanes, and
//! every weight is multiplied with all of them ([`lanes`]).

pub(crate) mod bits;
mod eights;
mod expand;
mod few;
pub(crate) mod full;
mod lanes;
pub(crate) mod runs;
#[cfg(test)]
mod twin;

use super::arithmetic::Arithmetic;
use ndarray::{ArrayView2, ArrayViewMut2};
use std::ops::Range;

/// Weights of a word of bits, and what rows of activations are padded to.
pub(crate) const WORD: usize = 64;

/// Up to how many rows weights that are read one by one are quicker than rows as lanes.
const FEW: usize = 3;

/// A weight as it is stored.
pub(crate) trait Stored: Copy + Default + Send + Sync + 'static {
    /// Its number, before any scale.
    fn number(self) -> f32;

    /// All of them, so that an instruction set's own code can be chosen by type.
    fn kind(values: &[Self]) -> Kind<'_>;
}

/// Weights of one of the types that are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// The numbers themselves.
    Floats(&'a [f32]),
    /// Codes, each to be multiplied with a scale later.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only instructions of x86-64 ask for it")
    )]
    Codes(&'a [i8]),
}

impl Stored for f32 {
    #[inline(always)]
    fn number(self) -> f32 {
        self
    }
    #[inline(always)]
    fn kind(values: &[Self]) -> Kind<'_> {
        Kind::Floats(values)
    }
}

impl Stored for i8 {
    #[inline(always)]
    fn number(self) -> f32 {
        f32::from(self)
    }
    #[inline(always)]
    fn kind(values: &[Self]) -> Kind<'_> {
        Kind::Codes(values)
    }
}

/// Which weights are stored, and in which order.
pub(crate) trait Pattern: Sync {
    /// Inputs that rows of activations are to have, the last of them zeros.
    fn width(&self) -> usize;

    /// Up to how many rows of activations are read where the weights are: more are turned.
    fn few(&self) -> usize;

    /// Σ of weight · activation of one output, for several rows of [`width`](Self::width) activations.
    /// To be `#[inline(always)]`.
    fn dot<A: Arithmetic, V: Stored, const ROWS: usize>(
        &self,
        output: usize,
        values: &[V],
        x: [&[f32]; ROWS],
    ) -> [f32; ROWS];

    /// Where the walk over the weights of an output begins.
    fn start(&self, output: usize) -> usize;

    /// Walks on over the weights of an output, those of `inputs`, which follow on those of the last call. The last run
    /// may reach beyond them. To be `#[inline(always)]`.
    fn walk<V: Stored>(
        &self,
        output: usize,
        at: &mut usize,
        inputs: Range<usize>,
        values: &[V],
        sink: &mut impl Sink,
    );
}

/// What takes weights on a walk.
pub(crate) trait Sink {
    /// Takes weights and the input that each belongs to.
    fn take<I: Copy + Into<u32>>(&mut self, places: &[I], weights: &[f32]);
}

/// What becomes of the sum of an output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish<'a> {
    /// A factor for each output, or none.
    pub(crate) scales: &'a [f32],
    /// A summand for each output, or none.
    pub(crate) bias: &'a [f32],
}

impl Finish<'_> {
    /// sum · scale + bias, each rounded.
    #[inline(always)]
    fn finish(self, output: usize, sum: f32) -> f32 {
        let scaled = self.scales.get(output).map_or(sum, |scale| sum * scale);
        self.bias.get(output).map_or(scaled, |bias| scaled + bias)
    }
}

/// Numbers that [`product`] needs to lay so many rows out.
pub(crate) fn room(pattern: &impl Pattern, rows: usize) -> usize {
    if rows <= pattern.few() {
        few::room(rows, pattern.width())
    } else {
        lanes::room(rows, pattern.width())
    }
}

/// Weights times rows of activations into `out`, rows × outputs. `room` is for [`room`] numbers.
pub(crate) fn product<P: Pattern, V: Stored>(
    pattern: &P,
    values: &[V],
    finish: Finish<'_>,
    x: &ArrayView2<'_, f32>,
    out: ArrayViewMut2<'_, f32>,
    room: &mut [f32],
) {
    if x.nrows() <= pattern.few() {
        few::product(pattern, values, finish, x, out, room);
    } else {
        lanes::product(pattern, values, finish, x, out, room);
    }
}
