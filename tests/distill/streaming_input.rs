//! What a streaming loss says of numbers and shapes that it cannot use.

use crate::streaming::Case;
use ndarray::{Array1, Array2};
use rarefy::Error;
use rarefy::distill::{GradientBuffers, OutputLayer, StreamingBatch, StreamingDistillation};

#[test]
fn bad_numbers_name_the_array_and_the_place_and_leave_the_buffers_alone() {
    let good = || Case::<f32>::new((6, 8, 4, 3));
    let loss = StreamingDistillation::new(1.0);
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    type Break = fn(&mut Case<f32>, f32);
    let cases: [(Break, f32, &str); 8] = [
        (
            |c, x| c.hidden[[2, 1]] = x,
            nan,
            "student hidden states [2, 1] is NaN",
        ),
        (
            |c, x| c.hidden[[3, 0]] = x,
            infinity,
            "student hidden states [3, 0] is inf, must be finite",
        ),
        (
            |c, x| c.projection[[7, 3]] = x,
            nan,
            "student projection [7, 3] is NaN",
        ),
        (
            |c, x| c.projection[[0, 2]] = x,
            -infinity,
            "student projection [0, 2] is -inf, must be finite",
        ),
        (
            |c, x| c.bias[4] = x,
            infinity,
            "student bias [4] is inf, must be finite",
        ),
        (
            |c, x| c.taught[[1, 2]] = x,
            nan,
            "teacher hidden states [1, 2] is NaN",
        ),
        (
            |c, x| c.teacher_projection[[5, 0]] = x,
            nan,
            "teacher projection [5, 0] is NaN",
        ),
        (|c, x| c.teacher_bias[0] = x, nan, "teacher bias [0] is NaN"),
    ];
    for (spoil, value, says) in cases {
        let mut case = good();
        spoil(&mut case, value);
        let mut grad = Array2::from_elem((8, 4), 7.0);
        let buffers = GradientBuffers::new().projection(&mut grad);
        let error = loss.evaluate_into(case.batch(), buffers).unwrap_err();
        assert_eq!(error.to_string(), says);
        assert!(grad.iter().all(|&g| g == 7.0), "{says}");
    }
    // A logit that runs over is not a masked class.
    let mut case = good();
    case.hidden[[2, 0]] = 1e30;
    case.projection.fill(0.1);
    case.projection[[6, 0]] = -1e30;
    let error = loss.value(case.batch()).unwrap_err();
    let says = "student logit [2, 6] is -inf, must be finite";
    assert_eq!(error.to_string(), says);
}

#[test]
fn shapes_that_do_not_match_are_both_named() {
    let case = Case::<f64>::new((6, 8, 4, 3));
    let loss = StreamingDistillation::new(1.0);
    let text = |batch: StreamingBatch<'_, f64>| loss.value(batch).unwrap_err().to_string();
    let batch = case.batch();
    let wide = Array2::zeros((8, 5));
    assert_eq!(
        text(StreamingBatch::new(OutputLayer::new(&case.hidden, &wide))),
        "shapes differ: student hidden states [6, 4], student projection [8, 5]"
    );
    let long = Array1::zeros(9);
    assert_eq!(
        text(StreamingBatch::new(case.student().bias(&long))),
        "shapes differ: student bias [9], student projection [8, 4]"
    );
    let (fewer, more) = (Array2::zeros((5, 3)), Array2::zeros((9, 3)));
    assert_eq!(
        text(batch.teacher(OutputLayer::new(&fewer, &case.teacher_projection))),
        "shapes differ: teacher hidden states [5, 3], student hidden states [6, 4]"
    );
    assert_eq!(
        text(batch.teacher(OutputLayer::new(&case.taught, &more))),
        "shapes differ: teacher projection [9, 3], student projection [8, 4]"
    );
    assert_eq!(text(batch.labels(&[0; 5])), "5 labels given, 6 needed");
    assert_eq!(
        text(batch.labels(&[0, 1, 8, 0, 0, 0])),
        "label of row 2 must lie in 0..8, got 8"
    );
    let weights = Array1::from_elem(6, -1.0);
    assert!(text(batch.weights(&weights)).starts_with("weight of row 0 must be"));
    let none = Array2::zeros((0, 4));
    assert_eq!(
        text(StreamingBatch::new(OutputLayer::new(
            &none,
            &case.projection
        ))),
        "logits have shape [0, 8], at least one row and one class are needed"
    );
    let mut grad = Array2::zeros((4, 8));
    let error = loss.evaluate_into(batch, GradientBuffers::new().projection(&mut grad));
    assert_eq!(
        error.unwrap_err().to_string(),
        "shapes differ: gradient of the projection [4, 8], student projection [8, 4]"
    );
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-310] {
        let error = StreamingDistillation::new(temperature)
            .value(batch)
            .unwrap_err();
        assert!(
            matches!(error, Error::TemperatureOutOfRange { .. }),
            "{error}"
        );
    }
    let error = loss.term_weights(1.0, -0.5).value(batch).unwrap_err();
    let says = "weight of a term must be finite and not negative, got -0.5";
    assert_eq!(error.to_string(), says);
    let error = loss.memory_budget(10).value(batch).unwrap_err().to_string();
    assert!(
        error.starts_with("memory budget of 10 bytes is too small"),
        "{error}"
    );
}
