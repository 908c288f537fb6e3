//! Candle's reader opens GGUF files that rarefy wrote, and the other way round: keys, shapes and values must be equal,
//! values to the bit but for the sign of zeros. Cargo.toml has the command.

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use ndarray::{ArrayD, IxDyn};
use rarefy::formats::{GgufFile, GgufTensorInfo, GgufType, GgufValue, GgufWriter};
use rarefy::quantize::BlockFormat;
use rarefy::tensors::DType;
use std::error::Error;
use std::fs::File;
use std::path::Path;

/// What candle decodes.
const FORMATS: [(BlockFormat, GgmlDType); 10] = [
    (BlockFormat::Q8_0, GgmlDType::Q8_0),
    (BlockFormat::Q4_0, GgmlDType::Q4_0),
    (BlockFormat::Q4_1, GgmlDType::Q4_1),
    (BlockFormat::Q5_0, GgmlDType::Q5_0),
    (BlockFormat::Q5_1, GgmlDType::Q5_1),
    (BlockFormat::Q2K, GgmlDType::Q2K),
    (BlockFormat::Q3K, GgmlDType::Q3K),
    (BlockFormat::Q4K, GgmlDType::Q4K),
    (BlockFormat::Q5K, GgmlDType::Q5K),
    (BlockFormat::Q6K, GgmlDType::Q6K),
];
const PLAIN: [DType; 3] = [DType::F32, DType::F16, DType::Bf16];
const SHAPE: [usize; 3] = [3, 5, 512];

/// Weights of many sizes and signs, among them blocks of zeros.
fn weights() -> ArrayD<f32> {
    let mut state = 3_u64;
    let mut values = ArrayD::from_shape_simple_fn(IxDyn(&SHAPE), || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    });
    for (place, value) in values.iter_mut().enumerate() {
        *value *= [1.0, 0.01, 30.0, 0.0][place / 256 % 4];
    }
    values
}

fn compare(name: &str, ours: &ArrayD<f32>, theirs: &Tensor) -> Result<usize, Box<dyn Error>> {
    assert_eq!(theirs.dims(), ours.shape(), "{name}");
    let theirs = theirs.flatten_all()?.to_vec1::<f32>()?;
    assert_eq!(theirs.len(), ours.len(), "{name}");
    for (place, (&ours, &theirs)) in ours.iter().zip(&theirs).enumerate() {
        let same = ours.to_bits() == theirs.to_bits() || (ours == 0.0 && theirs == 0.0);
        assert!(same, "{name}, value {place}: {ours:e}, candle {theirs:e}");
    }
    Ok(theirs.len())
}

/// Candle reads what rarefy wrote.
fn there(path: &Path) -> Result<(), Box<dyn Error>> {
    let metadata: Vec<(String, GgufValue)> = vec![
        ("general.architecture".to_owned(), "llama".into()),
        ("general.alignment".to_owned(), 64_u32.into()),
        ("llama.block_count".to_owned(), 2_u32.into()),
        ("llama.rope.freq_base".to_owned(), 1e4_f32.into()),
        (
            "tokenizer.ggml.tokens".to_owned(),
            vec!["<s>", "ü", ""].into(),
        ),
        (
            "tokenizer.ggml.scores".to_owned(),
            vec![0.5_f32, -1.0, 0.0].into(),
        ),
        ("tokenizer.ggml.add_bos_token".to_owned(), true.into()),
    ];
    let blocks = FORMATS
        .iter()
        .map(|&(format, _)| (format!("blk.{format:?}"), format.into()));
    let plain = PLAIN
        .iter()
        .map(|&dtype| (format!("plain.{dtype}"), dtype.into()));
    let kinds: Vec<(String, GgufType)> = blocks.chain(plain).collect();
    let infos = kinds
        .iter()
        .map(|(name, kind)| GgufTensorInfo::new(name, *kind, SHAPE));
    let mut writer = GgufWriter::create(path, metadata.clone(), infos.collect())?;
    for (name, _) in kinds.iter().rev() {
        writer.write_floats(name, &weights())?;
    }
    writer.finish()?;

    let ours = GgufFile::open(path)?;
    let mut file = File::open(path)?;
    let content = Content::read(&mut file)?;
    assert_eq!(content.tensor_infos.len(), kinds.len());
    assert_eq!(content.metadata.len(), metadata.len() + 1);
    assert_eq!(content.metadata["llama.block_count"].to_u32()?, 2);
    assert_eq!(
        content.metadata["general.quantization_version"].to_u32()?,
        2
    );
    assert_eq!(content.metadata["llama.rope.freq_base"].to_f32()?, 1e4);
    assert!(content.metadata["tokenizer.ggml.add_bos_token"].to_bool()?);
    let tokens = content.metadata["tokenizer.ggml.tokens"].to_vec()?;
    let tokens: Vec<&str> = tokens
        .iter()
        .map(|token| token.to_string().map(String::as_str))
        .collect::<Result<_, _>>()?;
    assert_eq!(tokens, ["<s>", "ü", ""]);
    for (name, kind) in &kinds {
        let tensor = content.tensor(&mut file, name, &Device::Cpu)?;
        let values = tensor.dequantize(&Device::Cpu)?;
        let count = compare(name, &ours.floats(name)?, &values)?;
        println!("rarefy -> candle: {kind}, {count} values equal");
    }
    Ok(())
}

/// Rarefy reads what candle wrote.
fn back(path: &Path) -> Result<(), Box<dyn Error>> {
    let weights = weights();
    let values = Tensor::from_vec(weights.iter().copied().collect(), &SHAPE, &Device::Cpu)?;
    let mut tensors = Vec::new();
    for (format, dtype) in FORMATS {
        tensors.push((
            format!("blk.{format:?}"),
            QTensor::quantize(&values, dtype)?,
        ));
    }
    let architecture = Value::String("candle".to_owned());
    let counted = Value::Array(vec![Value::U32(1), Value::U32(2)]);
    let named: Vec<(&str, &QTensor)> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let metadata = [
        ("general.architecture", &architecture),
        ("counted", &counted),
    ];
    gguf_file::write(&mut File::create(path)?, &metadata, &named)?;

    let file = GgufFile::open(path)?;
    assert_eq!(file.value("general.architecture"), Some(&"candle".into()));
    assert_eq!(file.value("counted"), Some(&vec![1_u32, 2].into()));
    for (name, tensor) in &tensors {
        let count = compare(name, &file.floats(name)?, &tensor.dequantize(&Device::Cpu)?)?;
        println!(
            "candle -> rarefy (version {}): {name}, {count} values equal",
            file.version()
        );
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("candle_gguf-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome =
        there(&folder.join("rarefy.gguf")).and_then(|()| back(&folder.join("candle.gguf")));
    std::fs::remove_dir_all(&folder)?;
    outcome
}
