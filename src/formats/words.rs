//! Rows of codes as words of 32 bits: how checkpoints store integers of few bits.
//!
//! A row is one little-endian bit stream, as in [`QuantizedTensor`](crate::quantize::QuantizedTensor), filled up with zeros to
//! a whole number of words. Layouts differ in which axis a row runs along, so they turn their arrays first.

use crate::kernels::pack;

/// Bytes of a word.
const WORD: usize = 4;

/// How many words a row of `columns` codes takes.
///
/// Saturates where the true number does not fit: then no tensor can be that long either.
pub(super) const fn words_for(columns: usize, bits: u32) -> usize {
    pack::bytes_for(columns, bits).div_ceil(WORD)
}

/// The words, as bytes, of rows of `columns` codes of 1 to 8 bits; `columns` divides the number of codes.
pub(super) fn pack_rows(codes: &[u8], columns: usize, bits: u32) -> Vec<u8> {
    let Some(rows) = codes.len().checked_div(columns) else {
        return Vec::new();
    };
    let (used, row) = (
        pack::bytes_for(columns, bits),
        words_for(columns, bits) * WORD,
    );
    let mut words = vec![0; rows * row];
    for (codes, words) in codes.chunks(columns).zip(words.chunks_mut(row)) {
        pack::pack(codes, bits, &mut words[..used]);
    }
    words
}

/// The codes in rows of words, given as bytes. Whatever is behind the last code of a row is not looked at.
pub(super) fn unpack_rows(words: &[u8], columns: usize, bits: u32) -> Vec<u8> {
    let (used, row) = (
        pack::bytes_for(columns, bits),
        words_for(columns, bits) * WORD,
    );
    let Some(rows) = words.len().checked_div(row) else {
        return Vec::new();
    };
    let mut codes = vec![0; rows * columns];
    for (words, codes) in words.chunks_exact(row).zip(codes.chunks_mut(columns)) {
        pack::unpack(&words[..used], bits, codes);
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::{pack_rows, unpack_rows, words_for};

    #[test]
    fn rows_fill_words_from_the_lowest_bit_on() {
        // Eight codes of four bits a word, the first in the lowest bits; the ninth begins the next.
        let codes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let words = pack_rows(&codes, 9, 4);
        assert_eq!(words, [0x21, 0x43, 0x65, 0x87, 9, 0, 0, 0]);
        // A code of three bits across two words.
        let words = pack_rows(&[7; 11], 11, 3);
        assert_eq!(words, [0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0]);
    }

    #[test]
    fn what_is_packed_comes_back() {
        for bits in 1..=8 {
            for (rows, columns) in [(1, 1), (3, 7), (2, 32), (4, 33), (5, 100), (0, 4)] {
                let span = 1 << bits;
                let code = |place: usize| (place * 37 % span) as u8;
                let codes: Vec<u8> = (0..rows * columns).map(code).collect();
                let words = pack_rows(&codes, columns, bits);
                assert_eq!(words.len(), rows * words_for(columns, bits) * 4);
                assert_eq!(
                    unpack_rows(&words, columns, bits),
                    codes,
                    "{bits} bits, {columns}"
                );
            }
        }
    }
}
