//! What is written is read back to the bit.

use ndarray::{Array2, Axis};
use rarefy::formats::{
    CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights, Decompressed,
};
use rarefy::quantize::{BlockShape, Granularity, Minifloat, Parameters, QuantizedTensor, Scheme};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorMap, TensorSource, TensorSourceExt};

const SCALES: [DType; 3] = [DType::F32, DType::F16, DType::Bf16];
use CompressedLayout::{FloatQuantized, IntQuantized, NaiveQuantized, PackQuantized};

/// Some number below `below`, always the same for the same place.
fn some(place: usize, below: usize) -> usize {
    let mixed = (place as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 33) as usize % below
}

/// A tensor of any codes, zero points and scales that 16 bits have exactly.
fn tensor(shape: (usize, usize), scheme: Scheme, granularity: Granularity) -> QuantizedTensor {
    let range = scheme.codes();
    let (least, span) = (*range.start(), (range.end() - range.start() + 1) as usize);
    let number = |place: usize| least + some(place, span) as i32;
    let codes = Array2::from_shape_fn(shape, |(i, j)| match number(i * shape.1 + j) {
        0x7F | 0xFF if scheme.minifloat().is_some() => 0x80,
        code => code,
    });
    let count = granularity.scales(&[shape.0, shape.1]).unwrap();
    let scale = |place| (1 + some(place, 255)) as f32 / 1024.0;
    let mut parameters = Parameters::new(scheme, granularity, (0..count).map(scale).collect());
    if scheme.has_zero_points() {
        parameters =
            parameters.with_zero_points((0..count).map(|place| number(place + 77)).collect());
    }
    QuantizedTensor::from_codes(&codes, parameters).unwrap()
}

fn granularities(columns: usize) -> Vec<Granularity> {
    let mut all = vec![
        Granularity::PerTensor,
        Granularity::PerChannel(Axis(0)),
        Granularity::PerToken,
        Granularity::PerBlock(BlockShape::new(&[4, 3]).unwrap()),
        Granularity::PerBlock(BlockShape::new(&[40, 100]).unwrap()),
    ];
    let sizes = [1, 2, 5, 8, 32, columns].into_iter();
    let groups = sizes.filter(|size| columns.is_multiple_of(*size));
    all.extend(groups.map(|size| Granularity::PerGroup {
        axis: Axis(1),
        size,
    }));
    all
}

fn schemes(bits: u32) -> Vec<Scheme> {
    let mut all = vec![Scheme::unsigned(bits).unwrap()];
    if bits > 1 {
        all.push(Scheme::symmetric(bits).unwrap());
        all.push(Scheme::symmetric_full_range(bits).unwrap());
        all.push(Scheme::affine(bits).unwrap());
    }
    if bits == 8 {
        all.push(Scheme::float(Minifloat::E4M3));
    }
    all
}

/// Codes, scales, and values of what comes back are those of what went in.
fn same(back: &QuantizedTensor, tensor: &QuantizedTensor, case: &str) {
    assert_eq!(back.scales(), tensor.scales(), "{case}");
    let shift = |tensor: &QuantizedTensor| {
        let signed = tensor.scheme().is_signed() || tensor.scheme().minifloat().is_some();
        let middle = if signed {
            0
        } else {
            1 << (tensor.scheme().bits() - 1)
        };
        let zeros: Vec<i32> = tensor
            .zero_points()
            .iter()
            .map(|zero| zero - middle)
            .collect();
        (tensor.codes().mapv(|code| code - middle), zeros)
    };
    let ((codes, zeros), (right, right_zeros)) = (shift(back), shift(tensor));
    assert_eq!(codes, right, "{case}");
    if back.scheme().has_zero_points() && tensor.scheme().has_zero_points() {
        assert_eq!(zeros, right_zeros, "{case}");
    }
    let bits = |tensor: &QuantizedTensor| tensor.dequantize::<f32>().mapv(f32::to_bits);
    assert_eq!(bits(back), bits(tensor), "{case}");
}

#[test]
fn what_is_written_is_read_back() {
    let mut cases = 0;
    for shape in [(1, 1), (3, 7), (5, 32), (33, 40), (70, 10)] {
        for layout in [PackQuantized, IntQuantized, NaiveQuantized, FloatQuantized] {
            for (bits, granularity) in
                (1..=8).flat_map(|bits| granularities(shape.1).into_iter().map(move |g| (bits, g)))
            {
                for scheme in schemes(bits) {
                    let case = format!("{shape:?} {layout} {scheme:?} {granularity:?}");
                    let q = tensor(shape, scheme, granularity);
                    let weights = CompressedWeights::new(scheme, granularity).unwrap();
                    let dtype = SCALES[cases % 3];
                    let stored = match layout.encode("m", &q, weights, dtype) {
                        Ok(stored) => stored,
                        Err(error) => {
                            let float = scheme.minifloat().is_some();
                            let rows = !matches!(
                                granularity,
                                Granularity::PerTensor | Granularity::PerBlock(_)
                            );
                            let held = match layout {
                                PackQuantized => !float && (rows || !scheme.has_zero_points()),
                                IntQuantized => !float,
                                FloatQuantized => float,
                                _ => true,
                            };
                            assert!(!held, "{case}: {error}");
                            continue;
                        }
                    };
                    let info = |(name, stored): &(String, StoredTensor)| {
                        TensorInfo::new(name, stored.dtype(), stored.shape())
                    };
                    let planned = layout.infos("m", q.shape(), weights, dtype).unwrap();
                    let infos: Vec<TensorInfo> = stored.iter().map(info).collect();
                    assert_eq!(infos, planned, "{case}");
                    let source = TensorMap::new(stored).unwrap();
                    same(&layout.read(&source, "m", weights).unwrap(), &q, &case);
                    dense(source, layout, weights, (&q, dtype), &case);
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 1500, "{cases}");
}

/// The same as floats, whatever part is asked for.
fn dense(
    source: TensorMap,
    layout: CompressedLayout,
    weights: CompressedWeights,
    (q, dtype): (&QuantizedTensor, DType),
    case: &str,
) {
    let group = CompressedGroup::new(["Linear"], layout, weights).unwrap();
    let config = CompressedConfig::new([group], [] as [&str; 0]);
    let model = Decompressed::new(source, config).unwrap();
    let right = StoredTensor::of_floats(&q.dequantize::<f32>(), dtype).unwrap();
    assert_eq!(
        model.infos(),
        [TensorInfo::new("m.weight", dtype, q.shape())],
        "{case}"
    );
    assert_eq!(model.tensor("m.weight").unwrap(), right, "{case}");
    let len = right.bytes().len();
    for part in 0..3 {
        let from = some(part, len);
        let mut bytes = vec![0; some(part + 9, len - from + 1)];
        model.read_bytes(0, from, &mut bytes).unwrap();
        assert_eq!(bytes, right.bytes()[from..][..bytes.len()], "{case}");
    }
    same(&model.quantized("m.weight").unwrap().unwrap(), q, case);
}
