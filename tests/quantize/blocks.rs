//! What block formats promise: bounds, zeros, layouts of memory, pools, and errors that say what was given.

use ndarray::{Array1, Array2, Array3, arr0, s};
use rarefy::Error;
use rarefy::quantize::{BlockFormat, BlockTensor, Minifloat};

/// About normal, each block of 256 at its own size, some blocks special.
fn weights(rows: usize, columns: usize) -> Array2<f32> {
    let mut state = 9_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        let x = random() + random() + random() + random();
        let size = 10_f32.powi(i as i32 % 7 - 3);
        match (i + j / 256) % 6 {
            0 => x.abs() * size,
            1 => -x.abs() * size,
            2 if j % 3 > 0 => 0.0,
            3 => (x * 4.0).round() * size,
            4 => (x + 6.0) * size,
            _ => x * size,
        }
    })
}

fn error(weights: &Array2<f32>, format: BlockFormat) -> String {
    BlockTensor::encode(weights, format)
        .unwrap_err()
        .to_string()
}

#[test]
fn no_weight_moves_further_than_the_bound() {
    let weights = weights(42, 768);
    let tensor = weights.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    for &format in BlockFormat::ALL {
        let restored = BlockTensor::encode(&weights, format)
            .unwrap()
            .dequantize::<f64>();
        let restored: Vec<f64> = restored.into_iter().collect();
        let flat = weights.as_slice().unwrap();
        let blocks = flat
            .chunks(format.block_len())
            .zip(restored.chunks(format.block_len()));
        let mut tightest = 0.0_f64;
        for (block, restored) in blocks {
            let largest = block.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let worst = block
                .iter()
                .zip(restored)
                .map(|(&x, y)| (f64::from(x) - y).abs())
                .fold(0.0, f64::max);
            // A search has no bound of its own; it must not be wild.
            let bound = format.error_bound(largest.into(), tensor.into());
            let bound = bound.unwrap_or_else(|| f64::from(largest));
            assert!(
                worst <= bound,
                "{format:?}: {worst:e} > {bound:e}: {block:?}"
            );
            tightest = tightest.max(if bound > 0.0 { worst / bound } else { 0.0 });
        }
        if format.error_bound(1.0, 1.0).is_some() {
            assert!(tightest > 0.5, "{format:?} has a loose bound: {tightest}");
        }
    }
}

#[test]
fn extremes_of_f32_stay_within_the_bound_too() {
    for size in [
        f32::MAX,
        f32::MAX / 3.0,
        1e30,
        1e-30,
        f32::MIN_POSITIVE,
        1e-42,
        1e-45,
    ] {
        let row: Array1<f32> = (0..256)
            .map(|j| size * ((j % 9) as f32 / 4.0 - 1.0))
            .collect();
        for &format in BlockFormat::ALL {
            let Ok(tensor) = BlockTensor::encode(&row, format) else {
                assert!(size >= 1e30, "{format:?} of {size:e}");
                continue;
            };
            let Some(bound) = format.error_bound(size.into(), size.into()) else {
                continue;
            };
            for (y, &x) in tensor.dequantize::<f64>().iter().zip(&row) {
                assert!(
                    (y - f64::from(x)).abs() <= bound,
                    "{format:?}: {x:e} as {y:e}"
                );
            }
        }
    }
}

#[test]
fn zero_is_kept_where_the_format_says_so() {
    let weights = weights(42, 768);
    let zeros = weights.iter().filter(|&&x| x == 0.0).count();
    assert!(zeros > 1000);
    for &format in BlockFormat::ALL {
        let restored = BlockTensor::encode(&weights, format)
            .unwrap()
            .dequantize::<f32>();
        let kept = restored
            .iter()
            .zip(&weights)
            .filter(|&(y, x)| *x == 0.0 && *y == 0.0);
        let all = kept.count() == zeros;
        assert_eq!(all, format.keeps_zero(), "{format:?}");
        let nothing = Array2::<f32>::zeros((3, 512));
        let restored = BlockTensor::encode(&nothing, format)
            .unwrap()
            .dequantize::<f32>();
        assert!(restored.iter().all(|&y| y == 0.0), "{format:?}");
    }
}

