//! How fast networks speak, and whether their layers compute what the stored weights say.

use crate::judge::Judge;
use crate::layers::Layers;
use crate::speech;
use crate::stored::{Stored, Tensor};
use crate::text::{Corpus, Split};
use rarefy::infer::speed::SpeedTest;
use rarefy::report::{Drift, Report};
use rarefy::{Error, Result};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Characters a second of each network, one at a time as they are written: the median of many lines. All networks take
/// turns, so that a machine that slows down slows all of them.
pub fn tokens_per_second(
    networks: &mut [Layers],
    corpus: &Corpus,
    split: Split,
) -> Result<Vec<f64>> {
    let turns = if split == Split::Quick { 5 } else { 201 };
    let mut paces = vec![Vec::with_capacity(turns); networks.len()];
    for turn in 0..turns as u64 {
        for (network, paces) in networks.iter_mut().zip(&mut paces) {
            let start = Instant::now();
            black_box(speech::codes(network, corpus, turn)?);
            paces.push(speech::LENGTH as f64 / start.elapsed().as_secs_f64());
        }
    }
    let median = |mut paces: Vec<f64>| {
        paces.sort_by(f64::total_cmp);
        paces[turns / 2]
    };
    Ok(paces.into_iter().map(median).collect())
}

/// How close the logits of layers must be to those of the restored weights: the root of the mean squared difference,
/// over that of the logits. Layers of floats differ by the order of their sums. Layers of codes also round what goes
/// into them, to 8 bits a row, which two layers do one after the other.
fn bound(stored: &Stored) -> f64 {
    let codes = |(_, tensor): &(_, Tensor)| matches!(tensor, Tensor::Quantized(_));
    if stored.tensors.iter().any(codes) {
        0.02
    } else {
        1e-5
    }
}

/// What a network gives by its layers, next to what its restored weights give.
pub struct Closeness {
    /// See [`bound`].
    pub error: f64,
    pub bound: f64,
    /// How often the most likely next character is the same.
    pub agreement: f64,
    /// Of the layers.
    pub perplexity: f64,
}

/// Compares over the test part, and fails where the two are further apart than [`bound`] says.
pub fn check(judge: &Judge, stored: &Stored, layers: &mut Layers) -> Result<Closeness> {
    let restored = judge.logits(&stored.restore());
    let logits = layers.logits(judge.contexts())?.to_owned();
    let squares = |numbers: &mut dyn Iterator<Item = f32>| -> f64 {
        numbers.map(|number| f64::from(number).powi(2)).sum()
    };
    let differences = &mut logits.iter().zip(&restored).map(|(a, b)| a - b);
    let closeness = Closeness {
        error: (squares(differences) / squares(&mut restored.iter().copied())).sqrt(),
        bound: bound(stored),
        agreement: Drift::between(&restored, &logits)?.top1_agreement,
        perplexity: judge.perplexity(logits)?,
    };
    if closeness.error <= closeness.bound {
        return Ok(closeness);
    }
    let Closeness { error, bound, .. } = closeness;
    Err(Error::external(format!(
        "logits of the layers are off by {error:.2e} of their size, at most {bound:.0e} is right"
    )))
}

/// Each layer next to the same weights as floats, for one row and for a batch.
pub fn speeds(stored: &Stored, layers: &Layers, split: Split) -> Result<Report> {
    let budget = Duration::from_millis(if split == Split::Quick { 2 } else { 100 });
    let dense = Layers::new(&Stored::dense(&stored.restore())?)?;
    let mut report = Report::new();
    for rows in [1, 128] {
        let test = SpeedTest::new().rows(rows).budget(budget);
        for ((name, layer), (_, dense)) in layers.named().into_iter().zip(dense.named()) {
            report.add_speed(name, test.measure(layer, dense)?);
        }
    }
    Ok(report)
}
