//! What a writer of GGUF files refuses, and that it leaves the old file until the new one is whole.

use crate::folder::Folder;
use crate::gguf::model;
use ndarray::{Array1, Array2};
use rarefy::formats::{GgufArray, GgufFile, GgufTensorInfo, GgufType, GgufValue, GgufWriter};
use rarefy::quantize::{BlockFormat, BlockTensor};
use rarefy::tensors::{DType, StoredTensor};
use rarefy::{Error, FileError, Mask};
use std::fs;

fn refused(metadata: Vec<(String, GgufValue)>, tensors: Vec<GgufTensorInfo>) -> String {
    let folder = Folder::made("gguf-refused");
    let path = folder.0.join("refused.gguf");
    let error = GgufWriter::create(&path, metadata, tensors).unwrap_err();
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
    error.to_string()
}

#[test]
fn a_writer_refuses_what_the_format_cannot_hold() {
    let with = |name: &str, value: GgufValue| {
        let mut said = model();
        said.push((name.to_owned(), value));
        said
    };
    let deep = (0..4).fold(GgufArray::from(vec![1_u8]), |array, _| {
        GgufArray::Arrays(vec![array])
    });
    let tensor = |kind: GgufType, shape: &[usize]| vec![GgufTensorInfo::new("t", kind, shape)];
    let long = GgufTensorInfo::new("n".repeat(64), DType::F32, [1]);
    let cannot = |what: &str| format!("GGUF cannot hold {what}");
    let in_t = |what: &str| format!("tensor \"t\": GGUF cannot hold {what}");
    for (said, tensors, right) in [
        (
            vec![],
            vec![],
            cannot(
                "a model without a text general.architecture: what programs know the model by, such as \"llama\"",
            ),
        ),
        (
            with("", 1_u8.into()),
            vec![],
            cannot("a key of 0 bytes: 1 to 65535 bytes"),
        ),
        (
            with(&"k".repeat(65_536), 1_u8.into()),
            vec![],
            cannot("a key of 65536 bytes: 1 to 65535 bytes"),
        ),
        (
            with("general.architecture", 1_u8.into()),
            vec![],
            "two keys are named \"general.architecture\"".to_owned(),
        ),
        (
            with("deep", deep.into()),
            vec![],
            cannot("the array of key \"deep\": arrays that are at most 4 deep"),
        ),
        (
            with("general.alignment", 24_u32.into()),
            vec![],
            cannot(
                "general.alignment is 24, must be a power of two in 8..=1048576: 8, 16, ... 1048576, or leave it out",
            ),
        ),
        (
            model(),
            vec![GgufTensorInfo::new("t", DType::F32, [1]); 2],
            "two tensors are named \"t\"".to_owned(),
        ),
        (
            model(),
            vec![long],
            format!(
                "tensor {:?}: GGUF cannot hold a name of 64 bytes: at most 63 bytes",
                "n".repeat(64)
            ),
        ),
        (
            model(),
            tensor(DType::F32.into(), &[]),
            in_t("shape []: 1 to 4 axes, each at least 1 long"),
        ),
        (
            model(),
            tensor(DType::F32.into(), &[1; 5]),
            in_t("shape [1, 1, 1, 1, 1]: 1 to 4 axes, each at least 1 long"),
        ),
        (
            model(),
            tensor(DType::F32.into(), &[2, 0]),
            in_t("shape [2, 0]: 1 to 4 axes, each at least 1 long"),
        ),
        (
            model(),
            tensor(DType::U8.into(), &[2]),
            in_t(
                "elements of type U8: F16, BF16, F32, F64, I8, I16, I32, I64 or blocks that ggml has",
            ),
        ),
        (
            model(),
            tensor(BlockFormat::Nvfp4.into(), &[16]),
            in_t(
                "elements of type Nvfp4: F16, BF16, F32, F64, I8, I16, I32, I64 or blocks that ggml has",
            ),
        ),
        (
            model(),
            tensor(BlockFormat::Q4K.into(), &[2, 128]),
            "tensor \"t\": axis 1 has length 128, which 256 does not divide".to_owned(),
        ),
        (
            model(),
            tensor(GgufType::Other(99), &[32]),
            "tensor \"t\": elements are of ggml's type number 99, whose blocks are not known here"
                .to_owned(),
        ),
        (
            model(),
            tensor(DType::F64.into(), &[1 << 62]),
            "tensor \"t\": shape [4611686018427387904] has more elements than can be counted"
                .to_owned(),
        ),
    ] {
        assert_eq!(refused(said, tensors), right);
    }
}

