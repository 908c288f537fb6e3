//! What others mean by "the distillation loss": each row of the table in docs/distillation.md, its call
//! against the numbers of the peer (`tests/golden/conventions.json`, made by `conventions.py` there).

use ndarray::{Array1, Array2, Axis};
use rarefy::distill::sequence::Lengths;
use rarefy::distill::{
    CrossEntropy, HiddenCosine, JensenShannon, KlDivergence, Loss, Output, OutputLayer, Reduction,
    StreamingBatch, StreamingDistillation, Target, TeacherForm, TemperatureFactor, WeightedSum,
};
use rarefy::{Error, Result};
use serde_json::Value;
use std::collections::BTreeSet;

const GUIDE: &str = include_str!("../../docs/distillation.md");
const NUMBERS: &str = include_str!("conventions.json");
const THIS: &str = include_str!("conventions.rs");

/// A label that is no class: PyTorch's -100.
const IGNORED: usize = usize::MAX;

fn floats(bits: &Value) -> Vec<f64> {
    let bits: Vec<u64> = serde_json::from_value(bits.clone()).unwrap();
    bits.into_iter().map(f64::from_bits).collect()
}

fn labels(of: &Value) -> Vec<usize> {
    let labels: Vec<i64> = serde_json::from_value(of.clone()).unwrap();
    let label = |label| usize::try_from(label).unwrap_or(IGNORED);
    labels.into_iter().map(label).collect()
}

/// What every peer gets: logits, labels of which some stand for padding, labels without, weights.
struct Inputs {
    all: Value,
    student: Output<f64>,
    teacher: Output<f64>,
    labels: Vec<usize>,
    class_of_all: Vec<usize>,
    there: Vec<bool>,
    weights: Array1<f64>,
}

impl Inputs {
    fn new() -> Self {
        let all: Value = serde_json::from_str(NUMBERS).unwrap();
        let side = |side: &str| {
            let hidden = Self::matrix_of(&all, &format!("{side}_hidden"));
            Output::from(Self::matrix_of(&all, side)).with_feature("hidden", hidden)
        };
        let labels_of_all = labels(&all["labels"]);
        Self {
            student: side("student"),
            teacher: side("teacher"),
            class_of_all: labels(&all["class_of_all"]),
            there: labels_of_all
                .iter()
                .map(|&label| label != IGNORED)
                .collect(),
            labels: labels_of_all,
            weights: Array1::from(floats(&all["inputs"]["weights"])),
            all,
        }
    }

    fn matrix_of(all: &Value, name: &str) -> Array2<f64> {
        let size = |name: &str| all[name].as_u64().unwrap() as usize;
        let rows = if name.ends_with("projection") {
            size("classes")
        } else {
            size("batch") * size("time")
        };
        let numbers = floats(&all["inputs"][name]);
        Array2::from_shape_vec((rows, numbers.len() / rows), numbers).unwrap()
    }

    fn matrix(&self, name: &str) -> Array2<f64> {
        Self::matrix_of(&self.all, name)
    }
}

fn softmax(logits: &Array2<f64>, t: f64) -> Array2<f64> {
    let e = logits.mapv(|z| (z / t).exp());
    let total = e.sum_axis(Axis(1)).insert_axis(Axis(1));
    e / total
}

/// By how much −Σ p · ln q exceeds the divergence: the mean entropy of the teacher's rows that are there.
fn entropy(inputs: &Inputs, t: f64, there: impl Fn(usize) -> bool) -> f64 {
    let p = softmax(&inputs.teacher.logits, t);
    let rows = (0..p.nrows()).filter(|&row| there(row));
    let each: Vec<f64> = rows
        .map(|row| -p.row(row).iter().map(|p| p * p.ln()).sum::<f64>())
        .collect();
    each.iter().sum::<f64>() / each.len() as f64
}

