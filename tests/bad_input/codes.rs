//! Quantizers of codes that are not evenly spaced: what is wrong is an error that says so.

use ndarray::{Array1, Array2, Axis, arr0, array};
use rarefy::prelude::*;
use rarefy::quantize::{
    Binary, Codebook, Float8, Granularity, Hqq, KMeans, NonFinite, Parameters, QuantizedTensor,
    Scheme,
};
use rarefy::{Error, Mask};

fn says(result: rarefy::Result<QuantizedTensor>, right: &str) {
    assert_eq!(result.unwrap_err().to_string(), right);
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let quantizers: [&dyn Quantizer<f32>; 5] = [
        &Codebook::nf4(),
        &Codebook::new((0..200_u8).map(f32::from).collect()),
        &Float8::e4m3(),
        &Binary::new(),
        &KMeans::new(3),
    ];
    for quantizer in quantizers {
        let weights = array![[1.0, 2.0], [f32::NAN, f32::INFINITY]];
        says(quantizer.quantize(&weights), "weight [1, 0] is NaN");
        let weights = array![1.0, f32::NEG_INFINITY];
        says(
            quantizer.quantize(&weights),
            "weight [1] is -inf, must be finite",
        );
    }
}

#[test]
fn nan_cannot_be_propagated() {
    let weights = array![1.0_f32];
    let right = "no code means NaN: it can be an error or be clamped, not propagated";
    let how = NonFinite::Propagate;
    says(Codebook::nf4().non_finite(how).quantize(&weights), right);
    says(Float8::e5m2().non_finite(how).quantize(&weights), right);
    says(Binary::new().non_finite(how).quantize(&weights), right);
    says(KMeans::new(2).non_finite(how).quantize(&weights), right);
}

#[test]
fn what_is_not_finite_can_be_clamped() {
    let weights = array![f32::NAN, 2.0, -4.0, f32::INFINITY, f32::NEG_INFINITY, 1.0];
    let how = NonFinite::Clamp;
    let q = Codebook::new(vec![-1.0, 0.25, 0.5, 1.0])
        .non_finite(how)
        .quantize(&weights)
        .unwrap();
    assert_eq!(
        (q.scales(), q.codes()),
        (&[4.0][..], array![1, 2, 0, 3, 0, 1].into_dyn())
    );
    let q = Float8::e4m3().non_finite(how).quantize(&weights).unwrap();
    assert_eq!(
        q.codes(),
        array![0, 0x76, 0xFE, 0x7E, 0xFE, 0x6E].into_dyn()
    );
    let q = Binary::new().non_finite(how).quantize(&weights).unwrap();
    assert_eq!(q.codes(), array![1, 1, 0, 1, 0, 1].into_dyn());
    assert_eq!(q.scales(), [7.0 / 6.0]);
    let q = KMeans::new(2).non_finite(how).quantize(&weights).unwrap();
    assert_eq!(q.parameters().codebook(), [-4.0, 1.0, 2.0]);
    assert_eq!(q.codes(), array![1, 2, 0, 2, 0, 1].into_dyn());
    let q = KMeans::new(2)
        .non_finite(how)
        .quantize(&array![f32::NAN])
        .unwrap();
    assert_eq!(q.dequantize::<f32>(), array![0.0].into_dyn());
}

#[test]
fn settings_are_checked() {
    let weights = array![1.0_f32, 2.0];
    let of = |entries: Vec<f32>| Codebook::new(entries).quantize(&weights);
    says(
        of(vec![]),
        "number of entries of a codebook must be 1 to 256, got 0",
    );
    says(
        of(vec![0.5; 257]),
        "number of entries of a codebook must be 1 to 256, got 257",
    );
    says(
        of(vec![0.0, -0.0]),
        "largest magnitude of a codebook must be above 0, got 0",
    );
    says(of(vec![0.0, f32::NAN]), "entry of a codebook [1] is NaN");
    says(
        of(vec![f32::INFINITY]),
        "entry of a codebook [0] is inf, must be finite",
    );
    for bits in [0, 9, 16] {
        let right = format!("number of bits must be 1 to 8, got {bits}");
        says(KMeans::new(bits).quantize(&weights), &right);
    }
    let scalar = arr0(1.0_f32);
    let axis = "axis 0 does not exist, the array has 0 axes";
    says(Float8::e4m3().per_channel(Axis(0)).quantize(&scalar), axis);
    says(Binary::new().per_group(Axis(0), 4).quantize(&scalar), axis);
    says(
        Codebook::nf4().per_group(Axis(0), 0).quantize(&weights),
        "size of a group must be at least 1, got 0",
    );
}

#[test]
fn weights_too_large_for_a_scale_are_named() {
    let weights = array![[1.0, 2.0], [3.0, -1e300]];
    let rows = Granularity::PerChannel(Axis(0));
    let columns = Granularity::PerChannel(Axis(1));
    for granularity in [rows, columns, Granularity::PerTensor] {
        let quantizers: [&dyn Quantizer<f64>; 3] = [
            &Codebook::nf4().granularity(granularity),
            &Float8::e5m2().granularity(granularity),
            &Binary::new().granularity(granularity),
        ];
        for quantizer in quantizers {
            let error = quantizer.quantize(&weights).unwrap_err();
            let Error::ScaleOverflow { channel, largest } = error else {
                unreachable!("{error}")
            };
            assert_eq!(channel, usize::from(granularity != Granularity::PerTensor));
            assert!((1e299..=1e300).contains(&largest), "{largest}");
        }
    }
    let error = KMeans::new(4).quantize(&weights).unwrap_err();
    assert!(matches!(
        error,
        Error::ScaleOverflow {
            channel: 0,
            largest: 1e300
        }
    ));
}

