//! The measurement itself.

use super::break_even::check_sparsities;
use super::clock::Clock;
use super::{BreakEven, Compared, Speed};
use crate::error::{Error, Result};
use crate::infer::{Layer, Scratch};
use crate::kernels::stream;
use crate::shape;
use ndarray::Array2;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Duration;

/// Rounds at least, whatever the budget: one for each stretch of a [`Speed`].
const LEAST_ROUNDS: usize = 8;
/// Rounds at most: more would only take memory.
const MOST_ROUNDS: usize = 10_000;
/// Calls after which a clock that has not moved is taken to stand still.
const STANDSTILL: u32 = 1 << 16;
/// Calls of one sample at most.
const MOST_CALLS: u32 = 1 << 30;

/// Measures a compressed layer next to its dense twin, on this machine and in the caller's rayon pool.
///
/// Both compute the same input, random numbers in −1..1. First each warms up, with samples of one call, two, four, and so on,
/// until a sample of so many calls lasts long enough for the clock. Then they take turns, a sample of the compressed
/// layer and a sample of the dense one, so that a machine that slows down slows both; until the budget is spent, and
/// for 8 rounds at least. Before each sample there is a call that does not count: the other layer may have run on one
/// thread, and the other threads have fallen asleep. (A layer of 180 µs took 340 µs after one of a millisecond.)
///
/// | setting | | unless told |
/// |---|---|---|
/// | [`rows`](Self::rows) | rows of the input: 1 is a token, a batch has more | 1 |
/// | [`budget`](Self::budget) | how long one comparison may take, warm-up included | 0.2 s |
/// | [`sample`](Self::sample) | how long one sample lasts at least | 20 µs |
/// | [`seed`](Self::seed) | of the input's numbers | 0 |
/// | [`clock`](Self::clock) | what tells the time | the system's |
///
/// A layer that takes less than a sample lasts is called several times in a row, and finds its weights in the caches
/// where they fit; in a large network it would not. What other programs do at the same time is noise that the verdict
/// takes into account and cannot remove. Compile with optimisations.
///
/// # Examples
///
/// Which sparsity is needed for a compressed form to pay, for a layer of one's own:
///
/// ```
/// use ndarray::Array2;
/// use rarefy::infer::speed::{FnLayer, SpeedTest};
/// use rarefy::infer::{DenseLinear, Layer};
/// use std::time::Duration;
///
/// let weights = Array2::from_shape_fn((64, 32), |(i, j)| ((i * 7 + j * 3) % 11) as f32 - 5.0);
/// let dense = DenseLinear::new(&weights, None)?;
/// // In earnest: prune the weights and build a sparse layer of them.
/// let build = |sparsity: f64| -> rarefy::Result<Box<dyn Layer>> {
///     let kept = weights.mapv(|w| if w.abs() < 5.0 * sparsity as f32 { 0.0 } else { w });
///     Ok(Box::new(DenseLinear::new(&kept, None)?))
/// };
///
/// let test = SpeedTest::new().rows(4).budget(Duration::from_millis(5));
/// let curve = test.break_even(&[0.5, 0.9], &dense, build)?;
/// assert_eq!(curve.points().len(), 2);
/// println!("{curve}"); // ends with: pays from sparsity ... on
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpeedTest {
    rows: usize,
    budget: Duration,
    sample: Duration,
    seed: u64,
    clock: Option<Clock>,
}

/// How far a measurement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpeedProgress {
    /// How many comparisons are done; of [`SpeedTest::break_even`] one a sparsity.
    pub done: usize,
    /// How many there are.
    pub total: usize,
    /// Rounds of the comparison that is under way; 0 while it warms up.
    pub rounds: usize,
    /// How long it has taken.
    pub elapsed: Duration,
    /// How long it may take.
    pub budget: Duration,
}

impl SpeedTest {
    /// A test with one row and the other settings as above.
    pub const fn new() -> Self {
        Self {
            rows: 1,
            budget: Duration::from_millis(200),
            sample: Duration::from_micros(20),
            seed: 0,
            clock: None,
        }
    }