/// Our value and gradient for a row of the table, by the calls that the table shows.
fn ours(who: &str, case: &Value, inputs: &Inputs) -> Result<(f64, Vec<f64>)> {
    let number = |name: &str| case[name].as_f64().unwrap_or(f64::NAN);
    let (t, n, a, b, e) = (
        number("t"),
        number("n"),
        number("a"),
        number("b"),
        number("e"),
    );
    let i = IGNORED;
    let teacher = Target::from(&inputs.teacher);
    let padded = teacher.labels(&inputs.labels).mask(&inputs.there);
    let whole = teacher.labels(&inputs.class_of_all);
    let part = case["of"].as_str();
    // Value and gradient; the former with what the peer adds to it.
    let found = |loss: &dyn Loss<f64>, target: Target<'_, f64>, added: f64| {
        let found = loss.evaluate(&inputs.student, target)?;
        let grad = match part {
            Some(_) => found.grad.features["hidden"].iter().copied().collect(),
            None => found.grad.logits.into_iter().collect(),
        };
        Ok((found.value + added, grad))
    };
    match who {
        "Hinton et al. 2015" | "ModelOpt `LogitsDistillationLoss`" => {
            found(&KlDivergence::new(t), teacher, 0.0)
        }
        "the textbook sum Σ wᵢ · KLᵢ" => {
            let loss = KlDivergence::new(1.0).reduction(Reduction::Sum);
            found(&loss, teacher.weights(&inputs.weights), 0.0)
        }
        "PyTorch `kl_div`, `batchmean`" | "torchdistill `KDLoss` without labels" => {
            let loss = KlDivergence::new(t).temperature_factor(TemperatureFactor::One);
            found(&loss, teacher, 0.0)
        }
        "PyTorch `kl_div`, `mean`" => {
            let loss = KlDivergence::new(t)
                .temperature_factor(TemperatureFactor::One)
                .reduction(Reduction::MeanOverElements);
            found(&loss, teacher, 0.0)
        }
        "PyTorch `kl_div`, `sum`" => {
            let loss = KlDivergence::new(t)
                .temperature_factor(TemperatureFactor::One)
                .reduction(Reduction::Sum);
            found(&loss, teacher, 0.0)
        }
        "PyTorch `kl_div`, `none`" => {
            let loss = KlDivergence::new(t).temperature_factor(TemperatureFactor::One);
            let each = KlDivergence::per_row(&loss, &inputs.student, teacher)?;
            close(each.as_slice().unwrap(), &floats(&case["per_row"]), who);
            found(&loss.reduction(Reduction::Sum), teacher, 0.0)
        }
        "PyTorch `kl_div`, `log_target`" => {
            let p = softmax(&inputs.teacher.logits, 1.0);
            let logs = Output::from(p.mapv(f64::ln));
            let loss = KlDivergence::new(t)
                .temperature_factor(TemperatureFactor::One)
                .teacher_form(TeacherForm::LogProbabilities);
            let found = found(&loss, Target::from(&logs), 0.0)?;
            let plain = loss.teacher_form(TeacherForm::Probabilities);
            let plain = plain.evaluate(&inputs.student, Target::from(&Output::from(p)))?;
            close(&[found.0], &[plain.value], who);
            Ok(found)
        }
        "PyTorch `cross_entropy`, `ignore_index`, `label_smoothing`" => {
            let loss = CrossEntropy::new().ignore_index(i).label_smoothing(e);
            found(&loss, Target::new().labels(&inputs.labels), 0.0)
        }
        "gradient accumulation over micro-batches" => {
            let loss = KlDivergence::new(t).reduction(Reduction::DividedBy(n));
            let half = inputs.there.len() / 2;
            let (mut value, mut grad) = (0.0, Vec::new());
            for rows in [0..half, half..2 * half] {
                let of = |output: &Output<f64>| {
                    let rows: Vec<usize> = rows.clone().collect();
                    Output::from(output.logits.select(Axis(0), &rows))
                };
                let teacher = of(&inputs.teacher);
                let target = Target::from(&teacher).mask(&inputs.there[rows.clone()]);
                let found = loss.evaluate(&of(&inputs.student), target)?;
                value += found.value;
                grad.extend(found.grad.logits);
            }
            Ok((value, grad))
        }
        "torchdistill `KDLoss`" => {
            let loss = WeightedSum::new()
                .with("hard", a, CrossEntropy::new())
                .with_rest("soft", KlDivergence::new(t))?;
            found(&loss, whole, 0.0)
        }
        "TextBrewer `kd_ce_loss`" => {
            let loss = KlDivergence::new(t).temperature_factor(TemperatureFactor::One);
            found(&loss, teacher, entropy(inputs, t, |_| true))
        }
        "TRL `generalized_jsd_loss`" => {
            let loss = JensenShannon::new(t)
                .beta(b)
                .temperature_factor(TemperatureFactor::One);
            found(&loss, padded, 0.0)
        }
        "TRL …, `num_items_in_batch`" => {
            let loss = JensenShannon::new(t)
                .beta(b)
                .temperature_factor(TemperatureFactor::One)
                .reduction(Reduction::DividedBy(n));
            found(&loss, padded, 0.0)
        }
        "TRL … without labels" => {
            let loss = JensenShannon::new(t)
                .beta(b)
                .temperature_factor(TemperatureFactor::One)
                .reduction(Reduction::DividedBy(n));
            found(&loss, teacher, 0.0)
        }
        "Liger `LigerFusedLinearJSDLoss`" => {
            let loss = WeightedSum::new()
                .with("hard", 0.5, CrossEntropy::new())
                .with(
                    "soft",
                    0.5,
                    JensenShannon::new(t)
                        .beta(b)
                        .temperature_factor(TemperatureFactor::One),
                );
            found(&loss, padded, 0.0)
        }
        "Liger …, β = 0, from hidden states" => {
            let parts = ["student", "teacher"].map(|side| {
                ["hidden", "projection"].map(|part| inputs.matrix(&format!("{side}_{part}")))
            });
            let [student, teacher] = &parts;
            let batch = StreamingBatch::new(OutputLayer::new(&student[0], &student[1]))
                .teacher(OutputLayer::new(&teacher[0], &teacher[1]))
                .labels(&inputs.labels);
            let batch = StreamingBatch::mask(batch, &inputs.there);
            let loss = StreamingDistillation::new(t)
                .temperature_factor(TemperatureFactor::One)
                .term_weights(0.7, 0.3);
            let found = loss.evaluate(batch)?;
            let grad = match part {
                Some("student_hidden") => found.grad.hidden,
                _ => found.grad.projection,
            };
            Ok((found.value, grad.into_iter().collect()))
        }
        "ModelOpt …, `StaticLossBalancer`" | "Optimum, Transformers' guides" => {
            let loss = WeightedSum::new()
                .with("soft", a, KlDivergence::new(t))
                .with_rest("hard", CrossEntropy::new())?;
            found(&loss, whole, 0.0)
        }
        "DistilBERT's script" => {
            let words = labels(&case["words"]);
            let loss = WeightedSum::new()
                .with("soft", 5.0, KlDivergence::new(t))
                .with("hard", 2.0, CrossEntropy::new().ignore_index(i))
                .with("hidden", 1.0, HiddenCosine::new("hidden", "hidden"));
            found(&loss, padded.labels(&words), 0.0)
        }
        "INC `KnowledgeDistillationLoss`, `KL`" => {
            let loss = WeightedSum::new()
                .with(
                    "soft",
                    a,
                    KlDivergence::new(t).reduction(Reduction::MeanOverElements),
                )
                .with_rest("hard", CrossEntropy::new())?;
            found(&loss, whole, 0.0)
        }
        "INC …, `CE`" => {
            let loss = WeightedSum::new()
                .with("soft", a, KlDivergence::new(t))
                .with_rest("hard", CrossEntropy::new())?;
            let added = a * t * t * entropy(inputs, t, |_| true);
            found(&loss, whole, added)
        }
        "distil-whisper" => {
            let target = Target::mask(teacher, &inputs.there);
            found(&KlDivergence::new(t), target, 0.0)
        }
        "SpeechBrain `nll_loss_kd`" => {
            let lengths = Lengths::new(labels(&case["lengths"]), inputs.there.len() / 2)?;
            let weights = Lengths::token_weights(&lengths);
            let loss = KlDivergence::new(1.0).reduction(lengths.over_tokens());
            let added = entropy(inputs, 1.0, |row| weights[row] > 0.0);
            found(&loss, teacher.weights(&weights), added)
        }
        _ => panic!("no call for the row {who} of docs/distillation.md"),
    }
}