#[test]
fn encoding_what_came_back_gives_the_same_values() {
    let weights = weights(14, 512);
    for format in [
        BlockFormat::Tq1_0,
        BlockFormat::Tq2_0,
        BlockFormat::Mxfp4,
        BlockFormat::Mxfp8E4M3,
        BlockFormat::Mxfp8E5M2,
    ] {
        let once = BlockTensor::encode(&weights, format)
            .unwrap()
            .dequantize::<f32>();
        let twice = BlockTensor::encode(&once, format)
            .unwrap()
            .dequantize::<f32>();
        assert_eq!(once, twice, "{format:?}");
    }
}

#[test]
fn sizes_are_what_the_table_says() {
    let sizes = [
        (32, 34),
        (32, 18),
        (32, 20),
        (32, 22),
        (32, 24),
        (256, 84),
        (256, 110),
        (256, 144),
        (256, 176),
        (256, 210),
        (256, 54),
        (256, 66),
        (32, 17),
        (32, 33),
        (32, 33),
        (16, 9),
    ];
    for (&format, (len, bytes)) in BlockFormat::ALL.iter().zip(sizes) {
        assert_eq!(
            (format.block_len(), format.block_bytes()),
            (len, bytes),
            "{format:?}"
        );
        assert_eq!(format.bits_per_weight(), 8.0 * bytes as f64 / len as f64);
        let tensor = BlockTensor::encode(&Array3::<f32>::ones((2, 3, 512)), format).unwrap();
        let own = if format == BlockFormat::Nvfp4 { 4 } else { 0 };
        assert_eq!(tensor.bytes().len(), 3072 / len * bytes + own);
        assert_eq!(tensor.len(), 3072);
        assert_eq!(tensor.shape(), [2, 3, 512]);
        assert_eq!(
            tensor.bits_per_weight(),
            8.0 * tensor.bytes().len() as f64 / 3072.0
        );
    }
}

#[test]
fn memory_order_floats_and_pools_do_not_matter() {
    let weights = weights(200, 768);
    let wide = Array2::from_shape_fn((400, 768), |(i, j)| weights[[i / 2, j]]);
    let columns = weights.t().as_standard_layout().into_owned();
    for &format in BlockFormat::ALL {
        let right = BlockTensor::encode(&weights, format).unwrap();
        assert_eq!(
            BlockTensor::encode(&columns.t(), format).unwrap(),
            right,
            "{format:?}"
        );
        assert_eq!(
            BlockTensor::encode(&wide.slice(s![..;2, ..]), format).unwrap(),
            right
        );
        assert_eq!(
            BlockTensor::encode(&weights.mapv(f64::from), format).unwrap(),
            right
        );
        let values = right.dequantize::<f32>();
        for threads in [1, 2, 3, 16] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let again = BlockTensor::encode(&weights, format).unwrap();
                assert_eq!(again, right, "{format:?}, {threads} threads");
                assert_eq!(again.dequantize::<f32>(), values);
            });
        }
        let mut reversed = Array2::<f32>::zeros((768, 200));
        right
            .dequantize_into(&mut reversed.view_mut().reversed_axes())
            .unwrap();
        assert_eq!(reversed.t().into_dyn(), values.view());
    }
}

#[test]
fn empty_arrays_are_fine() {
    for &format in BlockFormat::ALL {
        for shape in [(0, 256), (3, 0), (0, 0)] {
            let tensor = BlockTensor::encode(&Array2::<f32>::zeros(shape), format).unwrap();
            assert!(tensor.is_empty());
            assert_eq!(tensor.bits_per_weight(), 0.0);
            assert_eq!(tensor.dequantize::<f64>().shape(), [shape.0, shape.1]);
            let bytes = tensor.bytes().to_vec();
            assert_eq!(
                BlockTensor::from_bytes(format, vec![shape.0, shape.1], bytes).unwrap(),
                tensor
            );
        }
    }
}

