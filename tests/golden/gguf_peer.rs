//! Reads the file that `gguf` wrote: `gguf_peer.gguf`, of which `gguf_peer.json` says what it holds; both made by
//! `gguf_peer.py` there.

use crate::reference::{bytes, cases, floats, sizes};
use rarefy::formats::{GgufArray, GgufFile, GgufType, GgufValue};
use rarefy::tensors::{TensorSource, TensorSourceExt};

fn file() -> GgufFile {
    let folder = format!("{}/tests/golden", env!("CARGO_MANIFEST_DIR"));
    GgufFile::open(format!("{folder}/gguf_peer.gguf")).unwrap()
}

#[test]
fn tensors_are_those_that_the_peer_wrote() {
    let file = file();
    let cases = cases("gguf_peer.json");
    assert_eq!(file.tensors().len(), cases.len());
    for (number, (info, case)) in file.tensors().iter().zip(&cases).enumerate() {
        let name = case["name"].as_str().unwrap();
        assert_eq!(info.name, name);
        assert_eq!(info.kind.to_string(), case["type"].as_str().unwrap());
        assert_eq!(info.shape, sizes(&case["shape"]), "{name}");
        let right = bytes(&case["bytes"]);
        let mut stored = vec![0; right.len()];
        file.read_stored(number, 0, &mut stored).unwrap();
        assert_eq!(stored, right, "{name}");
        if let GgufType::Blocks(_) = info.kind {
            assert_eq!(file.block_tensor(name).unwrap().bytes(), right);
        } else {
            assert_eq!(file.tensor(name).unwrap().bytes(), right);
        }
        if case["values"].is_string() {
            let values = file.floats::<f32>(name).unwrap();
            let right = floats(&case["values"]);
            assert_eq!(values.len(), right.len());
            for (place, (&ours, right)) in values.iter().zip(right).enumerate() {
                // The peer gives a zero no sign, or another.
                let same = ours.to_bits() == right.to_bits() || (ours == 0.0 && right == 0.0);
                assert!(same, "{name}, value {place}: {ours:e}, not {right:e}");
            }
        }
    }
    assert_eq!(file.infos().len(), cases.len());
    let wide = file.floats::<f64>("plain.f64").unwrap();
    let written: Vec<u8> = wide.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(written, bytes(&cases[4]["bytes"]));
}

#[test]
fn keys_say_what_the_peer_said() {
    let nested = vec![vec![1_i32, 2].into(), vec![3_i32].into()];
    let right: [(&str, GgufValue); 21] = [
        ("general.architecture", "rarefy-test".into()),
        ("general.alignment", 64_u32.into()),
        ("test.u8", 200_u8.into()),
        ("test.i8", (-100_i8).into()),
        ("test.u16", 60_000_u16.into()),
        ("test.i16", (-30_000_i16).into()),
        ("test.u32", 4_000_000_000_u32.into()),
        ("test.i32", (-2_000_000_000_i32).into()),
        ("test.f32", 0.1_f32.into()),
        ("test.true", true.into()),
        ("test.false", false.into()),
        ("test.text", "Größe 大きさ".into()),
        ("test.u64", ((1_u64 << 63) + 5).into()),
        ("test.i64", i64::MIN.into()),
        ("test.f64", 0.1_f64.into()),
        ("test.texts", vec!["<s>", "a", "ü"].into()),
        ("test.numbers", vec![1_i32, -2, 3].into()),
        ("test.floats", vec![0.5_f32, -0.25].into()),
        ("test.truths", vec![true, false].into()),
        ("test.bytes", vec![0_u8, 127, 255].into()),
        ("test.nested", GgufArray::Arrays(nested).into()),
    ];
    let file = file();
    assert_eq!(file.version(), 3);
    let ours = file
        .metadata()
        .iter()
        .map(|(key, value)| (key.as_str(), value));
    let right = right.iter().map(|(key, value)| (*key, value));
    assert!(ours.clone().eq(right), "{:?}", ours.collect::<Vec<_>>());
}
