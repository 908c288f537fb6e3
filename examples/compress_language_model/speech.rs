//! Lets a network speak, a character at a time.

use crate::layers::Layers;
use crate::random;
use crate::text::{CONTEXT, Corpus};
use ndarray::ArrayView1;
use ndarray_rand::rand::Rng;
use rarefy::Result;

/// Below 1, likely characters become likelier.
const TEMPERATURE: f32 = 0.7;
/// Characters of a line.
pub const LENGTH: usize = 72;

/// A line as the network goes on from the characters before the test part. With the same seed, two
/// networks draw by the same random numbers.
pub fn line(network: &mut Layers, corpus: &Corpus, seed: u64) -> Result<String> {
    let codes = codes(network, corpus, seed)?;
    Ok(corpus.decode(&codes).replace('\n', " "))
}

/// The same in codes: the characters before it, and [`LENGTH`] new ones.
pub fn codes(network: &mut Layers, corpus: &Corpus, seed: u64) -> Result<Vec<u8>> {
    let mut numbers = random::numbers(seed, random::SPEECH);
    let mut codes = corpus.context(corpus.test_places().start).to_vec();
    for _ in 0..LENGTH {
        if let Some(window) = codes.last_chunk::<CONTEXT>() {
            let next = draw(network.next(window)?, numbers.random());
            codes.push(next);
        }
    }
    Ok(codes)
}

/// The character whose share of the probabilities holds the number `at` in 0..1.
fn draw(logits: ArrayView1<'_, f32>, at: f32) -> u8 {
    let largest = logits.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let odds = logits.mapv(|logit| ((logit - largest) / TEMPERATURE).exp());
    let mut left = at * odds.sum();
    let last = odds.len() - 1;
    let drawn = odds.iter().position(|share| {
        left -= share;
        left < 0.0
    });
    drawn.unwrap_or(last) as u8
}
