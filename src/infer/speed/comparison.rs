//! Which of two layers is faster, from how long both took.

use super::Timing;
use super::timing::{check_time, median};
use crate::error::{Error, Result};
use std::fmt;

/// How many stretches the rounds of a measurement are cut into.
const STRETCHES: usize = 8;
/// A difference below this is noise whatever the spread says: two copies of one layer were up to 3.5 % apart, again and
/// again, from where in memory they lie.
const MARGIN: f64 = 0.05;

/// Whether a compressed layer is faster than its dense twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Verdict {
    /// It is: in every stretch of the measurement, by more than 5 %.
    Faster,
    /// The dense layer is: in every stretch of the measurement, by more than 5 %.
    Slower,
    /// Neither can be said.
    WithinNoise,
}

impl Verdict {
    /// The verdict in a word: `faster`, `slower` or `within noise`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::WithinNoise => "within noise",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What two layers are, apart from how fast: what a [`Speed`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Compared {
    /// Rows of the input.
    pub rows: usize,
    /// Its columns.
    pub inputs: usize,
    /// Columns of the output.
    pub outputs: usize,
    /// Bytes of the compressed layer.
    pub compressed_bytes: usize,
    /// Bytes of the dense one.
    pub dense_bytes: usize,
}

/// How fast a compressed layer is next to its dense twin.
///
/// It comes from [`SpeedTest::measure`](super::SpeedTest::measure), or from a caller's own times by
/// [`of_rounds`](Self::of_rounds).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Speed {
    layers: Compared,
    compressed: Timing,
    dense: Timing,
    ratio: f64,
    least_ratio: f64,
    largest_ratio: f64,
}

impl Speed {
    /// What these rounds say: in each, seconds of a call of the compressed layer, and of the dense one right after.
    ///
    /// Rounds are in the order of the clock. A machine that slows down for a while slows both layers of a round, so
    /// the [`ratio`](Self::ratio) is the median over the rounds of compressed / dense, and not the ratio of the
    /// medians. The rounds are cut into 8 stretches; [`verdict`](Self::verdict) asks for what holds in all of them.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] where there are fewer than 8 rounds, or a time is not positive and finite.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::infer::speed::{Compared, Speed, Verdict};
    ///
    /// let layers = Compared {
    ///     rows: 1,
    ///     inputs: 768,
    ///     outputs: 3072,
    ///     compressed_bytes: 768 * 3072 + 4 * 3072,
    ///     dense_bytes: 4 * 768 * 3072,
    /// };
    /// let rounds = [(2e-6, 4e-6), (3e-6, 6e-6), (2e-6, 4e-6), (2e-6, 4e-6)].repeat(2);
    /// let speed = Speed::of_rounds(layers, &rounds)?;
    /// assert_eq!((speed.ratio(), speed.verdict()), (0.5, Verdict::Faster));
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    pub fn of_rounds(layers: Compared, rounds: &[(f64, f64)]) -> Result<Self> {
        if rounds.len() < STRETCHES {
            #[expect(clippy::cast_precision_loss, reason = "less than 8")]
            return Err(Error::NumberOutOfRange {
                what: "number of rounds",
                must: "at least 8",
                value: rounds.len() as f64,
            });
        }
        for &(compressed, dense) in rounds {
            check_time(compressed)?;
            check_time(dense)?;
        }
        let ratio = |&(compressed, dense): &(f64, f64)| compressed / dense;
        // As long as each other to within one round.
        let stretch = |number| {
            let bound = |number| rounds.len() * number / STRETCHES;
            median(rounds[bound(number)..bound(number + 1)].iter().map(ratio))
        };
        let stretches = || (0..STRETCHES).map(stretch);
        let column = |of: fn(&(f64, f64)) -> f64| rounds.iter().map(of).collect::<Vec<f64>>();
        Ok(Self {
            layers,
            compressed: Timing::of(&column(|round| round.0))?,
            dense: Timing::of(&column(|round| round.1))?,
            ratio: median(rounds.iter().map(ratio)),
            least_ratio: stretches().fold(f64::INFINITY, f64::min),
            largest_ratio: stretches().fold(0.0, f64::max),
        })
    }

    /// Shape and bytes of what was compared.
    pub const fn layers(&self) -> Compared {
        self.layers
    }

    /// How long a call of the compressed layer took.
    pub const fn compressed(&self) -> Timing {
        self.compressed
    }

    /// How long a call of the dense layer took.
    pub const fn dense(&self) -> Timing {
        self.dense
    }

    /// Time of the compressed layer over that of the dense one: below 1 it is faster. The median over all rounds.
    pub const fn ratio(&self) -> f64 {
        self.ratio
    }

    /// The spread of the ratio: the least and the largest of the medians of 8 stretches of the measurement.
    pub const fn ratio_range(&self) -> (f64, f64) {
        (self.least_ratio, self.largest_ratio)
    }

    /// Whether the compressed layer is faster.
    ///
    /// | verdict | ratio in all 8 stretches |
    /// |---|---|
    /// | [`Faster`](Verdict::Faster) | below 0.95 |
    /// | [`Slower`](Verdict::Slower) | above 1 / 0.95 |
    /// | [`WithinNoise`](Verdict::WithinNoise) | anything else |
    pub const fn verdict(&self) -> Verdict {
        if self.largest_ratio < 1.0 - MARGIN {
            Verdict::Faster
        } else if self.least_ratio * (1.0 - MARGIN) > 1.0 {
            Verdict::Slower
        } else {
            Verdict::WithinNoise
        }
    }

    /// Whether it pays: the verdict is [`Faster`](Verdict::Faster). What it saves in bytes is another question, which
    /// [`layers`](Self::layers) answers.
    pub const fn pays(&self) -> bool {
        matches!(self.verdict(), Verdict::Faster)
    }
}

impl fmt::Display for Speed {
    /// A line: the verdict, the ratio with its spread, both times, bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Compared {
            rows,
            inputs,
            outputs,
            compressed_bytes,
            dense_bytes,
        } = self.layers;
        write!(
            f,
            "{rows} × {inputs} → {outputs}: {}, {:.3} of the dense time ({:.3} to {:.3}): {} against {}; \
             {compressed_bytes} bytes against {dense_bytes}",
            self.verdict(),
            self.ratio,
            self.least_ratio,
            self.largest_ratio,
            self.compressed,
            self.dense,
        )
    }
}
