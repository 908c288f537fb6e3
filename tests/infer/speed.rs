//! Whether compressed layers pay: what is called when, what is concluded of times, and how it prints.
//!
//! No test looks at a real clock: layers here push one of their own on by the work that they claim to do.

use ndarray::{Array2, ArrayRef2, array};
use rarefy::infer::speed::{BreakEven, Compared, FnLayer, Speed, SpeedTest, Timing, Verdict};
use rarefy::infer::{DenseLinear, Layer, Scratch};
use rarefy::report::Report;
use rarefy::{Error, Result};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A clock that stands still until somebody works, and who worked.
#[derive(Clone, Debug, Default)]
struct World {
    nanoseconds: Arc<AtomicU64>,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl World {
    fn clock(&self) -> impl Fn() -> Duration + Send + Sync + 'static {
        let clock = Arc::clone(&self.nanoseconds);
        move || Duration::from_nanos(clock.load(Ordering::Relaxed))
    }

    fn test(&self) -> SpeedTest {
        SpeedTest::new().clock(self.clock())
    }

    /// A layer of 3 inputs and 2 outputs whose calls take so many nanoseconds.
    fn layer(&self, name: &'static str, nanoseconds: u64) -> Fake {
        Fake {
            world: self.clone(),
            name,
            nanoseconds,
            fails_at: usize::MAX,
        }
    }

    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }
}

#[derive(Debug)]
struct Fake {
    world: World,
    name: &'static str,
    nanoseconds: u64,
    /// The call that fails, all calls of the world counted from 0.
    fails_at: usize,
}

#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

impl Layer for Fake {
    fn inputs(&self) -> usize {
        3
    }

    fn outputs(&self) -> usize {
        2
    }

    fn bytes(&self) -> usize {
        self.nanoseconds as usize
    }

    fn forward_into(
        &self,
        _: &ArrayRef2<f32>,
        _: &mut ArrayRef2<f32>,
        _: &mut Scratch,
    ) -> Result<()> {
        let mut calls = self.world.calls.lock().unwrap();
        if calls.len() == self.fails_at {
            return Err(Error::external(Broken));
        }
        calls.push(self.name);
        self.world
            .nanoseconds
            .fetch_add(self.nanoseconds, Ordering::Relaxed);
        Ok(())
    }
}

const LAYERS: Compared = Compared {
    rows: 1,
    inputs: 3,
    outputs: 2,
    compressed_bytes: 10,
    dense_bytes: 24,
};

/// A measurement where the compressed layer takes this share of the dense time.
fn speed(ratio: f64) -> Speed {
    Speed::of_rounds(LAYERS, &[(ratio * 4e-6, 4e-6); 16]).unwrap()
}

#[test]
fn layers_warm_up_and_then_take_turns() {
    let world = World::default();
    // A sample is at least 20 µs: 4 calls of 5 µs, 1 of 30 µs.
    let (compressed, dense) = (world.layer("c", 5_000), world.layer("d", 30_000));
    let test = world.test().budget(Duration::from_micros(1_000)).rows(7);
    let speed = test.measure(&compressed, &dense).unwrap();
    // Each sample follows a call that does not count.
    let warm_up = ["c"; 2 + 3 + 5].iter().chain(&["d"; 2]);
    // The warm-up took 110 µs and a round takes 85, so the eleventh ends after the budget.
    let round = ["c", "c", "c", "c", "c", "d", "d"];
    let right: Vec<&str> = warm_up.copied().chain(round.repeat(11)).collect();
    assert_eq!(world.calls(), right);
    let right = Compared {
        rows: 7,
        compressed_bytes: 5_000,
        dense_bytes: 30_000,
        ..LAYERS
    };
    assert_eq!(speed.layers(), right);
    assert!((speed.ratio() - 1.0 / 6.0).abs() < 1e-12);
    assert_eq!(speed.compressed().samples, 11);
    assert!((speed.compressed().median - 5e-6).abs() < 1e-15);
    assert!((speed.dense().least - 30e-6).abs() < 1e-15);
    assert!(speed.pays());
}

