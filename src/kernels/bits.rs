//! Bit masks: one bit a weight, sixty-four to a word, lowest bit first.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, fold_ranges, for_chunks_mut, for_chunks_of_each, map_ranges};
use super::real::Real;

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

/// [`apply`] to several slices of `len` values, chunk by chunk: the words of a chunk are fetched once.
pub(crate) fn apply_each<T: Copy + Send + Sync, const N: usize>(
    words: &[u64],
    len: usize,
    slices: [&mut [T]; N],
    zero: T,
) {
    assert_eq!(words.len(), words_for(len), "one bit a value");
    assert!(
        slices.iter().all(|values| values.len() == len),
        "each as long as the mask"
    );
    for_chunks_of_each(slices, CHUNK, |index, parts| {
        let words = &words[index * WORDS_PER_CHUNK..];
        for values in parts {
            vectorize(
                #[inline(always)]
                || apply_chunk(words, values, zero),
            );
        }
    });
}

/// Takes the value of `stored` wherever the bit is not set, and leaves every other value untouched.
pub(crate) fn restore<T: Copy + Send + Sync>(words: &[u64], values: &mut [T], stored: &[T]) {
    assert_eq!(words.len(), words_for(values.len()), "one bit a value");
    assert_eq!(values.len(), stored.len(), "one stored value a value");
    for_chunks_mut(values, CHUNK, |index, values| {
        let words = &words[index * WORDS_PER_CHUNK..];
        let stored = &stored[index * CHUNK..][..values.len()];
        vectorize(
            #[inline(always)]
            || {
                for (index, (value, &stored)) in values.iter_mut().zip(stored).enumerate() {
                    let kept = words[index / WORD] >> (index % WORD) & 1 == 1;
                    *value = if kept { *value } else { stored };
                }
            },
        );
    });
}

/// The place of the first value that is not +0 though its bit is not set.
pub(crate) fn first_revived<F: Real>(words: &[u64], values: &[F]) -> Option<usize> {
    assert_eq!(words.len(), words_for(values.len()), "one bit a value");
    let revived = |kept: bool, value: F| !kept & ((value != F::zero()) | value.is_sign_negative());
    let chunks = map_ranges(values.len(), CHUNK, |range| {
        let words = &words[range.start / WORD..];
        let values = &values[range];
        vectorize(
            #[inline(always)]
            || {
                let any = |(word, values): (&u64, &[F])| {
                    *word != u64::MAX
                        && (values.iter().enumerate())
                            .fold(false, |any, (i, &v)| any | revived(word >> i & 1 == 1, v))
                };
                words.iter().zip(values.chunks(WORD)).any(any)
            },
        )
    });
    let first = chunks.into_iter().position(|any| any)? * CHUNK;
    let mut places = first..values.len();
    places.find(|&place| {
        revived(
            words[place / WORD] >> (place % WORD) & 1 == 1,
            values[place],
        )
    })
}

/// Calls `visit` with the place of each bit that is set, in order.
pub(crate) fn for_each_one(words: &[u64], mut visit: impl FnMut(usize)) {
    for (number, &word) in words.iter().enumerate() {
        let mut rest = word;
        while rest != 0 {
            visit(number * WORD + rest.trailing_zeros() as usize);
            rest &= rest - 1;
        }
    }
}

/// The place of the set bit that `number` others come before; the number of bits if there are not so
/// many.
pub(crate) fn nth_one(words: &[u64], number: usize) -> usize {
    let mut before = 0;
    for (index, &word) in words.iter().enumerate() {
        let count = word.count_ones() as usize;
        if number < before + count {
            let rest = (before..number).fold(word, |rest, _| rest & (rest - 1));
            return index * WORD + rest.trailing_zeros() as usize;
        }
        before += count;
    }
    words.len() * WORD
}

#[inline(always)]
fn apply_chunk<T: Copy>(words: &[u64], values: &mut [T], zero: T) {
    let (blocks, rest) = values.as_chunks_mut::<WORD>();
    let whole = blocks.len();
    for (block, &word) in blocks.iter_mut().zip(words) {
        // Where whole slices go and stay, nothing is read, and what stays is not even touched.
        match word {
            u64::MAX => {}
            0 => block.fill(zero),
            _ => {
                for (bit, value) in block.iter_mut().enumerate() {
                    *value = if word >> bit & 1 == 1 { *value } else { zero };
                }
            }
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
    use super::{
        WORD, apply, apply_each, count_ones, first_revived, for_each_one, last_word, nth_one, ones,
        pack_word, restore, words_for,
    };
    use crate::kernels::dispatch::forced;
    use crate::kernels::parallel::CHUNK;

    fn noise(len: usize) -> Vec<u64> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut words: Vec<u64> = (0..words_for(len))
            .map(|number| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // Words that keep all and drop all are cases of their own.
                [state, u64::MAX, state, 0, state][number % 5]
            })
            .collect();
        if let Some(last) = words.last_mut() {
            *last &= last_word(len);
        }
        words
    }

    const LENGTHS: [usize; 9] = [0, 1, 63, 64, 65, 1000, CHUNK - 1, CHUNK, 2 * CHUNK + 77];

    #[test]
    fn the_first_revived_is_found_wherever_it_is() {
        forced::at_every_level(|level| {
            for len in LENGTHS {
                let words = noise(len);
                let kept = |place: usize| words[place / WORD] >> (place % WORD) & 1 == 1;
                let mut values: Vec<f32> = (0..len).map(|i| f32::from(u8::from(kept(i)))).collect();
                assert_eq!(first_revived(&words, &values), None, "{len}, {level:?}");
                let dropped: Vec<usize> = (0..len).filter(|&place| !kept(place)).collect();
                // From the last to the first, so that each is the first when it comes.
                for (number, &place) in dropped.iter().rev().step_by(97).enumerate() {
                    values[place] = [-0.0, f32::NAN, 1e-45, -3.0][number % 4];
                    assert_eq!(
                        first_revived(&words, &values),
                        Some(place),
                        "{len}, {level:?}"
                    );
                }
            }
        });
    }

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

    #[test]
    fn each_of_several_is_what_one_alone_becomes() {
        forced::at_every_level(|level| {
            for len in LENGTHS {
                let words = noise(len);
                let before: Vec<f64> = (0..len).map(|i| i as f64 - 3.0).collect();
                let mut right = before.clone();
                apply(&words, &mut right, 0.0);
                let mut four = [(); 4].map(|()| before.clone());
                apply_each(&words, len, four.each_mut().map(Vec::as_mut_slice), 0.0);
                assert!(
                    four.iter().all(|values| *values == right),
                    "{len} at {level:?}"
                );

                let mut restored = right.clone();
                restore(&words, &mut restored, &before);
                assert_eq!(restored, before, "{len} at {level:?}");
            }
        });
    }

    #[test]
    fn set_bits_are_visited_in_order() {
        for len in LENGTHS {
            let words = noise(len);
            let mut places = Vec::new();
            for_each_one(&words, |place| places.push(place));
            let set = |&place: &usize| words[place / WORD] >> (place % WORD) & 1 == 1;
            assert_eq!(places, (0..len).filter(set).collect::<Vec<_>>());
            for (number, &place) in places.iter().enumerate().step_by(97) {
                assert_eq!(nth_one(&words, number), place);
            }
            assert_eq!(nth_one(&words, places.len()), words.len() * WORD);
        }
    }
}
