//! Bit masks: one bit a weight, sixty-four to a word, lowest bit first.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, fold_ranges, for_chunks_mut};

/// Weights per word.
pub(crate) const WORD: usize = 64;
const WORDS_PER_CHUNK: usize = CHUNK / WORD;

/// How many words hold `len` bits.
pub(crate) const fn words_for(len: usize) -> usize {
    len.div_ceil(WORD)
}

/// The bits of the last word that belong to one of `len` weights; all ones if it is full.
pub(crate) const fn last_word(len: usize) -> u64 {
    match len % WORD {
        0 => u64::MAX,
        rest => (1 << rest) - 1,
    }
}

/// `len` ones, with zeros behind them in the last word.
pub(crate) fn ones(len: usize) -> Vec<u64> {
    let mut words = vec![u64::MAX; words_for(len)];
    if let Some(last) = words.last_mut() {
        *last = last_word(len);
    }
    words
}

/// Sixty-four flags, each 0 or 1, as a word.
#[inline(always)]
pub(crate) fn pack_word(flags: &[u8; WORD]) -> u64 {
    // Multiplying moves the low bit of byte i to bit 56 + i; no two partial products meet, so
    // nothing carries. Compilers turn a loop of shifts into something four times slower.
    let mut word = 0;
    for (group, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        let byte = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word |= byte << (8 * group);
    }
    word
}

/// How many bits are set.
pub(crate) fn count_ones(words: &[u64]) -> usize {
    fold_ranges(
        words.len(),
        WORDS_PER_CHUNK,
        || 0,
        |sum, range| {
            let words = &words[range];
            *sum += vectorize(
                #[inline(always)]
                || {
                    words
                        .iter()
                        .map(|word| word.count_ones() as usize)
                        .sum::<usize>()
                },
            );
        },
        |a, b| a + b,
    )
}

/// Writes `zero` wherever the bit is not set, and leaves every other value untouched.
pub(crate) fn apply<T: Copy + Send + Sync>(words: &[u64], values: &mut [T], zero: T) {
    assert_eq!(words.len(), words_for(values.len()), "one bit a value");
    for_chunks_mut(values, CHUNK, |index, values| {
        let words = &words[index * WORDS_PER_CHUNK..];
        vectorize(
            #[inline(always)]
            || apply_chunk(words, values, zero),
        );
    });
}

#[inline(always)]
fn apply_chunk<T: Copy>(words: &[u64], values: &mut [T], zero: T) {
    let (blocks, rest) = values.as_chunks_mut::<WORD>();
    let whole = blocks.len();
    for (block, &word) in blocks.iter_mut().zip(words) {
        for (bit, value) in block.iter_mut().enumerate() {
            *value = if word >> bit & 1 == 1 { *value } else { zero };
        }
    }
    for (bit, value) in rest.iter_mut().enumerate() {
        if words[whole] >> bit & 1 == 0 {
            *value = zero;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{WORD, apply, count_ones, last_word, ones, pack_word, words_for};
    use crate::kernels::dispatch::forced;
    use crate::kernels::parallel::CHUNK;

    fn noise(len: usize) -> Vec<u64> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut words: Vec<u64> = (0..words_for(len))
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            })
            .collect();
        if let Some(last) = words.last_mut() {
            *last &= last_word(len);
        }
        words
    }

    const LENGTHS: [usize; 9] = [0, 1, 63, 64, 65, 1000, CHUNK - 1, CHUNK, 2 * CHUNK + 77];

    #[test]
    fn a_packed_word_has_the_flags_as_bits() {
        for word in noise(100 * WORD) {
            let flags = std::array::from_fn(|bit| u8::from(word >> bit & 1 == 1));
            assert_eq!(pack_word(&flags), word);
        }
    }

    #[test]
    fn ones_are_counted() {
        forced::at_every_level(|level| {
            for len in LENGTHS {
                assert_eq!(count_ones(&ones(len)), len, "{len} at {level:?}");
                let slow: u32 = noise(len).iter().map(|word| word.count_ones()).sum();
                assert_eq!(count_ones(&noise(len)), slow as usize, "{len} at {level:?}");
            }
        });
    }

    #[test]
    fn applying_zeroes_exactly_the_unset_bits() {
        forced::at_every_level(|level| {
            for len in LENGTHS {
                let words = noise(len);
                // NaN and −0 must come through where kept, and vanish where not.
                let before: Vec<f32> = (0..len)
                    .map(|i| [f32::NAN, -0.0, f32::INFINITY, 1.5][i % 4])
                    .collect();
                let mut after = before.clone();
                apply(&words, &mut after, 0.0);
                for i in 0..len {
                    let kept = words[i / WORD] >> (i % WORD) & 1 == 1;
                    let right = if kept { before[i].to_bits() } else { 0 };
                    assert_eq!(after[i].to_bits(), right, "{i} of {len} at {level:?}");
                }
            }
        });
    }
}
