//! A network of smaller arrays computes what the network as it was computes under the masks.

use approx::assert_abs_diff_eq;
use ndarray::{Array1, Array2, Array4, ArrayD, ArrayViewD, Axis, Ix1, Ix2, Ix4, IxDyn, array, s};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rarefy::prune::{CoupledAxes, CoupledAxis, Shrinkage, UnitScore};
use rarefy::{CouplingError, Error};
use std::collections::BTreeMap;

type Network = BTreeMap<String, ArrayD<f64>>;

/// Far below anything that matters, above the rounding of sums in another order.
const CLOSE: f64 = 1e-12;

fn network<const N: usize>(shapes: [(&str, &[usize]); N]) -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let tensor = |(name, shape): (&str, &[usize])| {
        let values = ArrayD::random_using(IxDyn(shape), StandardNormal, &mut random);
        (name.to_owned(), values)
    };
    shapes.map(tensor).into_iter().collect()
}

fn normal(shape: &[usize]) -> ArrayD<f64> {
    ArrayD::random_using(
        IxDyn(shape),
        StandardNormal,
        &mut ChaCha8Rng::seed_from_u64(9),
    )
}

fn vector(network: &Network, name: &str) -> Array1<f64> {
    network[name].clone().into_dimensionality::<Ix1>().unwrap()
}

fn matrix(network: &Network, name: &str) -> Array2<f64> {
    network[name].clone().into_dimensionality::<Ix2>().unwrap()
}

fn kernels(network: &Network, name: &str) -> Array4<f64> {
    network[name].clone().into_dimensionality::<Ix4>().unwrap()
}

/// Checks that both networks compute the same, and returns the smaller one.
fn agree(
    network: &Network,
    shrinkage: &Shrinkage,
    compute: impl Fn(&Network) -> ArrayD<f64>,
) -> Network {
    let mut masked = network.clone();
    for (name, mask) in shrinkage.masks().unwrap() {
        mask.apply(masked.get_mut(&name).unwrap()).unwrap();
    }
    let mut smaller = network.clone();
    shrinkage.shrink(&mut smaller).unwrap();
    let (right, computed) = (compute(&masked), compute(&smaller));
    assert_eq!(right.shape(), computed.shape());
    for (right, computed) in right.iter().zip(&computed) {
        assert_abs_diff_eq!(right, computed, epsilon = CLOSE);
    }
    assert_ne!(right, compute(network), "dropping units changes something");
    for (name, tensor) in &smaller {
        let other = shrinkage.shrunk(name, &network[name]).unwrap();
        assert_eq!(other, *tensor);
    }
    smaller
}

#[test]
fn a_perceptron() {
    let network = network([
        ("first", &[16, 6]),
        ("first.bias", &[16]),
        ("second", &[3, 16]),
        ("second.bias", &[3]),
    ]);
    let hidden = CoupledAxes::new([
        CoupledAxis::new("first", Axis(0)),
        CoupledAxis::new("first.bias", Axis(0)),
        CoupledAxis::new("second", Axis(1)),
    ]);
    let x = normal(&[5, 6]).into_dimensionality::<Ix2>().unwrap();
    // sigmoid(0) is not 0: it is the columns of the next layer that silence a unit.
    let compute = |network: &Network| {
        let hidden = x.dot(&matrix(network, "first").t()) + vector(network, "first.bias");
        let hidden = hidden.mapv(|h| 1.0 / (1.0 + (-h).exp()));
        let out = hidden.dot(&matrix(network, "second").t()) + vector(network, "second.bias");
        out.into_dyn()
    };
    for score in [
        UnitScore::L1,
        UnitScore::L2,
        UnitScore::Largest,
        UnitScore::Sum,
    ] {
        let scores = hidden.scores(&network, score).unwrap();
        for (unit, &given) in scores.iter().enumerate() {
            let members = [
                network["first"].index_axis(Axis(0), unit).to_owned(),
                network["first.bias"].index_axis(Axis(0), unit).to_owned(),
                network["second"].index_axis(Axis(1), unit).to_owned(),
            ];
            let all = members.iter().flatten();
            let slow: f64 = match score {
                UnitScore::L1 => all.map(|x| x.abs()).sum(),
                UnitScore::L2 => all.map(|x| x * x).sum::<f64>().sqrt(),
                UnitScore::Largest => all.fold(0.0, |largest: f64, x| largest.max(x.abs())),
                _ => all.sum(),
            };
            assert_abs_diff_eq!(given, slow, epsilon = CLOSE);
        }
        let shrinkage = hidden.choose(&network, &scores, 0.3).unwrap();
        assert_eq!(shrinkage.dropped().len(), 5); // 4.8 rounds to 5
        let lowest_kept = shrinkage
            .kept()
            .iter()
            .map(|&u| scores[u])
            .fold(f64::INFINITY, f64::min);
        assert!(
            shrinkage
                .dropped()
                .iter()
                .all(|&u| scores[u] <= lowest_kept)
        );
        let smaller = agree(&network, &shrinkage, compute);
        assert_eq!(smaller["first"].shape(), [11, 6]);
        assert_eq!(smaller["second"].shape(), [3, 11]);
        let map = shrinkage.indices("second", Axis(1)).unwrap();
        assert_eq!(map, shrinkage.kept());
        assert_eq!(shrinkage.indices("second", Axis(0)), None);
    }
}

