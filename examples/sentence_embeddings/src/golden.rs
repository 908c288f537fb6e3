//! The forward pass next to that of transformers: `reference.py` made `golden.json`.

use crate::Result;
use crate::compress::floats;
use crate::config::Config;
use crate::model::{Frame, Model, Room, trained};
use crate::sentences;
use crate::tokens::{Batch, tokenize};
use crate::weights::Weights;
use crate::work::embed;
use ndarray::Array2;
use serde_json::Value;
use std::path::PathBuf;

/// Where the model is, if the environment says so.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("RAREFY_MINILM").map(PathBuf::from);
    if folder.is_none() {
        println!("not run: RAREFY_MINILM names no folder with the model");
    }
    folder
}

fn model(folder: &std::path::Path) -> Result<Model> {
    let (config, weights) = (Config::read(folder)?, Weights::read(folder)?);
    let made = floats()(&trained(&config, &weights)?)?;
    let layers = made.into_iter().map(|made| made.layer).collect();
    Model::new(Frame::read(&config, &weights)?, layers)
}

#[test]
fn embeddings_are_those_of_transformers() -> Result<()> {
    let Some(folder) = folder() else {
        return Ok(());
    };
    let golden: Value = serde_json::from_str(include_str!("../golden.json"))?;
    let all = sentences::all();
    let (mut chosen, mut tokens, mut right) = (Vec::new(), Vec::new(), Vec::new());
    for case in golden["cases"].as_array().ok_or("no cases")? {
        let place: usize = serde_json::from_value(case["sentence"].clone())?;
        chosen.push(all[place]);
        tokens.push(serde_json::from_value::<Vec<usize>>(
            case["tokens"].clone(),
        )?);
        right.extend(serde_json::from_value::<Vec<f32>>(
            case["embedding"].clone(),
        )?);
    }
    assert_eq!(tokenize(&folder, &chosen)?, tokens, "tokens");

    let right = Array2::from_shape_vec((chosen.len(), 384), right)?;
    let model = model(&folder)?;
    let embeddings = embed(&model, &[Batch::of(&tokens)], &mut Room::default())?;
    let off = (&embeddings - &right).fold(0.0, |most: f32, off| most.max(off.abs()));
    println!("largest difference: {off:e}");
    assert!(off < 5e-7, "off by {off:e}");
    Ok(())
}

#[test]
fn a_sentence_alone_is_what_it_is_among_others() -> Result<()> {
    let Some(folder) = folder() else {
        return Ok(());
    };
    let tokens = tokenize(&folder, &sentences::few())?;
    let (model, mut room) = (model(&folder)?, Room::default());
    let together = embed(&model, &[Batch::of(&tokens)], &mut room)?;
    for (sentence, right) in tokens.iter().zip(together.rows()) {
        let alone = embed(&model, &[Batch::of([sentence])], &mut room)?;
        assert_eq!(alone.row(0), right, "to the bit");
    }
    Ok(())
}
