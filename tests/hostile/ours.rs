//! Our own formats: masks, statistics, what a teacher said. Each vouches for itself by checksums, which are made right again
//! for most files, or nothing would come past them.

use crate::campaign::{Tally, run, scratch};
use crate::counting::alone;
use crate::mutate::{Means, Seed};
use crate::safetensors::seed;
use ndarray::{Array2, IxDyn};
use rarefy::Mask;
use rarefy::calibrate::{
    ChannelSums, Histogram, MinMax, MovingAverage, ObserverExt, Saturation, Statistics,
};
use rarefy::distill::TopKTarget;
use rarefy::formats::{CacheReader, CacheSettings, CacheWriter, CalibrationFile, MaskFile};
use serde_json::Value;
use std::fs;

/// Makes the length of the header and its checksum right, if it is one; and the checksums in the text of this key.
fn seal(bytes: &mut Vec<u8>) {
    crate::safetensors::seal(bytes);
    let Some(start) = bytes
        .first_chunk()
        .map(|len| 8 + u64::from_le_bytes(*len) as usize)
    else {
        return;
    };
    let Some(text) = bytes.get(8..start) else {
        return;
    };
    let Ok(mut header) = serde_json::from_slice::<Value>(text) else {
        return;
    };
    let data = bytes[start..].to_vec();
    let offsets = |header: &Value, name: &str| -> Option<Vec<u8>> {
        let offsets = header.get(name)?.get("data_offsets")?;
        let place = |at: usize| Some(offsets.get(at)?.as_u64()? as usize);
        data.get(place(0)?..place(1)?).map(<[u8]>::to_vec)
    };
    let sum = |bytes: &[u8]| Value::from(format!("{:08x}", crc32fast::hash(bytes)));
    let lists = |key: &str| {
        header["__metadata__"][key]
            .as_str()
            .and_then(|text| serde_json::from_str::<Value>(text).ok())
    };
    let mut changed = Vec::new();
    for key in ["masks", "statistics"] {
        let Some(mut entries) = lists(key) else {
            continue;
        };
        for (name, entry) in entries.as_object_mut().into_iter().flatten() {
            if let Some(data) = offsets(&header, &format!("{name}_mask")) {
                entry["checksum"] = sum(&data);
            }
            for (list, of_list) in entry
                .get_mut("lists")
                .and_then(Value::as_object_mut)
                .into_iter()
                .flatten()
            {
                if let Some(data) = offsets(&header, &format!("{name}.{list}")) {
                    *of_list = sum(&data);
                }
            }
        }
        changed.push((key, entries.to_string()));
    }
    let Some(texts) = header
        .get_mut("__metadata__")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    for (key, text) in changed {
        texts.insert(key.to_owned(), text.into());
    }
    let mut all = Vec::new();
    for (key, value) in texts
        .iter()
        .filter(|(key, value)| *key != "header_checksum" && value.is_string())
    {
        for text in [key.as_str(), value.as_str().unwrap()] {
            all.extend((text.len() as u64).to_le_bytes());
            all.extend(text.as_bytes());
        }
    }
    texts.insert("header_checksum".to_owned(), sum(&all));
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    *bytes = [&(text.len() as u64).to_le_bytes(), &*text, &data].concat();
}

const MEANS: Means = Means {
    seal: Some(seal),
    edit: None,
};

