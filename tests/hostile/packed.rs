//! Checkpoints of GPTQ, AWQ and bitsandbytes, made of the parts that the peers wrote.

use crate::campaign::{Tally, run};
use crate::compressed::{MEANS, file_of, opened, read_model};
use crate::counting::alone;
use crate::mutate::Seed;
use crate::peer_files::{cases, tensors};
use rarefy::Result;
use rarefy::formats::{
    AwqCheckpoint, AwqConfig, BitsAndBytesCheckpoint, GptqCheckpoint, GptqConfig, SafetensorsFile,
};
use rarefy::tensors::{StoredTensor, TensorSource};

/// The files of the peers' cases, each as often as it takes to have twenty.
fn seeds(golden: &str) -> Vec<Seed> {
    let cases = cases(golden);
    let file = |case: &serde_json::Value| {
        let parts: Vec<(String, StoredTensor)> = tensors(case).into_iter().collect();
        file_of(&parts, &case["config"])
    };
    let files: Vec<Seed> = cases
        .iter()
        .map(file)
        .filter(|seed| seed.bytes.len() <= 64 << 10)
        .collect();
    files
        .iter()
        .cycle()
        .take(files.len().max(20))
        .cloned()
        .collect()
}

fn read<M: TensorSource>((model, stored): (M, usize), tally: &mut Tally) -> Result<()> {
    read_model(&model, stored, tally)
}

#[test]
fn gptq() {
    let _alone = alone();
    let parse = |bytes: Vec<u8>| {
        let stored = bytes.len();
        let (file, config) = opened(bytes)?;
        Ok((
            GptqCheckpoint::new(file, GptqConfig::from_json(&config)?)?,
            stored,
        ))
    };
    let read = |(model, stored): (GptqCheckpoint<SafetensorsFile>, usize), tally: &mut Tally| {
        for module in model.modules() {
            let _ = model.quantized(module);
        }
        read((model, stored), tally)
    };
    run(
        "GPTQ",
        &seeds("gptq.json"),
        MEANS,
        |bytes| bytes,
        parse,
        read,
    );
}

#[test]
fn awq() {
    let _alone = alone();
    let parse = |bytes: Vec<u8>| {
        let stored = bytes.len();
        let (file, config) = opened(bytes)?;
        Ok((
            AwqCheckpoint::new(file, AwqConfig::from_json(&config)?)?,
            stored,
        ))
    };
    run("AWQ", &seeds("awq.json"), MEANS, |bytes| bytes, parse, read);
}

#[test]
fn bitsandbytes() {
    let _alone = alone();
    let parse = |bytes: Vec<u8>| {
        let stored = bytes.len();
        let file = SafetensorsFile::from_bytes(bytes)?;
        Ok((BitsAndBytesCheckpoint::new(file)?, stored))
    };
    run(
        "bitsandbytes",
        &seeds("bitsandbytes.json"),
        MEANS,
        |bytes| bytes,
        parse,
        read,
    );
}
