//! Reads the header of a GGUF file piece by piece.

use super::GgufStrings;
use crate::formats::bytes::Bytes;
use std::io;

/// How many bytes are read at a time.
const AT_ONCE: usize = 1 << 14;

/// Why a header could not be read.
pub(super) enum Fault {
    /// It is wrong.
    Wrong(String),
    /// Reading failed.
    Io(io::Error),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

impl From<&str> for Fault {
    fn from(why: &str) -> Self {
        Self::Wrong(why.to_owned())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    /// The same, with where it was found.
    pub(super) fn at(self, place: &str) -> Self {
        match self {
            Self::Wrong(why) => Self::Wrong(format!("{place}: {why}")),
            Self::Io(_) => self,
        }
    }
}

/// A place in a file, from which numbers and texts are read.
///
/// Nothing is allocated for what the file does not have the bytes for.
pub(super) struct Cursor<'a> {
    bytes: &'a Bytes,
    /// The next byte.
    at: u64,
    len: u64,
    /// What was read ahead, and where it began.
    ahead: Vec<u8>,
    ahead_from: u64,
}

/// A number as it lies in a file.
pub(super) trait Number: Copy {
    /// The bytes of one.
    type Bytes: Default + AsMut<[u8]>;
    fn of(bytes: Self::Bytes) -> Self;
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            type Bytes = [u8; size_of::<$type>()];

            fn of(bytes: Self::Bytes) -> Self {
                Self::from_le_bytes(bytes)
            }
        }
    )*};
}
numbers!(u8, i8, u16, i16, u32, i32, f32, u64, i64, f64);

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a Bytes) -> Self {
        Self {
            bytes,
            at: 0,
            len: bytes.len(),
            ahead: Vec::new(),
            ahead_from: 0,
        }
    }

    /// The place of the next byte.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// How many bytes are left.
    pub(super) const fn left(&self) -> u64 {
        self.len - self.at
    }

    /// The next bytes.
    fn read(&mut self, mut to: &mut [u8]) -> Result<(), Fault> {
        if to.len() as u64 > self.left() {
            return Err("the file ends within it".into());
        }
        while !to.is_empty() {
            let behind = usize::try_from(self.at - self.ahead_from).unwrap_or(usize::MAX);
            if let Some(ready) = self.ahead.get(behind..).filter(|ready| !ready.is_empty()) {
                let count = ready.len().min(to.len());
                let (now, later) = to.split_at_mut(count);
                now.copy_from_slice(&ready[..count]);
                to = later;
                self.at += count as u64;
            } else {
                self.read_ahead()?;
            }
        }
        Ok(())
    }

    fn read_ahead(&mut self) -> Result<(), Fault> {
        let count = usize::try_from(self.left()).map_or(AT_ONCE, |left| left.min(AT_ONCE));
        self.ahead.resize(count, 0);
        self.ahead_from = self.at;
        let read = self.bytes.read_at(self.at, &mut self.ahead);
        read.inspect_err(|_| self.ahead.clear()).map_err(Fault::Io)
    }

    /// A number.
    pub(super) fn number<N: Number>(&mut self) -> Result<N, Fault> {
        let mut bytes = N::Bytes::default();
        self.read(bytes.as_mut())?;
        Ok(N::of(bytes))
    }

    /// A count of things, each of which takes at least so many bytes.
    pub(super) fn count(&mut self, what: &str, least: u64) -> Result<usize, Fault> {
        let count = self.number::<u64>()?;
        let most = self.left() / least;
        match usize::try_from(count) {
            Ok(fits) if count <= most => Ok(fits),
            _ => {
                let left = self.left();
                Err(format!("{count} {what} in the {left} bytes that are left").into())
            }
        }
    }

    /// Numbers, as many as are said to follow.
    pub(super) fn numbers<N: Number>(&mut self) -> Result<Vec<N>, Fault> {
        let count = self.count("numbers", size_of::<N>() as u64)?;
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            numbers.push(self.number()?);
        }
        Ok(numbers)
    }

    /// A truth value.
    pub(super) fn truth(&mut self) -> Result<bool, Fault> {
        match self.number::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            byte => Err(format!("a truth value is {byte}, must be 0 or 1").into()),
        }
    }

    /// Truth values, as many as are said to follow.
    pub(super) fn truths(&mut self) -> Result<Vec<bool>, Fault> {
        let count = self.count("truth values", 1)?;
        (0..count).map(|_| self.truth()).collect()
    }

    /// A text of at most so many bytes.
    pub(super) fn text(&mut self, most: usize) -> Result<String, Fault> {
        let len = self.count("bytes of a text", 1)?;
        if len > most {
            return Err(format!("a name of {len} bytes, at most {most} are right").into());
        }
        let mut text = vec![0; len];
        self.read(&mut text)?;
        String::from_utf8(text).map_err(|_| "a text is not UTF-8".into())
    }

    /// Texts, as many as are said to follow.
    pub(super) fn texts(&mut self) -> Result<GgufStrings, Fault> {
        let count = self.count("texts", 8)?;
        let mut all = Vec::new();
        let mut ends = Vec::with_capacity(count);
        for number in 0..count {
            let len = self.count("bytes of a text", 1)?;
            let start = all.len();
            all.resize(start + len, 0);
            self.read(&mut all[start..])?;
            if std::str::from_utf8(&all[start..]).is_err() {
                return Err(format!("text {number} is not UTF-8").into());
            }
            ends.push(all.len());
        }
        let all = String::from_utf8(all).map_err(|_| "texts are not UTF-8")?;
        Ok(GgufStrings::of_parts(all, ends))
    }
}