#[test]
fn a_writer_takes_what_was_said_and_keeps_the_old_file_until_all_came() {
    let folder = Folder::made("gguf-said");
    let path = folder.0.join("model.gguf");
    fs::write(&path, "the old one").unwrap();
    let tensors = vec![
        GgufTensorInfo::new("b", BlockFormat::Q4_1, [2, 32]),
        GgufTensorInfo::new("f", DType::F16, [2]),
        GgufTensorInfo::new("o", GgufType::Other(20), [32]),
    ];
    let mut writer = GgufWriter::create(&path, model(), tensors.clone()).unwrap();
    let ones = Array2::<f32>::ones((2, 32));
    let blocks = |format| BlockTensor::encode(&ones, format).unwrap();
    let other = writer
        .write_blocks("b", &blocks(BlockFormat::Q4_0))
        .unwrap_err();
    assert_eq!(
        other.to_string(),
        "tensor \"b\": elements are of type Q4_0, needed is Q4_1"
    );
    let row = BlockTensor::encode(&Array1::<f32>::ones(32), BlockFormat::Q4_1).unwrap();
    let other = writer.write_blocks("b", &row).unwrap_err().to_string();
    assert_eq!(other, "tensor \"b\": shape is [32], needed is [2, 32]");
    let mask = Mask::from_fn((2, 32), |(_, j)| j > 1).unwrap();
    let masked = blocks(BlockFormat::Q4_1).masked(&mask).unwrap();
    let other = writer.write_blocks("b", &masked).unwrap_err().to_string();
    assert_eq!(
        other,
        "tensor \"b\": GGUF cannot hold a mask beside blocks: blocks of a format that keeps zeros"
    );
    let stored = StoredTensor::of(&Array1::<f32>::ones(2));
    let other = writer.write("f", &stored).unwrap_err().to_string();
    assert_eq!(
        other,
        "tensor \"f\": elements are of type F32, needed is F16"
    );
    let other = writer.write("b", &stored).unwrap_err().to_string();
    assert_eq!(
        other,
        "tensor \"b\": elements are of type F32, needed is Q4_1"
    );
    let other = writer.write("g", &stored).unwrap_err().to_string();
    assert_eq!(other, "there is no tensor \"g\"");
    let other = writer.write_floats("g", &ones).unwrap_err().to_string();
    assert_eq!(other, "there is no tensor \"g\"");
    let other = writer.write_floats("f", &ones).unwrap_err().to_string();
    assert_eq!(other, "tensor \"f\": shape is [2, 32], needed is [2]");
    let large = Array1::from(vec![0.0, 1e6_f32]);
    let other = writer.write_floats("f", &large).unwrap_err().to_string();
    assert_eq!(other, "tensor \"f\": element [1] is too large for F16");
    let large = Array2::from_elem((2, 32), f32::MAX);
    let other = writer.write_floats("b", &large).unwrap_err().to_string();
    assert!(
        other.starts_with("tensor \"b\": weights of channel or block 0"),
        "{other}"
    );
    let other = writer
        .write_floats("o", &Array1::<f32>::ones(32))
        .unwrap_err();
    assert!(other.to_string().contains("IQ4_NL"), "{other}");
    let other = writer.append("f", &[0; 5]).unwrap_err().to_string();
    assert_eq!(other, "tensor \"f\": bytes 0 to 5 of a tensor of 4");

    writer.write_floats("b", &ones).unwrap();
    writer.append("o", &[0; 18]).unwrap();
    writer.append("f", &[0; 3]).unwrap();
    let unfinished = writer.finish().unwrap_err().to_string();
    assert_eq!(unfinished, "tensor \"f\": 3 of 4 bytes were written");
    assert_eq!(fs::read(&path).unwrap(), b"the old one");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);

    let mut writer = GgufWriter::create(&path, model(), tensors).unwrap();
    writer.write_floats("b", &ones).unwrap();
    writer.append("o", &[0; 18]).unwrap();
    writer.append("f", &[0; 4]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"the old one");
    writer.finish().unwrap();
    assert_eq!(GgufFile::open(&path).unwrap().tensors().len(), 3);
    let none = GgufFile::open(folder.0.join("none.gguf")).unwrap_err();
    let failed = matches!(none, Error::File(FileError::Failed { action: "open", .. }));
    assert!(failed, "{none:?}");
}
