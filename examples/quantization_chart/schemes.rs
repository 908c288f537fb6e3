//! Every way to quantize that the chart shows, one line each.

use ndarray::{Array2, ArrayD, Axis};
use rarefy::Result;
use rarefy::prelude::*;
use rarefy::quantize::{
    Binary, BlockFormat, BlockTensor, Codebook, ErrorSearch, Float8, Hqq, KMeans, Linear, Ternary,
    TernaryRule,
};

/// What comes back, and how many bytes it was.
pub type Restored = (ArrayD<f32>, usize);

type Run = dyn Fn(&Array2<f32>) -> Result<Restored>;

/// One point of the chart.
pub struct Scheme {
    pub series: &'static str,
    pub name: String,
    pub run: Box<Run>,
}

const ROWS: Axis = Axis(0);
const ALONG: Axis = Axis(1);

/// A name, and codes of so many bits.
type Line = (&'static str, fn(u32) -> Linear);

/// Evenly spaced codes, drawn as one line each over these bits.
pub const BITS: std::ops::RangeInclusive<u32> = 2..=8;
pub const LINEAR: &[Line] = &[
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
            BITS.map(|bits| quantizer(series, &format!("{bits} bits, {series}"), linear(bits))),
        );
    }
    all.extend((2..=4).map(searched));
    all.extend(BlockFormat::ALL.iter().map(|&format| block(format)));
    all.extend([
        quantizer("tables", "NF4", Codebook::nf4()),
        quantizer("tables", "FP4", Codebook::fp4()),
        quantizer("tables", "k-means 1", KMeans::new(1)),
        quantizer("tables", "k-means 2", KMeans::new(2)),
        quantizer("tables", "k-means 3", KMeans::new(3)),
        quantizer("tables", "k-means 4", KMeans::new(4)),
        quantizer("tables", "k-means 6", KMeans::new(6)),
        quantizer("floats, each row", "E4M3", Float8::e4m3().per_channel(ROWS)),
        quantizer("floats, each row", "E5M2", Float8::e5m2().per_channel(ROWS)),
        quantizer("HQQ, groups of 64", "HQQ 2", Hqq::new(2)),
        quantizer("HQQ, groups of 64", "HQQ 3", Hqq::new(3)),
        quantizer("HQQ, groups of 64", "HQQ 4", Hqq::new(4)),
        quantizer(
            "signs and ternary, each row",
            "AbsMean",
            Ternary::new(TernaryRule::AbsMean).per_channel(ROWS),
        ),
        quantizer(
            "signs and ternary, each row",
            "Threshold",
            Ternary::new(TernaryRule::Threshold).per_channel(ROWS),
        ),
        quantizer(
            "signs and ternary, each row",
            "Binary",
            Binary::new().per_channel(ROWS),
        ),
    ]);
    all
}

/// What makes a `QuantizedTensor`.
fn quantizer(series: &'static str, name: &str, quantizer: impl Quantizer<f32> + 'static) -> Scheme {
    let run = move |weights: &Array2<f32>| {
        let codes = quantizer.quantize(weights)?;
        Ok((codes.dequantize(), codes.bytes()))
    };
    Scheme {
        series,
        name: name.to_owned(),
        run: Box::new(run),
    }
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
    let floats = name.starts_with("Mx") || name.starts_with("Nv");
    let series = if floats { "microscaling" } else { "GGUF" };
    let run = move |weights: &Array2<f32>| {
        let tensor = BlockTensor::encode(weights, format)?;
        Ok((tensor.dequantize(), tensor.bytes().len()))
    };
    let run = Box::new(run);
    Scheme { series, name, run }
}
