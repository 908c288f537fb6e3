//! The parts of a module: which there are, and how they are read.
//!
//! A word of `qweight` holds inputs and a row of words all outputs. A row of codes is one little-endian bit stream in both
//! this layout and ours, so turning the array of words is all.

use super::{GptqConfig, GptqFormat};
use crate::error::{Error, Result};
use crate::formats::integers::{
    Integers, Packing, SCALES, WORDS, by_output, check_part, shape_of_words,
};
use crate::formats::words;
use crate::tensors::{DType, TensorInfo, TensorSource, TensorSourceExt};

/// Bytes of a word.
pub(super) const WORD: usize = 4;
/// Bits of a word.
pub(super) const WORD_BITS: usize = 32;

/// Rows of words by outputs, turned: words of an output become neighbours. And back, with the lengths exchanged.
pub(super) fn turn(words: &[u8], rows: usize, columns: usize) -> Vec<u8> {
    /// Columns at a time, so that what is read of a row is a line of the cache.
    const ACROSS: usize = 16;
    let mut turned = vec![0; words.len()];
    let (from, _) = words.as_chunks::<WORD>();
    let (to, _) = turned.as_chunks_mut::<WORD>();
    for first in (0..columns).step_by(ACROSS) {
        for row in 0..rows {
            for column in first..columns.min(first + ACROSS) {
                to[column * rows + row] = from[row * columns + column];
            }
        }
    }
    turned
}

/// Outputs and inputs by the shape of the words.
fn lengths(source: &dyn TensorSource, module: &str, bits: u32) -> Result<[usize; 2]> {
    let [rows, outputs] = shape_of_words(source, &format!("{module}.qweight"))?;
    let overflow = || Error::ShapeOverflow {
        shape: vec![rows, outputs],
    };
    // Words that end within a code: so many inputs have fewer of them, which is found when the shape is compared.
    let inputs = rows.checked_mul(WORD_BITS).ok_or_else(overflow)? / bits.max(1) as usize;
    Ok([outputs, inputs])
}

impl Packing for GptqConfig {
    const PARTS: &'static [&'static str] = &[".qweight", ".qzeros", ".scales", ".g_idx"];

    fn describe(&self, source: &dyn TensorSource, module: &str) -> Result<TensorInfo> {
        let [outputs, inputs] = lengths(source, module, self.bits)?;
        let groups = inputs.div_ceil(self.group(inputs));
        let part = |part: &str| format!("{module}.{part}");
        let rows = words::words_for(inputs, self.bits);
        check_part(source, &part("qweight"), WORDS, &[rows, outputs])?;
        let zeros = words::words_for(outputs, self.bits);
        check_part(source, &part("qzeros"), WORDS, &[groups, zeros])?;
        let dtype = check_part(source, &part("scales"), SCALES, &[groups, outputs])?;
        if source.position(&part("g_idx")).is_some() {
            check_part(source, &part("g_idx"), (&[DType::I32], "I32"), &[inputs])?;
        }
        let info = TensorInfo::new(part("weight"), dtype, [outputs, inputs]);
        info.bytes()?;
        Ok(info)
    }

    fn read(&self, source: &dyn TensorSource, module: &str) -> Result<Integers> {
        let info = self.describe(source, module)?;
        let &[outputs, inputs] = &info.shape[..] else {
            return Err(Error::ShapeOverflow { shape: info.shape });
        };
        let part = |part: &str| format!("{module}.{part}");
        let rows = words::words_for(inputs, self.bits);
        let packed = turn(source.tensor(&part("qweight"))?.bytes(), rows, outputs);
        let zeros = source.tensor(&part("qzeros"))?;
        let zeros = words::unpack_rows(zeros.bytes(), outputs, self.bits);
        let less = match self.checkpoint_format {
            GptqFormat::V1 => 1,
            GptqFormat::V2 => 0,
        };
        let zeros: Vec<u16> = zeros.iter().map(|&zero| u16::from(zero) + less).collect();
        let mut scales = vec![0.0; inputs.div_ceil(self.group(inputs)) * outputs];
        source.floats_into(&part("scales"), &mut scales)?;
        Ok(Integers {
            outputs,
            inputs,
            bits: self.bits,
            packed,
            scales: by_output(&scales, outputs),
            zeros: by_output(&zeros, outputs),
            group: self.group(inputs),
            group_of: self.group_of(source, &part("g_idx"), inputs)?,
        })
    }
}

impl GptqConfig {
    /// The group of each input, unless groups are neighbours.
    fn group_of(
        &self,
        source: &dyn TensorSource,
        name: &str,
        inputs: usize,
    ) -> Result<Option<Vec<usize>>> {
        if source.position(name).is_none() {
            return Ok(None);
        }
        let group = self.group(inputs);
        let groups = inputs.div_ceil(group);
        let given = source.elements::<i32>(name)?;
        let number = |&number: &i32| {
            let there = usize::try_from(number)
                .ok()
                .filter(|&number| number < groups);
            there.ok_or_else(|| {
                Error::NumberOutOfRange {
                    what: "group of an input",
                    must: "the number of one that has scales",
                    value: number.into(),
                }
                .in_tensor(name)
            })
        };
        let group_of: Vec<usize> = given.iter().map(number).collect::<Result<_>>()?;
        let neighbours = group_of
            .iter()
            .enumerate()
            .all(|(input, &of)| of == input / group);
        Ok((!neighbours).then_some(group_of))
    }
}
