//! Observers: what they keep depends on the values and on nothing else.

use ndarray::{Array1, Array2, Array3, ArrayD, Axis, s};
use rarefy::calibrate::{
    ChannelSums, Histogram, MinMax, MovingAverage, NonFinite, Observer, ObserverExt, Saturation,
    Statistics,
};
use rarefy::quantize::{Entropy, ErrorSearch, Granularity, Linear, Percentile};

/// Not in order, of both signs, of many magnitudes.
fn activations(batch: usize, tokens: usize, channels: usize) -> Array2<f32> {
    Array2::from_shape_fn((tokens, channels), |(token, channel)| {
        let number = (batch * 7919 + token * 104_729 + channel * 1_299_709) % 100_003;
        (number as f32 - 45_000.0) * 1e-4 * (1.0 + channel as f32) * (1.0 + batch as f32)
    })
}

fn all() -> Vec<Statistics> {
    let ranges = [(-3.0, 4.0); 6];
    vec![
        MinMax::new().into(),
        MinMax::new().per_channel(Axis(1)).into(),
        Histogram::new().into(),
        Histogram::with_bins(256).unwrap().of_magnitudes().into(),
        Histogram::with_bins(64)
            .unwrap()
            .per_channel(Axis(1))
            .into(),
        Saturation::new(&ranges[..1]).unwrap().into(),
        Saturation::new(&ranges)
            .unwrap()
            .per_channel(Axis(1))
            .into(),
    ]
}

#[test]
fn order_and_cuts_of_batches_do_not_matter() {
    let batches: Vec<Array2<f32>> = (0..5).map(|batch| activations(batch, 40, 6)).collect();
    for statistics in all() {
        let mut forward = statistics.clone();
        batches
            .iter()
            .for_each(|batch| forward.observe(batch).unwrap());
        let mut backward = statistics.clone();
        batches
            .iter()
            .rev()
            .for_each(|batch| backward.observe(batch).unwrap());
        assert_eq!(forward, backward);
        let mut cut = statistics.clone();
        for batch in &batches {
            for token in batch.axis_chunks_iter(Axis(0), 7) {
                cut.observe(&token).unwrap();
            }
        }
        assert_eq!(forward, cut);
        // Each batch by itself, merged in some order, into one that has seen something or nothing.
        let parts = batches.iter().map(|batch| {
            let mut part = statistics.clone();
            part.observe(batch).unwrap();
            part
        });
        let parts: Vec<Statistics> = parts.collect();
        for order in [[0, 1, 2, 3, 4], [4, 2, 0, 1, 3], [3, 4, 1, 0, 2]] {
            let mut merged = statistics.clone();
            for place in order {
                merged.merge(&parts[place]).unwrap();
            }
            assert_eq!(forward, merged, "{order:?}");
        }
    }
}

#[test]
fn pools_and_memory_orders_do_not_matter() {
    let batch = activations(1, 3000, 60);
    let turned = batch.t().as_standard_layout().into_owned();
    let backwards = batch
        .slice(s![..;-1, ..;-1])
        .as_standard_layout()
        .into_owned();
    let statistics = [
        Statistics::from(MinMax::new().per_channel(Axis(1))),
        Histogram::new().into(),
        Histogram::with_bins(64)
            .unwrap()
            .per_channel(Axis(1))
            .into(),
        ChannelSums::new().into(),
        ChannelSums::new().per_channel(Axis(1)).into(),
        Saturation::new(&[(-3.0, 4.0); 60])
            .unwrap()
            .per_channel(Axis(1))
            .into(),
    ];
    for statistics in statistics {
        let mut right = statistics.clone();
        right.observe(&batch).unwrap();
        for threads in [1, 2, 3, 16] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                for view in [batch.view(), turned.t(), backwards.slice(s![..;-1, ..;-1])] {
                    let mut own = statistics.clone();
                    own.observe(&view).unwrap();
                    assert_eq!(own, right, "{threads}");
                }
            });
        }
    }
}

#[test]
fn f32_and_f64_of_the_same_values_agree() {
    let batch = activations(0, 50, 6);
    for statistics in all() {
        let (mut single, mut double) = (statistics.clone(), statistics);
        single.observe(&batch).unwrap();
        double.observe(&batch.mapv(f64::from)).unwrap();
        assert_eq!(single, double);
    }
}

