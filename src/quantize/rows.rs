//! Some of the weights of a tensor, without the others.

use super::{BlockTensor, Minifloat, Parameters, QuantizedTensor};
use crate::float::Float;
use crate::kernels::coding::Steps;
use crate::kernels::decode::Stored;
use crate::kernels::lookup::Lookup;
use crate::kernels::pack;
use crate::kernels::real::Sealed;
use crate::kernels::tiling::Tiling;
use crate::kernels::uneven::Uneven;
use crate::mask::Mask;
use std::ops::Range;

/// What decodes rows of a tensor of rank 2: to the bits that decoding all of it gives.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    tensor: &'a QuantizedTensor,
    columns: usize,
    table: Option<Vec<f32>>,
    /// How many rows share scales.
    high: usize,
    /// Which of the scales of a row is that of which column.
    tiling: Tiling,
}

impl QuantizedTensor {
    /// What decodes rows; nothing where the rank is not 2.
    pub(crate) fn decode_rows(&self) -> Option<Rows<'_>> {
        let &[_, columns] = self.shape() else {
            return None;
        };
        let tile = self.granularity().tile(self.shape()).ok()?;
        let &[high, wide] = tile.as_slice() else {
            return None;
        };
        Some(Rows {
            tensor: self,
            columns,
            table: self.parameters().table(),
            high,
            tiling: Tiling::new(&[1, columns], &[1, wide])?,
        })
    }
}

impl Rows<'_> {
    /// Writes a row. `buffer` is used where a row does not begin with a byte.
    pub(crate) fn decode(&self, row: usize, values: &mut [f32], buffer: &mut Vec<u8>) {
        let Self {
            tensor,
            columns,
            tiling,
            ..
        } = self;
        if values.is_empty() {
            return;
        }
        let bits = tensor.scheme().bits();
        let packed = row_bytes(tensor.packed(), row * columns, *columns, bits, buffer);
        let scales = row / self.high * tiling.count();
        let scales = scales..scales + tiling.count();
        let parameters = (tensor.parameters(), self.table.as_deref());
        decode_codes(packed, tiling, parameters, scales, values);
        drop_some(tensor.mask(), row * columns, values);
    }
}

/// Writes what codes mean: `table` is what [`Parameters::table`] gives, `scales` are those of the tiling.
pub(super) fn decode_codes<F: Float>(
    packed: &[u8],
    tiling: &Tiling,
    (parameters, table): (&Parameters, Option<&[f32]>),
    scales: Range<usize>,
    values: &mut [F],
) {
    let scheme = parameters.scheme();
    let bits = scheme.bits();
    if let Some(table) = table {
        let zeros = parameters.float_zero_points();
        let lookup = Lookup {
            bits,
            table,
            scales: &parameters.scales()[scales.clone()],
            zero_points: zeros.get(scales).unwrap_or(&[]),
            formula: scheme.minifloat().and_then(Minifloat::formula),
        };
        <F as Uneven>::look_up(packed, tiling, lookup, values);
    } else {
        let signed = scheme.is_signed();
        let zeros = parameters.zero_points();
        let steps = Steps {
            scales: &parameters.scales()[scales.clone()],
            zero_points: zeros.get(scales).unwrap_or(&[]),
        };
        <F as Sealed>::decode(packed, tiling, Stored { bits, signed }, steps, values);
    }
}

/// The bytes of codes from number `start` on, as if these were the first.
fn row_bytes<'a>(
    packed: &'a [u8],
    start: usize,
    len: usize,
    bits: u32,
    buffer: &'a mut Vec<u8>,
) -> &'a [u8] {
    // Eight codes fill bytes whatever their width, so the product cannot be larger than there are bits.
    let (first, shift) = (pack::bytes_for(start, bits), start % 8 * bits as usize % 8);
    let needed = pack::bytes_for(len, bits);
    if shift == 0 {
        return &packed[first..first + needed];
    }
    // The byte that holds the first bits is shared with the row before.
    let from = &packed[first - 1..];
    buffer.clear();
    buffer.extend((0..needed).map(|byte| {
        let next = from.get(byte + 1).map_or(0, |next| next << (8 - shift));
        from[byte] >> shift | next
    }));
    buffer
}

/// Writes +0 where a mask drops one of the values that begin at place `start`.
fn drop_some(mask: Option<&Mask>, start: usize, values: &mut [f32]) {
    let Some(words) = mask.map(Mask::words) else {
        return;
    };
    for (place, value) in (start..).zip(values) {
        if words[place / 64] >> (place % 64) & 1 == 0 {
            *value = 0.0;
        }
    }
}

impl BlockTensor {
    /// Writes the values of whole blocks, the first of which begins at place `start` in row-major order; to the bits
    /// that decoding all of it gives.
    pub(crate) fn decode_part(&self, start: usize, values: &mut [f32]) {
        let format = self.format();
        let (len, bytes) = (format.block_len(), format.block_bytes());
        let blocks = &self.bytes()[start / len * bytes..][..values.len() / len * bytes];
        let scale = format.tensor_scale(self.bytes());
        format.codec().decode(blocks, values, scale);
        drop_some(self.mask(), start, values);
    }
}
