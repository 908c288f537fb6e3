//! Sentences as numbers of words and pieces of words.

use crate::Result;
use std::ops::Range;
use std::path::Path;
use tokenizers::{Tokenizer, TruncationParams};

/// The tokens of some sentences, one behind the other.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub tokens: Vec<usize>,
    /// Which of them are whose.
    pub sentences: Vec<Range<usize>>,
}

impl Batch {
    /// Some token lists as one.
    pub fn of<'a>(sentences: impl IntoIterator<Item = &'a Vec<usize>>) -> Self {
        let mut batch = Self::default();
        for sentence in sentences {
            let start = batch.tokens.len();
            batch.tokens.extend(sentence);
            batch.sentences.push(start..batch.tokens.len());
        }
        batch
    }
}

/// The tokens of each sentence, by `tokenizer.json` of a folder, with those that mark the ends.
pub fn tokenize(folder: &Path, sentences: &[&str]) -> Result<Vec<Vec<usize>>> {
    /// What the network was trained with; no sentence of ours is as long.
    const LONGEST: usize = 256;
    let path = folder.join("tokenizer.json");
    let mut tokenizer =
        Tokenizer::from_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    // The file fills all sentences up to 128 tokens.
    let cut = TruncationParams {
        max_length: LONGEST,
        ..TruncationParams::default()
    };
    tokenizer.with_padding(None).with_truncation(Some(cut))?;
    let one = |sentence: &&str| -> Result<Vec<usize>> {
        let encoding = tokenizer.encode(*sentence, true)?;
        let tokens = encoding
            .get_ids()
            .iter()
            .map(|&token| usize::try_from(token));
        Ok(tokens.collect::<std::result::Result<_, _>>()?)
    };
    sentences.iter().map(one).collect()
}
