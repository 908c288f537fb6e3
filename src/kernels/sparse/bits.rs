//! A bit for each weight, set where it is stored.

use super::super::arithmetic::Arithmetic;
use super::{FEW, Pattern, Sink, Stored, WORD, expand};
use std::ops::Range;

/// A bit for each weight; every row begins a word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bits {
    inputs: usize,
    words: Vec<u64>,
    firsts: Firsts,
    few: usize,
}

/// Which stored value is the first of a row.
#[derive(Clone, Debug, PartialEq)]
enum Firsts {
    /// Rows differ.
    Listed(Vec<u32>),
    /// All rows have as many.
    Each(usize),
}

impl Bits {
    /// The bits of the weights that are not zero, row after row. None where there are too many to count in 32 bits.
    pub(crate) fn of_nonzero(weights: &[f32], (outputs, inputs): (usize, usize)) -> Option<Self> {
        let mut words = Vec::with_capacity(outputs * inputs.div_ceil(WORD));
        let mut firsts = Vec::with_capacity(outputs);
        let mut count = 0_u32;
        for row in rows(weights, outputs, inputs) {
            firsts.push(count);
            for part in row.chunks(WORD) {
                let bit = |word, (place, &weight): (usize, &f32)| {
                    word | u64::from(weight != 0.0) << place
                };
                let word: u64 = part.iter().enumerate().fold(0, bit);
                words.push(word);
                count = count.checked_add(word.count_ones())?;
            }
        }
        Some(Self {
            inputs,
            few: few(count as usize, words.len() * WORD),
            words,
            firsts: Firsts::Listed(firsts),
        })
    }

    /// The bits of weights of which at most `keep` of `of` neighbours are not zero: exactly so many of each group, and
    /// of a shorter last one as many as it has at the most.
    ///
    /// # Errors
    ///
    /// The place of the first weight that is one too many in its group.
    pub(crate) fn of_groups(
        weights: &[f32],
        (outputs, inputs): (usize, usize),
        (keep, of): (usize, usize),
    ) -> Result<Self, usize> {
        let mut words = vec![0; outputs * inputs.div_ceil(WORD)];
        for output in 0..outputs {
            let words = &mut words[output * inputs.div_ceil(WORD)..];
            for group in (0..inputs).step_by(of) {
                let first = output * inputs + group;
                let group = group..inputs.min(group + of);
                let weights = &weights[first..][..group.len()];
                let mut room = keep.min(weights.len());
                let mut set = |place: usize| words[place / WORD] |= 1 << (place % WORD);
                for (place, &weight) in weights.iter().enumerate() {
                    if weight != 0.0 {
                        room = room.checked_sub(1).ok_or(first + place)?;
                        set(group.start + place);
                    }
                }
                let zeros = weights.iter().enumerate().filter(|(_, w)| **w == 0.0);
                zeros
                    .take(room)
                    .for_each(|(place, _)| set(group.start + place));
            }
        }
        let each = inputs / of * keep + keep.min(inputs % of);
        Ok(Self {
            inputs,
            few: few(keep, of),
            words,
            firsts: Firsts::Each(each),
        })
    }

    /// The values of the bits, with room for whole vectors behind the last.
    pub(crate) fn values_of(&self, weights: &[f32]) -> Vec<f32> {
        let count: u32 = self.words.iter().map(|word| word.count_ones()).sum();
        let mut values = Vec::with_capacity(count as usize + WORD);
        let outputs = self.words.len() / self.inputs.div_ceil(WORD).max(1);
        for (output, row) in rows(weights, outputs, self.inputs).enumerate() {
            self.each(output, |_, input| values.push(row[input]));
        }
        values.extend([0.0; WORD]);
        values
    }

    /// Calls with the number of each stored value of a row and its input.
    pub(crate) fn each(&self, output: usize, mut call: impl FnMut(usize, usize)) {
        let mut value = self.start(output);
        for (number, &word) in self.row(output).iter().enumerate() {
            let mut word = word;
            while word != 0 {
                call(value, number * WORD + word.trailing_zeros() as usize);
                word &= word - 1;
                value += 1;
            }
        }
    }

    /// Bytes of all that is held.
    pub(crate) fn bytes(&self) -> usize {
        let firsts = match &self.firsts {
            Firsts::Listed(firsts) => size_of_val(firsts.as_slice()),
            Firsts::Each(_) => 0,
        };
        size_of_val(self.words.as_slice()) + firsts
    }

    #[inline(always)]
    fn row(&self, output: usize) -> &[u64] {
        let words = self.inputs.div_ceil(WORD);
        &self.words[output * words..][..words]
    }
}

/// Up to how many rows spreading weights is faster than walking over them, where so many of so many are stored.
/// Measured on 4096 × 4096: 16 at 50 %, 6 at 10 %, 5 at 5 %.
fn few(stored: usize, of: usize) -> usize {
    4 + 24 * stored / of.max(1)
}

/// The rows of a matrix, which may be empty.
pub(super) fn rows(weights: &[f32], outputs: usize, inputs: usize) -> impl Iterator<Item = &[f32]> {
    (0..outputs).map(move |output| &weights[output * inputs..][..inputs])
}

impl Pattern for Bits {
    fn width(&self) -> usize {
        self.inputs.next_multiple_of(WORD)
    }

    fn few(&self) -> usize {
        if expand::is_quick() { self.few } else { FEW }
    }

    #[inline(always)]
    fn dot<A: Arithmetic, V: Stored, const ROWS: usize>(
        &self,
        output: usize,
        values: &[V],
        x: [&[f32]; ROWS],
    ) -> [f32; ROWS] {
        let words = self.row(output);
        let x = x.map(|x| x.as_chunks::<WORD>().0);
        expand::dot(words, &values[self.start(output)..], x)
    }

    #[inline(always)]
    fn start(&self, output: usize) -> usize {
        match &self.firsts {
            Firsts::Listed(firsts) => firsts[output] as usize,
            Firsts::Each(each) => output * each,
        }
    }

    #[inline(always)]
    fn walk<V: Stored>(
        &self,
        output: usize,
        at: &mut usize,
        inputs: Range<usize>,
        values: &[V],
        sink: &mut impl Sink,
    ) {
        const GROUP: usize = 8;
        const ROOM: usize = 16 * WORD;
        let (mut places, mut weights) = ([0_u32; ROOM + WORD], [0.0; ROOM + WORD]);
        let mut len = 0;
        let words = &self.row(output)[inputs.start / WORD..inputs.end.div_ceil(WORD)];
        #[expect(
            clippy::cast_possible_truncation,
            reason = "inputs are counted in 32 bits"
        )]
        let mut first = inputs.start as u32;
        for &word in words {
            let mut word = word;
            let count = word.count_ones() as usize;
            // Whole groups, so that nothing depends on single bits; what is too much is written over.
            for group in (0..count).step_by(GROUP) {
                let places = &mut places[len + group..][..GROUP];
                let weights = &mut weights[len + group..][..GROUP];
                let values = &values[*at + group..][..GROUP];
                for i in 0..GROUP {
                    places[i] = first + word.trailing_zeros();
                    word &= word.wrapping_sub(1);
                    weights[i] = values[i].number();
                }
            }
            len += count;
            *at += count;
            first += 64;
            if len > ROOM - WORD {
                sink.take(&places[..len], &weights[..len]);
                len = 0;
            }
        }
        sink.take(&places[..len], &weights[..len]);
    }
}