#[test]
fn eight_rounds_whatever_the_budget_and_ten_thousand_at_most() {
    let world = World::default();
    let (compressed, dense) = (world.layer("c", 1_000_000), world.layer("d", 1_000_000));
    let test = world.test().budget(Duration::ZERO);
    assert_eq!(
        test.measure(&compressed, &dense).unwrap().dense().samples,
        8
    );
    let test = world.test().budget(Duration::MAX).sample(Duration::ZERO);
    let speed = test.measure(&compressed, &dense).unwrap();
    assert_eq!(speed.dense().samples, 10_000);
    assert_eq!(speed.verdict(), Verdict::WithinNoise);
}

#[test]
fn equal_seeds_give_equal_inputs() {
    let inputs = |seed| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let world = World::default();
        let (dense, writer) = (world.layer("d", 20_000), Arc::clone(&seen));
        let watched = FnLayer::new(3, 2, 0, |x, _| {
            world.nanoseconds.fetch_add(20_000, Ordering::Relaxed);
            writer.lock().unwrap().push(x.to_owned());
            Ok(())
        });
        let test = world.test().seed(seed).rows(5).budget(Duration::ZERO);
        test.measure(&watched, &dense).unwrap();
        seen.lock().unwrap().clone()
    };
    let (first, again, other) = (inputs(1), inputs(1), inputs(2));
    assert_eq!(first[0].dim(), (5, 3));
    assert!(first.iter().all(|x| x == first[0]));
    assert!(first[0].iter().all(|x| (-1.0..1.0).contains(x)));
    assert_eq!(first[0], again[0]);
    assert_ne!(first[0], other[0]);
}

