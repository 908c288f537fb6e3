//! Tensors whose codes are not evenly spaced integers: what they mean, and which codes there are.

use ndarray::{Array2, ArrayD, Axis, array};
use rarefy::Error;
use rarefy::quantize::{
    FakeQuantizer, Granularity, Linear, Lsq, Minifloat, Parameters, QuantizedTensor, QuantizerExt,
    Scheme,
};
use rarefy::report::Report;

const ROWS: Granularity = Granularity::PerChannel(Axis(0));

/// Parameters of each scheme for two rows, and how many codes it has.
fn all() -> Vec<(Parameters, i32)> {
    let with = |scheme| Parameters::new(scheme, ROWS, vec![0.5, 3.0]);
    let mut all = vec![
        (with(Scheme::binary()), 2),
        (with(Scheme::float(Minifloat::E2M1)), 16),
        (with(Scheme::float(Minifloat::E4M3)), 0x7F),
        (with(Scheme::float(Minifloat::E5M2)), 0x7C),
    ];
    for bits in 1..=8 {
        let shifted = Scheme::float_zero_point(bits).unwrap();
        all.push((
            with(shifted).with_float_zero_points(vec![0.3, -7.5]),
            1 << bits,
        ));
        let entries = (1 << bits) - (bits as usize) / 2;
        let table = (0..entries).map(|i| 1.0 / (i as f32 - 2.5)).collect();
        let table = with(Scheme::codebook(bits).unwrap()).with_codebook(table);
        all.push((table, entries as i32));
    }
    all
}

/// What a code means, by the documented formulas.
fn meaning(parameters: &Parameters, row: usize, code: i32) -> f64 {
    let scheme = parameters.scheme();
    let number = if let Some(format) = scheme.minifloat() {
        f64::from(format.decode(u8::try_from(code).unwrap()))
    } else if scheme.has_codebook() {
        f64::from(parameters.codebook()[code as usize])
    } else if scheme.has_float_zero_points() {
        f64::from(code) - f64::from(parameters.float_zero_points()[row])
    } else {
        f64::from(2 * code - 1)
    };
    number * f64::from(parameters.scales()[row])
}

#[test]
fn codes_mean_what_is_documented() {
    for (parameters, count) in all() {
        let codes = Array2::from_shape_fn((2, 301), |(i, j)| (7 * i + j) as i32 % count);
        let q = QuantizedTensor::from_codes(&codes, parameters.clone()).unwrap();
        assert_eq!(q.codes(), codes.clone().into_dyn());
        let packed = q.packed().to_vec();
        let again = QuantizedTensor::from_packed(vec![2, 301], packed, parameters.clone());
        assert_eq!(again.unwrap(), q);
        let bits = q.scheme().bits() as usize;
        let numbers = 2 + q.parameters().float_zero_points().len() + parameters.codebook().len();
        assert_eq!(q.bytes(), (602 * bits).div_ceil(8) + 4 * numbers);

        let values = q.dequantize::<f64>();
        let singles = q.dequantize::<f32>();
        for ((i, j), &code) in codes.indexed_iter() {
            let right = meaning(&parameters, i, code);
            assert_eq!(values[[i, j]], right, "{parameters:?}");
            let near = f64::from(singles[[i, j]]) - right;
            assert!(near.abs() <= right.abs() * 1e-6, "{parameters:?}");
        }
        let mut turned = Array2::<f64>::zeros((301, 2));
        q.dequantize_into(&mut turned.view_mut().reversed_axes())
            .unwrap();
        assert_eq!(turned.t().into_dyn(), values);

        let zero = (0..count).any(|code| {
            let at = |row| meaning(&parameters, row, code);
            at(0) == 0.0 && at(1) == 0.0
        });
        assert_eq!(q.keeps_zero(), zero, "{parameters:?}");
        assert!(!q.scheme().keeps_zero() || zero);

        let mut report = Report::new();
        report.add_quantized("w", &values, &q).unwrap();
        assert_eq!(report.total().bytes_after(), q.bytes());
        assert!(format!("{q:?} {parameters:?}").len() < 700);
    }
}

#[test]
fn a_zero_point_that_is_a_code_keeps_zero() {
    let scheme = Scheme::float_zero_point(4).unwrap();
    for (zero, keeps) in [
        (0.0, true),
        (15.0, true),
        (3.5, false),
        (16.0, false),
        (-1.0, false),
    ] {
        let parameters = Parameters::new(scheme, Granularity::PerTensor, vec![0.1])
            .with_float_zero_points(vec![zero]);
        assert_eq!(parameters.keeps_zero(), keeps, "{zero}");
    }
}

