//! What is compared: forms of the linear layers, and what each has to keep.

use crate::compress::{self, Make, Searched};
use crate::measures::Kept;
use ndarray::Axis;
use rarefy::infer::Activations;
use rarefy::quantize::{BlockFormat, Hqq, Linear, QuantizationRules, Quantizer};

/// A form of all linear layers.
pub struct Variant {
    pub name: &'static str,
    /// What layers multiply: floats, or codes of inputs.
    pub activations: &'static str,
    /// Whether the tables of words and places are in eight bits as well, a scale for each row; else they are f32.
    pub small_tables: bool,
    pub bounds: Option<Bounds>,
    /// Whether it computes with something else than dense floats, so that its time is its own.
    pub timed: bool,
    pub make: Make,
}

/// What embeddings have to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub mean_cosine: f64,
    pub spearman: f64,
}

impl Bounds {
    /// What was not kept, in words.
    pub fn failures(&self, name: &str, kept: &Kept) -> Vec<String> {
        let pairs = [
            ("mean cosine", kept.mean_cosine, self.mean_cosine),
            ("Spearman", kept.spearman, self.spearman),
        ];
        let failed = pairs
            .iter()
            .filter(|(_, kept, bound)| kept.is_nan() || kept < bound);
        let say = |(what, kept, bound): &(&str, f64, f64)| {
            format!("{name}: {what} is {kept:.6}, at least {bound} was asked")
        };
        failed.map(say).collect()
    }
}

/// Eight bits, floats between.
const FLOAT_8: Bounds = bounds(0.9995, 0.999);
/// Four bits where that does little harm, floats between.
const FLOAT_4: Bounds = bounds(0.972, 0.98);
/// Four bits in all layers. The order of pairs falls short of the 0.98 that was hoped for: most pairs are of unrelated
/// sentences, whose similarities differ by little.
const FLOAT_ALL_4: Bounds = bounds(0.972, 0.97);
/// Eight bits, codes of inputs in groups.
const INTEGER_8: Bounds = bounds(0.998, 0.999);
/// Codes of inputs by row: short of 0.998 and 0.999. A few inputs are twenty times as large as the others, all to one side,
/// and a symmetric scale for the whole row leaves the others few codes.
const INTEGER_8_BY_ROW: Bounds = bounds(0.997, 0.996);
const INTEGER_4: Bounds = bounds(0.968, 0.98);
const INTEGER_ALL_4: Bounds = bounds(0.968, 0.97);

const fn bounds(mean_cosine: f64, spearman: f64) -> Bounds {
    Bounds {
        mean_cosine,
        spearman,
    }
}

fn int8() -> Linear {
    Linear::new(8).per_channel(Axis(0))
}

fn int8_groups() -> Linear {
    Linear::new(8).per_group(Axis(1), 64)
}

fn int4(group: usize) -> Linear {
    Linear::new(4).affine().per_group(Axis(1), group)
}

/// All layers alike.
fn every(quantizer: impl Quantizer<f32> + 'static) -> QuantizationRules<f32> {
    QuantizationRules::new().otherwise(quantizer)
}

/// Four bits for all but the layers that make values: a twelfth of the weights, and where most of the loss is.
fn int4_and_values() -> QuantizationRules<f32> {
    every(Searched(int4(32))).quantize("*.value", int8_groups())
}

/// All of them, apart from the floats that they are compared with.
pub fn all() -> Vec<Variant> {
    let mut all = float_activations();
    all.extend(integer_activations());
    all
}

fn float_activations() -> Vec<Variant> {
    let decoded = |name, bounds, make| Variant {
        name,
        activations: "f32",
        small_tables: false,
        bounds,
        timed: false,
        make,
    };
    let codes = |name, bounds, rules| decoded(name, Some(bounds), compress::decoded(rules));
    let blocks =
        |name, bounds, formats| decoded(name, Some(bounds), compress::decoded_blocks(formats));
    let sparse = |name, make| Variant {
        timed: true,
        ..decoded(name, None, make)
    };
    vec![
        codes("int8 by output", FLOAT_8, every(int8())),
        Variant {
            small_tables: true,
            ..codes("  tables too", FLOAT_8, every(int8()))
        },
        blocks("Q8_0", FLOAT_8, &[BlockFormat::Q8_0]),
        codes("int4 by 32", FLOAT_ALL_4, every(int4(32))),
        codes("  ranges searched", FLOAT_ALL_4, every(Searched(int4(32)))),
        codes("  and values in int8", FLOAT_4, int4_and_values()),
        codes(
            "HQQ, 4 bits by 32",
            FLOAT_ALL_4,
            every(Hqq::new(4).per_group(Axis(1), 32)),
        ),
        // 256 divides 1536 inputs and not 384.
        blocks(
            "Q4_K, or else Q5_0",
            FLOAT_4,
            &[BlockFormat::Q4K, BlockFormat::Q5_0],
        ),
        decoded("int4 by 128", None, compress::decoded(every(int4(128)))),
        sparse("2 of 4 kept", compress::two_of_four()),
        sparse("half of all kept", compress::pruned_together(0.5)),
    ]
}

fn integer_activations() -> Vec<Variant> {
    let computed = |name, activations, bounds, make| Variant {
        name,
        activations,
        small_tables: false,
        bounds: Some(bounds),
        timed: true,
        make,
    };
    let grouped = |name, bounds, rules| {
        computed(
            name,
            "int8",
            bounds,
            compress::grouped(rules, Activations::Int8),
        )
    };
    vec![
        computed(
            "int8 by output",
            "int8",
            INTEGER_8_BY_ROW,
            compress::eight_bits(),
        ),
        grouped("int8 by 64", INTEGER_8, every(int8_groups())),
        Variant {
            small_tables: true,
            ..grouped("  tables too", INTEGER_8, every(int8_groups()))
        },
        grouped("int4 by 32", INTEGER_ALL_4, every(int4(32))),
        grouped(
            "  ranges searched",
            INTEGER_ALL_4,
            every(Searched(int4(32))),
        ),
        grouped("  and values in int8", INTEGER_4, int4_and_values()),
        computed(
            "int4 by 32",
            "int16",
            INTEGER_ALL_4,
            compress::grouped(every(int4(32)), Activations::Int16),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Kept, bounds};

    #[test]
    fn a_bound_that_is_missed_is_named() {
        let kept = |mean_cosine, spearman| Kept {
            mean_cosine,
            least_cosine: 0.0,
            spearman,
        };
        let asked = bounds(0.5, 0.9);
        assert!(asked.failures("x", &kept(0.5, 0.9)).is_empty(), "just kept");
        let failures = asked.failures("x", &kept(0.4, 0.9));
        assert_eq!(
            failures,
            ["x: mean cosine is 0.400000, at least 0.5 was asked"],
            "one"
        );
        assert_eq!(asked.failures("x", &kept(f64::NAN, 0.0)).len(), 2, "both");
    }
}
