//! Checks the tables of docs/pruning.md against the code.

use ndarray::{Axis, array};
use rarefy::prelude::*;
use rarefy::prune::{Amount, CountRule, GivenScores, Profile, Rules, Scope, TieRule, Unstructured};
use std::fmt::Debug;
use std::path::Path;

fn guide() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pruning.md");
    std::fs::read_to_string(path).unwrap()
}

/// The cells of each row of the table below a heading, but for its two first lines.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = guide();
    let section = text.split(&format!("## {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells = row.trim_matches('|').replace("\\|", "¦");
        cells
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

/// As the guide writes a name.
fn name(value: impl Debug) -> String {
    format!("`{value:?}`")
}

#[test]
fn counts_are_those_of_the_rules() {
    let rules = [
        CountRule::TorchHalfEven,
        CountRule::Floor,
        CountRule::HalfAway,
        CountRule::KeepAtLeastOne,
        CountRule::DropAtLeastOne,
        CountRule::FloorPlusOne,
    ];
    let rows = table("How many");
    assert_eq!(rows.len(), rules.len());
    for (rule, row) in rules.into_iter().zip(rows) {
        assert_eq!(row[0], name(rule));
        for (share, cell) in [0.3, 0.5, 0.0].into_iter().zip(&row[2..]) {
            let count = rule.count(Amount::Fraction(share), 5).unwrap();
            assert_eq!(*cell, count.to_string(), "{rule:?} {share}");
        }
    }
}

#[test]
fn ties_are_those_of_the_rules() {
    let rules = [TieRule::ExactByIndex, TieRule::AllTied, TieRule::NoneTied];
    let rows = table("Which, among equals");
    assert_eq!(rows.len(), rules.len());
    let scores = array![1.0, 1.0, 1.0, 2.0];
    for (rule, row) in rules.into_iter().zip(rows) {
        assert_eq!(row[0], name(rule));
        let pruner = Unstructured::new(GivenScores::new(&scores), 2_usize);
        let mask = pruner
            .rules(Rules::new().ties(rule))
            .mask(&array![1.0, 1.0, 1.0, 1.0]);
        assert_eq!(row[2], mask.unwrap().dropped().to_string(), "{rule:?}");
    }
}

#[test]
fn profiles_are_what_the_table_says() {
    let rows = table("How others do it");
    assert_eq!(rows.len(), Profile::ALL.len());
    for (profile, row) in Profile::ALL.into_iter().zip(rows) {
        assert_eq!(row[0], name(profile));
        let rules = format!("{:?}", profile.rules());
        let row: Vec<String> = row.iter().map(|cell| cell.replace('`', "")).collect();
        let right = format!(
            "Rules {{ count: {}, ties: {}, nan: {} }}",
            row[1], row[2], row[3]
        );
        assert_eq!(rules, right);
        let scope = match row[4].as_str() {
            "the tensor" => Scope::Tensor,
            "each row" => Scope::Slices {
                axis: Axis(0),
                together: 1,
            },
            "each 128 columns" => Scope::Slices {
                axis: Axis(1),
                together: 128,
            },
            other => panic!("{other} is no scope"),
        };
        assert_eq!(profile.scope(), scope);
    }
}

#[test]
fn every_score_and_pattern_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let public = std::fs::read_to_string(root.join("src/prune/mod.rs")).unwrap();
    let mut scores = 0;
    for row in table("Scores") {
        let score = row[0].trim_matches('`');
        assert!(public.contains(score), "{score} is no score");
        scores += 1;
    }
    assert_eq!(scores, 14);
    for row in table("Which method when") {
        for cell in &row[1..] {
            for word in cell.split('`').skip(1).step_by(2) {
                let word = word.split([':', '(']).next().unwrap();
                assert!(public.contains(word), "{word} is not in src/prune/mod.rs");
            }
        }
    }
}
