//! Random numbers: one seed for a run, a stream of its own for each use.

use ndarray_rand::rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub const TEACHER: u64 = 0;
pub const STUDENT: u64 = 1;
pub const BATCHES: u64 = 2;
pub const DROPOUT: u64 = 3;
pub const SPEECH: u64 = 4;

/// The numbers of one stream. ChaCha's are documented to stay the same on every machine.
pub fn numbers(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut numbers = ChaCha8Rng::seed_from_u64(seed);
    numbers.set_stream(stream);
    numbers
}
