//! GGUF files.

use crate::campaign::{Tally, run, scratch};
use crate::counting::alone;
use crate::mutate::{Means, Seed};
use crate::safetensors::read_all;
use rarefy::formats::{GgufFile, GgufTensorInfo, GgufType, GgufValue, GgufWriter};
use rarefy::quantize::BlockFormat;
use rarefy::tensors::DType;
use std::fs;

fn key(name: &str, value: impl Into<GgufValue>) -> (String, GgufValue) {
    (name.to_owned(), value.into())
}

fn seeds() -> Vec<Seed> {
    let path = scratch("a.gguf");
    let floats = [
        DType::F32,
        DType::F16,
        DType::Bf16,
        DType::I8,
        DType::I32,
        DType::F64,
        DType::I64,
    ];
    let kinds = BlockFormat::ALL
        .iter()
        .map(|&format| GgufType::from(format));
    let kinds: Vec<GgufType> = kinds.chain(floats.map(GgufType::from)).collect();
    let kinds: Vec<GgufType> = kinds
        .into_iter()
        .filter(|kind| kind.number().is_some())
        .collect();
    let mut seeds: Vec<Seed> = (0..kinds.len().max(24))
        .map(|number| {
            let mut metadata = vec![
                key("general.architecture", "llama"),
                key("llama.block_count", number as u32),
                key("general.alignment", [8_u32, 32, 64][number % 3]),
                key("tokens", vec!["<s>", "", "ü", "a longer token"]),
                key("scores", vec![0.5_f32, f32::INFINITY, -1.0]),
            ];
            let more = [
                key("small", -1_i8),
                key("flag", true),
                key("large", u64::MAX),
                key("flags", vec![true, false]),
                key("wide", vec![1e300_f64]),
                key("numbers", vec![-70_000_i32, 5]),
            ];
            metadata.extend(more.into_iter().take(number % 7));
            let shapes: [&[usize]; 4] = [&[256], &[3, 256], &[1, 2, 512], &[1, 2, 1, 256]];
            let tensors: Vec<GgufTensorInfo> = (0..1 + number % 3)
                .map(|n| {
                    GgufTensorInfo::new(
                        format!("blk.{n}.w"),
                        kinds[(number + n) % kinds.len()],
                        shapes[(number + n) % 4],
                    )
                })
                .collect();
            let mut writer = GgufWriter::create(&path, metadata, tensors).unwrap();
            for info in writer.tensors().to_vec() {
                let bytes: Vec<u8> = (0..info.bytes().unwrap())
                    .map(|place| (place * 7 % 50) as u8)
                    .collect();
                writer.append(&info.name, &bytes).unwrap();
            }
            let data: usize = writer
                .tensors()
                .iter()
                .map(|info| info.bytes().unwrap())
                .sum();
            writer.finish().unwrap();
            let bytes = fs::read(&path).unwrap();
            Seed {
                header: bytes.len().saturating_sub(data),
                bytes,
            }
        })
        .collect();
    fs::remove_file(&path).unwrap();
    let peer = include_bytes!("../golden/gguf_peer.gguf").to_vec();
    seeds.push(Seed {
        header: peer.len() / 2,
        bytes: peer,
    });
    seeds
}

#[test]
fn gguf() {
    let _alone = alone();
    let read = |file: GgufFile, tally: &mut Tally| {
        for (number, info) in file.tensors().iter().enumerate() {
            if let Ok(bytes) = info.bytes() {
                tally.reading(bytes, || {
                    let mut stored = vec![0; bytes];
                    file.read_stored(number, 0, &mut stored)
                })?;
            }
            let _ = file.block_tensor(&info.name);
        }
        read_all(&file, tally)
    };
    run(
        "GGUF",
        &seeds(),
        Means::default(),
        |bytes| bytes,
        GgufFile::from_bytes,
        read,
    );
}
