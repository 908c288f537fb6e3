//! The zip archive around arrays: which files, where, how packed.

use crate::error::Result;
use crate::formats::file::damaged;
use std::path::Path;

const LOCAL: u32 = 0x0403_4B50;
const CENTRAL: u32 = 0x0201_4B50;
const END: u32 = 0x0605_4B50;
const END_64: u32 = 0x0606_4B50;
const LOCATOR_64: u32 = 0x0706_4B50;
const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const END_LEN: usize = 22;
const END_64_LEN: usize = 56;
const LOCATOR_64_LEN: usize = 20;
/// The number of the extra field with sizes of 64 bits.
const EXTRA_64: u16 = 1;
/// Bytes that a byte of a deflated file can become: 258 for 2 bits.
const DEFLATE_MOST: u64 = 1032;
/// 1 January 1980: a file depends on its arrays and nothing else.
const DATE: u16 = 0x21;

/// One file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) deflated: bool,
    pub(super) crc: u32,
    /// Bytes as they lie in the archive.
    pub(super) packed: u64,
    /// Bytes of the file.
    pub(super) size: u64,
    /// Where its header begins, and its bytes.
    pub(super) header: u64,
    pub(super) start: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let part = bytes.get(at..).and_then(|rest| rest.first_chunk());
    part.copied().map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let part = bytes.get(at..).and_then(|rest| rest.first_chunk());
    part.copied().map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let part = bytes.get(at..).and_then(|rest| rest.first_chunk());
    part.copied().map_or(0, u64::from_le_bytes)
}

/// Reads any bytes of an archive; those asked for are inside.
type ReadAt<'a> = &'a dyn Fn(u64, &mut [u8]) -> Result<()>;

/// Where the directory is: its first byte, how many it has, how many files it names.
struct Directory {
    start: u64,
    len: u64,
    files: u64,
}

