//! How long a sentence takes.

use crate::Result;
use crate::model::{Model, Room};
use crate::tokens::Batch;
use std::time::{Duration, Instant};

/// Time of a sentence, alone in its forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub model: Duration,
    /// What it is compared with, in the same minute.
    pub floats: Duration,
}

impl Pace {
    /// How much of the time of floats it takes.
    pub fn share(&self) -> f64 {
        self.model.as_secs_f64() / self.floats.as_secs_f64()
    }

    /// The mean over sentences of the least time that each took in so many rounds. The two models take turns, so that
    /// other work on the machine meets both.
    pub fn by_turns(
        model: &Model,
        floats: &Model,
        sentences: &[Batch],
        rounds: usize,
        room: &mut Room,
    ) -> Result<Self> {
        let (mut least, count) = ([Duration::ZERO; 2], u32::try_from(sentences.len())?);
        for sentence in sentences {
            let mut own = [Duration::MAX; 2];
            for _ in 0..rounds {
                for (least, model) in own.iter_mut().zip([model, floats]) {
                    let start = Instant::now();
                    model.embed(sentence, room)?;
                    *least = start.elapsed().min(*least);
                }
            }
            least
                .iter_mut()
                .zip(own)
                .for_each(|(least, own)| *least += own);
        }
        let [model, floats] = least.map(|least| least / count.max(1));
        Ok(Self { model, floats })
    }
}
