//! The text: Cicero, De finibus I, as the crate `lipsum` carries it.

use std::collections::BTreeSet;
use std::ops::Range;

/// How many characters a network sees before the one it predicts.
pub const CONTEXT: usize = 10;

/// A text as numbers, in two parts: the first to learn from, the last to be judged by.
pub struct Corpus {
    alphabet: Vec<char>,
    codes: Vec<u8>,
    train: usize,
}

/// Which characters of the text are for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The first nine tenths to learn from, the last tenth to be judged by.
    Test,
    /// The last tenth is left alone, and what comes before it is split in the same way. This is how
    /// the settings were chosen, so that the test part stays unseen.
    Validation,
    /// Little of everything, to see that the program runs.
    Quick,
}

impl Corpus {
    /// The text in lower case.
    pub fn new(split: Split) -> Self {
        let text = lipsum::LIBER_PRIMUS.to_lowercase();
        let alphabet: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
        let code = |c| alphabet.iter().position(|&other| other == c).unwrap_or(0) as u8;
        let mut codes: Vec<u8> = text.chars().map(code).collect();
        match split {
            Split::Test => {}
            Split::Validation => codes.truncate(codes.len() * 9 / 10),
            Split::Quick => codes.truncate(codes.len() / 10),
        }
        let train = codes.len() * 9 / 10;
        Self {
            alphabet,
            codes,
            train,
        }
    }

    /// How many different characters there are.
    pub fn classes(&self) -> usize {
        self.alphabet.len()
    }

    /// How many characters there are.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Where the characters to learn from stand.
    pub fn training_places(&self) -> Range<usize> {
        CONTEXT..self.train
    }

    /// Where the characters to be judged by stand.
    pub fn test_places(&self) -> Range<usize> {
        self.train + CONTEXT..self.codes.len()
    }

    /// The characters before `place`.
    pub fn context(&self, place: usize) -> &[u8] {
        &self.codes[place - CONTEXT..place]
    }

    /// The character at `place`.
    pub fn label(&self, place: usize) -> usize {
        self.codes[place].into()
    }

    /// The text that these numbers stand for.
    pub fn decode(&self, codes: &[u8]) -> String {
        codes
            .iter()
            .map(|&code| self.alphabet[usize::from(code)])
            .collect()
    }
}
