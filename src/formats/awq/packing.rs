//! The parts of a module: which there are, and how they are read.
//!
//! A word holds eight outputs of one input, not in their order: those of even numbers first.

use super::AwqConfig;
use crate::error::{Error, FileError, Result};
use crate::formats::integers::{
    Integers, Packing, SCALES, WORDS, by_output, check_part, shape_of_words,
};
use crate::tensors::{TensorInfo, TensorSource, TensorSourceExt};

/// Bits of a code.
const BITS: u32 = 4;
/// Codes of a word.
const CODES: usize = 8;
/// The zero point where none are stored.
const MIDDLE: u16 = 8;
/// Which output of its eight each nibble of a word is, from the lowest on.
const ORDER: [usize; CODES] = [0, 2, 4, 6, 1, 3, 5, 7];

/// The codes of a word, in the order of their outputs.
fn codes_of(word: [u8; 4]) -> [u8; CODES] {
    let mut codes = [0; CODES];
    for (nibble, output) in ORDER.into_iter().enumerate() {
        codes[output] = word[nibble / 2] >> (4 * (nibble % 2)) & 0xF;
    }
    codes
}

/// Rows of words by inputs as rows of nibbles by outputs; a row has an even number of inputs.
fn turn(words: &[[u8; 4]], columns: usize, inputs: usize) -> Vec<u8> {
    /// Columns at a time, so that what is read of a row is a line of the cache.
    const ACROSS: usize = 16;
    let row = inputs / 2;
    let mut packed = vec![0; words.len() * 4];
    for first in (0..columns).step_by(ACROSS) {
        for input in 0..inputs {
            for column in first..columns.min(first + ACROSS) {
                let codes = codes_of(words[input * columns + column]);
                for (output, code) in codes.into_iter().enumerate() {
                    packed[(column * CODES + output) * row + input / 2] |=
                        code << (4 * (input % 2));
                }
            }
        }
    }
    packed
}

impl AwqConfig {
    fn group(&self, inputs: usize) -> usize {
        self.group_size
            .map_or(inputs, |size| size.clamp(1, inputs.max(1)))
    }
}

impl Packing for AwqConfig {
    const PARTS: &'static [&'static str] = &[".qweight", ".qzeros", ".scales"];

    fn describe(&self, source: &dyn TensorSource, module: &str) -> Result<TensorInfo> {
        let part = |part: &str| format!("{module}.{part}");
        let [inputs, columns] = shape_of_words(source, &part("qweight"))?;
        check_part(source, &part("qweight"), WORDS, &[inputs, columns])?;
        let group = self.group(inputs);
        if inputs % 2 != 0 || inputs % group != 0 {
            let wrong = FileError::CannotHold {
                format: "AWQ",
                what: format!("{inputs} inputs in groups of {group}"),
                must: "an even number of inputs that fill their groups",
            };
            return Err(Error::File(wrong).in_tensor(module));
        }
        let outputs = columns
            .checked_mul(CODES)
            .ok_or_else(|| Error::ShapeOverflow {
                shape: vec![inputs, columns],
            })?;
        let groups = inputs / group;
        if self.zero_point {
            check_part(source, &part("qzeros"), WORDS, &[groups, columns])?;
        }
        let dtype = check_part(source, &part("scales"), SCALES, &[groups, outputs])?;
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
        let words = source.tensor(&part("qweight"))?;
        let packed = turn(words.bytes().as_chunks().0, outputs / CODES, inputs);
        let group = self.group(inputs);
        let mut scales = vec![0.0; inputs / group * outputs];
        source.floats_into(&part("scales"), &mut scales)?;
        let zeros: Vec<u16> = if self.zero_point {
            let words = source.tensor(&part("qzeros"))?;
            let words = words.bytes().as_chunks().0;
            words
                .iter()
                .flat_map(|&word| codes_of(word))
                .map(u16::from)
                .collect()
        } else {
            vec![MIDDLE; scales.len()]
        };
        Ok(Integers {
            outputs,
            inputs,
            bits: BITS,
            packed,
            scales: by_output(&scales, outputs),
            zeros: by_output(&zeros, outputs),
            group,
            group_of: None,
        })
    }
}
