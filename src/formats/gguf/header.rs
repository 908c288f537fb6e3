//! The header of a GGUF file: keys and values, which tensors, where.

use super::cursor::{Cursor, Fault};
use super::layout::{
    ALIGNMENT, DEEPEST, FIXED, LONGEST_KEY, MAGIC, MOST_AXES, VERSION, alignment, by_name, quoted,
};
use super::{GgufArray, GgufTensorInfo, GgufType, GgufValue};
use crate::tensors::TensorInfo;

/// The bytes that the smallest key takes: length, a letter, type, a byte.
const LEAST_KEY: u64 = 8 + 1 + 4 + 1;
/// The bytes that the smallest tensor's entry takes: length, axes, one length, type, offset.
const LEAST_TENSOR: u64 = 8 + 4 + 8 + 4 + 8;

/// What a header says, checked against the file.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) metadata: Vec<(String, GgufValue)>,
    /// The numbers of keys in the order of their names.
    pub(super) keys: Vec<usize>,
    pub(super) tensors: Vec<GgufTensorInfo>,
    /// The same as a source of tensors gives them.
    pub(super) infos: Vec<TensorInfo>,
    /// Where each begins in the file.
    pub(super) starts: Vec<u64>,
    /// The numbers of tensors in the order of their names.
    pub(super) names: Vec<usize>,
}

impl Header {
    /// Reads it.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let version = version(cursor)?;
        let tensor_count = cursor.count("tensors", LEAST_TENSOR)?;
        let key_count = cursor.count("keys", LEAST_KEY)?;

        let mut metadata = Vec::new();
        for number in 0..key_count {
            let key = cursor.text(LONGEST_KEY);
            let key = key.map_err(|fault| fault.at(&format!("key {number}")))?;
            if key.is_empty() {
                return Err(format!("key {number} has no name").into());
            }
            let value =
                value(cursor).map_err(|fault| fault.at(&format!("key {}", quoted(&key))))?;
            metadata.push((key, value));
        }
        let keys = by_name(&metadata, |(key, _)| key)
            .map_err(|key| format!("the key {} is there twice", quoted(key)))?;
        let said = keys.binary_search_by_key(&ALIGNMENT, |&number| metadata[number].0.as_str());
        let alignment = alignment(said.ok().map(|place| &metadata[keys[place]].1))?;

        let mut tensors = Vec::new();
        let mut offsets = Vec::new();
        for number in 0..tensor_count {
            let name = cursor.text(LONGEST_KEY);
            let name = name.map_err(|fault| fault.at(&format!("tensor {number}")))?;
            let entry =
                tensor(cursor).map_err(|fault| fault.at(&format!("tensor {}", quoted(&name))))?;
            let (shape, kind, offset) = entry;
            tensors.push(GgufTensorInfo { name, kind, shape });
            offsets.push(offset);
        }
        let names = by_name(&tensors, |info| &info.name)
            .map_err(|name| format!("the tensor {} is there twice", quoted(name)))?;

        let file_len = cursor.at() + cursor.left();
        let (infos, starts) = places(&tensors, &offsets, cursor.at(), file_len, alignment)?;
        Ok(Self {
            version,
            metadata,
            keys,
            tensors,
            infos,
            starts,
            names,
        })
    }
}