/// Convolves without padding, `[images, channels, height, width]`.
fn convolve(x: &Array4<f64>, kernels: &Array4<f64>) -> Array4<f64> {
    let (images, _, height, width) = x.dim();
    let (out, _, kh, kw) = kernels.dim();
    let shape = (images, out, height + 1 - kh, width + 1 - kw);
    Array4::from_shape_fn(shape, |(image, channel, i, j)| {
        let part = x.slice(s![image, .., i..i + kh, j..j + kw]);
        (&part * &kernels.index_axis(Axis(0), channel)).sum()
    })
}

#[test]
fn a_convolution_with_batch_normalisation_that_is_flattened() {
    let shapes: [(&str, &[usize]); 9] = [
        ("conv1", &[8, 2, 3, 3]),
        ("gamma", &[8]),
        ("beta", &[8]),
        ("mean", &[8]),
        ("variance", &[8]),
        ("conv2", &[6, 8, 2, 2]),
        ("conv2.bias", &[6]),
        ("linear", &[4, 6 * 9]),
        ("linear.bias", &[4]),
    ];
    let mut network = network(shapes);
    network.get_mut("variance").unwrap().mapv_inplace(f64::abs);
    let x = normal(&[2, 2, 6, 6]).into_dimensionality::<Ix4>().unwrap();
    let channel = |network: &Network, name: &str| {
        let values = vector(network, name);
        let count = values.len();
        values.into_shape_with_order((1, count, 1, 1)).unwrap()
    };
    // Channels become the slow index of the flattened features, as in PyTorch, or the fast one.
    let compute = |network: &Network, channels_last: bool| {
        let hidden = convolve(&x, &kernels(network, "conv1"));
        let centred = hidden - channel(network, "mean");
        let normal = centred / (channel(network, "variance") + 1e-5).mapv(f64::sqrt);
        let hidden = normal * channel(network, "gamma") + channel(network, "beta");
        let hidden = hidden.mapv(|h| h.max(0.0));
        let hidden = convolve(&hidden, &kernels(network, "conv2"));
        let hidden = (hidden + channel(network, "conv2.bias")).mapv(f64::tanh);
        let flat = if channels_last {
            hidden.permuted_axes([0, 2, 3, 1])
        } else {
            hidden
        };
        let features = flat.len() / 2;
        let flat = flat.as_standard_layout().into_owned();
        let flat = flat.into_shape_with_order((2, features)).unwrap();
        let out = flat.dot(&matrix(network, "linear").t()) + vector(network, "linear.bias");
        out.into_dyn()
    };

    let first = CoupledAxes::new([
        CoupledAxis::new("conv1", Axis(0)),
        CoupledAxis::new("gamma", Axis(0)),
        CoupledAxis::new("beta", Axis(0)),
        CoupledAxis::new("mean", Axis(0)).unscored(),
        CoupledAxis::new("variance", Axis(0)).unscored(),
        CoupledAxis::new("conv2", Axis(1)),
    ]);
    let scores = first.scores(&network, UnitScore::L1).unwrap();
    let shrinkage = first.choose(&network, &scores, 3_usize).unwrap();
    let smaller = agree(&network, &shrinkage, |network| compute(network, false));
    assert_eq!(smaller["mean"].shape(), [5]);
    assert_eq!(smaller["conv2"].shape(), [6, 5, 2, 2]);

    for channels_last in [false, true] {
        let columns = CoupledAxis::new("linear", Axis(1));
        let second = CoupledAxes::new([
            CoupledAxis::new("conv2", Axis(0)),
            CoupledAxis::new("conv2.bias", Axis(0)),
            if channels_last {
                columns.interleaved(9)
            } else {
                columns.blocks(9)
            },
        ]);
        // The groups do not touch one another, so the second acts on what the first left.
        let scores = second.scores(&smaller, UnitScore::L2).unwrap();
        let shrinkage = second.choose(&smaller, &scores, 0.5).unwrap();
        let smallest = agree(&smaller, &shrinkage, |network| {
            compute(network, channels_last)
        });
        assert_eq!(smallest["conv2"].shape(), [3, 5, 2, 2]);
        assert_eq!(smallest["linear"].shape(), [4, 27]);
    }
}

