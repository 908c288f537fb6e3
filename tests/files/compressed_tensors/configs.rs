//! Configs that say something else.

use super::{config, groups, settings, symmetric, text, weights};
use rarefy::formats::CompressedConfig;
use rarefy::formats::CompressedLayout::PackQuantized;
use serde_json::{Value, json};

#[test]
fn configs_that_say_something_else_are_refused() {
    let right = config(&settings()).unwrap();
    assert_eq!(
        right.groups()[0].weights(),
        Some(weights(symmetric(4), groups(8)))
    );
    assert_eq!(
        (right.ignore(), right.groups()[0].targets()),
        (&["lm_head".to_owned()][..], &["Linear".to_owned()][..])
    );

    let layouts =
        "dense, pack-quantized, int-quantized, naive-quantized, float-quantized or mixed-precision";
    let of_group = "dense, pack-quantized, int-quantized, naive-quantized or float-quantized";
    let weights = "config_groups.group_0.weights";
    for (place, value, must) in [
        ("/quant_method", json!("gptq"), "compressed-tensors"),
        ("/quant_method", json!(null), "a text"),
        ("/format", json!("marlin-24"), layouts),
        ("/format", json!("nvfp4-pack-quantized"), layouts),
        ("/format", json!(7), "a text"),
        ("/ignore", json!("lm_head"), "a list of texts"),
        ("/config_groups", json!([]), "an object"),
        ("/config_groups/group_0", json!(["Linear"]), "an object"),
        (
            "/config_groups/group_0/targets",
            json!([1]),
            "a list of texts",
        ),
        ("/config_groups/group_0/weights", json!(4), "an object"),
        (
            "/config_groups/group_0/weights/num_bits",
            json!(9),
            "1 to 8",
        ),
        (
            "/config_groups/group_0/weights/num_bits",
            json!(0),
            "1 to 8",
        ),
        (
            "/config_groups/group_0/weights/num_bits",
            json!(-4),
            "a whole number, not negative",
        ),
        (
            "/config_groups/group_0/weights/num_bits",
            json!(4.5),
            "a whole number, not negative",
        ),
        (
            "/config_groups/group_0/weights/type",
            json!("uint"),
            "int or float",
        ),
        (
            "/config_groups/group_0/weights/symmetric",
            json!("yes"),
            "true or false",
        ),
        (
            "/config_groups/group_0/weights/strategy",
            json!("tensor_group"),
            "tensor, channel, group or block",
        ),
        (
            "/config_groups/group_0/weights/strategy",
            json!("block"),
            "a list of whole numbers",
        ),
        (
            "/config_groups/group_0/weights/group_size",
            json!(0),
            "at least 1",
        ),
        (
            "/config_groups/group_0/weights/group_size",
            json!(null),
            "a whole number, not negative",
        ),
        (
            "/config_groups/group_0/weights/dynamic",
            json!(true),
            "false for weights",
        ),
    ] {
        let mut wrong = settings();
        *wrong.pointer_mut(place).unwrap() = value.clone();
        let key = match (place.rsplit('/').next(), must) {
            (_, "a list of whole numbers") => format!("{weights}.block_structure"),
            _ => place[1..].replace('/', "."),
        };
        let given = if must == "a list of whole numbers" {
            "null".to_owned()
        } else {
            value.to_string()
        };
        let right = format!("quantization_config.{key} is {given}, must be {must}");
        assert_eq!(text(config(&wrong)), right, "{place}");
    }
    for (key, value, right) in [
        (
            "transform_config",
            json!({ "config_groups": { "u": {} } }),
            "transform_config is {\"config_groups\":{\"u\":{}}}, must be empty: weights that were transformed are not read",
        ),
        (
            "sparsity_config",
            json!({ "format": "sparse-24-bitmask" }),
            "sparsity_config.format is \"sparse-24-bitmask\", must be dense: sparse layouts are not read",
        ),
    ] {
        let mut wrong = settings();
        wrong[key] = value;
        assert_eq!(text(config(&wrong)), format!("quantization_config.{right}"));
        wrong[key] = json!({});
        assert!(config(&wrong).is_ok());
    }
    let mut mixed = settings();
    mixed["format"] = json!("mixed-precision");
    assert_eq!(config(&mixed).unwrap().groups()[0].layout(), PackQuantized);
    mixed["config_groups"]["group_0"]["format"] = json!("mxfp4-pack-quantized");
    assert_eq!(
        text(config(&mixed)),
        format!(
            "quantization_config.config_groups.group_0.format is \"mxfp4-pack-quantized\", must be {of_group}"
        )
    );
    assert_eq!(
        text(CompressedConfig::from_json(&json!({}))),
        "quantization_config is missing, must be an object"
    );
    assert_eq!(
        text(right.write_into(json!([1]))),
        "config is [1], must be an object"
    );
}

/// All places of a value.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    if let Some(object) = value.as_object() {
        for (key, inside) in object {
            places(inside, &format!("{at}/{key}"), all);
        }
    }
}

#[test]
fn no_config_is_a_panic() {
    let mut all = Vec::new();
    places(&settings(), "", &mut all);
    let long = "x".repeat(100_000);
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(long),
        json!([]),
        json!([[]]),
        json!({}),
        json!([u64::MAX, u64::MAX]),
        json!("block"),
        json!("tensor"),
        json!("channel"),
        json!("float"),
    ];
    for place in &all {
        for value in &odd {
            let mut wrong = settings();
            *wrong.pointer_mut(place).unwrap() = value.clone();
            if let Err(error) = config(&wrong) {
                assert!(error.to_string().len() < 600, "{error}");
            }
        }
    }
    assert!(all.len() > 15, "{all:?}");
}