#[test]
fn parameters_must_be_of_the_kind() {
    let weights = array![1.0_f32, 2.0];
    let whole = Granularity::PerTensor;
    let integers = Parameters::new(Scheme::symmetric(8).unwrap(), whole, vec![1.0]);
    says(
        Codebook::nf4().quantize_with(&weights, &integers),
        "0 codebooks given, 1 needed",
    );
    says(
        Float8::e4m3().quantize_with(&weights, &integers),
        "0 parameters of this float given, 1 needed",
    );
    says(
        Binary::new().quantize_with(&weights, &integers),
        "0 parameters of signs given, 1 needed",
    );
    let two = Parameters::new(Scheme::binary(), whole, vec![1.0; 2]);
    says(
        Binary::new().quantize_with(&weights, &two),
        "2 scales given, 1 needed",
    );
}

#[test]
fn nothing_and_zeros_have_stated_outcomes() {
    let nothing = Array2::<f32>::zeros((3, 0));
    let zeros = Array1::<f32>::zeros(3);
    let least = f32::MIN_POSITIVE;
    let codebook = Codebook::nf4().per_channel(Axis(0));
    let q = codebook.quantize(&nothing).unwrap();
    assert_eq!(
        (q.scales(), q.len(), q.bits_per_weight()),
        (&[1.0; 3][..], 0, 0.0)
    );
    let q = Codebook::nf4().quantize(&zeros).unwrap();
    assert_eq!(
        (q.scales(), q.dequantize::<f32>()),
        (&[least][..], zeros.clone().into_dyn())
    );
    let q = Float8::e4m3().quantize(&zeros).unwrap();
    assert_eq!(
        (q.scales(), q.dequantize::<f32>()),
        (&[least][..], zeros.clone().into_dyn())
    );
    let q = Float8::e5m2()
        .per_channel(Axis(0))
        .quantize(&nothing)
        .unwrap();
    assert_eq!(q.scales(), [1.0; 3]);
    let q = Binary::new()
        .per_channel(Axis(0))
        .quantize(&nothing)
        .unwrap();
    assert_eq!(q.scales(), [1.0; 3]);
    let q = Binary::new().quantize(&zeros.mapv(|zero| -zero)).unwrap();
    assert_eq!(
        (q.scales(), q.codes()),
        (&[least][..], array![1, 1, 1].into_dyn())
    );
    let q = KMeans::new(4).quantize(&nothing).unwrap();
    assert_eq!(
        (q.scales(), q.parameters().codebook()),
        (&[1.0][..], &[0.0][..])
    );
    let q = KMeans::new(4).quantize(&zeros).unwrap();
    assert_eq!(q.dequantize::<f32>(), zeros.into_dyn());
    let huge = Array2::<f32>::zeros((usize::MAX >> 1, 0));
    let error = codebook.quantize(&huge).unwrap_err();
    assert!(matches!(error, Error::ShapeOverflow { .. }));
}

#[test]
fn an_outlier_takes_nothing_from_the_means_of_others() {
    let q = KMeans::new(2)
        .quantize(&array![-1e30_f32, 1.0, 1.1, 5.0, 5.1, 9.0])
        .unwrap();
    assert_eq!(q.parameters().codebook(), [-1e30, 1.05, 5.05, 9.0]);
    let mut values = Array1::from_shape_fn(276, |i| ((i * 7919) % 1009) as f32 / 10.0);
    for outlier in [-1e13, -1e15, -1e17, 1e17] {
        values[0] = outlier;
        for bits in [6, 8] {
            let q = KMeans::new(bits).quantize(&values).unwrap();
            let entries = q.parameters().codebook();
            assert!(entries.is_sorted(), "{outlier} at {bits} bits");
            assert_eq!(q.dequantize::<f32>()[0], outlier, "{bits} bits");
        }
    }
}

#[test]
fn neighbouring_floats_are_two_entries_and_zero_has_no_sign() {
    let low = 1.0_f32.next_up();
    let both = array![low, low.next_up()];
    let q = Codebook::new(both.to_vec()).quantize(&both).unwrap();
    assert_eq!(q.codes(), array![0, 1].into_dyn());
    let tiny = array![-f32::from_bits(1), 0.0];
    let q = KMeans::new(1).keep_zero().quantize(&tiny).unwrap();
    assert_eq!(q.dequantize::<f32>(), tiny.into_dyn());
    let q = KMeans::new(1)
        .keep_zero()
        .quantize(&array![-1e-300_f64, -1.0, 0.0])
        .unwrap();
    assert!(q.dequantize::<f32>()[2].is_sign_positive());
}

#[test]
fn more_iterations_than_there_is_memory_for_are_refused() {
    let error = Hqq::new(4)
        .iterations(usize::MAX)
        .quantize(&array![1.0_f32, 2.0])
        .unwrap_err();
    assert!(error.to_string().contains("at most 1000000"), "{error}");
}

#[test]
fn a_number_that_only_f64_can_see_keeps_its_mask() {
    let parameters = Parameters::new(
        Scheme::codebook(1).unwrap(),
        Granularity::PerTensor,
        vec![1e-29],
    )
    .with_codebook(vec![1e-20, 1.0]);
    let q = QuantizedTensor::from_codes(&array![0, 1], parameters).unwrap();
    let mask = Mask::from_array(&array![false, true]);
    let masked = q.masked(&mask).unwrap();
    assert_eq!(masked.mask(), Some(&mask));
    assert_eq!(masked.dequantize::<f64>()[0], 0.0);
}