fn version(cursor: &mut Cursor<'_>) -> Result<u32, Fault> {
    if cursor.left() < FIXED {
        return Err(format!("{} bytes are no header", cursor.left()).into());
    }
    let begin: u32 = cursor.number()?;
    if begin.to_le_bytes() != MAGIC {
        return Err("it does not begin with GGUF".into());
    }
    match cursor.number()? {
        version @ (2 | VERSION) => Ok(version),
        version if version & 0xFFFF == 0 && version != 0 => {
            let swapped = version.swap_bytes();
            Err(format!("it is big-endian, of version {swapped}; little-endian is read").into())
        }
        version => Err(format!("it is of version {version}; 2 and 3 are read").into()),
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<GgufValue, Fault> {
    Ok(match cursor.number::<u32>()? {
        0 => GgufValue::U8(cursor.number()?),
        1 => GgufValue::I8(cursor.number()?),
        2 => GgufValue::U16(cursor.number()?),
        3 => GgufValue::I16(cursor.number()?),
        4 => GgufValue::U32(cursor.number()?),
        5 => GgufValue::I32(cursor.number()?),
        6 => GgufValue::F32(cursor.number()?),
        7 => GgufValue::Bool(cursor.truth()?),
        8 => GgufValue::String(cursor.text(usize::MAX)?),
        9 => GgufValue::Array(array(cursor, 1)?),
        10 => GgufValue::U64(cursor.number()?),
        11 => GgufValue::I64(cursor.number()?),
        12 => GgufValue::F64(cursor.number()?),
        kind => return Err(format!("{kind} is no type of a value").into()),
    })
}

fn array(cursor: &mut Cursor<'_>, deep: usize) -> Result<GgufArray, Fault> {
    if deep > DEEPEST {
        return Err(format!("arrays are more than {DEEPEST} deep").into());
    }
    Ok(match cursor.number::<u32>()? {
        0 => GgufArray::U8(cursor.numbers()?),
        1 => GgufArray::I8(cursor.numbers()?),
        2 => GgufArray::U16(cursor.numbers()?),
        3 => GgufArray::I16(cursor.numbers()?),
        4 => GgufArray::U32(cursor.numbers()?),
        5 => GgufArray::I32(cursor.numbers()?),
        6 => GgufArray::F32(cursor.numbers()?),
        7 => GgufArray::Bool(cursor.truths()?),
        8 => GgufArray::Strings(cursor.texts()?),
        9 => {
            // Each takes its type and its count.
            let count = cursor.count("arrays", 4 + 8)?;
            let mut arrays = Vec::new();
            for _ in 0..count {
                arrays.push(array(cursor, deep + 1)?);
            }
            GgufArray::Arrays(arrays)
        }
        10 => GgufArray::U64(cursor.numbers()?),
        11 => GgufArray::I64(cursor.numbers()?),
        12 => GgufArray::F64(cursor.numbers()?),
        kind => return Err(format!("{kind} is no type of values").into()),
    })
}

/// Shape, type and offset.
fn tensor(cursor: &mut Cursor<'_>) -> Result<(Vec<usize>, GgufType, u64), Fault> {
    let axes = cursor.number::<u32>()? as usize;
    if !(1..=MOST_AXES).contains(&axes) {
        return Err(format!("it has {axes} axes, must have 1 to {MOST_AXES}").into());
    }
    let mut shape = Vec::with_capacity(axes);
    for _ in 0..axes {
        let length = cursor.number::<u64>()?;
        match usize::try_from(length) {
            Ok(fits) if fits > 0 => shape.push(fits),
            _ => return Err(format!("an axis has length {length}").into()),
        }
    }
    // The file has the innermost axis first.
    shape.reverse();
    let kind = GgufType::of_number(cursor.number()?);
    Ok((shape, kind, cursor.number()?))
}

/// Where tensors are in the file, and what a source says of them: inside it, aligned, apart from one another.
fn places(
    tensors: &[GgufTensorInfo],
    offsets: &[u64],
    header: u64,
    file: u64,
    alignment: u64,
) -> Result<(Vec<TensorInfo>, Vec<u64>), Fault> {
    let data = header.next_multiple_of(alignment);
    let mut infos = Vec::with_capacity(tensors.len());
    let mut starts = Vec::with_capacity(tensors.len());
    let mut ends = Vec::with_capacity(tensors.len());
    for (tensor, &offset) in tensors.iter().zip(offsets) {
        let (info, len) =
            as_source(tensor).map_err(|why| format!("tensor {}: {why}", quoted(&tensor.name)))?;
        if offset % alignment != 0 {
            let name = quoted(&tensor.name);
            let why =
                format!("tensor {name} begins at {offset}, must at a multiple of {alignment}");
            return Err(why.into());
        }
        let start = data.checked_add(offset);
        let end = start.and_then(|start| start.checked_add(len));
        let (Some(start), Some(end)) = (start, end.filter(|&end| end <= file)) else {
            let name = quoted(&tensor.name);
            let why =
                format!("tensor {name} ends behind the file: {len} bytes at {data} + {offset}");
            return Err(why.into());
        };
        infos.push(info);
        starts.push(start);
        ends.push(end);
    }
    let mut order: Vec<usize> = (0..starts.len()).collect();
    order.sort_unstable_by_key(|&number| (starts[number], number));
    for (place, &number) in order.iter().enumerate() {
        let next = order.get(place + 1).map(|&next| (starts[next], next));
        if let Some((_, next)) = next.filter(|&(start, _)| start < ends[number]) {
            let [one, other] = [number, next].map(|number| quoted(&tensors[number].name));
            return Err(format!("tensors {one} and {other} overlap").into());
        }
        // Of types that nobody knows the size is not known: no type takes less than a bit for each value.
        let room = next.map_or(file, |(start, _)| start) - starts[number];
        let values = infos[number].elements().unwrap_or(usize::MAX) as u64;
        if values / 8 > room {
            let name = quoted(&tensors[number].name);
            return Err(format!("tensor {name} of {values} values has {room} bytes").into());
        }
    }
    Ok((infos, starts))
}

/// What a source says of a tensor, and how many bytes it takes in the file at least.
fn as_source(tensor: &GgufTensorInfo) -> Result<(TensorInfo, u64), String> {
    let info = TensorInfo::new(
        tensor.name.as_str(),
        tensor.kind.read_as(),
        tensor.shape.as_slice(),
    );
    info.bytes().map_err(|error| error.to_string())?;
    let len = match tensor.kind.block_len() {
        Some(_) => tensor.bytes().map_err(|error| error.to_string())?,
        None => 1,
    };
    Ok((info, len as u64))
}
