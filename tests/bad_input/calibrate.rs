//! Bad input for observers and range searches: an error that says what was given, and nothing changed.

use ndarray::{Array2, Axis, array};
use rarefy::calibrate::{
    ChannelSums, Histogram, MinMax, MovingAverage, NonFinite, ObserverExt, Saturation, Statistics,
};
use rarefy::quantize::{Entropy, ErrorSearch, Granularity, Linear, Percentile};
use rarefy::{Error, Result};

fn all() -> Vec<Statistics> {
    vec![
        MinMax::new().per_channel(Axis(1)).into(),
        MovingAverage::new().per_channel(Axis(1)).into(),
        Histogram::new().per_channel(Axis(1)).into(),
        ChannelSums::new().per_channel(Axis(1)).into(),
        Saturation::new(&[(-1.0, 1.0); 2])
            .unwrap()
            .per_channel(Axis(1))
            .into(),
    ]
}

fn says<T: std::fmt::Debug>(result: Result<T>, message: &str) {
    assert_eq!(result.unwrap_err().to_string(), message);
}

#[test]
fn what_cannot_be_observed_changes_nothing() {
    for mut statistics in all() {
        statistics
            .observe(&array![[1.0_f32, -2.0], [0.5, 3.0]])
            .unwrap();
        let before = statistics.clone();
        says(
            statistics.observe(&array![[1.0_f32, 2.0], [9.0, f32::NAN]]),
            "value [1, 1] is NaN",
        );
        says(
            statistics.observe(&array![[1.0_f64, f64::NEG_INFINITY], [9.0, f64::NAN]]),
            "value [0, 1] is -inf, must be finite",
        );
        says(
            statistics.observe(&array![[1.0_f32, 2.0, 3.0]]),
            "3 channels given, 2 needed",
        );
        says(
            statistics.observe(&array![1.0_f32, 2.0]),
            "axis 1 does not exist, the array has 1 axes",
        );
        statistics.observe(&Array2::<f32>::zeros((0, 2))).unwrap();
        assert_eq!(statistics, before);
    }
}

#[test]
fn squares_beyond_an_f64_are_an_error() {
    let mut sums = ChannelSums::new();
    says(
        sums.observe(&array![1e200_f64]),
        "values are too large or too small to sum their squares",
    );
    assert_eq!(sums, ChannelSums::new());
}

#[test]
fn nothing_observed_has_no_range() {
    let message = |what: &str| format!("{what} has no values in channel 0");
    says(MinMax::new().ranges(), &message("minimum and maximum"));
    says(MovingAverage::new().ranges(), &message("moving average"));
    says(ChannelSums::new().mean_squares(), &message("channel sums"));
    let none = Histogram::new();
    says(none.ranges(), &message("histogram"));
    says(
        Percentile::new(0.5).unwrap().ranges_of(&none),
        &message("histogram"),
    );
    says(
        ErrorSearch::new(Linear::new(8)).ranges_of(&none),
        &message("histogram"),
    );
    says(Entropy::onnx().ranges_of(&none), &message("histogram"));
    let empty = Array2::<f32>::zeros((0, 3));
    let percentile = Percentile::new(0.5).unwrap();
    says(
        percentile.ranges(&empty, Granularity::PerTensor),
        &message("percentile"),
    );
    says(
        ErrorSearch::new(Linear::new(8)).ranges(&empty),
        &message("error search"),
    );
    // One channel without a number, in another that has some.
    let mut observer = MinMax::new()
        .per_channel(Axis(1))
        .non_finite(NonFinite::Skip);
    observer.observe(&array![[1.0_f32, f32::NAN]]).unwrap();
    says(
        observer.ranges(),
        "minimum and maximum has no values in channel 1",
    );
}

