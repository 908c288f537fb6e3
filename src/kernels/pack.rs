//! Codes of 1 to 8 bits, or 16, as one little-endian bit stream.
//!
//! Code i occupies bits i·b to (i+1)·b, counted from the lowest bit of the first byte; it is stored
//! as its low b bits (two's complement). Eight codes fill exactly b bytes whatever b is, so work goes
//! in blocks of eight, and any multiple of eight codes ends on a byte.

use super::dispatch::vectorize;

/// Codes that fill a whole number of bytes together, at any width.
const BLOCK: usize = 8;

/// How many bytes hold `count` codes of `bits` bits.
///
/// Saturates where the true number does not fit: then no slice can be that long either.
pub(crate) const fn bytes_for(count: usize, bits: u32) -> usize {
    let bits = bits as usize;
    (count / BLOCK)
        .saturating_mul(bits)
        .saturating_add((count % BLOCK * bits).div_ceil(8))
}

macro_rules! per_width {
    ($bits:expr, $function:ident ( $($argument:expr),* )) => {
        match $bits {
            1 => $function::<1>($($argument),*),
            2 => $function::<2>($($argument),*),
            3 => $function::<3>($($argument),*),
            4 => $function::<4>($($argument),*),
            5 => $function::<5>($($argument),*),
            6 => $function::<6>($($argument),*),
            7 => $function::<7>($($argument),*),
            8 => $function::<8>($($argument),*),
            other => unreachable!("codes have 1 to 8 bits, not {other}"),
        }
    };
}

/// Packs the low `bits` bits of each code; bits left over in the last byte are zero.
pub(crate) fn pack(codes: &[u8], bits: u32, packed: &mut [u8]) {
    assert_eq!(
        packed.len(),
        bytes_for(codes.len(), bits),
        "room for the codes"
    );
    vectorize(
        #[inline(always)]
        || per_width!(bits, pack_at(codes, packed)),
    );
}

#[inline(always)]
fn pack_at<const BITS: usize>(codes: &[u8], packed: &mut [u8]) {
    if BITS == 4 {
        return pack_pairs(codes, packed);
    }
    let (blocks, rest) = codes.as_chunks::<BLOCK>();
    let (bytes, last) = packed.split_at_mut(blocks.len() * BITS);
    for (block, bytes) in blocks.iter().zip(bytes.as_chunks_mut::<BITS>().0) {
        pack_block(block, bytes);
    }
    if !rest.is_empty() {
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        let mut bytes = [0; BITS];
        pack_block(&block, &mut bytes);
        last.copy_from_slice(&bytes[..last.len()]);
    }
}

/// Two codes of four bits a byte: as vectors of 16 bits, which the general way does not become.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "both codes are in the low byte by then"
)]
fn pack_pairs(codes: &[u8], packed: &mut [u8]) {
    let (pairs, rest) = codes.as_chunks::<2>();
    let (bytes, last) = packed.split_at_mut(pairs.len());
    for (byte, &pair) in bytes.iter_mut().zip(pairs) {
        let pair = u16::from_le_bytes(pair);
        *byte = (pair & 0xF | pair >> 4 & 0xF0) as u8;
    }
    for (byte, &code) in last.iter_mut().zip(rest) {
        *byte = code & 0xF;
    }
}

#[inline(always)]
fn pack_block<const BITS: usize>(codes: &[u8; BLOCK], bytes: &mut [u8; BITS]) {
    let mask = u64::MAX >> (64 - BITS);
    let mut stream = 0;
    for (index, &code) in codes.iter().enumerate() {
        stream |= (u64::from(code) & mask) << (index * BITS);
    }
    bytes.copy_from_slice(&stream.to_le_bytes()[..BITS]);
}

/// Packs the low bits of codes of any width.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the low bits are what is stored"
)]
pub(crate) fn pack_codes(codes: &[i32], bits: u32, packed: &mut [u8]) {
    if bits == 16 {
        for (bytes, &code) in packed.as_chunks_mut().0.iter_mut().zip(codes) {
            *bytes = (code as u16).to_le_bytes();
        }
        return;
    }
    let low: Vec<u8> = codes.iter().map(|&code| code as u8).collect();
    pack(&low, bits, packed);
}

/// Unpacks the low bits of codes of 1 to 8 bits.
pub(crate) fn unpack(packed: &[u8], bits: u32, codes: &mut [u8]) {
    assert_eq!(
        packed.len(),
        bytes_for(codes.len(), bits),
        "one code a place"
    );
    vectorize(
        #[inline(always)]
        || per_width!(bits, unpack_at(packed, codes)),
    );
}

