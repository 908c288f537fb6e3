//! safetensors files, their index, and what the format's own library says of the same files.

use crate::campaign::{Tally, files, run, scratch};
use crate::counting::alone;
use crate::edit::edit;
use crate::mutate::{Means, Mutations, Seed};
use rarefy::Result;
use rarefy::formats::{Checkpoint, SafetensorsFile, SafetensorsWriter};
use rarefy::tensors::{DType, TensorInfo, TensorSource, TensorSourceExt};
use std::collections::BTreeMap;
use std::fs;

const MEANS: Means = Means {
    seal: Some(seal),
    edit: Some(edit),
};

/// The file of these tensors, their bytes counting up.
pub(crate) fn file_of(infos: Vec<TensorInfo>, texts: BTreeMap<String, String>) -> Vec<u8> {
    let path = scratch("seed.safetensors");
    let mut writer = SafetensorsWriter::create(&path, infos, texts).unwrap();
    for info in writer.infos().to_vec() {
        let bytes: Vec<u8> = (0..info.bytes().unwrap())
            .map(|place| (place * 7 % 64) as u8)
            .collect();
        writer.append(&info.name, &bytes).unwrap();
    }
    writer.finish().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}

/// A file as a seed: its header is its own length and as many bytes.
pub(crate) fn seed(bytes: Vec<u8>) -> Seed {
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    Seed { bytes, header }
}

/// Makes the length of the header right where the end of the JSON can still be found.
#[expect(clippy::ptr_arg, reason = "other formats' seals change the length")]
pub(crate) fn seal(bytes: &mut Vec<u8>) {
    let end = bytes
        .windows(2)
        .position(|pair| pair == b"}}")
        .map(|end| end + 2);
    let end = end.unwrap_or(bytes.len()).max(8);
    if bytes.len() >= 8 {
        bytes[..8].copy_from_slice(&(end as u64 - 8).to_le_bytes());
    }
}

fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    // A file for each type of elements.
    for (number, &dtype) in DType::ALL.iter().enumerate() {
        let infos = vec![
            TensorInfo::new("model.layers.0.self_attn.q_proj.weight", dtype, [4, 8]),
            TensorInfo::new("bias", dtype, [8 + 8 * number]),
            TensorInfo::new("scalar", DType::F32, []),
        ];
        seeds.push(seed(file_of(infos, BTreeMap::new())));
    }
    // Ranks, no elements, many tensors, texts, names that JSON has to escape.
    let mut infos: Vec<TensorInfo> = (0..40)
        .map(|n| TensorInfo::new(format!("t.{n}"), DType::ALL[n % 22], [n, 8]))
        .collect();
    infos.push(TensorInfo::new("deep", DType::U8, [1, 2, 1, 3, 1, 1, 2]));
    infos.push(TensorInfo::new("none", DType::F16, [0, 3]));
    infos.push(TensorInfo::new(
        "a \"quoted\" \\ name\u{1F980}\n",
        DType::I16,
        [3],
    ));
    let texts = BTreeMap::from([
        ("made by".to_owned(), "rarefy \u{e9}".repeat(20)),
        (String::new(), String::new()),
    ]);
    seeds.push(seed(file_of(infos, texts)));
    let infos = vec![TensorInfo::new("large", DType::Bf16, [100, 300])];
    seeds.push(seed(file_of(infos, BTreeMap::new())));
    let infos = (0..60)
        .map(|n| TensorInfo::new(format!("{n}"), DType::U8, [0]))
        .collect();
    seeds.push(seed(file_of(infos, BTreeMap::new())));
    // Files of others.
    seeds.push(seed(
        include_bytes!("../golden/python.safetensors").to_vec(),
    ));
    seeds.push(seed(
        include_bytes!("../golden/torch_pruning.safetensors").to_vec(),
    ));
    seeds
}

