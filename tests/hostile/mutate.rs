//! Makes files that lie out of files that are right: reproducible, by a generator whose stream is documented.

use ndarray_rand::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A file that is right.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    pub(crate) bytes: Vec<u8>,
    /// How many bytes from the first on say how the others are to be read.
    pub(crate) header: usize,
}

/// What a format needs to have done before its files are looked into: lengths and checksums made right.
pub(crate) type Seal = fn(&mut Vec<u8>);

/// A change that knows what the file means.
pub(crate) type Edit = fn(&[u8], &mut ChaCha8Rng) -> Option<Vec<u8>>;

/// What is done to the files of a format beside the changes that know nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Means {
    pub(crate) seal: Option<Seal>,
    pub(crate) edit: Option<Edit>,
}

/// Numbers that arithmetic breaks at.
pub(crate) const NUMBERS: [u64; 20] = [
    0,
    1,
    2,
    3,
    7,
    8,
    31,
    32,
    127,
    255,
    256,
    65_535,
    i32::MAX as u64,
    u32::MAX as u64,
    1 << 32,
    1 << 33,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];

/// Words of headers, each put in the place of another.
const WORDS: [&str; 34] = [
    "F32",
    "F64",
    "F16",
    "BF16",
    "I8",
    "U8",
    "I32",
    "I64",
    "BOOL",
    "F4",
    "C64",
    "F8_E4M3",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "-1",
    "0.5",
    "1e999",
    "99999999999999999999",
    "<f4",
    ">f8",
    "|b1",
    "|O",
    "<U5",
    "True",
    "False",
    "(",
    ")",
    "__metadata__",
    "\\u0000",
    "\\ud800",
    "..",
];

/// Files made of `seeds`: by turns each of a list of changes, while it lasts, and random ones.
pub(crate) struct Mutations<'a> {
    seeds: &'a [Seed],
    means: Means,
    random: ChaCha8Rng,
    /// Which seed, which byte, which change.
    listed: Option<(usize, usize, usize)>,
    turn: bool,
}

/// How many changes are tried at each byte of a header.
const LISTED: usize = 7;

impl<'a> Mutations<'a> {
    pub(crate) fn new(seeds: &'a [Seed], means: Means, number: u64) -> Self {
        Self {
            seeds,
            means,
            random: ChaCha8Rng::seed_from_u64(number),
            listed: Some((0, 0, 0)),
            turn: false,
        }
    }

    /// The next of the list: every byte of every header changed in each way, every cut.
    fn next_listed(&mut self) -> Option<Vec<u8>> {
        let (seed, place, change) = self.listed?;
        let Some(right) = self.seeds.get(seed) else {
            self.listed = None;
            return None;
        };
        // Some of the data, too.
        let places = (right.header + 24).min(right.bytes.len());
        if place >= places {
            self.listed = Some((seed + 1, 0, 0));
            return self.next_listed();
        }
        self.listed = Some(if change + 1 < LISTED {
            (seed, place, change + 1)
        } else {
            (seed, place + 1, 0)
        });
        let mut bytes = right.bytes.clone();
        let byte = &mut bytes[place];
        match change {
            0 => bytes.truncate(place),
            1 => *byte ^= 1 << (place % 8),
            2 => *byte = 0,
            3 => *byte = 0xFF,
            4 => *byte = byte.wrapping_add(1),
            5 => *byte ^= 0x80,
            _ => *byte = b'9',
        }
        if place % 2 == 1
            && let Some(seal) = self.means.seal
        {
            seal(&mut bytes);
        }
        Some(bytes)
    }

    fn next_random(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        let right = &self.seeds[random.random_range(0..self.seeds.len())];
        if let Some(edit) = self.means.edit
            && random.random_bool(0.6)
            && let Some(bytes) = edit(&right.bytes, random)
        {
            return bytes;
        }
        let mut bytes = right.bytes.clone();
        for _ in 0..random.random_range(1..4) {
            let other = &self.seeds[random.random_range(0..self.seeds.len())].bytes;
            change(&mut bytes, right.header, other, random);
        }
        if let Some(seal) = self.means.seal
            && random.random_bool(0.7)
        {
            seal(&mut bytes);
        }
        bytes
    }
}

impl Iterator for Mutations<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.turn = !self.turn;
        let listed = self.turn.then(|| self.next_listed()).flatten();
        Some(listed.unwrap_or_else(|| self.next_random()))
    }
}