#[test]
fn a_watch_sees_progress_and_stops() {
    let world = World::default();
    let (compressed, dense) = (world.layer("c", 15_000), world.layer("d", 20_000));
    let mut seen = Vec::new();
    let test = world.test().budget(Duration::from_millis(1));
    let stopped = test.measure_watched(&compressed, &dense, |progress| {
        assert_eq!(progress.budget, Duration::from_millis(1));
        assert_eq!((progress.done, progress.total), (0, 1));
        seen.push((progress.rounds, progress.elapsed.as_micros()));
        match progress.rounds {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert!(matches!(
        stopped,
        Err(Error::Interrupted { done: 0, total: 1 })
    ));
    // Before 1 and 2 calls of the one, before 1 of the other, before each round.
    let right = [(0, 0), (0, 30), (0, 75), (0, 115), (1, 200), (2, 285)];
    assert_eq!(seen, right);
    assert_eq!(world.calls().len(), 2 + 3 + 2 + 2 * (3 + 2));
}

#[test]
fn a_watch_stops_between_sparsities() {
    let world = World::default();
    let dense = world.layer("d", 20_000);
    let mut built = Vec::new();
    let build = |sparsity: f64| -> Result<Box<dyn Layer>> {
        built.push(sparsity);
        Ok(Box::new(world.layer("c", 20_000)))
    };
    let test = world.test().budget(Duration::ZERO);
    let stopped = test.break_even_watched(&[0.5, 0.7, 0.9], &dense, build, |progress| {
        if progress.done == 1 {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(
        stopped,
        Err(Error::Interrupted { done: 1, total: 3 })
    ));
    assert_eq!(built, [0.5, 0.7]);
}

#[test]
fn errors_of_layers_pass_through() {
    for at in [0, 1, 2, 5, 10] {
        let world = World::default();
        let (mut compressed, mut dense) = (world.layer("c", 30_000), world.layer("d", 30_000));
        (compressed.fails_at, dense.fails_at) = (at, at);
        let error = world.test().measure(&compressed, &dense).unwrap_err();
        assert!(error.downcast_ref::<Broken>().is_some(), "{error}");
        assert_eq!(world.calls().len(), at);
    }
    let world = World::default();
    let dense = world.layer("d", 30_000);
    let build = |_: f64| -> Result<Box<dyn Layer>> { Err(Error::external(Broken)) };
    let error = world.test().break_even(&[0.5], &dense, build).unwrap_err();
    assert!(error.downcast_ref::<Broken>().is_some(), "{error}");
    assert!(world.calls().is_empty());
}

#[test]
fn what_cannot_be_measured_is_an_error_that_says_why() {
    let world = World::default();
    let layer = world.layer("c", 30_000);
    let other = DenseLinear::new(&array![[1.0_f32, 2.0]], None).unwrap();
    let told = |result: Result<Speed>| result.unwrap_err().to_string();
    assert_eq!(
        told(world.test().measure(&layer, &other)),
        "shapes differ: compressed layer [2, 3], dense layer [1, 2]"
    );
    assert_eq!(
        told(world.test().rows(0).measure(&layer, &layer)),
        "number of rows must be at least 1, got 0"
    );
    assert!(told(world.test().rows(usize::MAX).measure(&layer, &layer)).contains("counted"));
    assert!(world.calls().is_empty());
    let free = world.layer("f", 0);
    assert_eq!(
        told(world.test().measure(&free, &layer)),
        "time that the clock counts for thousands of calls must be as long as a sample, got 0"
    );
}

#[test]
fn timings_are_numpys_quantiles() {
    let timing = Timing::of(&[9.0, 1.0, 3.0, 2.0, 30.0, 5.0]).unwrap();
    // numpy.quantile(x, [0, 0.25, 0.5, 0.75])
    let right = [1.0, 2.25, 4.0, 8.0];
    assert_eq!(
        [
            timing.least,
            timing.lower_quartile,
            timing.median,
            timing.upper_quartile
        ],
        right
    );
    assert_eq!(timing.samples, 6);
    let one = Timing::of(&[2.0]).unwrap();
    assert_eq!(
        (
            one.least,
            one.lower_quartile,
            one.median,
            one.upper_quartile
        ),
        (2.0, 2.0, 2.0, 2.0)
    );
    assert!(Timing::of(&[]).is_err());
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = Timing::of(&[1.0, bad]).unwrap_err().to_string();
        assert!(
            error.starts_with("time of a call must be positive and finite"),
            "{error}"
        );
    }
}

#[test]
fn the_ratio_is_of_pairs_so_that_a_slow_spell_does_not_matter() {
    // Half of the time everything takes ten times as long, and the layers' medians are of different halves.
    let mut rounds = vec![(1e-6, 2e-6); 8];
    rounds.extend([(10e-6, 20e-6); 8]);
    rounds.push((1e-6, 20e-6));
    let speed = Speed::of_rounds(LAYERS, &rounds).unwrap();
    assert_eq!(speed.ratio(), 0.5);
    let medians = (speed.compressed().median, speed.dense().median);
    assert_eq!(medians, (1e-6, 20e-6));
    assert_eq!(speed.verdict(), Verdict::Faster);
}

#[test]
fn a_verdict_holds_in_all_eight_stretches() {
    for (ratio, right) in [
        (0.5, Verdict::Faster),
        (0.949, Verdict::Faster),
        (0.951, Verdict::WithinNoise),
        (1.0, Verdict::WithinNoise),
        (1.052, Verdict::WithinNoise),
        (1.053, Verdict::Slower),
        (7.0, Verdict::Slower),
    ] {
        let speed = speed(ratio);
        assert_eq!(speed.verdict(), right, "{ratio}");
        assert_eq!(speed.pays(), right == Verdict::Faster);
        // One stretch of 16 / 8 rounds on the other side, wherever it is.
        for stretch in 0..8 {
            let mut rounds = [(ratio, 1.0); 16];
            rounds[2 * stretch..][..2].fill((1.0 / ratio, 1.0));
            let speed = Speed::of_rounds(LAYERS, &rounds).unwrap();
            assert_eq!(
                speed.verdict(),
                Verdict::WithinNoise,
                "{ratio}, stretch {stretch}"
            );
        }
    }
    // A single wild round is not a stretch.
    let mut rounds = [(0.5, 1.0); 24];
    rounds[13] = (90.0, 1.0);
    assert!(Speed::of_rounds(LAYERS, &rounds).unwrap().pays());
    // Every round belongs to a stretch: the last of 9 is one of the eighth.
    let mut rounds = [(0.5, 1.0); 9];
    rounds[8] = (9.0, 1.0);
    let speed = Speed::of_rounds(LAYERS, &rounds).unwrap();
    assert_eq!(speed.ratio_range(), (0.5, 4.75));
    let few = Speed::of_rounds(LAYERS, &[(1.0, 1.0); 7]).unwrap_err();
    assert_eq!(
        few.to_string(),
        "number of rounds must be at least 8, got 7"
    );
    let bad = Speed::of_rounds(LAYERS, &[(1.0, 0.0); 8]).unwrap_err();
    assert!(bad.to_string().ends_with("got 0"), "{bad}");
}

#[test]
fn it_pays_from_where_on_it_always_does() {
    let from = |ratios: &[f64]| {
        let points = ratios.iter().enumerate();
        let points = points.map(|(place, &ratio)| (place as f64 / 10.0, speed(ratio)));
        BreakEven::of(points.collect()).unwrap().pays_from()
    };
    assert_eq!(from(&[2.0, 1.5, 0.9, 0.5]), Some(0.2));
    assert_eq!(from(&[2.0, 0.9, 1.5, 0.5]), Some(0.3));
    assert_eq!(from(&[0.9, 0.5]), Some(0.0));
    assert_eq!(from(&[0.9, 0.5, 1.0]), None);
    assert_eq!(from(&[1.5]), None);
    assert_eq!(from(&[0.7]), Some(0.0));
    for (sparsities, right) in [
        (&[][..], "0 sparsities given, 1 needed"),
        (&[0.5, 1.5], "sparsity must be in 0..=1, got 1.5"),
        (&[f64::NAN], "sparsity must be in 0..=1, got NaN"),
        (
            &[0.5, 0.5],
            "sparsity must be larger than the one before it, got 0.5",
        ),
    ] {
        let points = sparsities.iter().map(|&sparsity| (sparsity, speed(1.0)));
        let error = BreakEven::of(points.collect()).unwrap_err();
        assert_eq!(error.to_string(), right);
        let world = World::default();
        let dense = world.layer("d", 1);
        let build = |_: f64| -> Result<Box<dyn Layer>> { panic!("nothing is to be built") };
        let error = world
            .test()
            .break_even(sparsities, &dense, build)
            .unwrap_err();
        assert_eq!(error.to_string(), right);
    }
}

#[test]
fn a_layer_whose_work_shrinks_pays_from_the_crossing_on() {
    let world = World::default();
    let dense = world.layer("d", 100_000);
    let build = |sparsity: f64| -> Result<Box<dyn Layer>> {
        let nanoseconds = (1.0 - sparsity) * 300_000.0;
        Ok(Box::new(world.layer("c", nanoseconds as u64)))
    };
    let test = world.test().budget(Duration::ZERO);
    let curve = test
        .break_even(&[0.0, 0.5, 0.7, 0.9], &dense, build)
        .unwrap();
    let verdicts: Vec<Verdict> = curve
        .points()
        .iter()
        .map(|(_, speed)| speed.verdict())
        .collect();
    assert_eq!(
        verdicts,
        [
            Verdict::Slower,
            Verdict::Slower,
            Verdict::Faster,
            Verdict::Faster
        ]
    );
    assert_eq!(curve.pays_from(), Some(0.7));
}

#[test]
fn closures_and_float_layers_compute() {
    let weights = Array2::from_shape_fn((5, 70), |(i, j)| ((i * 7 + j * 3) % 11) as f64 - 5.0);
    let bias = array![1.0, 2.0, 3.0, 4.0, 5.0];
    let layer = DenseLinear::new(&weights, Some(&bias)).unwrap();
    let bare = DenseLinear::new(&weights, None).unwrap();
    assert_eq!(
        (layer.inputs(), layer.outputs(), layer.bytes()),
        (70, 5, 4 * 355)
    );
    for rows in [0, 1, 8, 9, 40] {
        let x = Array2::from_shape_fn((rows, 70), |(i, j)| ((i * 5 + j * 2) % 7) as f32 - 3.0);
        let right = x.mapv(f64::from).dot(&weights.t()).mapv(|y| y as f32);
        assert_eq!(bare.forward(&x).unwrap(), right);
        let right = right + bias.mapv(|b| b as f32);
        let (mut out, mut scratch) = (Array2::from_elem((rows, 5), f32::NAN), Scratch::default());
        layer.forward_into(&x, &mut out, &mut scratch).unwrap();
        assert_eq!(out, right);
        // Other memory orders.
        let turned = x.t().as_standard_layout().into_owned();
        let mut out = Array2::from_elem((5, rows), f32::NAN);
        layer
            .forward_into(
                &turned.t(),
                &mut out.view_mut().reversed_axes(),
                &mut scratch,
            )
            .unwrap();
        assert_eq!(out.t(), right);
    }
    let told = |result: Result<Array2<f32>>| result.unwrap_err().to_string();
    let mut x = Array2::zeros((2, 70));
    x[[1, 4]] = f32::NAN;
    assert_eq!(told(layer.forward(&x)), "activation [1, 4] is NaN");
    assert!(told(layer.forward(&Array2::zeros((2, 69)))).contains("[2, 69]"));
    let error = DenseLinear::new(&array![[1.0], [f64::INFINITY]], None).unwrap_err();
    assert_eq!(error.to_string(), "weight [1, 0] is inf, must be finite");
    assert!(DenseLinear::new(&weights, Some(&array![1.0])).is_err());

    let closure = FnLayer::new(2, 1, 8, |x: &ArrayRef2<f32>, out: &mut ArrayRef2<f32>| {
        out.assign(&x.sum_axis(ndarray::Axis(1)).insert_axis(ndarray::Axis(1)));
        Ok(())
    });
    assert_eq!(closure.forward(&array![[1.0, 2.0]]).unwrap(), array![[3.0]]);
    assert!(closure.forward(&array![[1.0]]).is_err());
    assert_eq!(
        format!("{closure:?}"),
        "FnLayer { inputs: 2, outputs: 1, bytes: 8, .. }"
    );
}

/// With the real clock: only that it comes to an end and counts.
#[test]
fn real_layers_are_measured() {
    let weights = Array2::from_shape_fn((16, 32), |(i, j)| ((i + j) % 5) as f32);
    let layer = DenseLinear::new(&weights, None).unwrap();
    let test = SpeedTest::new().budget(Duration::from_millis(2)).rows(3);
    let speed = test.measure(&layer, &layer).unwrap();
    assert!(speed.dense().samples >= 8 && speed.dense().least > 0.0);
}

fn report() -> Report {
    let mut report = Report::new();
    let mut rounds = vec![(1e-6, 4e-6); 12];
    rounds.extend([(3e-6, 4e-6); 4]);
    report.add_speed("a|b", Speed::of_rounds(LAYERS, &rounds).unwrap());
    let points = vec![(0.5, speed(1.5)), (0.9, speed(0.25))];
    report.add_break_even("hidden", BreakEven::of(points).unwrap());
    report.add_break_even("output", BreakEven::of(vec![(0.75, speed(1.0))]).unwrap());
    report
}

#[test]
fn a_report_of_speeds_is_this_text() {
    let text = "\
layer   shape   rows  sparsity  bytes  stored  dense µs    µs  ratio  least  largest  verdict
a|b     [2, 3]     1               24      10      4.00  1.00  0.250  0.250    0.750  faster
hidden  [2, 3]     1       0.5     24      10      4.00  6.00  1.500  1.500    1.500  slower
hidden  [2, 3]     1       0.9     24      10      4.00  1.00  0.250  0.250    0.250  faster
output  [2, 3]     1      0.75     24      10      4.00  4.00  1.000  1.000    1.000  within noise
hidden: pays from sparsity 0.9 on
output: does not pay at any of these sparsities";
    assert_eq!(report().to_string(), text);
    let markdown = r"| layer | shape | rows | sparsity | bytes | stored | dense µs | µs | ratio | least | largest | verdict |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
| a\|b | [2, 3] | 1 |  | 24 | 10 | 4.00 | 1.00 | 0.250 | 0.250 | 0.750 | faster |
| hidden | [2, 3] | 1 | 0.5 | 24 | 10 | 4.00 | 6.00 | 1.500 | 1.500 | 1.500 | slower |
| hidden | [2, 3] | 1 | 0.9 | 24 | 10 | 4.00 | 1.00 | 0.250 | 0.250 | 0.250 | faster |
| output | [2, 3] | 1 | 0.75 | 24 | 10 | 4.00 | 4.00 | 1.000 | 1.000 | 1.000 | within noise |

hidden: pays from sparsity 0.9 on

output: does not pay at any of these sparsities
";
    assert_eq!(report().to_markdown(), markdown);
    assert_eq!(report().to_json(), report().to_json());
}

#[test]
fn json_has_every_number() {
    let text = report().to_json();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let first = &json["speeds"][0];
    assert_eq!(
        (&first["layer"], &first["verdict"]),
        (&"a|b".into(), &"faster".into())
    );
    assert_eq!(first["compressed"]["samples"], 16);
    assert_eq!(first["dense"]["upper_quartile"], 4e-6);
    assert_eq!(first["largest_ratio"], 0.75);
    let curve = &json["break_evens"][0];
    assert_eq!(
        (&curve["layer"], &curve["pays_from"]),
        (&"hidden".into(), &0.9.into())
    );
    assert_eq!(curve["points"][0]["sparsity"], 0.5);
    assert_eq!(curve["points"][0]["inputs"], 3);
    assert!(json["break_evens"][1]["pays_from"].is_null());
}

#[test]
fn speeds_stand_below_what_became_of_the_tensors() {
    let mut report = Report::new();
    let bare = report.to_string();
    let weights = array![[1.0_f32, 2.0]];
    report.add("w", &weights, &weights, 8).unwrap();
    let (tensors, tensor_rows) = (report.to_string(), report.to_markdown());
    report.add_speed("w", speed(0.5));
    let alone = {
        let mut report = Report::new();
        report.add_speed("w", speed(0.5));
        report
    };
    assert!(bare.starts_with("tensor") && alone.to_string().starts_with("layer"));
    assert_eq!(report.to_string(), format!("{tensors}\n\n{alone}"));
    assert_eq!(
        report.to_markdown(),
        format!("{tensor_rows}\n{}", alone.to_markdown())
    );
    assert_eq!(report.speeds(), [("w".to_owned(), speed(0.5))]);
    assert!(report.break_evens().is_empty());
}

#[test]
fn results_print_as_lines() {
    assert_eq!(
        speed(0.5).to_string(),
        "1 × 3 → 2: faster, 0.500 of the dense time (0.500 to 0.500): 2.00 µs (2.00 to 2.00, least 2.00) \
         against 4.00 µs (4.00 to 4.00, least 4.00); 10 bytes against 24"
    );
    let curve = BreakEven::of(vec![(0.5, speed(0.5))]).unwrap().to_string();
    assert!(
        curve.starts_with("sparsity 0.5, 1 × 3 → 2: faster"),
        "{curve}"
    );
    assert!(curve.ends_with("\npays from sparsity 0.5 on"), "{curve}");
    for (time, right) in [(2e-9, "2.00 ns"), (2e-3, "2.00 ms"), (2.0, "2.00 s")] {
        let text = Timing::of(&[time]).unwrap().to_string();
        assert!(text.starts_with(right), "{text}");
    }
}
