//! A small model of our own, compressed by each recipe of docs/recipes.

use ndarray::Array;
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::Normal;
use rand_chacha::ChaCha8Rng;
use rarefy::recipe::{Job, Recipe};
use rarefy::tensors::{DType, StoredTensor, TensorMap};
use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let model = model()?;
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes");
    let mut files: Vec<_> = fs::read_dir(recipes)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let folder = std::env::temp_dir().join(format!("rarefy-compress-{}", std::process::id()));
    for file in files {
        let recipe: Recipe = serde_json::from_slice(&fs::read(&file)?)?;
        let done = Job::new(&model, &recipe)?.run(&folder, |_| ControlFlow::Continue(()));
        // An error before there was a folder is the one to tell of.
        let _ = fs::remove_dir_all(&folder);
        println!("{}", file.file_name().unwrap_or_default().to_string_lossy());
        super::tell(&done?, &recipe);
        println!();
    }
    Ok(())
}

/// A layer of a transformer, with names like BERT's.
fn model() -> Result<TensorMap, Box<dyn Error>> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let normal = Normal::new(0.0_f32, 0.05)?;
    let mut model = TensorMap::default();
    for (name, shape) in [
        ("embeddings.word_embeddings.weight", vec![500, 256]),
        (
            "encoder.layer.0.attention.self.query.weight",
            vec![256, 256],
        ),
        ("encoder.layer.0.attention.self.query.bias", vec![256]),
        ("encoder.layer.0.intermediate.dense.weight", vec![512, 256]),
        ("encoder.layer.0.output.dense.weight", vec![256, 512]),
        ("encoder.layer.0.output.LayerNorm.weight", vec![256]),
    ] {
        let weights = Array::random_using(shape, normal, &mut random);
        model.insert(name, StoredTensor::of_floats(&weights, DType::F32)?)?;
    }
    Ok(model)
}
