//! The header of an array: a Python dictionary of type, order and shape, behind a length.

use crate::error::{Error, FileError, Result};
use crate::formats::file::damaged;
use crate::shape;
use crate::tensors::{DType, TensorInfo};
use std::path::Path;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Headers of arrays of numbers have some hundred bytes; NumPy itself refuses more than 10 000.
const LONGEST: u64 = 65_535;
/// The most axes that NumPy knows.
const AXES: usize = 64;
/// A header and what is before it fill a multiple of this.
const ALIGNED: usize = 64;
/// Digits that NumPy leaves room for, so that the length of an array that grows can be written over.
const GROWTH: usize = 21;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    /// Whether bytes of a number stand highest first.
    pub(super) swapped: bool,
    /// Whether the first axis runs fastest, and that is another order.
    pub(super) columns: bool,
    /// How many bytes there are before the elements.
    pub(super) before: u64,
    /// How many bytes the elements have.
    pub(super) bytes: usize,
}

/// What is wrong with a header.
pub(super) enum Fault {
    /// Reading failed.
    Failed(Error),
    /// It is none.
    Damage(String),
    /// It says a type that there is none of here.
    Type(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Damage(why)
    }
}

impl Fault {
    pub(super) fn in_file(self, path: &Path) -> Error {
        match self {
            Self::Failed(error) => error,
            Self::Damage(why) => damaged(path, why),
            Self::Type(given) => Error::File(FileError::CannotHold {
                format: "a tensor",
                what: format!("elements of NumPy's type {given}"),
                must: "truth values, integers, floats of 16, 32 or 64 bits, complex numbers of 64",
            }),
        }
    }
}

impl Header {
    /// Reads a header from what gives the next bytes, if `len` bytes are there for header and elements.
    pub(super) fn read(
        len: u64,
        next: &mut dyn FnMut(&mut [u8]) -> Result<()>,
    ) -> Result<Self, Fault> {
        let mut start = [0; 10];
        if len < start.len() as u64 {
            return Err(format!("{len} bytes are no array").into());
        }
        next(&mut start)?;
        let [magic @ .., major, minor, low, high] = start;
        let mut size = u64::from(u16::from_le_bytes([low, high]));
        let mut before = start.len() as u64;
        if magic != *MAGIC || minor != 0 || !(1..=3).contains(&major) {
            return Err("it does not begin as an array of version 1, 2 or 3"
                .to_owned()
                .into());
        }
        if major > 1 && len >= before + 2 {
            let mut rest = [0; 2];
            next(&mut rest)?;
            size = u64::from(u32::from_le_bytes([low, high, rest[0], rest[1]]));
            before += 2;
        }
        if size > LONGEST.min(len - before) {
            return Err(format!("a header of {size} bytes where {len} are").into());
        }
        // At most what is there: that was compared.
        let mut text = vec![0; usize::try_from(size).unwrap_or(0)];
        next(&mut text)?;
        before += size;
        let literal = Literal::parse(&text).map_err(|why| format!("its header: {why}"))?;
        let literal = literal.ok_or_else(|| Fault::Type("of records".to_owned()))?;
        let (dtype, swapped) =
            named(literal.descr).ok_or_else(|| Fault::Type(cut(literal.descr)))?;
        let info = TensorInfo::new("", dtype, literal.shape);
        let bytes = info.bytes().map_err(|error| error.to_string())?;
        if before.checked_add(bytes as u64) != Some(len) {
            let there = len - before;
            return Err(format!("its elements take {bytes} bytes, {there} are there").into());
        }
        let long = info.shape.iter().filter(|&&length| length > 1).count();
        Ok(Self {
            dtype,
            swapped,
            columns: literal.columns && long > 1 && bytes > 0,
            shape: info.shape,
            before,
            bytes,
        })
    }

    /// How many bytes stand the other way round in an array of the other order: those of a number.
    pub(super) const fn unit(&self) -> usize {
        match self.dtype {
            DType::C64 => 4,
            dtype => dtype.bits() / 8,
        }
    }
}

/// The header of an array in row-major order, byte for byte as NumPy writes it.
pub(super) fn encode(dtype: DType, shape: &[usize]) -> Result<Vec<u8>> {
    let Some(&(_, descr, _)) = TYPES.iter().find(|(_, _, own)| *own == dtype) else {
        return Err(Error::File(FileError::CannotHold {
            format: "NumPy",
            what: format!("elements of type {dtype}"),
            must: "truth values, integers, floats of 16, 32 or 64 bits, complex numbers of 64",
        }));
    };
    let end = if dtype.bits() == 8 { '|' } else { '<' };
    // Also so that every shape that is written can be read.
    shape::count(shape)?;
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let lengths = lengths.join(", ");
    let mut text = format!(
        "{{'descr': '{end}{descr}', 'fortran_order': False, 'shape': ({lengths}{comma}), }}"
    );
    if let Some(first) = shape.first() {
        let digits = first.to_string().len();
        text.push_str(&" ".repeat(GROWTH.saturating_sub(digits)));
    }
    let start = if text.len() + ALIGNED > usize::from(u16::MAX) {
        12
    } else {
        10
    };
    // One more for the end of the line; NumPy adds a whole line to one that is full.
    let used = start + text.len() + 1;
    text.push_str(&" ".repeat(ALIGNED - used % ALIGNED));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    if start == 12 {
        bytes.extend([2, 0]);
        let size = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend(size.to_le_bytes());
    } else {
        bytes.extend([1, 0]);
        let size = u16::try_from(text.len()).unwrap_or(u16::MAX);
        bytes.extend(size.to_le_bytes());
    }
    bytes.extend(text.as_bytes());
    Ok(bytes)
}