#[test]
fn attention_with_queries_keys_and_values_in_one_matrix() {
    const WIDTH: usize = 12;
    const HEAD: usize = 3;
    let network = network([
        ("qkv", &[3 * WIDTH, WIDTH]),
        ("qkv.bias", &[3 * WIDTH]),
        ("out", &[WIDTH, WIDTH]),
    ]);
    let x = normal(&[7, WIDTH]).into_dimensionality::<Ix2>().unwrap();
    let compute = |network: &Network| {
        let qkv = x.dot(&matrix(network, "qkv").t()) + vector(network, "qkv.bias");
        let width = qkv.ncols() / 3;
        let mut joined = Array2::zeros((7, width));
        for start in (0..width).step_by(HEAD) {
            let part = |n: usize| qkv.slice(s![.., n * width + start..n * width + start + HEAD]);
            let mut weights = part(0).dot(&part(1).t()).mapv(|x| (x / 3_f64.sqrt()).exp());
            for mut row in weights.rows_mut() {
                row /= row.sum();
            }
            let head = weights.dot(&part(2));
            joined.slice_mut(s![.., start..start + HEAD]).assign(&head);
        }
        joined.dot(&matrix(network, "out").t()).into_dyn()
    };
    let heads = CoupledAxes::new(
        (0..3)
            .flat_map(|n| {
                let rows = n * WIDTH..(n + 1) * WIDTH;
                ["qkv", "qkv.bias"].map(|name| {
                    CoupledAxis::new(name, Axis(0))
                        .part(rows.clone())
                        .blocks(HEAD)
                })
            })
            .chain([CoupledAxis::new("out", Axis(1)).blocks(HEAD)]),
    );
    assert_eq!(heads.units(&network).unwrap(), 4);
    let shrinkage = heads.keep(&network, &[1, 3]).unwrap();
    let smaller = agree(&network, &shrinkage, compute);
    assert_eq!(smaller["qkv"].shape(), [18, 12]);
    assert_eq!(smaller["out"].shape(), [12, 6]);
    assert_eq!(
        shrinkage.indices("qkv", Axis(0)).unwrap(),
        [
            3, 4, 5, 9, 10, 11, 15, 16, 17, 21, 22, 23, 27, 28, 29, 33, 34, 35
        ]
    );
}