#[test]
fn masks() {
    let _alone = alone();
    let path = scratch("masks.safetensors");
    let mut seeds: Vec<Seed> = (0..24)
        .map(|number| {
            let mut file = MaskFile::default();
            for tensor in 0..1 + number % 4 {
                let shapes: [&[usize]; 5] = [&[5, 13], &[64], &[2, 3, 4 + number], &[], &[3, 0]];
                let mut place = number;
                let mask = Mask::from_fn(IxDyn(shapes[(number + tensor) % 5]), |_| {
                    place += 1;
                    place % 3 != tensor
                });
                let mask = mask.unwrap();
                file.masks.insert(format!("layer.{tensor}"), mask);
            }
            file.notes.insert("step".to_owned(), number.to_string());
            file.write(&path).unwrap();
            seed(fs::read(&path).unwrap())
        })
        .collect();
    seeds.push(seed(
        include_bytes!("../golden/mask_v1.safetensors").to_vec(),
    ));
    let put = |bytes: Vec<u8>| fs::write(&path, bytes).unwrap();
    run(
        "MaskFile",
        &seeds,
        MEANS,
        put,
        |()| MaskFile::read(&path),
        |_, _: &mut Tally| Ok(()),
    );
    fs::remove_file(&path).unwrap();
}

#[test]
fn statistics() {
    let _alone = alone();
    let path = scratch("statistics.safetensors");
    let mut seeds: Vec<Seed> = (0..24)
        .map(|number| {
            let mut file = CalibrationFile::default();
            let values = Array2::from_shape_fn((4, 3), |(i, j)| (i * 3 + j) as f32 - number as f32);
            let mut add = |name: &str, mut statistics: Statistics| {
                statistics.observe(&values).unwrap();
                file.statistics.insert(name.to_owned(), statistics);
            };
            match number % 5 {
                0 => add("a", MinMax::new().into()),
                1 => add("b", Histogram::new().into()),
                2 => add("c", MovingAverage::new().into()),
                3 => add("d", ChannelSums::new().into()),
                _ => add("e", Saturation::new(&[(-1.0, 1.0)]).unwrap().into()),
            }
            file.notes.insert("batches".to_owned(), number.to_string());
            file.write(&path).unwrap();
            seed(fs::read(&path).unwrap())
        })
        .collect();
    seeds.push(seed(
        include_bytes!("../golden/calibration_v1.safetensors").to_vec(),
    ));
    let put = |bytes: Vec<u8>| fs::write(&path, bytes).unwrap();
    run(
        "CalibrationFile",
        &seeds,
        MEANS,
        put,
        |()| CalibrationFile::read(&path),
        |_, _: &mut Tally| Ok(()),
    );
    fs::remove_file(&path).unwrap();
}

#[test]
fn cache() {
    let _alone = alone();
    let folder = scratch("cache");
    let shard = |number: u64| folder.join(format!("shard-{number:08}.safetensors"));
    let target = |rows: usize, classes: usize, k: usize| -> TopKTarget<f32> {
        let logits = Array2::from_shape_fn((rows, classes), |(i, j)| ((i * 7 + j * 3) % 11) as f32);
        TopKTarget::from_logits(&logits, k).unwrap()
    };
    let seeds: Vec<Seed> = (0..24)
        .map(|number| {
            let _ = fs::remove_dir_all(&folder);
            let (classes, k) = (5 + number % 7, 1 + number % 4);
            let settings = CacheSettings::new(classes, k)
                .shard_rows(64)
                .block_rows(1 + number % 9)
                .teacher("t");
            let mut writer = CacheWriter::create(&folder, settings).unwrap();
            writer.append(&target(3 + number, classes, k)).unwrap();
            writer.finish().unwrap();
            seed(fs::read(shard(0)).unwrap())
        })
        .collect();
    let put = |bytes: Vec<u8>| fs::write(shard(0), bytes).unwrap();
    let read = |reader: CacheReader, tally: &mut Tally| {
        let (rows, k) = (reader.rows(), reader.settings().k());
        let positions: Vec<u64> = (0..rows).collect();
        // Indices and logarithms, what a file has of them, and a list of what is wanted where.
        let size = positions.len() * (k * 14 + 200);
        tally
            .reading(size, || reader.read::<f32>(&positions))
            .map(drop)
    };
    run(
        "teacher's cache",
        &seeds,
        MEANS,
        put,
        |()| CacheReader::open(&folder),
        read,
    );
    fs::remove_dir_all(&folder).unwrap();
}
