//! Lets a network speak.

use crate::network::Parameters;
use crate::random;
use crate::text::Corpus;
use ndarray::{ArrayView1, ArrayView2};
use ndarray_rand::rand::Rng;

/// Below 1, likely characters become likelier.
const TEMPERATURE: f32 = 0.7;
const LENGTH: usize = 72;

/// A line as the network goes on from the characters before the test part. With the same seed, two
/// networks draw by the same random numbers.
pub fn line(network: &Parameters, corpus: &Corpus, seed: u64) -> String {
    let mut numbers = random::numbers(seed, random::SPEECH);
    let mut codes = corpus.context(corpus.test_places().start).to_vec();
    let context = codes.len();
    for _ in 0..LENGTH {
        let window = &codes[codes.len() - context..];
        let logits = match ArrayView2::from_shape((1, context), window) {
            Ok(window) => network.logits(window),
            Err(_) => break,
        };
        codes.push(draw(logits.row(0), numbers.random()));
    }
    corpus.decode(&codes).replace('\n', " ")
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