fn close(ours: &[f64], theirs: &[f64], who: &str) {
    // Liger adds up its value, and takes logarithms of labels, in f32.
    let tolerance = if who.starts_with("Liger") {
        1e-6
    } else {
        1e-12
    };
    assert_eq!(ours.len(), theirs.len(), "{who}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        let error = (ours - theirs).abs();
        assert!(
            error <= tolerance * theirs.abs().max(1.0),
            "{ours} for {theirs}, {who}"
        );
    }
}

/// Who, and the call, of each row of the table.
fn rows() -> Vec<(String, String)> {
    let after = GUIDE.split("\n## Conventions\n").nth(1).unwrap();
    let section = after.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let rows = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "four cells: {row}");
        (cells[1].to_owned(), cells[4].to_owned())
    });
    // The head is a row as well.
    rows.skip(1).collect()
}

#[test]
fn each_row_gives_the_numbers_of_its_peer() {
    let inputs = Inputs::new();
    let cases = inputs.all["cases"].as_array().unwrap();
    let names = || rows().into_iter().map(|(who, _)| who);
    assert!(rows().len() > 20, "the table was found");
    for who in names() {
        let of_row = |case: &&Value| case["who"].as_str() == Some(who.as_str());
        let of_row: Vec<&Value> = cases.iter().filter(of_row).collect();
        assert!(!of_row.is_empty(), "no numbers of a peer for {who}");
        for case in of_row {
            let (value, grad) = ours(&who, case, &inputs).unwrap();
            let theirs = f64::from_bits(case["value"].as_u64().unwrap());
            close(&[value], &[theirs], &who);
            close(&grad, &floats(&case["grad"]), &who);
        }
    }
    let known: BTreeSet<String> = names().collect();
    for case in cases {
        let who = case["who"].as_str().unwrap();
        assert!(known.contains(who), "{who} is no row of the table");
    }
}