/// The files of an archive of `len` bytes, in the order of its directory. All lie one behind the other, before it.
pub(super) fn entries(path: &Path, len: u64, read_at: ReadAt<'_>) -> Result<Vec<Entry>> {
    let damaged = |why: &str| damaged(path, why);
    let directory = directory(path, len, read_at)?;
    if directory.files > directory.len / CENTRAL_LEN as u64 {
        return Err(damaged("its directory is too short for its files"));
    }
    let count = usize::try_from(directory.files).unwrap_or(0);
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    let end = directory.start + directory.len;
    let mut at = directory.start;
    for _ in 0..count {
        let (entry, next) = central(path, (at, end), read_at)?;
        entries.push(entry);
        at = next;
    }
    if at != end {
        return Err(damaged("its directory is longer than its files"));
    }
    for entry in &mut entries {
        entry.start = local(path, entry, directory.start, read_at)?;
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by_key(|&number| entries[number].header);
    let overlap = |pair: &[usize]| {
        let first = &entries[pair[0]];
        first.start + first.packed > entries[pair[1]].header
    };
    if order.windows(2).any(overlap) {
        return Err(damaged("its files overlap"));
    }
    order.sort_unstable_by(|&left, &right| entries[left].name.cmp(&entries[right].name));
    if order
        .windows(2)
        .any(|pair| entries[pair[0]].name == entries[pair[1]].name)
    {
        return Err(damaged("a name is there twice"));
    }
    Ok(entries)
}

/// Finds the directory by what stands at the end of an archive.
fn directory(path: &Path, len: u64, read_at: ReadAt<'_>) -> Result<Directory> {
    let damaged = |why: &str| damaged(path, why);
    let tail = len.min((END_LEN + usize::from(u16::MAX)) as u64);
    let mut bytes = vec![0; usize::try_from(tail).unwrap_or(0)];
    read_at(len - tail, &mut bytes)?;
    let is_end = |&at: &usize| {
        let rest = &bytes[at..];
        u32_at(rest, 0) == END && usize::from(u16_at(rest, 20)) == rest.len() - END_LEN
    };
    let last = bytes
        .len()
        .checked_sub(END_LEN)
        .ok_or_else(|| damaged("it is no archive"))?;
    let at = (0..=last)
        .rev()
        .find(is_end)
        .ok_or_else(|| damaged("it is no archive"))?;
    let end = &bytes[at..];
    let mut place = len - tail + at as u64;
    let mut found = Directory {
        files: u16_at(end, 10).into(),
        len: u32_at(end, 12).into(),
        start: u32_at(end, 16).into(),
    };
    // Python writes the wider end also where the narrow one says all, and believes it.
    if place >= (LOCATOR_64_LEN + END_64_LEN) as u64 {
        let mut locator = [0; LOCATOR_64_LEN];
        read_at(place - locator.len() as u64, &mut locator)?;
        let mut wide = [0; END_64_LEN];
        let wide_at = place - (locator.len() + wide.len()) as u64;
        read_at(wide_at, &mut wide)?;
        if u32_at(&locator, 0) == LOCATOR_64
            && u64_at(&locator, 8) == wide_at
            && u32_at(&wide, 0) == END_64
        {
            place = wide_at;
            found = Directory {
                files: u64_at(&wide, 32),
                len: u64_at(&wide, 40),
                start: u64_at(&wide, 48),
            };
        }
    }
    if found.start.checked_add(found.len) != Some(place) {
        return Err(damaged("its directory is not before its end"));
    }
    Ok(found)
}

/// The file that the directory names from byte `at` on, and where the next begins.
fn central(path: &Path, (at, end): (u64, u64), read_at: ReadAt<'_>) -> Result<(Entry, u64)> {
    let damaged = |why: &str| damaged(path, why);
    let cut = || damaged("its directory is cut off");
    let mut fixed = [0; CENTRAL_LEN];
    let rest = (end - at).checked_sub(CENTRAL_LEN as u64).ok_or_else(cut)?;
    read_at(at, &mut fixed)?;
    let lengths = [28, 30, 32].map(|place| usize::from(u16_at(&fixed, place)));
    let (name, extra) = (lengths[0], lengths[1]);
    let behind = (name + extra + lengths[2]) as u64;
    if u32_at(&fixed, 0) != CENTRAL || behind > rest {
        return Err(cut());
    }
    let mut text = vec![0; name];
    read_at(at + CENTRAL_LEN as u64, &mut text)?;
    let name = String::from_utf8(text).map_err(|_| damaged("a name is not UTF-8"))?;
    let mut sizes = [24, 20, 42].map(|place| u64::from(u32_at(&fixed, place)));
    if sizes.contains(&u64::from(u32::MAX)) {
        let mut bytes = vec![0; extra];
        read_at(at + (CENTRAL_LEN + name.len()) as u64, &mut bytes)?;
        widen(&mut sizes, &bytes).ok_or_else(|| damaged("sizes of 64 bits are missing"))?;
    }
    let [size, packed, header] = sizes;
    let (flags, method) = (u16_at(&fixed, 8), u16_at(&fixed, 10));
    if flags & 1 != 0 || !matches!(method, 0 | 8) {
        return Err(damaged(
            "a file is encrypted or packed in another way than by deflate",
        ));
    }
    let deflated = method == 8;
    if (!deflated && size != packed) || size > packed.saturating_mul(DEFLATE_MOST) {
        return Err(damaged("a file cannot have so many bytes"));
    }
    let entry = Entry {
        name,
        deflated,
        crc: u32_at(&fixed, 16),
        packed,
        size,
        header,
        start: 0,
    };
    Ok((entry, at + CENTRAL_LEN as u64 + behind))
}

/// Puts numbers of 64 bits from an extra field where 32 did not do.
fn widen(sizes: &mut [u64; 3], mut extra: &[u8]) -> Option<()> {
    while extra.len() >= 4 {
        let (kind, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let field = extra.get(4..4 + len)?;
        if kind == EXTRA_64 {
            let mut words = field.as_chunks::<8>().0.iter();
            for size in sizes
                .iter_mut()
                .filter(|size| **size == u64::from(u32::MAX))
            {
                *size = u64::from_le_bytes(*words.next()?);
            }
            return Some(());
        }
        extra = &extra[4 + len..];
    }
    None
}

/// Where the bytes of a file begin, by the header before them, which must be the same file's.
fn local(path: &Path, entry: &Entry, directory: u64, read_at: ReadAt<'_>) -> Result<u64> {
    let outside = || damaged(path, "a file is not where the directory says");
    let mut fixed = [0; LOCAL_LEN];
    let named = entry
        .header
        .checked_add((LOCAL_LEN + entry.name.len()) as u64);
    let named = named.filter(|&end| end <= directory).ok_or_else(outside)?;
    read_at(entry.header, &mut fixed)?;
    let mut name = vec![0; entry.name.len()];
    read_at(entry.header + LOCAL_LEN as u64, &mut name)?;
    let same = u32_at(&fixed, 0) == LOCAL
        && usize::from(u16_at(&fixed, 26)) == name.len()
        && name == entry.name.as_bytes()
        && (u16_at(&fixed, 8) == 8) == entry.deflated;
    let start = named + u64::from(u16_at(&fixed, 28));
    let end = start
        .checked_add(entry.packed)
        .filter(|&end| end <= directory);
    (same && end.is_some()).then_some(start).ok_or_else(outside)
}

/// Whether a number needs 64 bits; `limit` is the first that does.
fn is_wide(numbers: &[u64], limit: u64) -> bool {
    numbers.iter().any(|&number| number >= limit)
}

fn narrow(number: u64, wide: bool) -> [u8; 4] {
    let narrow = u32::try_from(number).ok().filter(|_| !wide);
    narrow.unwrap_or(u32::MAX).to_le_bytes()
}

/// What stands in both headers of a file: version, flags, method, date, checksum, sizes, length of the name.
fn shared(entry: &Entry, wide: bool) -> Vec<u8> {
    let version: u16 = if wide { 45 } else { 20 };
    // Names are UTF-8.
    let flags: u16 = if entry.name.is_ascii() { 0 } else { 1 << 11 };
    let method: u16 = if entry.deflated { 8 } else { 0 };
    let mut bytes = Vec::new();
    for number in [version, flags, method, 0, DATE] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(entry.crc.to_le_bytes());
    bytes.extend(narrow(entry.packed, wide));
    bytes.extend(narrow(entry.size, wide));
    let name = u16::try_from(entry.name.len()).unwrap_or(u16::MAX);
    bytes.extend(name.to_le_bytes());
    bytes
}

fn extra_field(numbers: &[u64]) -> Vec<u8> {
    let mut bytes = EXTRA_64.to_le_bytes().to_vec();
    let len = u16::try_from(8 * numbers.len()).unwrap_or(u16::MAX);
    bytes.extend(len.to_le_bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

/// The header that stands before the bytes of a file.
pub(super) fn local_header(entry: &Entry, limit: u64) -> Vec<u8> {
    let wide = is_wide(&[entry.packed, entry.size], limit);
    let extra = if wide {
        extra_field(&[entry.size, entry.packed])
    } else {
        Vec::new()
    };
    let mut bytes = LOCAL.to_le_bytes().to_vec();
    bytes.extend(shared(entry, wide));
    bytes.extend(u16::try_from(extra.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(entry.name.as_bytes());
    bytes.extend(extra);
    bytes
}

/// The directory of files, which begins at byte `start`, and the end of the archive.
pub(super) fn closing(entries: &[Entry], start: u64, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let wide = is_wide(&[entry.packed, entry.size, entry.header], limit);
        let extra = if wide {
            extra_field(&[entry.size, entry.packed, entry.header])
        } else {
            Vec::new()
        };
        bytes.extend(CENTRAL.to_le_bytes());
        bytes.extend((if wide { 45_u16 } else { 20 }).to_le_bytes());
        bytes.extend(shared(entry, wide));
        bytes.extend(u16::try_from(extra.len()).unwrap_or(u16::MAX).to_le_bytes());
        // No comment, one disk, no attributes.
        bytes.extend([0; 10]);
        bytes.extend(narrow(entry.header, wide));
        bytes.extend(entry.name.as_bytes());
        bytes.extend(extra);
    }
    let (files, len) = (entries.len() as u64, bytes.len() as u64);
    let wide = is_wide(&[start, len], limit) || files >= u64::from(u16::MAX);
    if wide {
        let at = start + len;
        bytes.extend(END_64.to_le_bytes());
        bytes.extend((END_64_LEN as u64 - 12).to_le_bytes());
        bytes.extend([45, 0, 45, 0]);
        bytes.extend([0; 8]);
        for number in [files, files, len, start] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(LOCATOR_64.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(at.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
    }
    let count = u16::try_from(files)
        .ok()
        .filter(|_| !wide)
        .unwrap_or(u16::MAX);
    bytes.extend(END.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend(narrow(len, wide));
    bytes.extend(narrow(start, wide));
    bytes.extend([0; 2]);
    bytes
}