/// Bytes, NumPy's name without its order, and type.
const TYPES: [(usize, &str, DType); 13] = [
    (1, "b1", DType::Bool),
    (1, "u1", DType::U8),
    (1, "i1", DType::I8),
    (2, "u2", DType::U16),
    (2, "i2", DType::I16),
    (2, "f2", DType::F16),
    (4, "u4", DType::U32),
    (4, "i4", DType::I32),
    (4, "f4", DType::F32),
    (8, "u8", DType::U64),
    (8, "i8", DType::I64),
    (8, "f8", DType::F64),
    (8, "c8", DType::C64),
];

/// The type that NumPy calls so, and whether its bytes stand highest first.
fn named(descr: &str) -> Option<(DType, bool)> {
    let mut rest = descr.chars();
    let order = rest.next()?;
    let found = TYPES.iter().find(|(_, name, _)| *name == rest.as_str());
    let &(bytes, _, dtype) = found?;
    match order {
        '<' => Some((dtype, false)),
        '>' => Some((dtype, bytes > 1)),
        '|' if bytes == 1 => Some((dtype, false)),
        _ => None,
    }
}

/// As much of a text as a message needs.
fn cut(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

/// What the dictionary says.
struct Literal<'a> {
    descr: &'a str,
    columns: bool,
    shape: Vec<usize>,
}

impl<'a> Literal<'a> {
    /// Only what NumPy writes of arrays of plain elements: nothing nests, so nothing recurses. `None` of an array of records,
    /// whose type is a list.
    fn parse(text: &'a [u8]) -> Result<Option<Self>, String> {
        let mut rest = Rest(text);
        let (mut descr, mut columns, mut shape) = (None, None, None);
        rest.expect(b'{')?;
        while !rest.take(b'}') {
            let key = rest.string()?;
            rest.expect(b':')?;
            let first = match key {
                "descr" if rest.take(b'[') => return Ok(None),
                "descr" => descr.replace(rest.string()?).is_none(),
                "fortran_order" => columns.replace(rest.truth()?).is_none(),
                "shape" => shape.replace(rest.lengths()?).is_none(),
                _ => false,
            };
            if !first {
                return Err(format!("the key {} is there twice or unknown", cut(key)));
            }
            if !rest.take(b',') {
                rest.expect(b'}')?;
                break;
            }
        }
        rest.skip();
        let (Some(descr), Some(columns), Some(shape), []) = (descr, columns, shape, rest.0) else {
            return Err("it must say descr, fortran_order and shape, and nothing else".to_owned());
        };
        Ok(Some(Self {
            descr,
            columns,
            shape,
        }))
    }
}

/// What is not yet read of a dictionary.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn skip(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip();
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.take(byte) {
            return Ok(());
        }
        let rest = String::from_utf8_lossy(&self.0[..self.0.len().min(20)]);
        Err(format!("{:?} must stand before {rest:?}", char::from(byte)))
    }

    fn string(&mut self) -> Result<&'a str, String> {
        self.skip();
        let quote = match self.0 {
            [quote @ (b'\'' | b'"'), ..] => *quote,
            _ => {
                self.expect(b'\'')?;
                b'\''
            }
        };
        let rest = &self.0[1..];
        let end = rest.iter().position(|&byte| byte == quote || byte == b'\\');
        let end = end
            .filter(|&end| rest[end] == quote)
            .ok_or("a text has no plain end")?;
        self.0 = &rest[end + 1..];
        std::str::from_utf8(&rest[..end]).map_err(|error| error.to_string())
    }

    fn truth(&mut self) -> Result<bool, String> {
        self.skip();
        for (word, truth) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.strip_prefix(word.as_bytes()) {
                self.0 = rest;
                return Ok(truth);
            }
        }
        Err("fortran_order must be True or False".to_owned())
    }

    fn lengths(&mut self) -> Result<Vec<usize>, String> {
        let (mut lengths, mut axes) = ([0; AXES], 0);
        self.expect(b'(')?;
        let mut comma = true;
        while !self.take(b')') {
            let room = lengths.get_mut(axes).ok_or("it has more than 64 axes")?;
            if !comma {
                self.expect(b',')?;
            }
            *room = self.number()?;
            // Of Python 2.
            self.take(b'L');
            comma = self.take(b',');
            axes += 1;
        }
        if axes == 1 && !comma {
            return Err("a shape of one axis must end with a comma".to_owned());
        }
        Ok(lengths[..axes].to_vec())
    }

    fn number(&mut self) -> Result<usize, String> {
        self.skip();
        let digits = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        let number = std::str::from_utf8(number).map_err(|error| error.to_string())?;
        number
            .parse()
            .map_err(|_| "a length is no number of this machine's".to_owned())
    }
}