/// Reads every tensor of a source, as it is and as floats.
pub(crate) fn read_all(source: &dyn TensorSource, tally: &mut Tally) -> Result<()> {
    for info in source.infos() {
        let bytes = info.bytes()?;
        tally.reading(bytes, || source.tensor(&info.name))?;
        if info.dtype.is_float() {
            let elements = info.elements()?;
            // The array, and a block of bytes and values.
            let buffers = (elements * 16).min(2 << 20);
            tally.reading(elements * 4 + buffers, || {
                source
                    .floats::<f32>(&info.name)
                    .map(drop)
                    .or_else(|_| Ok(()))
            })?;
        }
    }
    Ok(())
}

#[test]
fn safetensors() {
    let _alone = alone();
    let seeds = seeds();
    let read = |file: SafetensorsFile, tally: &mut Tally| read_all(&file, tally);
    run(
        "safetensors",
        &seeds,
        MEANS,
        |bytes| bytes,
        SafetensorsFile::from_bytes,
        read,
    );
}

#[test]
fn the_formats_own_library_agrees() {
    let _alone = alone();
    let seeds = seeds();
    let (mut both, mut neither, mut twice) = (0, 0, 0);
    for bytes in Mutations::new(&seeds, MEANS, 3).take(files() / 4) {
        let ours = SafetensorsFile::from_bytes(bytes.clone());
        match (ours, ::safetensors::SafeTensors::deserialize(&bytes)) {
            (Ok(ours), Ok(theirs)) => {
                both += 1;
                assert_eq!(ours.infos().len(), theirs.len());
                for info in ours.infos() {
                    let tensor = theirs.tensor(&info.name).unwrap();
                    assert_eq!(
                        (tensor.dtype().to_string(), tensor.shape()),
                        (info.dtype.name().to_owned(), &*info.shape)
                    );
                    assert_eq!(ours.tensor(&info.name).unwrap().bytes(), tensor.data());
                }
            }
            (Err(_), Err(_)) => neither += 1,
            // A name that is there twice is an error of ours alone, and so are more axes or elements than an array can have.
            (Err(error), Ok(_)) => {
                twice += 1;
                let message = error.to_string();
                let ours = [
                    "is there twice",
                    "at most 64 lengths",
                    "more elements than can be counted",
                ];
                assert!(ours.iter().any(|why| message.contains(why)), "{message}");
            }
            (Ok(_), Err(error)) => panic!("read by us alone: {error:?}"),
        }
    }
    println!("safetensors: {both} read by both, {neither} by neither, {twice} with a name twice");
    assert!(both > 1000 && neither > 1000);
}

#[test]
fn index() {
    let _alone = alone();
    let folder = scratch("index");
    fs::create_dir_all(&folder).unwrap();
    let infos = |file: usize| {
        (0..6)
            .map(|n| TensorInfo::new(format!("t.{file}.{n}"), DType::F16, [n, 3]))
            .collect::<Vec<_>>()
    };
    let shard = |file: usize| format!("model-{:05}-of-00002.safetensors", file + 1);
    for file in 0..2 {
        fs::write(
            folder.join(shard(file)),
            file_of(infos(file), BTreeMap::new()),
        )
        .unwrap();
    }
    let seeds: Vec<Seed> = (0..20)
        .map(|number| {
            let map: BTreeMap<String, String> = (0..2)
                .flat_map(|file| {
                    infos(file)
                        .into_iter()
                        .take(3 + number % 4)
                        .map(move |info| (info.name, shard(file)))
                })
                .collect();
            let mut index =
                serde_json::json!({ "metadata": { "total_size": 120 }, "weight_map": map });
            index["note"] =
                serde_json::json!([number, null, { "deep": [[[]]] }, "\u{1F980}".repeat(number)]);
            let bytes = if number % 2 == 0 {
                index.to_string()
            } else {
                format!("{index:#}")
            }
            .into_bytes();
            Seed {
                header: bytes.len(),
                bytes,
            }
        })
        .collect();
    let path = folder.join("model.safetensors.index.json");
    let put = |bytes: Vec<u8>| fs::write(&path, bytes).unwrap();
    let read = |model: Checkpoint, tally: &mut Tally| read_all(&model, tally);
    run(
        "index of safetensors",
        &seeds,
        Means::default(),
        put,
        |()| Checkpoint::open(&path),
        read,
    );
    fs::remove_dir_all(&folder).unwrap();
}