#[test]
fn rows_that_are_no_whole_blocks_are_refused() {
    assert_eq!(
        error(&Array2::zeros((2, 48)), BlockFormat::Q4_0),
        "axis 1 has length 48, which 32 does not divide"
    );
    assert_eq!(
        error(&Array2::zeros((256, 128)), BlockFormat::Q6K),
        "axis 1 has length 128, which 256 does not divide"
    );
    let error = BlockTensor::encode(&arr0(1.0_f32), BlockFormat::Q8_0).unwrap_err();
    assert!(
        matches!(error, Error::AxisOutOfRange { axis: 0, ndim: 0 }),
        "{error}"
    );
    assert!(BlockTensor::encode(&Array1::<f32>::zeros(48), BlockFormat::Nvfp4).is_ok());
}

#[test]
fn numbers_that_are_none_name_their_index() {
    for &format in BlockFormat::ALL {
        let mut weights = weights(200, 768);
        weights[[150, 700]] = f32::NAN;
        assert_eq!(
            error(&weights, format),
            "weight [150, 700] is NaN",
            "{format:?}"
        );
        weights[[90, 1]] = f32::NEG_INFINITY;
        assert_eq!(
            error(&weights, format),
            "weight [90, 1] is -inf, must be finite"
        );
        let error = BlockTensor::encode(&weights.t().slice(s![..512, ..]).t(), format).unwrap_err();
        assert_eq!(error.to_string(), "weight [90, 1] is -inf, must be finite");
    }
}

#[test]
fn scales_that_do_not_fit_name_their_block() {
    let limits = [
        (BlockFormat::Q8_0, 127.0),
        (BlockFormat::Q4_0, 8.0),
        (BlockFormat::Q5_0, 16.0),
        (BlockFormat::Tq1_0, 1.0),
        (BlockFormat::Tq2_0, 1.0),
    ];
    for (format, steps) in limits {
        let mut weights = weights(20, 768);
        weights[[7, 40]] = 65519.0 * steps;
        assert!(BlockTensor::encode(&weights, format).is_ok(), "{format:?}");
        weights[[7, 40]] = 65521.0 * steps;
        match BlockTensor::encode(&weights, format).unwrap_err() {
            Error::ScaleOverflow { channel, largest } => {
                assert_eq!(
                    (channel, largest),
                    (
                        (7 * 768 + 40) / format.block_len(),
                        f64::from(65521.0_f32 * steps)
                    )
                );
            }
            other => panic!("{format:?}: {other}"),
        }
    }
    for &format in BlockFormat::ALL {
        let largest = Array2::from_elem((1, 256), f32::MAX);
        let fits = matches!(
            format,
            BlockFormat::Mxfp4
                | BlockFormat::Mxfp8E4M3
                | BlockFormat::Mxfp8E5M2
                | BlockFormat::Nvfp4
        );
        match BlockTensor::encode(&largest, format) {
            Ok(tensor) => {
                assert!(fits, "{format:?}");
                assert!(
                    tensor.dequantize::<f32>().iter().all(|x| x.is_finite()),
                    "{format:?}"
                );
            }
            Err(error) => {
                assert!(
                    !fits && matches!(error, Error::ScaleOverflow { channel: 0, .. }),
                    "{error}"
                );
            }
        }
        let mut doubles = Array2::<f64>::ones((2, 256));
        doubles[[1, 3]] = 1e300;
        let error = BlockTensor::encode(&doubles, format).unwrap_err();
        let block = 256 / format.block_len();
        assert_eq!(
            error.to_string(),
            format!("weights of channel or block {block} reach 1e300, too large for their scale"),
            "{format:?}"
        );
    }
}

