//! The header of a safetensors file: which tensors, where, and texts.

use crate::tensors::{DType, TensorInfo};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};
use std::collections::BTreeMap;
use std::fmt;

/// The longest header that the format allows.
pub(super) const LONGEST: u64 = 100_000_000;
/// The most axes that a tensor may have, as in PyTorch and NumPy: a number of one digit costs eight bytes.
const AXES: usize = 64;
/// Where the format keeps texts.
pub(super) const TEXTS: &str = "__metadata__";

/// What a header says, checked.
///
/// It is made from the text in two passes, so that lists have their length from the beginning: a header of nothing but
/// tensors without elements would otherwise take several times what it must.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// The tensors in the order of their bytes.
    pub(super) infos: Vec<TensorInfo>,
    /// Where each begins, counted from the first byte behind the header.
    pub(super) starts: Vec<u64>,
    /// The numbers of tensors in the order of their names.
    pub(super) by_name: Vec<usize>,
    pub(super) texts: BTreeMap<String, String>,
}

/// What a header says of a tensor.
#[derive(serde::Deserialize)]
struct Entry {
    #[serde(deserialize_with = "dtype")]
    dtype: DType,
    #[serde(deserialize_with = "shape")]
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

fn dtype<'de, D: Deserializer<'de>>(from: D) -> Result<DType, D::Error> {
    struct Name;

    impl Visitor<'_> for Name {
        type Value = DType;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of a type")
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<DType, E> {
            let named = DType::named(name);
            named.ok_or_else(|| E::custom(format_args!("the type {:?} is unknown", cut(name))))
        }
    }

    from.deserialize_str(Name)
}

/// A list of lengths that takes no more memory than it has to.
fn shape<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<usize>, D::Error> {
    struct Lengths;

    impl<'de> Visitor<'de> for Lengths {
        type Value = Vec<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {AXES} lengths")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<usize>, A::Error> {
            let (mut lengths, mut axes) = ([0; AXES], 0);
            while let Some(length) = list.next_element()? {
                let room = lengths.get_mut(axes);
                *room.ok_or_else(|| A::Error::invalid_length(axes + 1, &self))? = length;
                axes += 1;
            }
            Ok(lengths[..axes].to_vec())
        }
    }

    from.deserialize_seq(Lengths)
}

/// The first pass: how many tensors there are.
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a tensor for each name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }

        from.deserialize_map(Names)
    }
}

/// The second pass fills a header that has room.
impl<'de> DeserializeSeed<'de> for &mut Header {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Header {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a tensor for each name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut has_texts = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == TEXTS {
                if std::mem::replace(&mut has_texts, true) {
                    return Err(A::Error::custom(twice(TEXTS)));
                }
                self.texts = map.next_value()?;
                continue;
            }
            let entry: Entry = map.next_value()?;
            let info = TensorInfo {
                name,
                dtype: entry.dtype,
                shape: entry.shape,
            };
            let bytes = info.bytes().map_err(A::Error::custom)?;
            let (from, to) = entry.data_offsets;
            if to.checked_sub(from) != Some(bytes as u64) {
                let why = format_args!("the bytes of {:?} are not its shape's", cut(&info.name));
                return Err(A::Error::custom(why));
            }
            self.infos.push(info);
            self.starts.push(from);
        }
        Ok(())
    }
}

fn twice(name: &str) -> String {
    format!("the name {:?} is there twice", cut(name))
}

/// As much of a name as a message needs: a file may say it, so it may be long.
fn cut(name: &str) -> &str {
    let end = name
        .char_indices()
        .nth(200)
        .map_or(name.len(), |(end, _)| end);
    &name[..end]
}

impl Header {
    /// The header in this text, if `data` bytes of tensors are behind it.
    pub(super) fn parse(text: &[u8], data: u64) -> Result<Self, String> {
        /// Bytes of the shortest entry of a tensor: `"":{"dtype":"U8","shape":[],"data_offsets":[0,1]}`.
        const SHORTEST: usize = 48;
        let Count(count) = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        // Entries may be shorter, as long as nobody has looked at them.
        let count = count.min(text.len() / SHORTEST + 1);
        let mut header = Self {
            infos: Vec::with_capacity(count),
            starts: Vec::with_capacity(count),
            ..Self::default()
        };
        let mut json = serde_json::Deserializer::from_slice(text);
        let read = header.deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| error.to_string())?;
        header.sort();
        let infos = &header.infos;
        let name = |number: usize| infos[number].name.as_str();
        let mut by_name: Vec<usize> = (0..infos.len()).collect();
        by_name.sort_unstable_by(|&left, &right| name(left).cmp(name(right)));
        if let Some(pair) = by_name.windows(2).find(|p| name(p[0]) == name(p[1])) {
            return Err(twice(name(pair[0])));
        }
        header.by_name = by_name;
        // After names: of two entries of one name the offsets may be the same.
        header.check(data)?;
        Ok(header)
    }

    /// Puts the tensors into the order of their bytes; of those without, the one that stands first is first.
    fn sort(&mut self) {
        let key = |number: usize| (self.starts[number], size(&self.infos[number]), number);
        if (1..self.infos.len()).all(|number| key(number - 1) < key(number)) {
            return;
        }
        let mut order: Vec<usize> = (0..self.infos.len()).collect();
        order.sort_unstable_by_key(|&number| key(number));
        // Along each cycle what belongs at a place is exchanged with what is there.
        for first in 0..order.len() {
            let mut place = first;
            while order[place] != first {
                let next = order[place];
                self.infos.swap(place, next);
                self.starts.swap(place, next);
                order[place] = place;
                place = next;
            }
            order[place] = place;
        }
    }

    /// Tensors must lie without holes and overlaps, from the first byte to the last.
    fn check(&self, data: u64) -> Result<(), String> {
        let mut end = 0_u64;
        for (info, &start) in self.infos.iter().zip(&self.starts) {
            if start != end {
                let name = cut(&info.name);
                return Err(format!("{name:?} begins at byte {start}, not {end}"));
            }
            end = end.saturating_add(size(info));
        }
        if end != data {
            return Err(format!("tensors take {end} bytes, {data} are there"));
        }
        Ok(())
    }
}

/// Bytes of a tensor whose bytes are known to be a number.
fn size(info: &TensorInfo) -> u64 {
    info.bytes().map_or(u64::MAX, |bytes| bytes as u64)
}

/// A header as it stands in a file: its length, and spaces so that tensors begin at a multiple of 8.
pub(super) fn encode(
    infos: &[TensorInfo],
    spans: &[(u64, u64)],
    texts: &BTreeMap<String, String>,
) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    if !texts.is_empty() {
        header.insert(TEXTS.to_owned(), serde_json::json!(texts));
    }
    for (info, (from, to)) in infos.iter().zip(spans) {
        let entry = serde_json::json!({
            "dtype": info.dtype.name(),
            "shape": info.shape,
            "data_offsets": [from, to],
        });
        header.insert(info.name.clone(), entry);
    }
    let mut text = serde_json::Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    bytes
}