#[test]
fn channels_of_any_axis_are_what_they_are_by_themselves() {
    let values = Array3::from_shape_fn((4, 5, 6), |(i, j, k)| {
        ((i * 31 + j * 17 + k * 7) % 23) as f64 - 9.0
    });
    for axis in 0..3 {
        let mut extents = MinMax::new().per_channel(Axis(axis));
        extents.observe(&values).unwrap();
        let mut histogram = Histogram::with_bins(16).unwrap().per_channel(Axis(axis));
        histogram.observe(&values).unwrap();
        let mut sums = ChannelSums::new().per_channel(Axis(axis));
        sums.observe(&values).unwrap();
        for (channel, own) in values.axis_iter(Axis(axis)).enumerate() {
            let mut one = MinMax::new();
            one.observe(&own).unwrap();
            assert_eq!(extents.ranges().unwrap()[channel], one.ranges().unwrap()[0]);
            let mut one = Histogram::with_bins(16).unwrap();
            one.observe(&own).unwrap();
            assert_eq!(histogram.counts(channel), one.counts(0));
            assert_eq!(histogram.width(channel), one.width(0));
            assert_eq!(sums.values()[channel], own.len() as u64);
            let magnitudes: f64 = own.iter().map(|x| x.abs()).sum();
            let squares: f64 = own.iter().map(|x| x * x).sum();
            assert_eq!(
                sums.mean_magnitudes().unwrap()[channel],
                magnitudes / own.len() as f64
            );
            assert_eq!(
                sums.mean_squares().unwrap()[channel],
                squares / own.len() as f64
            );
        }
    }
}

#[test]
fn what_is_not_finite_can_be_skipped() {
    let clean = activations(0, 30, 6);
    // Rows that hold nothing but what does not count.
    let mut dirty = Array2::from_elem((34, 6), f32::NAN);
    dirty.slice_mut(s![2..32, ..]).assign(&clean);
    dirty[[33, 0]] = f32::INFINITY;
    dirty[[0, 5]] = f32::NEG_INFINITY;
    let skipping: [Statistics; 6] = [
        MinMax::new().non_finite(NonFinite::Skip).into(),
        MinMax::new()
            .per_channel(Axis(1))
            .non_finite(NonFinite::Skip)
            .into(),
        Histogram::new().non_finite(NonFinite::Skip).into(),
        Histogram::new()
            .per_channel(Axis(1))
            .non_finite(NonFinite::Skip)
            .into(),
        Saturation::new(&[(-1.0, 1.0)])
            .unwrap()
            .non_finite(NonFinite::Skip)
            .into(),
        MovingAverage::new().non_finite(NonFinite::Skip).into(),
    ];
    for statistics in skipping {
        let (mut from_clean, mut from_dirty) = (statistics.clone(), statistics);
        from_clean.observe(&clean).unwrap();
        from_dirty.observe(&dirty).unwrap();
        assert_eq!(from_clean, from_dirty);
    }
    let mut sums = ChannelSums::new()
        .per_channel(Axis(1))
        .non_finite(NonFinite::Skip);
    sums.observe(&dirty).unwrap();
    let mut right = ChannelSums::new().per_channel(Axis(1));
    right.observe(&clean).unwrap();
    assert_eq!(sums.values(), right.values());
    for (a, b) in sums
        .mean_squares()
        .unwrap()
        .into_iter()
        .zip(right.mean_squares().unwrap())
    {
        assert!((a / b - 1.0).abs() < 1e-14);
    }
}

#[test]
fn both_zeros_are_one() {
    for (a, b) in [(0.0_f32, -0.0_f32), (-0.0, 0.0)] {
        let mut observer = MinMax::new();
        observer.observe(&Array1::from(vec![a, b])).unwrap();
        let (low, high) = observer.ranges().unwrap()[0];
        assert_eq!((low.to_bits(), high.to_bits()), (0, 0));
        let mut histogram = Histogram::with_bins(4).unwrap();
        histogram.observe(&Array1::from(vec![a, b])).unwrap();
        assert_eq!(histogram.counts(0).unwrap(), [0, 0, 2, 0]);
        assert_eq!(histogram.ranges().unwrap()[0].0.to_bits(), 0);
    }
}

