//! Files of ours, read by the libraries of their formats: run where `RAREFY_PYTHON` names a Python that has safetensors and
//! NumPy, as in `.ci/python-readers.sh`.

#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "small numbers of the tests' own"
)]

use crate::folder::Folder;
use ndarray::{ArrayD, IxDyn};
use rarefy::formats::{NpzWriter, SafetensorsWriter, write_npy_tensor};
use rarefy::tensors::{DType, StoredTensor, TensorInfo};
use std::collections::BTreeMap;
use std::process::Command;

/// The arrays of the script, with their names.
fn arrays() -> Vec<(String, StoredTensor)> {
    let types = "bool uint8 int8 uint16 int16 float16 uint32 int32 float32 uint64 int64 float64";
    let shapes: [&[usize]; 7] = [&[5, 3], &[7], &[2, 3, 4], &[1], &[], &[0, 4], &[3, 1]];
    let array = |(number, name): (usize, &str)| {
        let shape = shapes[number % 7];
        let offset = if name.starts_with('u') { 0 } else { 8 };
        let values =
            (0..shape.iter().product()).map(|i: usize| ((3 * i + number) % 17) as i64 - offset);
        let values = ArrayD::from_shape_vec(IxDyn(shape), values.collect()).unwrap();
        let floats = values.mapv(|x| x as f64);
        let tensor = match name {
            "bool" => StoredTensor::of(&values.mapv(|x| x.rem_euclid(2) == 1)),
            "uint8" => StoredTensor::of(&values.mapv(|x| x as u8)),
            "int8" => StoredTensor::of(&values.mapv(|x| x as i8)),
            "uint16" => StoredTensor::of(&values.mapv(|x| x as u16)),
            "int16" => StoredTensor::of(&values.mapv(|x| x as i16)),
            "float16" => StoredTensor::of_floats(&floats, DType::F16).unwrap(),
            "uint32" => StoredTensor::of(&values.mapv(|x| x as u32)),
            "int32" => StoredTensor::of(&values.mapv(|x| x as i32)),
            "float32" => StoredTensor::of_floats(&floats, DType::F32).unwrap(),
            "uint64" => StoredTensor::of(&values.mapv(|x| x as u64)),
            "int64" => StoredTensor::of(&values),
            _ => StoredTensor::of(&floats),
        };
        (format!("{number}.{name}"), tensor)
    };
    types.split(' ').enumerate().map(array).collect()
}

#[test]
fn python_reads_our_safetensors_and_arrays() {
    let Some(python) = std::env::var_os("RAREFY_PYTHON") else {
        println!("not run: RAREFY_PYTHON names no Python that has safetensors and NumPy");
        return;
    };
    let folder = Folder::made("python-readers");
    let arrays = arrays();
    let infos = arrays
        .iter()
        .map(|(name, tensor)| TensorInfo::new(name, tensor.dtype(), tensor.shape()));
    let texts = BTreeMap::from([("who".to_owned(), "rarefy ü".to_owned())]);
    let path = folder.0.join("model.safetensors");
    let mut model = SafetensorsWriter::create(path, infos.collect(), texts).unwrap();
    let mut stored = NpzWriter::create(folder.0.join("stored.npz")).unwrap();
    let mut compressed = NpzWriter::create(folder.0.join("compressed.npz"))
        .unwrap()
        .compressed();
    for (name, tensor) in &arrays {
        model.write(name, tensor).unwrap();
        stored.write_tensor(name, tensor).unwrap();
        compressed.write_tensor(name, tensor).unwrap();
        write_npy_tensor(folder.0.join(format!("{name}.npy")), tensor).unwrap();
    }
    model.finish().unwrap();
    stored.finish().unwrap();
    compressed.finish().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/read_ours.py");
    let output = Command::new(python)
        .arg(script)
        .arg(&folder.0)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    println!("{}", String::from_utf8_lossy(&output.stdout).trim());
}