/// A call as rustfmt may break it, on one line.
fn on_one_line(code: &str) -> String {
    let code: String = code.split_whitespace().collect();
    code.replace(",)", ")")
}

#[test]
fn the_calls_that_are_shown_are_those_that_are_tested() {
    let tested = on_one_line(THIS);
    for (who, cell) in rows() {
        // Every other piece is code; what has brackets or a path is ours.
        let calls = cell.split('`').skip(1).step_by(2);
        let calls: Vec<&str> = calls.filter(|code| code.contains("::")).collect();
        assert!(!calls.is_empty(), "no call for {who}");
        for call in calls {
            // A method is called on a value here, a setting of a batch by its name.
            let method = call.rsplit("::").next().unwrap().to_owned() + "(";
            let shown = on_one_line(call);
            let known = tested.contains(&shown)
                || (!call.contains('(') && tested.contains(&format!(".{method}")));
            assert!(known, "{who} shows {call}, which no test calls");
        }
    }
}

#[test]
fn what_is_nan_in_torch_is_defined_here() {
    let inputs = Inputs::new();
    let is_nan = inputs.all["torch_is_nan"].as_object().unwrap();
    assert!(is_nan.len() >= 5);
    for (what, nan) in is_nan {
        assert_eq!(nan.as_bool(), Some(true), "{what} is a number in torch");
    }
    let sum = KlDivergence::new(1.0).reduction(Reduction::Sum);
    let masked = |output: &Output<f64>| {
        let mut output = output.clone();
        output.logits.column_mut(3).fill(f64::NEG_INFINITY);
        output
    };
    let without = |output: &Output<f64>| Output::from(output.logits.select(Axis(1), &[0, 1, 2, 4]));
    let (s, t) = (masked(&inputs.student), masked(&inputs.teacher));
    let both = sum.evaluate(&s, Target::from(&t)).unwrap();
    let other = without(&inputs.teacher);
    let right = sum
        .evaluate(&without(&inputs.student), Target::from(&other))
        .unwrap();
    close(&[both.value], &[right.value], "both mask a class");
    let one = sum.evaluate(&inputs.student, Target::from(&t)).unwrap();
    assert!(one.value.is_finite() && one.grad.logits.iter().all(|g| g.is_finite()));

    let mut broken = inputs.student.clone();
    for (row, there) in inputs.there.iter().enumerate() {
        if !there {
            broken.logits.row_mut(row).fill(f64::NAN);
        }
    }
    let target = Target::from(&inputs.teacher).mask(&inputs.there);
    let padded = KlDivergence::new(1.0).evaluate(&broken, target).unwrap();
    let right = KlDivergence::new(1.0)
        .evaluate(&inputs.student, target)
        .unwrap();
    assert_eq!(
        (padded.value, &padded.grad.logits),
        (right.value, &right.grad.logits)
    );

    let nobody = vec![IGNORED; inputs.there.len()];
    let target = Target::new().labels(&nobody);
    let hard = CrossEntropy::new().ignore_index(IGNORED);
    let error = hard.evaluate(&inputs.student, target).unwrap_err();
    assert!(matches!(error, Error::NoWeight { .. }), "{error}");
    let sum = hard
        .reduction(Reduction::Sum)
        .value(&inputs.student, target);
    assert_eq!(sum.unwrap(), 0.0);
}
