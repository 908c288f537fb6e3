//! A question that only attention answers: which symbol stands beside the tag that is asked for?

use ndarray::Array2;
use ndarray_rand::rand::Rng;
use ndarray_rand::rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

const TAGS: usize = 7;
pub const CLASSES: usize = 6;
/// The question, and a token for each tag.
pub const TIME: usize = TAGS + 1;
/// One-hot symbol and tag, and whether the token is the question.
pub const INPUTS: usize = CLASSES + TAGS + 1;

/// Sequences as rows, one token after the other.
pub struct Batch {
    pub x: Array2<f32>,
    pub labels: Vec<usize>,
}

impl Batch {
    pub fn random(count: usize, random: &mut ChaCha8Rng) -> Self {
        let mut x = Array2::zeros((count * TIME, INPUTS));
        let mut labels = Vec::with_capacity(count);
        let mut tags: Vec<usize> = (0..TAGS).collect();
        for sequence in 0..count {
            let asked = random.random_range(0..TAGS);
            tags.shuffle(random);
            let question = sequence * TIME;
            x[[question, CLASSES + asked]] = 1.0;
            x[[question, INPUTS - 1]] = 1.0;
            for (place, &tag) in tags.iter().enumerate() {
                let symbol = random.random_range(0..CLASSES);
                let token = question + 1 + place;
                x[[token, symbol]] = 1.0;
                x[[token, CLASSES + tag]] = 1.0;
                if tag == asked {
                    labels.push(symbol);
                }
            }
        }
        Self { x, labels }
    }
}