/// Unpacks codes of any width, two's complement if they are signed.
pub(crate) fn unpack_codes(packed: &[u8], bits: u32, signed: bool, codes: &mut [i32]) {
    let half = if signed { 1 << (bits - 1) } else { 0 };
    let code = |raw: i32| (raw ^ half) - half;
    if bits == 16 {
        for (code_of, bytes) in codes.iter_mut().zip(packed.as_chunks().0) {
            *code_of = code(i32::from(u16::from_le_bytes(*bytes)));
        }
        return;
    }
    let mut raw = vec![0; codes.len()];
    unpack(packed, bits, &mut raw);
    for (code_of, raw) in codes.iter_mut().zip(raw) {
        *code_of = code(i32::from(raw));
    }
}

#[inline(always)]
fn unpack_at<const BITS: usize>(packed: &[u8], codes: &mut [u8]) {
    let (blocks, rest) = codes.as_chunks_mut::<BLOCK>();
    let (bytes, last) = packed.split_at(blocks.len() * BITS);
    for (block, bytes) in blocks.iter_mut().zip(bytes.as_chunks::<BITS>().0) {
        *block = unpack_block(bytes);
    }
    let mut bytes = [0; BITS];
    bytes[..last.len()].copy_from_slice(last);
    let block: [u8; BLOCK] = unpack_block(&bytes);
    rest.copy_from_slice(&block[..rest.len()]);
}

#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits of a byte are the code"
)]
fn unpack_block<const BITS: usize>(bytes: &[u8; BITS]) -> [u8; BLOCK] {
    let mut stream = [0; 8];
    stream[..BITS].copy_from_slice(bytes);
    let stream = u64::from_le_bytes(stream);
    let mask = u8::MAX >> (8 - BITS);
    std::array::from_fn(|index| (stream >> (index * BITS)) as u8 & mask)
}

/// Whether the bits behind the last code are all zero, so that equal tensors have equal bytes.
pub(crate) fn padding_is_zero(packed: &[u8], count: usize, bits: u32) -> bool {
    let used = count % BLOCK * bits as usize % 8;
    match packed.last() {
        Some(last) if used > 0 => last >> used == 0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes_for, pack, padding_is_zero, unpack, unpack_codes};
    use crate::kernels::dispatch::forced;

    /// The obvious twin: one bit after the other.
    fn slow(codes: &[i8], bits: usize) -> Vec<u8> {
        let mut packed = vec![0; (codes.len() * bits).div_ceil(8)];
        for (index, &code) in codes.iter().enumerate() {
            for bit in 0..bits {
                let at = index * bits + bit;
                packed[at / 8] |= (code as u8 >> bit & 1) << (at % 8);
            }
        }
        packed
    }

    #[test]
    fn packing_agrees_with_the_slow_twin_and_unpacking_undoes_it() {
        forced::at_every_level(|level| {
            for bits in 1..=8_u32 {
                for len in (0..40).chain([1000, 1001, 1007]) {
                    let span = 1_i64 << bits;
                    let codes: Vec<i8> = (0..len)
                        .map(|i| ((i * 11 + 5) % span - span / 2) as i8)
                        .collect();
                    let raw: Vec<u8> = codes.iter().map(|&code| code as u8).collect();
                    let mut packed = vec![0xFF; bytes_for(codes.len(), bits)];
                    pack(&raw, bits, &mut packed);
                    let at = format!("{len} codes of {bits} bits at {level:?}");
                    assert_eq!(packed, slow(&codes, bits as usize), "{at}");
                    assert!(padding_is_zero(&packed, codes.len(), bits), "{at}");
                    let mut back = vec![0; codes.len()];
                    unpack_codes(&packed, bits, true, &mut back);
                    assert!(
                        back.iter().zip(&codes).all(|(&a, &b)| a == i32::from(b)),
                        "{at}"
                    );
                    unpack_codes(&packed, bits, false, &mut back);
                    let low = |code: i8| i32::from(code) & ((1 << bits) - 1);
                    assert!(back.iter().zip(&codes).all(|(&a, &b)| a == low(b)), "{at}");
                    let mut low_bits = vec![0; codes.len()];
                    unpack(&packed, bits, &mut low_bits);
                    assert!(
                        back.iter().zip(&low_bits).all(|(&a, &b)| a == i32::from(b)),
                        "{at}"
                    );
                }
            }
        });
    }

    #[test]
    fn four_bits_go_low_nibble_first() {
        // The vector that compressed-tensors' packer gives for −8..7, less its offset of 8.
        let raw: Vec<u8> = (-8_i8..8).map(|code| code as u8).collect();
        let mut packed = vec![0; 8];
        pack(&raw, 4, &mut packed);
        let with_offset: Vec<u8> = packed.iter().map(|byte| byte ^ 0x88).collect();
        assert_eq!(
            with_offset,
            [0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE]
        );
    }

    #[test]
    fn padding_is_seen() {
        assert!(padding_is_zero(&[0b0000_0111], 1, 3));
        assert!(!padding_is_zero(&[0b0000_1111], 1, 3));
        assert!(padding_is_zero(&[], 0, 5));
        assert!(padding_is_zero(&[0xFF, 0xFF, 0xFF], 8, 3));
    }
}