    /// Rows of the input, at least 1.
    #[must_use]
    pub const fn rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    /// How long one comparison may take. It takes longer where 8 rounds do.
    #[must_use]
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// How long one sample lasts at least: some hundred times the step of the clock.
    #[must_use]
    pub const fn sample(mut self, sample: Duration) -> Self {
        self.sample = sample;
        self
    }

    /// The seed of the input's numbers. The same numbers for the same seed and shape.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The clock to go by: it says how much time has passed since any fixed moment.
    ///
    /// Needed on wasm32-unknown-unknown, where the standard library has none; a browser's is `performance.now()`.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Some(Clock::new(now));
        self
    }

    /// Measures both layers.
    ///
    /// # Errors
    ///
    /// * [`Error::ShapeMismatch`] where the layers differ in inputs or outputs;
    /// * [`Error::NumberOutOfRange`] where there are no rows, or the clock stands still;
    /// * [`Error::NoClock`] where there is none;
    /// * what a layer says.
    pub fn measure(&self, compressed: &dyn Layer, dense: &dyn Layer) -> Result<Speed> {
        self.measure_watched(compressed, dense, |_| ControlFlow::Continue(()))
    }

    /// [`measure`](Self::measure), asking before each sample of the warm-up and before each round whether to go on.
    ///
    /// # Errors
    ///
    /// Those of [`measure`](Self::measure), and [`Error::Interrupted`] if `watch` says so.
    pub fn measure_watched(
        &self,
        compressed: &dyn Layer,
        dense: &dyn Layer,
        mut watch: impl FnMut(SpeedProgress) -> ControlFlow<()>,
    ) -> Result<Speed> {
        self.comparison((0, 1), compressed, dense, &mut watch)
    }

    /// Measures layers of these sparsities, which ascend, next to one dense layer, and so finds from which on they pay.
    ///
    /// `build` makes the layer of a sparsity; one is held at a time.
    ///
    /// # Errors
    ///
    /// Those of [`BreakEven::of`], before anything is built, of [`measure`](Self::measure), and of `build`.
    pub fn break_even(
        &self,
        sparsities: &[f64],
        dense: &dyn Layer,
        build: impl FnMut(f64) -> Result<Box<dyn Layer>>,
    ) -> Result<BreakEven> {
        self.break_even_watched(sparsities, dense, build, |_| ControlFlow::Continue(()))
    }

    /// [`break_even`](Self::break_even), asking as [`measure_watched`](Self::measure_watched) does whether to go on.
    ///
    /// # Errors
    ///
    /// Those of [`break_even`](Self::break_even), and [`Error::Interrupted`] if `watch` says so.
    pub fn break_even_watched(
        &self,
        sparsities: &[f64],
        dense: &dyn Layer,
        mut build: impl FnMut(f64) -> Result<Box<dyn Layer>>,
        mut watch: impl FnMut(SpeedProgress) -> ControlFlow<()>,
    ) -> Result<BreakEven> {
        check_sparsities(sparsities.iter().copied())?;
        let mut points = Vec::with_capacity(sparsities.len());
        for &sparsity in sparsities {
            let layer = build(sparsity)?;
            let place = (points.len(), sparsities.len());
            let speed = self.comparison(place, &*layer, dense, &mut watch)?;
            points.push((sparsity, speed));
        }
        BreakEven::of(points)
    }

    fn comparison(
        &self,
        (done, total): (usize, usize),
        compressed: &dyn Layer,
        dense: &dyn Layer,
        watch: &mut dyn FnMut(SpeedProgress) -> ControlFlow<()>,
    ) -> Result<Speed> {
        let layers = self.compared(compressed, dense)?;
        let x = self.input(layers)?;
        let clock = match &self.clock {
            Some(clock) => clock.clone(),
            None => Clock::system()?,
        };
        let start = clock.now();
        let elapsed = || clock.now().saturating_sub(start);
        let mut go_on = |rounds| {
            let progress = SpeedProgress {
                done,
                total,
                rounds,
                elapsed: elapsed(),
                budget: self.budget,
            };
            match watch(progress) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(Error::Interrupted { done, total }),
            }
        };
        let mut sides = [Side::new(compressed, &x)?, Side::new(dense, &x)?];
        for side in &mut sides {
            loop {
                go_on(0)?;
                let time = side.sample(&clock)?;
                if time >= self.sample && time > Duration::ZERO {
                    break;
                }
                side.call_more(time)?;
            }
        }
        let [compressed, dense] = &mut sides;
        let mut rounds = Vec::new();
        while rounds.len() < LEAST_ROUNDS || (rounds.len() < MOST_ROUNDS && elapsed() < self.budget)
        {
            go_on(rounds.len())?;
            let first = compressed.sample(&clock)?;
            let second = dense.sample(&clock)?;
            rounds.push((compressed.per_call(first), dense.per_call(second)));
        }
        Speed::of_rounds(layers, &rounds)
    }

    fn compared(&self, compressed: &dyn Layer, dense: &dyn Layer) -> Result<Compared> {
        let shape = |layer: &dyn Layer| [layer.outputs(), layer.inputs()];
        let (left, right) = (shape(compressed), shape(dense));
        shape::check_same("compressed layer", &left, "dense layer", &right)?;
        if self.rows == 0 {
            return Err(Error::NumberOutOfRange {
                what: "number of rows",
                must: "at least 1",
                value: 0.0,
            });
        }
        Ok(Compared {
            rows: self.rows,
            inputs: dense.inputs(),
            outputs: dense.outputs(),
            compressed_bytes: compressed.bytes(),
            dense_bytes: dense.bytes(),
        })
    }

    fn input(&self, layers: Compared) -> Result<Array2<f32>> {
        let shape = [layers.rows, layers.inputs];
        shape::count(&shape)?;
        let mut number = 0;
        Ok(Array2::from_shape_simple_fn(shape, || {
            number += 1;
            2.0 * stream::uniform::<f32>(self.seed, number) - 1.0
        }))
    }
}

