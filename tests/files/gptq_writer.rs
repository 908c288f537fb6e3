//! What is written as GPTQ v1 comes back, and what it cannot hold is refused.

use ndarray::{Array2, Axis, array};
use rarefy::Mask;
use rarefy::formats::{GptqConfig, GptqWeights};
use rarefy::quantize::{
    Codebook, Granularity, Linear, Parameters, QuantizedTensor, QuantizerExt, Scheme,
};
use rarefy::tensors::{TensorInfo, TensorMap};

fn weights() -> Array2<f32> {
    Array2::from_shape_fn((32, 96), |(i, j)| {
        ((i * 37 + j * 11) % 101) as f32 / 16.0 - 3.0
    })
}

/// Quantized with scales of F16.
fn quantized(linear: &Linear) -> QuantizedTensor {
    let first = linear.quantize(&weights()).unwrap();
    let parameters = GptqWeights::half_scales(first.parameters()).unwrap();
    linear.quantize_with(&weights(), &parameters).unwrap()
}

fn returns(tensor: QuantizedTensor, group: Option<usize>) -> GptqConfig {
    let (bits, right) = (tensor.scheme().bits(), tensor.dequantize::<f32>());
    let weights = GptqWeights::new(tensor).unwrap();
    let config = GptqConfig::of(&weights).unwrap();
    assert_eq!((config.bits, config.group_size), (bits, group));
    let parts = weights.encode("a.b").unwrap();
    let infos = GptqWeights::infos("a.b", [32, 96], bits, group).unwrap();
    let said = |(name, part): &(String, _)| {
        let part: &rarefy::tensors::StoredTensor = part;
        TensorInfo::new(name.clone(), part.dtype(), part.shape())
    };
    assert_eq!(parts.iter().map(said).collect::<Vec<_>>(), infos);
    let parts = TensorMap::new(parts).unwrap();
    let read = GptqWeights::read(&parts, "a.b", &config).unwrap();
    assert_eq!(
        read.dequantize::<f32>().unwrap().into_dyn(),
        right,
        "{bits} bits, {group:?}"
    );
    assert_eq!(read.order(), None);
    config
}

#[test]
fn codes_of_every_scheme_come_back() {
    for bits in [2, 3, 4, 8] {
        let symmetric = Linear::new(bits);
        assert!(returns(quantized(&symmetric.per_group(Axis(1), 32)), Some(32)).sym);
        // 96 inputs in groups of 64: the last has half.
        returns(quantized(&symmetric.per_group(Axis(1), 64)), Some(64));
        returns(quantized(&symmetric.per_group(Axis(1), 96)), None);
        returns(quantized(&symmetric.per_channel(Axis(0))), None);
        returns(quantized(&symmetric.per_token()), None);
        returns(quantized(&symmetric), None);
        let affine = symmetric.affine().per_group(Axis(1), 32);
        assert!(!returns(quantized(&affine), Some(32)).sym);
        assert!(!returns(quantized(&affine.unsigned()), Some(32)).sym);
        let full = Scheme::symmetric_full_range(bits).unwrap();
        let codes = Array2::from_shape_fn((32, 96), |(i, j)| {
            i32::try_from((i + j) % (1 << bits)).unwrap() - (1 << (bits - 1))
        });
        let parameters = Parameters::new(full, Granularity::PerTensor, vec![0.25]);
        returns(
            QuantizedTensor::from_codes(&codes, parameters).unwrap(),
            None,
        );
    }
}

#[test]
fn what_a_mask_drops_means_zero() {
    let tensor = quantized(&Linear::new(4).affine().per_group(Axis(1), 32));
    let mask = Mask::from_fn((32, 96), |(i, j)| (i + j) % 3 == 0).unwrap();
    let masked = tensor.masked(&mask).unwrap();
    assert_eq!(masked.dequantize::<f32>()[[0, 1]], 0.0);
    returns(masked, Some(32));
}

#[test]
fn what_it_cannot_hold_is_refused() {
    let error = |tensor: QuantizedTensor| {
        let encoded = GptqWeights::new(tensor).and_then(|weights| weights.encode("m"));
        encoded.unwrap_err().to_string()
    };
    let linear = Linear::new(4).per_group(Axis(1), 32);
    let rough = linear.quantize(&weights()).unwrap();
    let message = error(rough);
    assert!(
        message.starts_with("tensor \"m\": GPTQ v1 cannot hold scale 0, 0."),
        "{message}"
    );
    assert!(
        message.ends_with(
            "scales that are numbers of F16: round them by `half_scales`, then quantize"
        ),
        "{message}"
    );

    let parameters = |scheme: Scheme, zero: i32| {
        Parameters::new(scheme, Granularity::PerChannel(Axis(0)), vec![0.5; 32])
            .with_zero_points([vec![1; 31], vec![zero]].concat())
    };
    let codes = Array2::<i32>::zeros((32, 96));
    let lowest =
        |scheme, zero| QuantizedTensor::from_codes(&codes, parameters(scheme, zero)).unwrap();
    let right = "tensor \"m\": GPTQ v1 cannot hold zero point 31, the lowest code: zero points above the lowest code, as it \
                 stores them less one";
    assert_eq!(error(lowest(Scheme::unsigned(4).unwrap(), 0)), right);
    assert_eq!(error(lowest(Scheme::affine(4).unwrap(), -8)), right);

    let narrow = linear.quantize(&Array2::<f32>::ones((32, 40))).unwrap();
    assert_eq!(
        error(narrow),
        "tensor \"m\": GPTQ v1 cannot hold 40 inputs: multiples of 32; leave such a layer as it is"
    );
    let few = linear.quantize(&Array2::<f32>::ones((31, 64))).unwrap();
    assert!(error(few).contains("cannot hold 31 outputs"));
    let five = Linear::new(5).quantize(&weights()).unwrap();
    assert_eq!(
        error(five),
        "tensor \"m\": GPTQ v1 cannot hold 5 bits: 2, 3, 4 or 8 bits"
    );
    let table = Codebook::nf4().quantize(&weights()).unwrap();
    assert!(error(table).ends_with(": codes that are integers"));
    let down = Linear::new(4)
        .per_channel(Axis(1))
        .quantize(&weights())
        .unwrap();
    assert!(error(down).ends_with(": scales per group along the inputs, per output or per tensor"));
    let flat = Linear::new(4).quantize(&array![1.0_f32, 2.0]).unwrap();
    assert_eq!(
        error(flat),
        "GPTQ cannot hold a tensor of shape [2]: outputs × inputs"
    );
    let infos = GptqWeights::infos("m", [32, 32], 4, Some(0)).unwrap_err();
    assert_eq!(
        infos.to_string(),
        "GPTQ v1 cannot hold groups of 0: groups of at least 1"
    );
    let infos = GptqWeights::infos("m", [0, 32], 4, None).unwrap_err();
    assert!(infos.to_string().contains("0 outputs"), "{infos}");
}

#[test]
fn scales_are_rounded_to_halves() {
    let of = |scale| {
        Parameters::new(
            Scheme::symmetric(4).unwrap(),
            Granularity::PerTensor,
            vec![scale],
        )
    };
    let rounded = |scale| GptqWeights::half_scales(&of(scale)).map(|rounded| rounded.scales()[0]);
    assert_eq!(rounded(0.1).unwrap(), 0.099_975_586);
    assert_eq!(rounded(65519.0).unwrap(), 65504.0);
    let error = rounded(65520.0).unwrap_err().to_string();
    assert_eq!(error, "element [0] is too large for F16");
    assert!(rounded(1e-9).unwrap_err().to_string().contains("scale"));
}
