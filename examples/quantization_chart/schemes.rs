//! Every way to quantize that the chart shows, one line each.

use ndarray::{Array2, ArrayD, Axis};
use rarefy::Result;
use rarefy::prelude::*;
use rarefy::quantize::{BlockFormat, BlockTensor, ErrorSearch, Linear};

/// What comes back, and how many bytes it was.
pub type Restored = (ArrayD<f32>, usize);

/// One point of the chart.
pub struct Scheme {
    pub series: &'static str,
    pub name: String,
    pub run: Box<dyn Fn(&Array2<f32>) -> Result<Restored>>,
}

const ROWS: Axis = Axis(0);
const ALONG: Axis = Axis(1);

/// Evenly spaced codes, drawn as one line each over these bits.
pub const BITS: std::ops::RangeInclusive<u32> = 2..=8;
pub const LINEAR: &[(&str, fn(u32) -> Linear)] = &[
    ("symmetric, one scale", Linear::new),
    ("symmetric, each row", |b| Linear::new(b).per_channel(ROWS)),
    ("symmetric, groups of 128", |b| {
        Linear::new(b).per_group(ALONG, 128)
    }),
    ("symmetric, groups of 64", |b| {
        Linear::new(b).per_group(ALONG, 64)
    }),
    ("symmetric, groups of 32", |b| {
        Linear::new(b).per_group(ALONG, 32)
    }),
    ("affine, one scale", |b| Linear::new(b).affine()),
    ("affine, each row", |b| {
        Linear::new(b).affine().per_channel(ROWS)
    }),
    ("affine, groups of 128", |b| {
        Linear::new(b).affine().per_group(ALONG, 128)
    }),
    ("affine, groups of 64", |b| {
        Linear::new(b).affine().per_group(ALONG, 64)
    }),
    ("affine, groups of 32", |b| {
        Linear::new(b).affine().per_group(ALONG, 32)
    }),
];

/// All of them.
pub fn schemes() -> Vec<Scheme> {
    let mut all = Vec::new();
    for &(series, linear) in LINEAR {
        all.extend(
            BITS.map(|bits| quantizer(series, format!("{bits} bits, {series}"), linear(bits))),
        );
    }
    all.extend((2..=4).map(|bits| searched(bits)));
    all.extend(BlockFormat::ALL.iter().map(|&format| block(format)));
    all
}

/// What makes a `QuantizedTensor`.
fn quantizer(
    series: &'static str,
    name: String,
    quantizer: impl Quantizer<f32> + 'static,
) -> Scheme {
    let run = move |weights: &Array2<f32>| {
        let codes = quantizer.quantize(weights)?;
        Ok((codes.dequantize(), codes.bytes()))
    };
    let run = Box::new(run);
    Scheme { series, name, run }
}

/// Groups of 128, with the ranges that err least instead of those that hold every weight.
fn searched(bits: u32) -> Scheme {
    let linear = Linear::new(bits).per_group(ALONG, 128);
    let run = move |weights: &Array2<f32>| {
        let search = ErrorSearch::new(linear)
            .norm(2.0)
            .shrink(1.0)
            .patience(usize::MAX);
        let codes = linear.quantize_with(weights, &linear.parameters(&search.ranges(weights)?)?)?;
        Ok((codes.dequantize(), codes.bytes()))
    };
    Scheme {
        series: "groups of 128, ranges searched",
        name: format!("{bits} bits"),
        run: Box::new(run),
    }
}

fn block(format: BlockFormat) -> Scheme {
    let name = format!("{format:?}");
    let series = if name.starts_with('Q') {
        "GGUF"
    } else {
        "microscaling"
    };
    let run = move |weights: &Array2<f32>| {
        let tensor = BlockTensor::encode(weights, format)?;
        Ok((tensor.dequantize(), tensor.bytes().len()))
    };
    let run = Box::new(run);
    Scheme { series, name, run }
}
