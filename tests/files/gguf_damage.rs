//! GGUF files that are damaged, forged or of a kind that is not read.

use crate::folder::Folder;
use crate::gguf::{key, model};
use ndarray::{Array1, Array2};
use rarefy::formats::{GgufArray, GgufFile, GgufTensorInfo, GgufType, GgufWriter};
use rarefy::quantize::BlockFormat;
use rarefy::tensors::{DType, TensorSource, TensorSourceExt};
use rarefy::{Error, FileError};
use std::fs;

/// The bytes of a header, written here and not by the writer.
struct Raw(Vec<u8>);

impl Raw {
    fn begin(version: u32, tensors: u64, keys: u64) -> Self {
        let mut raw = Self(b"GGUF".to_vec());
        raw.0.extend(version.to_le_bytes());
        raw.long(tensors).long(keys)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn int(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn long(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn text(self, text: &[u8]) -> Self {
        self.long(text.len() as u64).bytes(text)
    }

    fn tensor(mut self, name: &str, axes: &[u64], kind: u32, offset: u64) -> Self {
        self = self.text(name.as_bytes()).int(axes.len() as u32);
        for &length in axes {
            self = self.long(length);
        }
        self.int(kind).long(offset)
    }

    fn data(mut self, count: usize) -> Self {
        let len = self.0.len().next_multiple_of(32);
        self.0.resize(len + count, 0);
        self
    }

    fn cut(mut self, len: usize) -> Self {
        self.0.truncate(len);
        self
    }

    fn why(self) -> String {
        match GgufFile::from_bytes(self.0) {
            Err(Error::File(FileError::Damaged { path, why })) => {
                assert_eq!(path, "GGUF in memory");
                why
            }
            other => panic!("{other:?}"),
        }
    }
}

fn one_key(kind: u32) -> Raw {
    Raw::begin(3, 0, 1).text(b"k").int(kind)
}

#[test]
fn a_header_that_is_none_says_why() {
    let begin = |version| Raw::begin(version, 0, 0);
    let mut other = begin(3);
    other.0[3] = b'X';
    for (raw, why) in [
        (Raw(b"GGUF\x03".to_vec()), "5 bytes are no header"),
        (other, "it does not begin with GGUF"),
        (begin(1), "it is of version 1; 2 and 3 are read"),
        (begin(0), "it is of version 0; 2 and 3 are read"),
        (begin(4), "it is of version 4; 2 and 3 are read"),
        (
            begin(3_u32.swap_bytes()),
            "it is big-endian, of version 3; little-endian is read",
        ),
        (
            Raw::begin(3, 1, 0).bytes(&[0; 23]),
            "1 tensors in the 31 bytes that are left",
        ),
        (
            Raw::begin(3, u64::MAX, 0),
            "18446744073709551615 tensors in the 8 bytes that are left",
        ),
        (
            Raw::begin(3, 0, 3).bytes(&[0; 41]),
            "3 keys in the 41 bytes that are left",
        ),
    ] {
        assert_eq!(raw.why(), why);
    }
}

#[test]
fn a_key_that_is_none_says_why() {
    let nested = |deep| {
        let mut raw = one_key(9);
        for _ in 1..deep {
            raw = raw.int(9).long(1);
        }
        raw.int(0).long(1).bytes(&[5; 20])
    };
    assert!(GgufFile::from_bytes(nested(4).0).is_ok());
    let twice = Raw::begin(3, 0, 2).text(b"k").int(0).bytes(&[1]);
    let twice = twice.text(b"k").int(0).bytes(&[1]);
    let aligned = |kind, value: &[u8]| {
        let raw = Raw::begin(3, 0, 1).text(b"general.alignment").int(kind);
        raw.bytes(value).bytes(&[0; 20])
    };
    for (raw, why) in [
        (
            Raw::begin(3, 0, 1).text(b"").int(0).bytes(&[1; 20]),
            "key 0 has no name",
        ),
        (
            Raw::begin(3, 0, 1).text(&[b'k'; 65_536]).int(0).bytes(&[1]),
            "key 0: a name of 65536 bytes, at most 65535 are right",
        ),
        (
            Raw::begin(3, 0, 1).text(b"\xFF\xFE").int(0).bytes(&[1]),
            "key 0: a text is not UTF-8",
        ),
        (
            Raw::begin(3, 0, 1).long(99).bytes(&[0; 20]),
            "key 0: 99 bytes of a text in the 20 bytes that are left",
        ),
        (twice, "the key \"k\" is there twice"),
        (
            one_key(13).bytes(&[0; 20]),
            "key \"k\": 13 is no type of a value",
        ),
        (
            one_key(10).bytes(&[0; 7]),
            "key \"k\": the file ends within it",
        ),
        (
            one_key(7).bytes(&[2]),
            "key \"k\": a truth value is 2, must be 0 or 1",
        ),
        (one_key(8).text(b"\xC3"), "key \"k\": a text is not UTF-8"),
        (
            one_key(8).long(1 << 60).bytes(b"abc"),
            "key \"k\": 1152921504606846976 bytes of a text in the 3 bytes that are left",
        ),
        (
            one_key(9).int(14).long(0),
            "key \"k\": 14 is no type of values",
        ),
        (
            one_key(9).int(10).long(2).bytes(&[0; 15]),
            "key \"k\": 2 numbers in the 15 bytes that are left",
        ),
        (
            one_key(9).int(7).long(2).bytes(&[1, 3]),
            "key \"k\": a truth value is 3, must be 0 or 1",
        ),
        (
            one_key(9).int(8).long(2).bytes(&[0; 15]),
            "key \"k\": 2 texts in the 15 bytes that are left",
        ),
        (
            one_key(9).int(8).long(2).text(b"a").text(b"\x80"),
            "key \"k\": text 1 is not UTF-8",
        ),
        (
            one_key(9).int(9).long(u64::MAX).bytes(&[0; 15]),
            "key \"k\": 18446744073709551615 arrays in the 15 bytes that are left",
        ),
        (nested(5), "key \"k\": arrays are more than 4 deep"),
        (
            aligned(4, &[0, 0, 0, 0]),
            "general.alignment is 0, must be a power of two in 8..=1048576",
        ),
        (
            aligned(4, &[4, 0, 0, 0]),
            "general.alignment is 4, must be a power of two in 8..=1048576",
        ),
        (
            aligned(4, &[48, 0, 0, 0]),
            "general.alignment is 48, must be a power of two in 8..=1048576",
        ),
        (
            aligned(4, &[0, 0, 32, 0]),
            "general.alignment is 2097152, must be a power of two in 8..=1048576",
        ),
        (
            aligned(10, &[32, 0, 0, 0, 0, 0, 0, 0]),
            "general.alignment must be an unsigned integer of 32 bits",
        ),
    ] {
        assert_eq!(raw.why(), why);
    }
}

#[test]
fn a_tensor_that_is_none_says_why() {
    let one = |axes: &[u64], kind, offset| Raw::begin(3, 1, 0).tensor("t", axes, kind, offset);
    let two = |first, second| {
        let raw = Raw::begin(3, 2, 0).tensor("t", &[8], 0, first);
        raw.tensor("u", &[16], 0, second).data(128)
    };
    assert!(GgufFile::from_bytes(two(96, 0).0).is_ok());
    let twice = Raw::begin(3, 2, 0).tensor("t", &[8], 0, 0);
    for (raw, why) in [
        (
            one(&[], 0, 0).data(32),
            "tensor \"t\": it has 0 axes, must have 1 to 4",
        ),
        (
            one(&[1; 5], 0, 0).data(32),
            "tensor \"t\": it has 5 axes, must have 1 to 4",
        ),
        (
            one(&[3, 0], 0, 0).data(32),
            "tensor \"t\": an axis has length 0",
        ),
        (
            one(&[1 << 40, 1 << 40], 0, 0).data(32),
            "tensor \"t\": shape [1099511627776, 1099511627776] has more elements than can be counted",
        ),
        (
            one(&[1 << 40], 24, 0).data(32),
            "tensor \"t\" ends behind the file: 1099511627776 bytes at 64 + 0",
        ),
        (
            // The values would be counted, their bytes would not.
            one(&[1 << 62], 28, 0).data(32),
            "tensor \"t\": shape [4611686018427387904] has more elements than can be counted",
        ),
        (
            one(&[33, 2], 8, 0).data(128),
            "tensor \"t\": axis 1 has length 33, which 32 does not divide",
        ),
        (
            one(&[32, 2], 12, 0).data(512),
            "tensor \"t\": axis 1 has length 32, which 256 does not divide",
        ),
        (
            one(&[8], 0, 16).data(64),
            "tensor \"t\" begins at 16, must at a multiple of 32",
        ),
        (
            one(&[8], 0, 0).data(31),
            "tensor \"t\" ends behind the file: 32 bytes at 64 + 0",
        ),
        (
            one(&[8], 0, u64::MAX - 31).data(64),
            "tensor \"t\" ends behind the file: 32 bytes at 64 + 18446744073709551584",
        ),
        (two(0, 0), "tensors \"t\" and \"u\" overlap"),
        (two(32, 0), "tensors \"u\" and \"t\" overlap"),
        (
            twice.tensor("t", &[8], 0, 32).data(64),
            "the tensor \"t\" is there twice",
        ),
        (
            Raw::begin(3, 1, 0).text(b"\xFF").bytes(&[0; 40]),
            "tensor 0: a text is not UTF-8",
        ),
        (
            one(&[1 << 20], 99, 0).data(64),
            "tensor \"t\" of 1048576 values has 64 bytes",
        ),
        (
            one(&[8], 0, 0).cut(50),
            "tensor \"t\": the file ends within it",
        ),
        (
            one(&[8, 8, 8, 8], 0, 0).cut(70),
            "tensor \"t\": the file ends within it",
        ),
    ] {
        assert_eq!(raw.why(), why);
    }
}

/// What is wrong with a tensor is told when it is read, by its name.
#[test]
fn a_tensor_that_cannot_be_decoded_is_listed_and_an_error_to_read() {
    let raw = Raw::begin(2, 3, 0).tensor("new", &[8, 2], 99, 0);
    let raw = raw.tensor("known", &[32], 20, 32).tensor("f", &[2], 0, 64);
    let mut raw = raw.data(72);
    let len = raw.0.len();
    raw.0[len - 8..].copy_from_slice(&[0, 0, 128, 63, 0, 0, 0, 192]);
    let file = GgufFile::from_bytes(raw.0).unwrap();
    assert_eq!(file.version(), 2);
    let kinds: Vec<GgufType> = file.tensors().iter().map(|info| info.kind).collect();
    assert_eq!(
        kinds,
        [GgufType::Other(99), GgufType::Other(20), DType::F32.into()]
    );
    assert_eq!(file.tensors()[0].shape, [2, 8]);
    assert_eq!(file.infos()[0].dtype, DType::F32);
    for (name, kind) in [("new", "number 99"), ("known", "IQ4_NL")] {
        let right = format!(
            "tensor {name:?}: elements are of ggml's type {kind}, whose blocks are not known here"
        );
        let number = file.number(name).unwrap();
        assert_eq!(file.block_tensor(name).unwrap_err().to_string(), right);
        assert_eq!(file.floats::<f32>(name).unwrap_err().to_string(), right);
        assert_eq!(file.tensor(name).unwrap_err().to_string(), right);
        let read = file.read_bytes(number, 0, &mut [0; 4]);
        assert_eq!(read.unwrap_err().to_string(), right);
    }
    // The size of one is known.
    let mut stored = [1; 18];
    file.read_stored(1, 0, &mut stored).unwrap();
    assert_eq!(stored, [0; 18]);
    let error = file.read_stored(0, 0, &mut stored).unwrap_err();
    assert!(error.to_string().contains("number 99"), "{error}");
    // The others are read as ever.
    assert_eq!(
        file.floats::<f32>("f").unwrap(),
        Array1::from(vec![1.0, -2.0]).into_dyn()
    );
    let error = file.block_tensor("f").unwrap_err().to_string();
    assert_eq!(
        error,
        "tensor \"f\": elements are of type F32, needed is blocks of a format"
    );
    assert!(matches!(
        file.block_tensor("g"),
        Err(Error::File(FileError::NoTensor { .. }))
    ));
}

#[test]
fn bytes_that_a_tensor_does_not_have_are_an_error() {
    let raw = Raw::begin(3, 2, 0).tensor("b", &[32], 8, 0);
    let file = GgufFile::from_bytes(raw.tensor("f", &[2], 0, 64).data(72).0).unwrap();
    for (tensor, from, count, len) in [
        (0, 125, 4, 128),
        (0, usize::MAX, 2, 128),
        (1, 8, 1, 8),
        (1, 0, 9, 8),
        (2, 0, 1, 0),
    ] {
        match file.read_bytes(tensor, from, &mut vec![0; count]) {
            Err(Error::File(FileError::NoSuchBytes {
                from: f,
                count: c,
                len: l,
            })) => assert_eq!((f, c, l), (from, count, len)),
            other => panic!("{other:?}"),
        }
    }
    assert!(file.read_stored(0, 33, &mut [0; 2]).is_err());
    assert!(file.read_stored(3, 0, &mut [0; 1]).is_err());
}

/// A scale that is no number: the block is named as the whole tensor counts them, whatever part was asked for.
#[test]
fn a_scale_that_is_not_finite_is_an_error() {
    let raw = Raw::begin(3, 1, 0).tensor("w", &[64, 3], 8, 0);
    let mut raw = raw.data(6 * 34);
    let data = raw.0.len() - 6 * 34;
    raw.0[data + 4 * 34 + 1] = 0x7C;
    let file = GgufFile::from_bytes(raw.0).unwrap();
    let right = "tensor \"w\": scale of block [4] is inf, must be finite";
    assert_eq!(file.block_tensor("w").unwrap_err().to_string(), right);
    assert_eq!(file.floats::<f64>("w").unwrap_err().to_string(), right);
    let mut part = [0; 9];
    let error = file.read_bytes(0, 4 * 128 + 3, &mut part).unwrap_err();
    assert_eq!(error.to_string(), right);
    file.read_bytes(0, 5 * 128, &mut part).unwrap();
    file.read_bytes(0, 4 * 128 - 9, &mut part).unwrap();
}

/// Every shorter file is an error, and no byte of the header can be any other without an error or a file that is read.
#[test]
fn a_file_that_is_cut_is_an_error() {
    let folder = Folder::made("gguf-cut");
    let path = folder.0.join("cut.gguf");
    let mut said = model();
    said.push(key("tokens", vec!["a", "bc", ""]));
    said.push(key("nested", GgufArray::Arrays(vec![vec![1.0_f32].into()])));
    let tensors = vec![GgufTensorInfo::new("w", BlockFormat::Q4_1, [2, 32])];
    let mut writer = GgufWriter::create(&path, said, tensors).unwrap();
    writer
        .write_floats("w", &Array2::<f32>::ones((2, 32)))
        .unwrap();
    writer.finish().unwrap();
    let bytes = fs::read(&path).unwrap();
    // 40 bytes of blocks, then 24 that nobody misses.
    let needed = bytes.len() - 24;
    for len in 0..bytes.len() {
        let cut = GgufFile::from_bytes(bytes[..len].to_vec());
        let damaged = matches!(cut, Err(Error::File(FileError::Damaged { .. })));
        assert_eq!(damaged, len < needed, "{len}");
    }
    for place in 0..bytes.len() - 64 {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << bit;
            if let Ok(file) = GgufFile::from_bytes(changed) {
                for info in file.infos() {
                    let _ = file.tensor(&info.name);
                }
            }
        }
    }
}