impl Default for SpeedTest {
    fn default() -> Self {
        Self::new()
    }
}

/// One of the two layers, with what its calls need.
struct Side<'a> {
    layer: &'a dyn Layer,
    x: &'a Array2<f32>,
    out: Array2<f32>,
    scratch: Scratch,
    /// How many are a sample.
    calls: u32,
}

impl<'a> Side<'a> {
    fn new(layer: &'a dyn Layer, x: &'a Array2<f32>) -> Result<Self> {
        let shape = [x.nrows(), layer.outputs()];
        shape::count(&shape)?;
        Ok(Self {
            layer,
            x,
            out: Array2::zeros(shape),
            scratch: Scratch::default(),
            calls: 1,
        })
    }

    fn call(&mut self) -> Result<()> {
        self.layer
            .forward_into(black_box(self.x), &mut self.out, &mut self.scratch)?;
        black_box(&mut self.out);
        Ok(())
    }

    /// A call that does not count, then those of a sample.
    fn sample(&mut self, clock: &Clock) -> Result<Duration> {
        self.call()?;
        let start = clock.now();
        for _ in 0..self.calls {
            self.call()?;
        }
        Ok(clock.now().saturating_sub(start))
    }

    /// Twice as many calls a sample, as one took only this time.
    fn call_more(&mut self, time: Duration) -> Result<()> {
        if (time.is_zero() && self.calls >= STANDSTILL) || self.calls >= MOST_CALLS {
            return Err(Error::NumberOutOfRange {
                what: "time that the clock counts for thousands of calls",
                must: "as long as a sample",
                value: time.as_secs_f64(),
            });
        }
        self.calls *= 2;
        Ok(())
    }

    fn per_call(&self, time: Duration) -> f64 {
        time.as_secs_f64() / f64::from(self.calls)
    }
}
