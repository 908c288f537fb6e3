//! How one tensor is stored: a text beside it says so.

use crate::error::{Error, FileError, Result};
use crate::formats::setting::Settings;
use crate::shape;
use crate::tensors::{DType, TensorInfo, TensorSource, TensorSourceExt};
use serde_json::Value;

/// What the text is called, behind the name of its tensor and before the type.
pub(super) const STATE: &str = ".quant_state.bitsandbytes__";
/// The parts beside the text, behind the name of the tensor; the last two where absmax is quantized itself.
pub(super) const PARTS: [&str; 4] = [
    ".absmax",
    ".quant_map",
    ".nested_absmax",
    ".nested_quant_map",
];
/// Longer texts are none: real ones have some 200 bytes.
const LONGEST: usize = 1 << 10;

/// How one tensor is stored.
#[derive(Debug)]
pub(super) struct State {
    pub(super) info: TensorInfo,
    /// Elements that share an absmax, in row-major order.
    pub(super) block: usize,
    /// What the codes mean.
    pub(super) map: Vec<f32>,
    pub(super) nested: Option<Nested>,
}

/// How absmax is stored, where it is quantized itself.
#[derive(Debug)]
pub(super) struct Nested {
    block: usize,
    map: Vec<f32>,
    offset: f32,
}

impl State {
    /// That of the tensor `name`, of which the text with this type is there.
    pub(super) fn read(source: &dyn TensorSource, name: &str, kind: &str) -> Result<Self> {
        let text = format!("{name}{STATE}{kind}");
        let json = json(source, &text).map_err(|error| error.in_tensor(&*text))?;
        let settings = |json| Self::of(source, name, kind, Settings::new(json)?);
        settings(&json).map_err(|error| error.in_tensor(name))
    }

    fn of(
        source: &dyn TensorSource,
        name: &str,
        kind: &str,
        settings: Settings<'_>,
    ) -> Result<Self> {
        let must = "the type in the name of its tensor";
        settings.text(&["quant_type"], must, None, |given| {
            (given == kind).then_some(())
        })?;
        let dtype = |name: &str| match name {
            "float32" => Some(DType::F32),
            "float16" => Some(DType::F16),
            "bfloat16" => Some(DType::Bf16),
            _ => None,
        };
        let must = "\"float32\", \"float16\" or \"bfloat16\"";
        let dtype = settings.text(&["dtype"], must, None, dtype)?;
        let info = TensorInfo::new(name, dtype, lengths(settings)?);
        info.bytes()?;
        let (len, block) = (info.elements()?, block_size(settings, "blocksize")?);
        let blocks = len.div_ceil(block);

        // The codes may be stored in elements of any type.
        let (given, expected) = (source.info(name)?.bytes()?, len.div_ceil(2));
        if given != expected {
            let what = "bytes of codes";
            return Err(Error::WrongCount {
                what,
                given,
                expected,
            });
        }
        let [absmax, map, nested_absmax, nested_map] = PARTS.map(|part| format!("{name}{part}"));
        let is_nested = source.position(&nested_absmax).is_some();
        let scales = if is_nested { DType::U8 } else { DType::F32 };
        check(source, &absmax, scales, blocks)?;
        let nested = if is_nested {
            settings.text(&["nested_dtype"], "\"float32\"", None, |dtype| {
                (dtype == "float32").then_some(())
            })?;
            let offset = settings.get(&["nested_offset"]).and_then(Value::as_f64);
            let offset = offset.ok_or_else(|| settings.wrong(&["nested_offset"], "a number"))?;
            let block = block_size(settings, "nested_blocksize")?;
            check(source, &nested_absmax, DType::F32, blocks.div_ceil(block))?;
            check(source, &nested_map, DType::F32, 256)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it was an f32 before it was a text"
            )]
            Some(Nested {
                block,
                map: source.floats(&nested_map)?.into_raw_vec_and_offset().0,
                offset: offset as f32,
            })
        } else {
            None
        };
        check(source, &map, DType::F32, 16)?;
        let map = source.floats(&map)?.into_raw_vec_and_offset().0;
        Ok(Self {
            info,
            block,
            map,
            nested,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.info.shape.iter().product()
    }

    /// absmax of so many blocks from block `first` on.
    pub(super) fn absmax(
        &self,
        source: &dyn TensorSource,
        first: usize,
        count: usize,
    ) -> Result<Vec<f32>> {
        let [absmax, _, nested_absmax, _] = PARTS.map(|part| format!("{}{part}", self.info.name));
        let Some(nested) = &self.nested else {
            return floats(source, &absmax, first, count);
        };
        let mut codes = vec![0; count];
        source.read_bytes(source.number(&absmax)?, first, &mut codes)?;
        let outer = first / nested.block..(first + count).div_ceil(nested.block);
        let scales = floats(source, &nested_absmax, outer.start, outer.len())?;
        let number = |(place, code): (usize, u8)| {
            let scale = scales[(first + place) / nested.block - outer.start];
            nested.map[usize::from(code)] * scale + nested.offset
        };
        Ok(codes.into_iter().enumerate().map(number).collect())
    }
}

/// A part of a tensor of f32.
fn floats(source: &dyn TensorSource, name: &str, first: usize, count: usize) -> Result<Vec<f32>> {
    let mut bytes = vec![0; count * 4];
    source.read_bytes(source.number(name)?, first * 4, &mut bytes)?;
    let (numbers, _) = bytes.as_chunks();
    Ok(numbers
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect())
}

/// The text as JSON.
fn json(source: &dyn TensorSource, name: &str) -> Result<Value> {
    let bytes = source.info(name)?.bytes()?;
    let cannot = |what: String| {
        Error::File(FileError::CannotHold {
            format: "a quant_state of bitsandbytes",
            what,
            must: "a JSON of at most 1 KiB",
        })
    };
    if bytes > LONGEST {
        return Err(cannot(format!("{bytes} bytes")));
    }
    let text = source.elements::<u8>(name)?;
    serde_json::from_slice(text.as_slice().unwrap_or(&[]))
        .map_err(|error| cannot(error.to_string()))
}

/// The lengths of the tensor, at least one and none 0.
fn lengths(settings: Settings<'_>) -> Result<Vec<usize>> {
    let number = |length: &Value| {
        let length = length
            .as_u64()
            .and_then(|length| usize::try_from(length).ok());
        length.filter(|&length| length > 0)
    };
    let lengths = settings.get(&["shape"]).and_then(Value::as_array);
    let lengths =
        lengths.and_then(|lengths| lengths.iter().map(number).collect::<Option<Vec<_>>>());
    let lengths = lengths.filter(|lengths| !lengths.is_empty());
    let lengths = lengths.ok_or_else(|| settings.wrong(&["shape"], "lengths of at least 1"))?;
    shape::count(&lengths)?;
    Ok(lengths)
}

fn block_size(settings: Settings<'_>, key: &str) -> Result<usize> {
    let size = settings.integer(&[key], "from 1 on", |size| size > 0)?;
    usize::try_from(size).map_err(|_| settings.wrong(&[key], "from 1 on"))
}

/// Fails unless a part is there, of this type and so many elements.
fn check(source: &dyn TensorSource, name: &str, dtype: DType, expected: usize) -> Result<()> {
    let info = source.info(name)?;
    let wrong = if info.dtype != dtype {
        FileError::WrongDType {
            given: info.dtype.name(),
            expected: dtype.name(),
        }
    } else if info.elements()? != expected {
        FileError::WrongShape {
            given: info.shape.clone(),
            expected: vec![expected],
        }
    } else {
        return Ok(());
    };
    Err(Error::File(wrong).in_tensor(name))
}