#[test]
fn ties_go_by_index_and_all_or_none_can_go() {
    let network: Network = [("w".to_owned(), ArrayD::ones(IxDyn(&[6, 2])))].into();
    let axes = CoupledAxes::new([CoupledAxis::new("w", Axis(0))]);
    let scores = axes.scores(&network, UnitScore::L2).unwrap();
    let kept = |amount: usize| {
        let shrinkage = axes.choose(&network, &scores, amount).unwrap();
        shrinkage.kept().to_vec()
    };
    assert_eq!(kept(4), [4, 5]);
    assert_eq!(kept(0).len(), 6);
    let shrinkage = axes.choose(&network, &[0.0, -0.0, 0.0, -1.0, 5.0, 0.0], 2_usize);
    assert_eq!(shrinkage.unwrap().dropped(), [0, 3]);
    let all = axes.choose(&network, &scores, 1.0).unwrap();
    assert_eq!(all.smaller(&network).unwrap()["w"].shape(), [0, 2]);
    // Views go in as well; infinity is the largest score.
    let infinite = array![[1.0, f64::INFINITY], [2.0, 2.0]].into_dyn();
    let views: BTreeMap<String, ArrayViewD<'_, f64>> = [("w".to_owned(), infinite.view())].into();
    let scores = axes.scores(&views, UnitScore::L2).unwrap();
    assert_eq!(axes.choose(&views, &scores, 0.5).unwrap().kept(), [0]);
}

#[test]
fn what_cannot_be_coupled_says_why() {
    let network = network([("a", &[4, 6]), ("b", &[5])]);
    let error = |axes: Vec<CoupledAxis>| CoupledAxes::new(axes).units(&network).unwrap_err();
    let a = |axis| CoupledAxis::new("a", Axis(axis));
    let texts = [
        (
            error(vec![a(0), CoupledAxis::new("b", Axis(0))]),
            "coupled axes have different numbers of units: axis 0 of \"a\" has 4, axis 0 of \"b\" has 5",
        ),
        (error(vec![]), "no axes are coupled, at least one is needed"),
        (
            error(vec![a(2)]),
            "tensor \"a\": axis 2 does not exist, the array has 2 axes",
        ),
        (
            error(vec![CoupledAxis::new("c", Axis(0))]),
            "no tensor is named \"c\"",
        ),
        (
            error(vec![a(1).blocks(4)]),
            "6 indices of axis 1 of \"a\" do not divide into units of 4",
        ),
        (
            error(vec![a(1).interleaved(0)]),
            "6 indices of axis 1 of \"a\" do not divide into units of 0",
        ),
        (
            error(vec![a(1).part(2..7)]),
            "axis 1 of \"a\" has 6 indices, the part 2..7 does not lie within",
        ),
        (
            error(vec![a(1).part(0..3), a(1).part(2..5)]),
            "index 2 of axis 1 of \"a\" is coupled twice",
        ),
    ];
    for (error, text) in texts {
        assert_eq!(error.to_string(), text);
    }
    let axes = CoupledAxes::new([a(0)]);
    let keep = |kept: &[usize]| axes.keep(&network, kept).unwrap_err();
    assert!(matches!(
        keep(&[0, 4]),
        Error::Coupling(CouplingError::UnitOutOfRange { unit: 4, units: 4 })
    ));
    assert_eq!(
        keep(&[1, 1]).to_string(),
        "units must ascend, got 1 after 1"
    );
    let choose = |scores: &[f64], amount: usize| {
        let error = axes.choose(&network, scores, amount).unwrap_err();
        error.to_string()
    };
    assert_eq!(choose(&[1.0; 3], 1), "3 scores given, 4 needed");
    assert_eq!(choose(&[1.0, f64::NAN, 0.0, 0.0], 1), "score [1] is NaN");
    let text = "count must lie in 0..=4, the number of units, got 5";
    assert_eq!(choose(&[1.0; 4], 5), text);

    let mut broken = network.clone();
    broken.get_mut("a").unwrap()[[2, 1]] = f64::NAN;
    let error = axes.scores(&broken, UnitScore::L1).unwrap_err();
    assert_eq!(error.to_string(), "tensor \"a\": weight [2, 1] is NaN");
    broken.get_mut("a").unwrap()[[2, 1]] = 1e200;
    let error = axes.scores(&broken, UnitScore::L2).unwrap_err();
    assert!(matches!(error, Error::SumOutOfRange));

    // A tensor of another shape than the plan was made for: nothing is replaced.
    let shrinkage = axes.keep(&network, &[0]).unwrap();
    let mut other = self::network([("a", &[4, 5])]);
    let before = other.clone();
    let error = shrinkage.shrink(&mut other).unwrap_err();
    let text = "tensor \"a\": shapes differ: shrinkage [4, 6], array [4, 5]";
    assert_eq!(error.to_string(), text);
    assert_eq!(other, before);
}
