//! The elements of an array in the order of its file, and from there into row-major order.

use super::header::Header;
use crate::error::Result;

/// Elements that are turned at a time: bytes of the stack.
const BLOCK: usize = 4096;

/// The bytes of elements as a file has them, from the first on.
pub(super) trait Stream {
    /// Goes on at this byte.
    fn move_to(&mut self, at: u64) -> Result<()>;

    /// The next bytes.
    fn next(&mut self, to: &mut [u8]) -> Result<()>;
}

/// Reads the bytes from number `from` on of an array in row-major order, lowest byte first. They are inside the array.
pub(super) fn read(
    header: &Header,
    stream: &mut dyn Stream,
    from: usize,
    to: &mut [u8],
) -> Result<()> {
    if header.columns {
        return turned(header, stream, from, to);
    }
    if !header.swapped {
        stream.move_to(from as u64)?;
        return stream.next(to);
    }
    let (unit, end) = (header.unit(), from + to.len());
    let mut buffer = [0; BLOCK];
    let mut at = from - from % unit;
    stream.move_to(at as u64)?;
    while at < end {
        let part = &mut buffer[..BLOCK.min(header.bytes - at)];
        stream.next(part)?;
        part.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
        put(part, at, from, to);
        at += part.len();
    }
    Ok(())
}

/// Puts bytes whose first is number `at` where they belong in `to`, whose first is number `from`.
fn put(part: &[u8], at: usize, from: usize, to: &mut [u8]) {
    let (first, last) = (at.max(from), (at + part.len()).min(from + to.len()));
    if first < last {
        to[first - from..last - from].copy_from_slice(&part[first - at..last - at]);
    }
}

/// The same of an array whose first axis runs fastest: all of it goes by, and what belongs there is taken.
fn turned(header: &Header, stream: &mut dyn Stream, from: usize, to: &mut [u8]) -> Result<()> {
    let (size, unit, shape) = (header.dtype.bits() / 8, header.unit(), &header.shape);
    let mut steps = vec![size; shape.len()];
    for axis in (1..shape.len()).rev() {
        steps[axis - 1] = steps[axis] * shape[axis];
    }
    let mut index = vec![0; shape.len()];
    let mut buffer = [0; BLOCK];
    let (mut at, mut done) = (0, 0);
    stream.move_to(0)?;
    while done < header.bytes {
        let part = &mut buffer[..BLOCK.min(header.bytes - done)];
        stream.next(part)?;
        done += part.len();
        for element in part.chunks_exact_mut(size) {
            if header.swapped {
                element.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
            }
            put(element, at, from, to);
            // The next index, the first axis fastest.
            for ((number, &length), &step) in index.iter_mut().zip(shape).zip(&steps) {
                *number += 1;
                at += step;
                if *number < length {
                    break;
                }
                at -= step * length;
                *number = 0;
            }
        }
    }
    Ok(())
}