#[test]
fn a_boxed_observer_and_one_of_the_users_own_are_called_alike() {
    #[derive(Debug)]
    struct Batches(usize);
    impl Observer<f64> for Batches {
        fn observe_dyn(&mut self, _: &ndarray::ArrayRefD<f64>) -> rarefy::Result<()> {
            self.0 += 1;
            Ok(())
        }
    }
    let mut own = Batches(0);
    {
        let mut observers: Vec<Box<dyn Observer<f64> + '_>> = vec![
            Box::new(&mut own),
            Box::new(MinMax::new()),
            Box::new(ChannelSums::new()),
        ];
        for observer in &mut observers {
            observer.observe(&ndarray::arr0(1.0)).unwrap();
            observer.observe(&ndarray::arr2(&[[1.0, 2.0]])).unwrap();
        }
    }
    assert_eq!(own.0, 2);
}

#[test]
fn percentiles_of_values_are_ranks() {
    let values = Array1::from_iter((0..101).map(|i| f64::from((i * 37) % 101 - 50)));
    for (share, k) in [(1.0, 0), (0.9, 5), (0.5, 25), (0.02, 49)] {
        let found = Percentile::new(share)
            .unwrap()
            .ranges(&values, Granularity::PerTensor);
        let end = f64::from(50 - k);
        assert_eq!(found.unwrap(), [(-end, end)], "{share}");
    }
    let magnitudes = Percentile::new(0.9).unwrap().of_magnitudes();
    // round_half_even(10.1) of 101 magnitudes go: 50, 50, ..., 46, 46.
    assert_eq!(
        magnitudes.ranges(&values, Granularity::PerTensor).unwrap(),
        [(-45.0, 45.0)]
    );
    let rows = Array2::from_shape_fn((2, 101), |(row, i)| values[i] * (1.0 + row as f64));
    let found = Percentile::new(0.9)
        .unwrap()
        .ranges(&rows, Granularity::PerChannel(Axis(0)));
    assert_eq!(found.unwrap(), [(-45.0, 45.0), (-90.0, 90.0)]);
}

#[test]
fn channels_that_stand_out_are_named() {
    let mut observer = MinMax::new().per_channel(Axis(1));
    observer.observe(&activations(0, 100, 6)).unwrap();
    assert_eq!(observer.outlier_channels(100.0).unwrap(), [] as [usize; 0]);
    let mut strange = activations(0, 100, 6);
    strange[[50, 2]] = -1e4;
    observer.observe(&strange).unwrap();
    assert_eq!(observer.outlier_channels(100.0).unwrap(), [2]);
}

#[test]
fn a_tensor_of_zeros_keeps_its_range() {
    let zeros = ArrayD::<f32>::zeros(vec![3, 4]);
    let mut histogram = Histogram::new();
    histogram.observe(&zeros).unwrap();
    let whole = [(0.0, 0.0)];
    assert_eq!(histogram.ranges().unwrap(), whole);
    assert_eq!(
        Percentile::new(0.9).unwrap().ranges_of(&histogram).unwrap(),
        whole
    );
    assert_eq!(
        ErrorSearch::new(Linear::new(8))
            .ranges_of(&histogram)
            .unwrap(),
        whole
    );
    assert_eq!(
        ErrorSearch::new(Linear::new(8)).ranges(&zeros).unwrap(),
        whole
    );
    assert_eq!(Entropy::onnx().ranges_of(&histogram).unwrap(), whole);
    assert_eq!(Entropy::nvidia(8).ranges_of(&histogram).unwrap(), whole);
}

#[test]
fn weights_of_importance_are_repeated_values() {
    // A weight that counts twice is one that is there twice.
    let values = Array2::from_shape_fn((1, 300), |(_, i)| {
        ((i * 7919 % 1009) as f64 - 500.0).powi(3)
    });
    let importances: Vec<f64> = (0..300).map(|i| f64::from(i % 3)).collect();
    let repeated = values.iter().zip(&importances);
    let repeated = repeated.flat_map(|(&x, &times)| std::iter::repeat_n(x, times as usize));
    let repeated: Array1<f64> = repeated.collect();
    let search = ErrorSearch::new(Linear::new(3))
        .shrink(0.9)
        .patience(usize::MAX);
    let weighted = search
        .ranges_weighted(&values, &importances, Axis(1))
        .unwrap()[0];
    let plain = search.ranges(&repeated).unwrap()[0];
    let largest = |range: (f64, f64)| range.1.max(-range.0);
    // The extremes are the same here, so the candidates are.
    assert!((largest(weighted) - largest(plain)).abs() < 1e-9 * largest(plain));
    let nothing = search
        .ranges_weighted(&values, &[0.0; 300], Axis(1))
        .unwrap()[0];
    let extreme = values.fold(0.0, |a: f64, x| a.max(x.abs()));
    assert_eq!(largest(nothing), extreme);
}
