//! Stretches of mask bits: setting them, moving them, repeating them.

use super::bits::{WORD, last_word, words_for};
use super::parallel::{CHUNK, for_chunks_mut};
use std::ops::Range;

/// Sets the bits of `range`.
pub(crate) fn set(words: &mut [u64], range: Range<usize>) {
    if range.is_empty() {
        return;
    }
    let (first, last) = (range.start / WORD, (range.end - 1) / WORD);
    let head = u64::MAX << (range.start % WORD);
    let tail = last_word(range.end);
    if first == last {
        words[first] |= head & tail;
        return;
    }
    words[first] |= head;
    words[first + 1..last].fill(u64::MAX);
    words[last] |= tail;
}

/// Whether the bit at `place` is set.
#[inline(always)]
pub(crate) fn is_set(words: &[u64], place: usize) -> bool {
    words[place / WORD] >> (place % WORD) & 1 == 1
}

/// Sixty-four bits from `place` on, zeros behind the end.
#[inline(always)]
fn read(words: &[u64], place: usize) -> u64 {
    let word = |number: usize| words.get(number).copied().unwrap_or(0);
    let (number, shift) = (place / WORD, place % WORD);
    match shift {
        0 => word(number),
        _ => word(number) >> shift | word(number + 1) << (WORD - shift),
    }
}

/// The bits of `range` as words of their own.
pub(crate) fn part(words: &[u64], range: Range<usize>) -> Vec<u64> {
    let len = range.len();
    let mut part: Vec<u64> = (0..words_for(len))
        .map(|number| read(words, range.start + number * WORD))
        .collect();
    if let Some(last) = part.last_mut() {
        *last &= last_word(len);
    }
    part
}

/// Writes `len` bits of `from` to `place`, where zeros are.
pub(crate) fn put(words: &mut [u64], place: usize, from: &[u64], len: usize) {
    for (number, &bits) in from.iter().take(words_for(len)).enumerate() {
        let at = place + number * WORD;
        let shift = at % WORD;
        words[at / WORD] |= bits << shift;
        if shift > 0 && bits >> (WORD - shift) != 0 {
            words[at / WORD + 1] |= bits >> (WORD - shift);
        }
    }
}

/// The first `len` bits of `pattern`, again and again until there are `total`.
pub(crate) fn repeat(pattern: &[u64], len: usize, total: usize) -> Vec<u64> {
    let mut words = vec![0; words_for(total)];
    if len == 0 {
        return words;
    }
    // Longer by a word's worth, so that a word can be read from any bit of the pattern.
    let copies = (len + WORD).div_ceil(len);
    let mut longer = vec![0; words_for(copies * len)];
    for copy in 0..copies {
        put(&mut longer, copy * len, pattern, len);
    }
    for_chunks_mut(&mut words, CHUNK / WORD, |chunk, words| {
        // One division a chunk, not one a word.
        let mut place = chunk * CHUNK % len;
        for word in words {
            *word = read(&longer, place);
            place += WORD;
            if place >= len {
                place = if len < WORD { place % len } else { place - len };
            }
        }
    });
    if let Some(last) = words.last_mut() {
        *last &= last_word(total);
    }
    words
}

/// `len` bits, stretch by stretch: `locate` says of a place whether its bit is set, and where the
/// stretch ends in which all bits are the same.
pub(crate) fn paint(len: usize, locate: impl Fn(usize) -> (bool, usize) + Sync) -> Vec<u64> {
    let mut words = vec![0; words_for(len)];
    for_chunks_mut(&mut words, CHUNK / WORD, |chunk, words| {
        let start = chunk * CHUNK;
        let stop = len.min(start + words.len() * WORD);
        let mut place = start;
        while place < stop {
            let (keep, end) = locate(place);
            let end = end.min(stop);
            if keep {
                set(words, place - start..end - start);
            }
            place = end;
        }
    });
    words
}

#[cfg(test)]
mod tests {
    use super::{is_set, paint, part, put, repeat, set};
    use crate::kernels::bits::words_for;
    use crate::kernels::parallel::CHUNK;

    fn flags(words: &[u64], len: usize) -> Vec<bool> {
        (0..len).map(|place| is_set(words, place)).collect()
    }

    #[test]
    fn setting_sets_the_range_and_nothing_else() {
        for (start, end) in [(0, 0), (0, 64), (3, 9), (60, 70), (1, 199), (64, 128)] {
            let mut words = vec![0; words_for(200)];
            set(&mut words, start..end);
            for (place, set) in flags(&words, 200).into_iter().enumerate() {
                assert_eq!(set, (start..end).contains(&place), "{place} {start}..{end}");
            }
        }
    }

    #[test]
    fn parts_come_out_and_go_back() {
        let words: Vec<u64> = (1..9_u64)
            .map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .collect();
        let all = flags(&words, 512);
        for (start, end) in [(0, 0), (0, 512), (63, 65), (5, 300), (130, 131)] {
            let out = part(&words, start..end);
            assert_eq!(flags(&out, end - start), all[start..end]);
            for place in [0, 1, 63, 64, 100] {
                let mut back = vec![0; words_for(place + end - start)];
                put(&mut back, place, &out, end - start);
                let back = flags(&back, place + end - start);
                assert_eq!(back[place..], all[start..end], "{start}..{end} at {place}");
            }
        }
    }

    #[test]
    fn repeating_is_taking_the_place_modulo_the_length() {
        for len in [1, 3, 63, 64, 65, 200] {
            let mut pattern = vec![0; words_for(len)];
            for place in (0..len).filter(|place| place % 3 == 0 || place % 5 == 4) {
                set(&mut pattern, place..place + 1);
            }
            for copies in [0, 1, 2, 7, 400] {
                let words = repeat(&pattern, len, copies * len);
                for (place, bit) in flags(&words, copies * len).into_iter().enumerate() {
                    assert_eq!(bit, is_set(&pattern, place % len), "{place} of {len}");
                }
            }
        }
    }

    #[test]
    fn painting_asks_for_each_stretch() {
        let len = CHUNK + 777;
        let words = paint(len, |place| (place / 50 % 2 == 0, (place / 50 + 1) * 50));
        for (place, bit) in flags(&words, len).into_iter().enumerate() {
            assert_eq!(bit, place / 50 % 2 == 0, "{place}");
        }
        assert_eq!(words.last().map(|last| last >> (len % 64)), Some(0));
    }
}