/// One random change.
fn change(bytes: &mut Vec<u8>, header: usize, other: &[u8], random: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        bytes.extend(other);
        return;
    }
    // Mostly in the header.
    let end = if random.random_bool(0.85) {
        header.clamp(1, bytes.len())
    } else {
        bytes.len()
    };
    let place = random.random_range(0..end);
    let number = NUMBERS[random.random_range(0..NUMBERS.len())];
    match random.random_range(0..16) {
        0 => bytes.truncate(place),
        1 => bytes[place] ^= 1 << random.random_range(0..8),
        2 => bytes[place] = random.random(),
        // A binary number of 2, 4 or 8 bytes.
        3 | 4 => {
            let size = 2 << random.random_range(0..3);
            let place = place - place % 2;
            for (to, from) in bytes[place..]
                .iter_mut()
                .zip(number.to_le_bytes())
                .take(size)
            {
                *to = from;
            }
        }
        // A number in digits.
        5..=7 => {
            if let Some((from, to)) = digits(bytes, place, end) {
                let old = std::str::from_utf8(&bytes[from..to]).unwrap_or("");
                let old: u64 = old.parse().unwrap_or(0);
                let new = match random.random_range(0..5) {
                    0 => old.wrapping_add(1),
                    1 => old.wrapping_sub(1),
                    2 => old.wrapping_mul(2),
                    _ => number,
                };
                bytes.splice(from..to, new.to_string().into_bytes());
            }
        }
        // Two numbers in digits change places.
        13 => {
            let second = random.random_range(0..end);
            let (first, second) = (
                digits(bytes, place.min(second), end),
                digits(bytes, place.max(second), end),
            );
            if let (Some((a, b)), Some((c, d))) = (first, second)
                && b <= c
            {
                let (left, right) = (bytes[a..b].to_vec(), bytes[c..d].to_vec());
                bytes.splice(c..d, left);
                bytes.splice(a..b, right);
            }
        }
        // An entry of a list comes twice.
        14 => {
            let ends = |from: usize| {
                bytes[from..]
                    .iter()
                    .position(|&b| b == b',')
                    .map(|at| from + at + 1)
            };
            if let Some(from) = ends(place)
                && let Some(to) = ends(from)
            {
                let part = bytes[from..to].to_vec();
                bytes.splice(from..from, part);
            }
        }
        // An entry with an object comes twice.
        15 => {
            let ends = |from: usize| {
                bytes[from..]
                    .windows(2)
                    .position(|b| b == b"},")
                    .map(|at| from + at + 2)
            };
            if let Some(from) = ends(place)
                && let Some(to) = ends(from)
            {
                let part = bytes[from..to].to_vec();
                bytes.splice(from..from, part);
            }
        }
        // A word.
        8 | 9 => {
            let word = WORDS[random.random_range(0..WORDS.len())].as_bytes();
            let (from, to) = token(bytes, place);
            bytes.splice(from..to, word.iter().copied());
        }
        // Something goes, comes twice, or comes from elsewhere.
        10 => {
            let to = (place + random.random_range(1..40)).min(bytes.len());
            bytes.drain(place..to);
        }
        11 => {
            let to = (place + random.random_range(1..80)).min(bytes.len());
            let part = bytes[place..to].to_vec();
            let times = random.random_range(1..4);
            let at = random.random_range(0..bytes.len());
            bytes.splice(at..at, part.repeat(times));
        }
        _ => {
            let from = random.random_range(0..other.len().max(1));
            let to = (from + random.random_range(1..100)).min(other.len());
            let to_go = (place + random.random_range(0..100)).min(bytes.len());
            let part = other.get(from..to).unwrap_or(&[]).to_vec();
            bytes.splice(place..to_go, part);
        }
    }
}

/// The digits at or behind this place.
fn digits(bytes: &[u8], place: usize, end: usize) -> Option<(usize, usize)> {
    let is_digit = |place: &usize| bytes[*place].is_ascii_digit();
    let first = (place..end).find(is_digit)?;
    let from = (0..=first).rev().take_while(is_digit).last()?;
    let to = (first..bytes.len()).take_while(is_digit).last()? + 1;
    Some((from, to))
}

/// The word around this place.
fn token(bytes: &[u8], place: usize) -> (usize, usize) {
    let is_word =
        |place: &usize| bytes[*place].is_ascii_alphanumeric() || b"_.<>|".contains(&bytes[*place]);
    let from = (0..=place)
        .rev()
        .take_while(is_word)
        .last()
        .unwrap_or(place);
    let to = (place..bytes.len())
        .take_while(is_word)
        .last()
        .map_or(place, |last| last + 1);
    (from, to)
}
