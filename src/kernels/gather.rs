//! Picks the values whose bit is set, and puts bits back where they came from.

use super::bits::{WORD, count_ones, words_for};
use super::parallel::{CHUNK, for_chunks_mut, map_ranges};

const WORDS_PER_CHUNK: usize = CHUNK / WORD;

/// The values whose bit is set, in order.
pub(crate) fn gather<T: Copy + Send + Sync>(words: &[u64], values: &[T]) -> Vec<T> {
    assert_eq!(words.len(), words_for(values.len()), "one bit a value");
    let parts = map_ranges(words.len(), WORDS_PER_CHUNK, |range| {
        let values = &values[range.start * WORD..];
        let words = &words[range];
        let mut part = Vec::with_capacity(words.iter().map(|word| ones(*word)).sum());
        for (number, &word) in words.iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                part.push(values[number * WORD + rest.trailing_zeros() as usize]);
                rest &= rest - 1;
            }
        }
        part
    });
    parts.concat()
}

/// Mask bits in which the place of the i-th set bit of `words` holds bit i of `picked`; other bits
/// are not set.
pub(crate) fn scatter(words: &[u64], picked: &[u64]) -> Vec<u64> {
    assert_eq!(
        picked.len(),
        words_for(count_ones(words)),
        "one bit for each bit that is set"
    );
    let mut start = 0;
    let starts: Vec<usize> = words
        .chunks(WORDS_PER_CHUNK)
        .map(|part| {
            let before = start;
            start += part.iter().map(|word| ones(*word)).sum::<usize>();
            before
        })
        .collect();
    let mut out = vec![0; words.len()];
    for_chunks_mut(&mut out, WORDS_PER_CHUNK, |index, out| {
        let mut place = starts[index];
        for (out, &word) in out.iter_mut().zip(&words[index * WORDS_PER_CHUNK..]) {
            let mut bits = word_at(picked, place);
            place += ones(word);
            let mut rest = word;
            while rest != 0 {
                let lowest = rest & rest.wrapping_neg();
                *out |= lowest * (bits & 1);
                bits >>= 1;
                rest ^= lowest;
            }
        }
    });
    out
}

/// Sixty-four bits from bit `place` on; zeros behind the end.
fn word_at(words: &[u64], place: usize) -> u64 {
    let (first, shift) = (place / WORD, place % WORD);
    let word = |index: usize| words.get(index).copied().unwrap_or(0);
    let low = word(first) >> shift;
    match shift {
        0 => low,
        _ => low | word(first + 1) << (WORD - shift),
    }
}

const fn ones(word: u64) -> usize {
    word.count_ones() as usize
}

#[cfg(test)]
mod tests {
    use super::{gather, scatter};
    use crate::kernels::bits::{WORD, words_for};
    use crate::kernels::parallel::CHUNK;

    fn pack(flags: &[bool]) -> Vec<u64> {
        let mut words = vec![0; words_for(flags.len())];
        for (place, &flag) in flags.iter().enumerate() {
            words[place / WORD] |= u64::from(flag) << (place % WORD);
        }
        words
    }

    #[test]
    fn what_is_gathered_goes_back_to_its_place() {
        for len in [0, 1, 63, 64, 65, 1000, CHUNK, 2 * CHUNK + 77] {
            let set: Vec<bool> = (0..len).map(|i| i * i % 7 < 3 || i % 500 < 90).collect();
            let values: Vec<usize> = (0..len).collect();
            let words = pack(&set);
            let gathered = gather(&words, &values);
            let right: Vec<usize> = values.iter().copied().filter(|&i| set[i]).collect();
            assert_eq!(gathered, right);

            let keep = |i: usize| i % 3 == 1;
            let picked = pack(&gathered.iter().map(|&i| keep(i)).collect::<Vec<_>>());
            let right = pack(&(0..len).map(|i| set[i] && keep(i)).collect::<Vec<_>>());
            assert_eq!(scatter(&words, &picked), right);
        }
    }
}
