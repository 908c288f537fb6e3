//! Compresses, embeds, measures.

use crate::Result;
use crate::compress::{self, Make};
use crate::config::Config;
use crate::measures::Kept;
use crate::model::{Frame, Model, Room, Trained, trained};
use crate::options::Options;
use crate::pace::Pace;
use crate::sentences;
use crate::table::Line;
use crate::tokens::{Batch, tokenize};
use crate::variants::{self, Variant};
use crate::weights::Weights;
use ndarray::{Array2, Axis, concatenate};
use std::path::Path;

/// What came out.
#[derive(Debug)]
pub struct Results {
    pub lines: Vec<Line>,
    /// Bounds that were not kept, in words.
    pub missed: Vec<String>,
    pub sentences: usize,
}

/// Compares what the options ask for with the floats of their folder.
pub fn compare(options: &Options) -> Result<Results> {
    let mut bench = Bench::new(options)?;
    let mut results = Results {
        lines: vec![bench.line_of_floats()?],
        missed: Vec::new(),
        sentences: bench.right.nrows(),
    };
    if let Some(folder) = &options.compressed {
        results.lines.push(bench.line_of_folder(folder)?);
        return Ok(results);
    }
    for variant in variants::all() {
        let line = bench.line_of(&variant)?;
        if let Some(bounds) = variant.bounds {
            let name = format!("{}, {} activations", line.name, line.activations);
            results.missed.extend(bounds.failures(&name, &line.kept));
        }
        results.lines.push(line);
    }
    Ok(results)
}

/// What all variants are measured with.
struct Bench {
    config: Config,
    frame: Frame,
    layers: Vec<Trained>,
    floats: Model,
    float_bytes: usize,
    /// What the floats give.
    right: Array2<f32>,
    /// All sentences, some at a time.
    batches: Vec<Batch>,
    /// Some of them one at a time, for the clock.
    alone: Vec<Batch>,
    rounds: usize,
    room: Room,
}

impl Bench {
    fn new(options: &Options) -> Result<Self> {
        /// Sentences of a forward pass.
        const TOGETHER: usize = 16;
        let (sentences, every, rounds) = match options.quick {
            true => (sentences::few(), 8, 1),
            false => (sentences::all(), 16, 9),
        };
        let tokens = tokenize(&options.folder, &sentences)?;
        // The number of a sentence within its theme goes through all four.
        let some = (0..)
            .step_by(every + 1)
            .map_while(|place| tokens.get(place));
        let alone = some.map(|tokens| Batch::of([tokens])).collect();
        let batches: Vec<_> = tokens.chunks(TOGETHER).map(Batch::of).collect();

        let config = Config::read(&options.folder)?;
        let weights = Weights::read(&options.folder)?;
        let (frame, layers) = (Frame::read(&config, &weights)?, trained(&config, &weights)?);
        let (floats, float_bytes) = assemble(&frame, &layers, &compress::floats())?;
        let mut room = Room::default();
        let right = embed(&floats, &batches, &mut room)?;
        Ok(Self {
            config,
            frame,
            layers,
            floats,
            float_bytes,
            right,
            batches,
            alone,
            rounds,
            room,
        })
    }

    /// The floats against themselves: what the clock says of two that are the same.
    fn line_of_floats(&mut self) -> Result<Line> {
        let again = embed(&self.floats, &self.batches, &mut self.room)?;
        Ok(Line {
            name: "as trained".into(),
            activations: "f32",
            tables: "f32",
            bytes: [self.float_bytes, self.frame.tables.bytes()],
            kept: Kept::between(&self.right, &again),
            pace: Some(self.pace_of(None)?),
        })
    }

    fn line_of(&mut self, variant: &Variant) -> Result<Line> {
        let (frame, tables) = match variant.small_tables {
            true => (self.frame.with_small_tables()?, "int8"),
            false => (self.frame.clone(), "f32"),
        };
        let (model, bytes) = assemble(&frame, &self.layers, &variant.make)?;
        let embeddings = embed(&model, &self.batches, &mut self.room)?;
        Ok(Line {
            name: variant.name.into(),
            activations: variant.activations,
            tables,
            bytes: [bytes, frame.tables.bytes()],
            kept: Kept::between(&self.right, &embeddings),
            pace: match variant.timed {
                true => Some(self.pace_of(Some(&model))?),
                false => None,
            },
        })
    }

    /// A checkpoint that was compressed before, decoded to floats.
    fn line_of_folder(&mut self, folder: &Path) -> Result<Line> {
        let weights = Weights::read(folder)?;
        let frame = Frame::read(&self.config, &weights)?;
        let layers = trained(&self.config, &weights)?;
        let (model, bytes) = assemble(&frame, &layers, &compress::floats())?;
        let embeddings = embed(&model, &self.batches, &mut self.room)?;
        Ok(Line {
            name: folder.display().to_string(),
            activations: "f32",
            tables: "f32",
            bytes: [bytes, frame.tables.bytes()],
            kept: Kept::between(&self.right, &embeddings),
            pace: None,
        })
    }

    /// Of a model, or of the floats, next to the floats.
    fn pace_of(&mut self, model: Option<&Model>) -> Result<Pace> {
        let model = model.unwrap_or(&self.floats);
        Pace::by_turns(
            model,
            &self.floats,
            &self.alone,
            self.rounds,
            &mut self.room,
        )
    }
}

/// A model of compressed layers, and the bytes of their weights.
fn assemble(frame: &Frame, layers: &[Trained], make: &Make) -> Result<(Model, usize)> {
    let made = make(layers)?;
    let bytes = made.iter().map(|made| made.bytes).sum();
    let layers = made.into_iter().map(|made| made.layer).collect();
    Ok((Model::new(frame.clone(), layers)?, bytes))
}

/// The embeddings of all sentences, one below the other.
pub fn embed(model: &Model, batches: &[Batch], room: &mut Room) -> Result<Array2<f32>> {
    let parts: Result<Vec<_>> = batches
        .iter()
        .map(|batch| model.embed(batch, room))
        .collect();
    let parts = parts?;
    let parts: Vec<_> = parts.iter().map(|part| part.view()).collect();
    Ok(concatenate(Axis(0), &parts)?)
}
