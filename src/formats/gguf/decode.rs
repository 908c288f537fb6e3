//! Part of a tensor of blocks, as the bytes of its values in f32.

use crate::error::{Error, Result};
use crate::quantize::{BlockFormat, BlockTensor};
use ndarray::ArrayViewMut1;

/// How many values are decoded at a time, at least and at most: multiples of every block.
const AT_ONCE: (usize, usize) = (1 << 13, 1 << 17);

/// Fills `bytes` with what the blocks decode to in f32, from byte `from` of all values on; `read` reads bytes of blocks.
pub(super) fn range(
    format: BlockFormat,
    mut from: usize,
    mut bytes: &mut [u8],
    read: &dyn Fn(usize, &mut [u8]) -> Result<()>,
) -> Result<()> {
    let block = format.block_len();
    let mut values = Vec::new();
    // An eighth of what is asked for: memory for it is little beside that, and threads have enough to do.
    let (least, most) = AT_ONCE;
    let at_once = (bytes.len() / 32).clamp(least, most) / least * least;
    while !bytes.is_empty() {
        // Whole blocks around what is asked for.
        let first = from / 4 / block;
        let last = (from + bytes.len()).div_ceil(4).div_ceil(block);
        let count = (last - first).min(at_once / block);
        let mut coded = vec![0; count * format.block_bytes()];
        read(first * format.block_bytes(), &mut coded)?;
        let blocks = BlockTensor::from_bytes(format, vec![count * block], coded);
        values.resize(count * block, 0.0_f32);
        let mut view = ArrayViewMut1::from(&mut values[..count * block]);
        let blocks = blocks.map_err(|error| further(error, first))?;
        blocks.dequantize_into(&mut view)?;

        let skipped = from - first * block * 4;
        let taken = bytes.len().min(count * block * 4 - skipped);
        let (now, later) = bytes.split_at_mut(taken);
        copy(&values, skipped, now);
        bytes = later;
        from += taken;
    }
    Ok(())
}

/// Copies bytes of values, from byte `from` on.
fn copy(values: &[f32], from: usize, to: &mut [u8]) {
    // What lies within a value, before the first whole one.
    let within = (from.next_multiple_of(4) - from).min(to.len());
    let (head, whole) = to.split_at_mut(within);
    if !head.is_empty() {
        let value = values[from / 4].to_le_bytes();
        head.copy_from_slice(&value[from % 4..][..head.len()]);
    }
    let values = &values[from.div_ceil(4)..];
    let (whole, tail) = whole.as_chunks_mut::<4>();
    for (bytes, value) in whole.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
    if let Some(value) = values.get(whole.len()) {
        let count = tail.len();
        tail.copy_from_slice(&value.to_le_bytes()[..count]);
    }
}

/// An error about a block, which is that many blocks further on.
fn further(error: Error, blocks: usize) -> Error {
    let moved = |index: Vec<usize>| index.into_iter().map(|block| block + blocks).collect();
    match error {
        Error::NotANumber { what, index } => Error::NotANumber {
            what,
            index: moved(index),
        },
        Error::Infinite { what, index, value } => Error::Infinite {
            what,
            index: moved(index),
            value,
        },
        other => other,
    }
}
