//! The published corpus: each file of reference values, who made it, how much it holds, what must be equal and which test
//! compares it. Prints the table of docs/conformance.md and keeps it true; compares scales and codes, and counts.

use crate::quantize;
use crate::reference::parsed;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of reference values.
struct Golden {
    file: &'static str,
    script: &'static str,
    test: &'static str,
    /// What must be equal, and how nearly.
    equal: &'static str,
}

const fn golden(
    file: &'static str,
    script: &'static str,
    test: &'static str,
    equal: &'static str,
) -> Golden {
    Golden {
        file,
        script,
        test,
        equal,
    }
}

const CORPUS: &[Golden] = &[
    golden(
        "quantize.json",
        "generate.py",
        "golden/quantize",
        "scales and codes: bits",
    ),
    golden(
        "quantize_peers.json",
        "generate_quantize.py",
        "golden/quantize",
        "scales, zero points, codes: bits",
    ),
    golden(
        "bias.json",
        "bias.py",
        "quantize/layers",
        "scales and codes of weights and bias: bits",
    ),
    golden(
        "blocks.json",
        "blocks.py",
        "golden/blocks",
        "bytes of Q8_0 to Q5_1, TQ1_0, TQ2_0, values, casts: bits, 0 without a sign",
    ),
    golden(
        "gguf_peer.json",
        "gguf_peer.py",
        "golden/gguf_peer",
        "keys, shapes, bytes: all; values: bits, 0 without a sign",
    ),
    golden(
        "codes.json",
        "codes.py",
        "golden/codes",
        "scales, codes, numbers: bits; one kernel's 3 of 2048 codes, where ours are nearer",
    ),
    golden(
        "compressed_tensors.json",
        "compressed_tensors.py",
        "golden/compressed_tensors",
        "codes, scales, zero points, values, all tensors of the file: bits",
    ),
    golden(
        "hqq.json",
        "hqq.py",
        "laws/hqq",
        "errors: at most the reference's",
    ),
    golden(
        "ternary.json",
        "ternary.py",
        "laws/ternary",
        "codes: all; scales: 10⁻⁶",
    ),
    golden(
        "fake.json",
        "generate_fake.py",
        "golden/fake",
        "forward and gradient: bits; learned scales: 3·10⁻⁵",
    ),
    golden(
        "calibrate.json",
        "generate_calibrate.py",
        "golden/calibrate",
        "ranges: bits; moving averages: 3·10⁻⁷; error search: 10⁻⁶",
    ),
    golden(
        "prune.json",
        "generate.py",
        "golden/torch",
        "counts and masks: all",
    ),
    golden(
        "prune_torch.json",
        "prune_torch.py",
        "golden/prune",
        "masks: all",
    ),
    golden(
        "prune_peers.json",
        "prune_peers.py",
        "golden/prune",
        "masks: all; shares: 10⁻¹²",
    ),
    golden(
        "containers.json",
        "containers.py",
        "golden/containers",
        "masks: all",
    ),
    golden(
        "distill.json",
        "generate.py",
        "golden/torch",
        "value and gradient: 3·10⁻⁶ (f32), 10⁻¹³ (f64)",
    ),
    golden(
        "divergences.json",
        "divergences.py",
        "golden/divergences",
        "value and gradient: 10⁻⁶ (f32), 10⁻¹² (f64)",
    ),
    golden(
        "conventions.json",
        "conventions.py",
        "golden/conventions",
        "value: 10⁻¹², Liger 10⁻⁶",
    ),
    golden(
        "compose.json",
        "compose.py",
        "golden/compose",
        "value and gradient: 10⁻¹³",
    ),
    golden(
        "inner.json",
        "inner.py",
        "golden/inner",
        "value and gradient: 10⁻⁶ (f32), 10⁻¹² (f64)",
    ),
    golden(
        "minifinetuning.json",
        "minifinetuning.py",
        "distill/minifinetuning",
        "targets, value, gradient: 10⁻⁶, as its denominators hold 10⁻⁷",
    ),
    golden(
        "products.json",
        "products.py",
        "golden/products",
        "products of codes: all; 4 bits in groups: the bound of the activations",
    ),
    golden(
        "streaming.json",
        "streaming.py",
        "golden/streaming",
        "value and gradient: 10⁻¹³",
    ),
    golden(
        "torch_pruning.json",
        "torch_pruning.py",
        "files/torch_pruning",
        "weights of a pruned model: bits",
    ),
    golden(
        "top_k.json",
        "top_k.py",
        "golden/top_k",
        "value and gradient: 2·10⁻⁶ (f32), 10⁻¹² (f64)",
    ),
    golden(
        "gptq.json",
        "gptq.py",
        "files/gptq",
        "dense weights in the type of the scales, parts that are written again: bits",
    ),
    golden(
        "awq.json",
        "gptq.py",
        "files/awq",
        "dense weights in F16: bits",
    ),
    golden(
        "bitsandbytes.json",
        "four_bits.py",
        "files/bitsandbytes",
        "dense weights in their type: bits; of codes: numbers",
    ),
];

fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// Who made a file, with versions, and how many cases it has.
fn corpus(file: &str) -> (String, usize) {
    let json = parsed(file);
    let made_by = json["made_by"].as_str().unwrap();
    // The script has a column of its own, and so has what follows the versions; which build of PyTorch it was says little.
    let versions = made_by.rsplit(" with ").next().unwrap();
    let versions = versions.split(';').next().unwrap();
    let versions = versions.replace("+cu132", "").replace("PyTorch", "torch");
    let len = |list: &Value| list.as_array().map_or(0, Vec::len);
    let lists =
        ["/cases", "/learned", "/four_bits", "/floats/cases"].map(|list| json.pointer(list));
    let single = ["eight_bits", "torchao_nf4"].map(|case| usize::from(json[case].is_object()));
    let errors = json["errors"].as_object().into_iter().flatten();
    let cases = lists.into_iter().flatten().map(len).sum::<usize>()
        + single.iter().sum::<usize>()
        + errors
            .map(|(_, of_bits)| of_bits.as_object().map_or(0, serde_json::Map::len))
            .sum::<usize>();
    assert!(cases > 0, "{file} has no cases");
    (versions, cases)
}

fn row(golden: &Golden) -> String {
    let (versions, count) = corpus(golden.file);
    let Golden {
        file,
        script,
        test,
        equal,
    } = golden;
    format!("| `{file}` | `{script}` | {versions} | {count} | {equal} | `{test}` |")
}

#[test]
fn the_corpus_is_the_one_that_the_docs_describe() {
    let docs = fs::read_to_string(path("docs/conformance.md")).unwrap();
    let mut total = 0;
    for golden in CORPUS {
        let row = row(golden);
        println!("{row}");
        assert!(
            docs.lines().any(|line| line == row),
            "docs/conformance.md lacks\n{row}"
        );
        total += corpus(golden.file).1;

        // What makes it and what compares it exist and name it.
        let script = path("tests/golden").join(golden.script);
        let test = path(&format!("tests/{}.rs", golden.test));
        for place in [script, test] {
            let text = fs::read_to_string(place).unwrap_or_default();
            assert!(
                text.contains(golden.file),
                "{} is not used by {row}",
                golden.file
            );
        }
    }
    println!("{total} cases");
    let line = format!("{} files, {total} cases", CORPUS.len());
    assert!(docs.contains(&line), "docs/conformance.md lacks {line:?}");
}

#[test]
fn every_file_of_reference_values_is_in_the_corpus() {
    let listed: BTreeSet<String> = CORPUS.iter().map(|golden| golden.file.to_owned()).collect();
    let names = fs::read_dir(path("tests/golden")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = names.filter(|name| name.ends_with(".json")).collect();
    assert_eq!(there, listed);
}

#[test]
fn scales_and_codes_are_those_of_the_peers() {
    for (file, outcome) in [
        ("quantize.json", quantize::torch()),
        ("quantize_peers.json", quantize::peers()),
    ] {
        let passed = outcome.cases - outcome.differing.len();
        println!("{file}: {passed} of {} equal", outcome.cases);
        assert!(
            outcome.differing.is_empty(),
            "{file}: {:#?}",
            outcome.differing
        );
    }
    // And the profile matters: dividing would round otherwise.
    assert!(quantize::codes_that_dividing_changes() > 20);
}