fn refused(codes: ArrayD<i32>, parameters: Parameters) -> String {
    let shape = codes.shape().to_vec();
    let error = QuantizedTensor::from_codes(&codes, parameters.clone())
        .unwrap_err()
        .to_string();
    let fits = codes
        .iter()
        .all(|&code| (0..1 << parameters.scheme().bits()).contains(&code));
    if fits && parameters.scheme().bits() == 8 {
        let packed = codes.iter().map(|&code| code as u8).collect();
        let packed = QuantizedTensor::from_packed(shape, packed, parameters);
        assert_eq!(packed.unwrap_err().to_string(), error);
    }
    error
}

#[test]
fn what_means_no_number_is_refused() {
    let with = |scheme| Parameters::new(scheme, Granularity::PerTensor, vec![1.0]);
    let e4m3 = with(Scheme::float(Minifloat::E4M3));
    let e5m2 = with(Scheme::float(Minifloat::E5M2));
    let table = || with(Scheme::codebook(8).unwrap());
    let shifted = || with(Scheme::float_zero_point(8).unwrap());
    let one = || array![[0, 1]].into_dyn();
    for (codes, parameters, right) in [
        (
            array![[0, 0x7F]].into_dyn(),
            e4m3.clone(),
            "code [0, 1] is NaN",
        ),
        (
            array![[0, 0xFF]].into_dyn(),
            e4m3.clone(),
            "code [0, 1] is NaN",
        ),
        (
            array![[0x7C]].into_dyn(),
            e5m2.clone(),
            "code [0, 0] is inf, must be finite",
        ),
        (
            array![[0xFC]].into_dyn(),
            e5m2,
            "code [0, 0] is -inf, must be finite",
        ),
        (
            array![[-1]].into_dyn(),
            e4m3.clone(),
            "code [0, 0] must lie in 0..=255, got -1",
        ),
        (
            array![[0, 3]].into_dyn(),
            table().with_codebook(vec![0.0, 1.0, 2.0]),
            "code [0, 1] must lie in 0..=2, got 3",
        ),
        (
            one(),
            table(),
            "number of entries of a codebook must be at least 1 and at most the number of codes, got 0",
        ),
        (
            one(),
            table().with_codebook(vec![0.0; 257]),
            "number of entries of a codebook must be at least 1 and at most the number of codes, got 257",
        ),
        (
            one(),
            table().with_codebook(vec![0.0, f32::NAN]),
            "entry of a codebook [1] is NaN",
        ),
        (
            one(),
            shifted().with_float_zero_points(vec![f32::INFINITY]),
            "zero point [0] is inf, must be finite",
        ),
        (
            one(),
            shifted().with_float_zero_points(vec![]),
            "0 float zero points given, 1 needed",
        ),
        (
            one(),
            shifted().with_zero_points(vec![0]),
            "1 zero points given, 0 needed",
        ),
        (
            one(),
            e4m3.with_codebook(vec![0.0]),
            "1 entries of a codebook given, 0 needed",
        ),
        (
            array![[2]].into_dyn(),
            with(Scheme::binary()),
            "code [0, 0] must lie in 0..=1, got 2",
        ),
    ] {
        assert_eq!(refused(codes, parameters), right);
    }
}

#[test]
fn what_trains_and_rounds_integers_takes_no_others() {
    let weights = array![[0.5_f32, -1.0], [0.25, 0.0]];
    for (parameters, _) in all() {
        let linear = Linear::new(4).quantize_with(&weights, &parameters);
        assert!(matches!(linear, Err(Error::CodesNotIntegers)));
        let fake = FakeQuantizer::new(parameters.clone()).forward(&weights);
        assert!(matches!(fake, Err(Error::CodesNotIntegers)));
        let mut gradient = weights.clone();
        let lsq = Lsq::new(parameters.clone()).backward_in_place(&weights, &mut gradient);
        assert!(matches!(lsq, Err(Error::CodesNotIntegers)));
        assert_eq!(gradient, weights);
        let lsq = Lsq::from_weights(&weights, parameters.scheme(), ROWS);
        assert!(matches!(lsq, Err(Error::CodesNotIntegers)));

        // Its memory serves another quantizer, and an error leaves a whole tensor without weights.
        let codes = array![[0, 1], [1, 0]];
        let mut q = QuantizedTensor::from_codes(&codes, parameters).unwrap();
        let nan = weights.mapv(|_| f32::NAN);
        assert!(Linear::new(8).quantize_into(&nan, &mut q).is_err());
        let parameters = q.parameters().clone();
        assert!(QuantizedTensor::from_packed(vec![0], vec![], parameters).is_ok());
        Linear::new(8).quantize_into(&weights, &mut q).unwrap();
        assert_eq!(q, Linear::new(8).quantize(&weights).unwrap());
    }
}