#[test]
fn settings_outside_their_range_are_refused() {
    for bins in [0, 1, 2, 3, 100, 1 << 21, usize::MAX] {
        assert!(
            matches!(
                Histogram::with_bins(bins),
                Err(Error::NumberOutOfRange { .. })
            ),
            "{bins}"
        );
    }
    for share in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(
            MovingAverage::with_share(share),
            Err(Error::NumberOutOfRange { .. })
        ));
        assert!(matches!(
            Percentile::new(share),
            Err(Error::NumberOutOfRange { .. })
        ));
    }
    assert!(Percentile::new(0.0).is_err());
    assert!(Saturation::new(&[]).is_err());
    for range in [(1.0, -1.0), (f64::NAN, 1.0), (0.0, f64::NAN)] {
        assert!(Saturation::new(&[range]).is_err(), "{range:?}");
    }
    let mut two = Saturation::new(&[(0.0, 1.0); 2]).unwrap();
    says(two.observe(&array![0.5]), "2 ranges given, 1 needed");
    let values = array![[1.0_f32, 2.0]];
    let search = ErrorSearch::new(Linear::new(8));
    for wrong in [
        search.norm(0.0),
        search.norm(f64::NAN),
        search.norm(f64::INFINITY),
        search.grid(0),
        search.grid(1 << 20),
        search.shrink(-0.1),
        search.shrink(f64::NAN),
        search.patience(0),
    ] {
        assert!(
            matches!(wrong.ranges(&values), Err(Error::NumberOutOfRange { .. })),
            "{wrong:?}"
        );
    }
    assert!(matches!(
        ErrorSearch::new(Linear::new(9)).ranges(&values),
        Err(Error::BitsOutOfRange { .. })
    ));
    let mut histogram = Histogram::new();
    histogram.observe(&values).unwrap();
    assert!(matches!(
        Entropy::nvidia(1).ranges_of(&histogram),
        Err(Error::BitsOutOfRange { bits: 1, .. })
    ));
    let mut observer = MinMax::new();
    observer.observe(&values).unwrap();
    assert!(observer.outlier_channels(-1.0).is_err());
    assert!(observer.outlier_channels(f64::NAN).is_err());
}

#[test]
fn values_that_cannot_be_searched_are_named() {
    let values = array![[1.0_f32, 2.0], [f32::INFINITY, f32::NAN]];
    let message = "value [1, 0] is inf, must be finite";
    let search = ErrorSearch::new(Linear::new(8));
    says(search.ranges(&values), message);
    says(
        Percentile::new(0.9)
            .unwrap()
            .ranges(&values, Granularity::PerTensor),
        message,
    );
    let large = array![[1e300_f64]];
    assert!(matches!(
        search.ranges(&large),
        Err(Error::ScaleOverflow { channel: 0, .. })
    ));
    let fine = array![[1.0_f32, 2.0]];
    says(
        search.ranges_weighted(&fine, &[1.0], Axis(1)),
        "1 importances given, 2 needed",
    );
    says(
        search.ranges_weighted(&fine, &[1.0], Axis(2)),
        "axis 2 does not exist, the array has 2 axes",
    );
    says(
        search.ranges_weighted(&fine, &[1.0, -1.0], Axis(1)),
        "importance of a channel must be finite and not negative, got -1",
    );
    assert!(
        search
            .ranges_weighted(&fine, &[1.0, f64::NAN], Axis(1))
            .is_err()
    );
}

#[test]
fn statistics_that_differ_are_not_merged() {
    let batch = array![[1.0_f32, -2.0]];
    let mut plain = MinMax::new();
    plain.observe(&batch).unwrap();
    let before = plain.clone();
    let mut channels = MinMax::new().per_channel(Axis(1));
    channels.observe(&batch).unwrap();
    says(
        plain.merge(&channels),
        "statistics differ in their axis and cannot be merged",
    );
    says(
        plain.merge(&MinMax::new().non_finite(NonFinite::Skip)),
        "statistics differ in their treatment of what is not finite and cannot be merged",
    );
    assert_eq!(plain, before);
    let mut wider = MinMax::new().per_channel(Axis(1));
    wider.observe(&array![[1.0_f32, -2.0, 3.0]]).unwrap();
    says(channels.merge(&wider), "3 channels given, 2 needed");
    let bins = "statistics differ in their bins and cannot be merged";
    let mut histogram = Histogram::new();
    says(histogram.merge(&Histogram::with_bins(64).unwrap()), bins);
    says(histogram.merge(&Histogram::new().of_magnitudes()), bins);
    let mut saturation = Saturation::new(&[(0.0, 1.0)]).unwrap();
    says(
        saturation.merge(&Saturation::new(&[(0.0, 2.0)]).unwrap()),
        "statistics differ in their ranges and cannot be merged",
    );
    let mut average = Statistics::from(MovingAverage::new());
    says(
        average.clone().merge(&average),
        "statistics differ in their order of batches and cannot be merged",
    );
    says(
        average.merge(&MinMax::new().into()),
        "statistics differ in their kind and cannot be merged",
    );
}
