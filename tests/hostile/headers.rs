//! Files that are nothing but header: what they cost for each of their bytes. The other files here are mostly data, as true
//! files are; these are the worst that can be made.

use crate::campaign::scratch;
use crate::counting::{alone, held_during};
use rarefy::formats::{Checkpoint, SafetensorsFile};
use std::fs;

/// A file of this header and no data.
fn bare(entries: impl Iterator<Item = String>) -> Vec<u8> {
    let text = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// Bytes at the most for each byte of the file.
fn factor(what: &str, bytes: Vec<u8>, most: f64) {
    let size = bytes.len();
    let mut read = None;
    let held = held_during(|| read = Some(SafetensorsFile::from_bytes(bytes)));
    let factor = held as f64 / size as f64;
    println!(
        "{what}: {factor:.2} bytes a byte of {size}, read: {}",
        read.unwrap().is_ok()
    );
    assert!(factor <= most, "{what}: {factor} at most {most}");
}

#[test]
fn a_header_costs_a_few_times_its_length() {
    let _alone = alone();
    let tensor = |n: usize, shape: &str| {
        format!(r#""{n:x}":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,0]}}"#)
    };
    factor(
        "tensors without elements",
        bare((0..20_000).map(|n| tensor(n, "0"))),
        3.5,
    );
    let real = |n: usize| {
        format!(
            r#""model.layers.{n}.self_attn.q_proj.weight":{{"dtype":"BF16","shape":[0,4096],"data_offsets":[0,0]}}"#
        )
    };
    factor(
        "tensors as models have them",
        bare((0..20_000).map(real)),
        2.6,
    );
    // A number of two bytes becomes one of eight.
    let axes = vec!["0"; 64].join(",");
    factor(
        "tensors of 64 axes",
        bare((0..10_000).map(|n| tensor(n, &axes))),
        5.0,
    );
    factor(
        "a shape of many axes",
        bare([tensor(0, &vec!["0"; 200_000].join(","))].into_iter()),
        1.5,
    );
    let texts = (0..50_000)
        .map(|n| format!(r#""{n:x}":"""#))
        .collect::<Vec<_>>()
        .join(",");
    factor(
        "texts without letters",
        bare([format!(r#""__metadata__":{{{texts}}}"#)].into_iter()),
        13.0,
    );
    let name = "n".repeat(1 << 20);
    factor(
        "a long name, twice",
        bare([format!(r#""{name}":[]"#), format!(r#""{name}":[]"#)].into_iter()),
        3.0,
    );
    let unknown = format!(r#""a":{{"dtype":"{name}","shape":[],"data_offsets":[0,0]}}"#);
    factor("a long type", bare([unknown].into_iter()), 4.0);
    let brackets = format!(r#""__metadata__":{}"#, "[".repeat(1 << 20));
    factor("nothing but brackets", bare([brackets].into_iter()), 3.0);
    factor(
        "a long number",
        bare([tensor(0, &"9".repeat(1 << 20))].into_iter()),
        3.0,
    );
}

#[test]
fn an_index_costs_a_few_times_its_length() {
    let _alone = alone();
    let path = scratch("index.json");
    for (what, name, file, most) in [
        (
            "names as models have them",
            "model.layers.0.self_attn.q_proj.weight.",
            "model-00001-of-00002.safetensors",
            4.0,
        ),
        ("short names", "", "a", 14.0),
    ] {
        let names = (0..50_000)
            .map(|n| format!(r#""{name}{n:x}":"{file}""#))
            .collect::<Vec<_>>()
            .join(",");
        let text = format!(r#"{{"weight_map":{{{names}}}}}"#);
        fs::write(&path, &text).unwrap();
        let held = held_during(|| Checkpoint::open(&path).map(drop));
        let factor = held as f64 / text.len() as f64;
        println!("an index of {what}: {factor:.2} bytes a byte");
        assert!(factor <= most, "{what}: {factor}, at most {most}");
    }
    fs::remove_file(&path).unwrap();
}

/// An array of arrays that have no numbers: 12 bytes each in the file. A vocabulary costs its letters and a number for each.
#[test]
fn a_header_of_gguf_costs_a_few_times_its_length() {
    let _alone = alone();
    let begin = |tensors: u64, keys: u64| {
        let mut bytes = b"GGUF\x03\x00\x00\x00".to_vec();
        bytes.extend([tensors, keys].map(u64::to_le_bytes).concat());
        bytes
    };
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    let cost = |what: &str, bytes: Vec<u8>, most: f64| {
        let size = bytes.len();
        let mut read = None;
        let held = held_during(|| read = Some(rarefy::formats::GgufFile::from_bytes(bytes)));
        let factor = held as f64 / size as f64;
        println!(
            "GGUF, {what}: {factor:.2} bytes a byte of {size}, read: {}",
            read.unwrap().is_ok()
        );
        assert!(factor <= most, "{what}: {factor}, at most {most}");
    };
    let mut nested = begin(0, 1);
    text(&mut nested, "k");
    nested.extend([9_u32.to_le_bytes(), 9_u32.to_le_bytes()].concat());
    nested.extend(70_000_u64.to_le_bytes());
    nested.resize(nested.len() + 70_000 * 12, 0);
    cost("arrays in an array", nested, 16.0);
    let mut tokens = begin(0, 1);
    text(&mut tokens, "tokens");
    tokens.extend([9_u32.to_le_bytes(), 8_u32.to_le_bytes()].concat());
    tokens.extend(50_000_u64.to_le_bytes());
    for number in 0..50_000 {
        text(&mut tokens, &format!("token{number}"));
    }
    cost("a vocabulary", tokens, 4.0);
    let mut keys = begin(0, 30_000);
    for number in 0..30_000_u32 {
        text(&mut keys, &format!("{number:x}"));
        keys.extend([0, 0, 0, 0, 1]);
    }
    cost("short keys", keys, 16.0);
    let mut tensors = begin(20_000, 0);
    for number in 0..20_000_u64 {
        text(&mut tensors, &format!("{number:x}"));
        tensors.extend(1_u32.to_le_bytes());
        tensors.extend(8_u64.to_le_bytes());
        tensors.extend(0_u32.to_le_bytes());
        tensors.extend((number * 32).to_le_bytes());
    }
    tensors.resize(tensors.len().next_multiple_of(32) + 20_000 * 32, 0);
    cost("tensors of a block", tensors, 8.0);
}
