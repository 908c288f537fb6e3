//! Blocks of values as bytes: a scale or two and a few bits a value, in layouts that others define.
//!
//! Each file is a family of formats. What a format can do is a [`Codec`], plain functions over whole
//! blocks; this file cuts arrays into fixed chunks of blocks and runs them.

/// A [`Codec`] of functions over one block, compiled for every instruction set. A macro, because a function
/// that is passed as a value is not inlined into what carries the instruction set.
///
/// A block is hidden from the compiler, so that it makes vectors of neighbours in a block. Of short blocks it
/// otherwise unrolls the loop and makes vectors across blocks, which scatter: four times slower.
macro_rules! codec {
    (
        $(#[$doc:meta])*
        $name:ident = $values:literal in $bytes:literal, $scales:expr, $encode:path, $decode:path
    ) => {
        $(#[$doc])*
        pub(crate) const $name: Codec = Codec {
            values: $values,
            bytes: $bytes,
            scales: $scales,
            encode: |values, bytes, tensor_scale| {
                vectorize(
                    #[inline(always)]
                    || {
                        let (values, _) = values.as_chunks::<$values>();
                        let (bytes, _) = bytes.as_chunks_mut::<$bytes>();
                        let mut fits = true;
                        for (values, bytes) in values.iter().zip(bytes) {
                            let values = std::hint::black_box(values);
                            fits &= $encode(values, bytes, tensor_scale);
                        }
                        fits
                    },
                )
            },
            decode: |bytes, values, tensor_scale| {
                vectorize(
                    #[inline(always)]
                    || {
                        let (bytes, _) = bytes.as_chunks::<$bytes>();
                        let (values, _) = values.as_chunks_mut::<$values>();
                        for (bytes, values) in bytes.iter().zip(values) {
                            let bytes = std::hint::black_box(bytes);
                            $decode(bytes, values, tensor_scale);
                        }
                    },
                );
            },
        };
    };
}

mod affine;
mod legacy;
mod micro;
mod nibbles;
mod search;
mod signed;
mod ternary;

use super::finite::first_not_finite_in;
use super::parallel::{CHUNK, for_chunks_mut, map_chunks_mut};
use super::real::Real;
use std::borrow::Cow;

pub(crate) use affine::{Q2_K, Q4_K, Q5_K};
pub(crate) use legacy::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
pub(crate) use micro::{MXFP4, MXFP8_E4M3, MXFP8_E5M2, NVFP4};
pub(crate) use signed::{Q3_K, Q6_K};
pub(crate) use ternary::{TQ1_0, TQ2_0};

/// How a format turns blocks into bytes and back.
#[derive(Debug)]
pub(crate) struct Codec {
    /// Values in a block; divides [`CHUNK`].
    pub(crate) values: usize,
    /// Bytes of a block.
    pub(crate) bytes: usize,
    /// Where a block keeps its scales.
    pub(crate) scales: Scales,
    /// Writes the bytes of whole blocks of finite values; false if a scale is too large for its format.
    ///
    /// The last argument is the scale of the tensor, where the format has one.
    encode: fn(&[f32], &mut [u8], f32) -> bool,
    /// Writes the values of whole blocks.
    decode: fn(&[u8], &mut [f32], f32),
}

/// The scales that a block holds, by the number format they are in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scales {
    /// Halves at these places of the block.
    Halves(&'static [usize]),
    /// One power of two in front.
    Power,
    /// One number of E4M3 in front.
    E4M3,
}

/// Why an array cannot be turned into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The value at this place is not finite.
    NotFinite(usize),
    /// The scale of this block is too large for its number format.
    Scale(usize),
}

impl Codec {
    /// Writes the bytes of whole blocks, and fails at the first fault in order.
    ///
    /// After a fault the bytes are of no use.
    pub(crate) fn encode<F: Real>(
        &self,
        values: &[F],
        bytes: &mut [u8],
        tensor_scale: f32,
    ) -> Result<(), Fault> {
        let blocks = values.len() / self.values;
        assert_eq!(values.len(), blocks * self.values, "whole blocks");
        assert_eq!(bytes.len(), blocks * self.bytes, "room for the blocks");
        let per_chunk = CHUNK / self.values;
        let chunks = map_chunks_mut(bytes, per_chunk * self.bytes, |chunk, bytes| {
            let start = chunk * CHUNK;
            let part = &values[start..values.len().min(start + CHUNK)];
            self.encode_chunk(part, bytes, tensor_scale)
                .map_err(|fault| match fault {
                    Fault::NotFinite(place) => Fault::NotFinite(start + place),
                    Fault::Scale(block) => Fault::Scale(chunk * per_chunk + block),
                })
        });
        // Values that are no numbers come first, wherever they are: the caller was promised the first
        // of them.
        let faults = || chunks.iter().filter_map(|chunk| chunk.err());
        let not_finite = faults().find(|fault| matches!(fault, Fault::NotFinite(_)));
        not_finite.or_else(|| faults().next()).map_or(Ok(()), Err)
    }

    fn encode_chunk<F: Real>(
        &self,
        values: &[F],
        bytes: &mut [u8],
        tensor_scale: f32,
    ) -> Result<(), Fault> {
        if let Some(place) = first_not_finite_in(values) {
            return Err(Fault::NotFinite(place));
        }
        let values = F::singles_of(values);
        // An f64 may be finite and its f32 not: its block has no scale then.
        let fits = matches!(values, Cow::Borrowed(_)) || first_not_finite_in(&values).is_none();
        if fits && (self.encode)(&values, bytes, tensor_scale) {
            return Ok(());
        }
        let block = values
            .chunks(self.values)
            .zip(bytes.chunks_mut(self.bytes))
            .position(|(values, bytes)| {
                let finite = values.iter().all(|value| value.is_finite());
                !finite || !(self.encode)(values, bytes, tensor_scale)
            });
        block.map_or(Ok(()), |block| Err(Fault::Scale(block)))
    }

    /// Writes the values of whole blocks.
    pub(crate) fn decode<F: Real>(&self, bytes: &[u8], values: &mut [F], tensor_scale: f32) {
        let blocks = values.len() / self.values;
        assert_eq!(values.len(), blocks * self.values, "whole blocks");
        assert_eq!(bytes.len(), blocks * self.bytes, "one block for each");
        let stride = CHUNK / self.values * self.bytes;
        for_chunks_mut(values, CHUNK, |chunk, values| {
            let start = chunk * stride;
            let bytes = &bytes[start..bytes.len().min(start + stride)];
            F::fill_from_singles(values, &mut |singles| {
                (self.decode)(bytes, singles, tensor_scale);
            });
        });
    }
}

#[cfg(test)]
mod tests;