#[test]
fn bytes_from_elsewhere_are_checked() {
    for &format in BlockFormat::ALL {
        let weights = weights(3, 256);
        let tensor = BlockTensor::encode(&weights, format).unwrap();
        let from = |shape: &[usize], bytes: &[u8]| {
            BlockTensor::from_bytes(format, shape.to_vec(), bytes.to_vec())
        };
        assert_eq!(from(&[3, 256], tensor.bytes()).unwrap(), tensor);
        let short = from(&[3, 256], &tensor.bytes()[1..]).unwrap_err();
        assert!(
            matches!(
                short,
                Error::WrongCount {
                    what: "bytes of blocks",
                    ..
                }
            ),
            "{short}"
        );
        assert!(matches!(
            from(&[256, 3], tensor.bytes()),
            Err(Error::NotDivisible { .. })
        ));
        assert!(matches!(
            from(&[4, 256], tensor.bytes()),
            Err(Error::WrongCount { .. })
        ));
        let huge = from(&[usize::MAX / 256, 256], &[]);
        assert!(
            matches!(huge, Err(Error::ShapeOverflow { .. })),
            "{format:?}"
        );

        let mut buffer = vec![1; tensor.bytes().len() + 1];
        assert!(format.encode_into(&weights, &mut buffer).is_err());
        assert!(
            buffer.iter().all(|&byte| byte == 1),
            "the buffer is left alone"
        );
        let mut values = Array2::<f32>::zeros((3, 255));
        let error = tensor.dequantize_into(&mut values).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }
}

#[test]
fn scales_that_are_no_numbers_are_refused() {
    let one = |format: BlockFormat, at: usize, value: &[u8]| {
        let len = format.block_len();
        let zeros = Array2::<f32>::zeros((2, len));
        let mut bytes = BlockTensor::encode(&zeros, format).unwrap().into_bytes();
        let start = format.block_bytes() + at;
        bytes[start..start + value.len()].copy_from_slice(value);
        BlockTensor::from_bytes(format, vec![2, len], bytes)
            .unwrap_err()
            .to_string()
    };
    let infinite = [0x00, 0x7C];
    for (format, places) in [
        (BlockFormat::Q8_0, &[0][..]),
        (BlockFormat::Q4_0, &[0]),
        (BlockFormat::Q4_1, &[0, 2]),
        (BlockFormat::Q5_0, &[0]),
        (BlockFormat::Q5_1, &[0, 2]),
        (BlockFormat::Q2K, &[80, 82]),
        (BlockFormat::Q3K, &[108]),
        (BlockFormat::Q4K, &[0, 2]),
        (BlockFormat::Q5K, &[0, 2]),
        (BlockFormat::Q6K, &[208]),
        (BlockFormat::Tq1_0, &[52]),
        (BlockFormat::Tq2_0, &[64]),
    ] {
        for &at in places {
            assert_eq!(
                one(format, at, &infinite),
                "scale of block [1] is inf, must be finite"
            );
        }
    }
    for format in [
        BlockFormat::Mxfp4,
        BlockFormat::Mxfp8E4M3,
        BlockFormat::Mxfp8E5M2,
    ] {
        assert_eq!(one(format, 0, &[255]), "scale of block [1] is NaN");
    }
    assert_eq!(
        one(BlockFormat::Nvfp4, 0, &[0x7F]),
        "scale of block [1] is NaN"
    );
    assert_eq!(
        one(BlockFormat::Nvfp4, 9, &f32::INFINITY.to_le_bytes()),
        "scale 0 must be positive and finite, got inf"
    );
}

#[test]
fn small_floats_of_special_numbers() {
    for float in [Minifloat::E4M3, Minifloat::E5M2, Minifloat::E2M1] {
        let largest = float.encode(f32::MAX).unwrap();
        assert_eq!(float.encode(f32::INFINITY), Some(largest));
        assert_eq!(float.encode(1e300_f64), Some(largest));
        assert_eq!(
            float.decode(float.encode(-1e-45_f32).unwrap()).to_bits(),
            (-0.0_f32).to_bits()
        );
    }
    assert_eq!(Minifloat::E4M3.encode(f64::NAN), Some(0x7F));
    // Just above a tie, which an f32 could not tell from it.
    assert_eq!(Minifloat::E2M1.encode(0.25), Some(0));
    assert_eq!(Minifloat::E2M1.encode(0.25_f64.next_up()), Some(1));
}

#[test]
fn debug_is_short() {
    let tensor = BlockTensor::encode(&Array2::<f32>::zeros((64, 64)), BlockFormat::Q8_0).unwrap();
    assert_eq!(
        format!("{tensor:?}"),
        "BlockTensor { format: Q8_0, shape: [64, 64], bytes: 4352 }"
    );
}
