//! Laws of schedules.

use approx::assert_abs_diff_eq;
use rarefy::Error;
use rarefy::schedule::{Constant, Cosine, Exponential, Linear, MultiStep, Polynomial, Schedule};

/// A ramp from one value to another over steps 10 to 50.
type Ramp = fn(f64, f64) -> Box<dyn Schedule>;

const RAMPS: [(&str, Ramp); 6] = [
    ("linear", |from, to| {
        Box::new(Linear::new(from, to, 10..=50).unwrap())
    }),
    ("cosine", |from, to| {
        Box::new(Cosine::new(from, to, 10..=50).unwrap())
    }),
    ("cubic", |from, to| {
        Box::new(Polynomial::cubic(from, to, 10..=50).unwrap())
    }),
    ("square", |from, to| {
        Box::new(Polynomial::new(from, to, 10..=50, 2.0).unwrap())
    }),
    ("root", |from, to| {
        Box::new(Polynomial::new(from, to, 10..=50, 0.5).unwrap())
    }),
    ("exponential", |from, to| {
        Box::new(Exponential::new(from, to, 10..=50).unwrap())
    }),
];

#[test]
fn ramps_meet_their_ends_and_stay_between() {
    for (name, ramp) in RAMPS {
        for (from, to) in [(0.1, 0.9), (3.0, 0.7), (0.3, 0.3), (1e-300, 1e300)] {
            let schedule = ramp(from, to);
            for step in 0..=10 {
                assert_eq!(schedule.at(step), from, "{name} at {step}");
            }
            for step in [50, 51, 1000, u64::MAX] {
                assert_eq!(schedule.at(step), to, "{name} at {step}");
            }
            let values: Vec<f64> = (10..=50).map(|step| schedule.at(step)).collect();
            let (low, high) = (from.min(to), from.max(to));
            assert!(
                values.iter().all(|value| (low..=high).contains(value)),
                "{name}: {values:?}"
            );
            let rising = values.is_sorted();
            let falling = values.is_sorted_by(|a, b| a >= b);
            assert!(
                if from <= to { rising } else { falling },
                "{name} is monotone: {values:?}"
            );
            if from != to {
                assert!(
                    values[20] != from && values[20] != to,
                    "{name} moves: {values:?}"
                );
            }
        }
    }
}

#[test]
fn ramps_follow_their_formulas() {
    let at_a_quarter = |name: &str| {
        let (_, ramp) = RAMPS.iter().find(|(other, _)| *other == name).unwrap();
        ramp(2.0, 10.0).at(20)
    };
    let close = |a: f64, b: f64| assert_abs_diff_eq!(a, b, epsilon = 1e-12);
    close(at_a_quarter("linear"), 4.0);
    close(
        at_a_quarter("cosine"),
        10.0 - 8.0 * (1.0 + (std::f64::consts::PI / 4.0).cos()) / 2.0,
    );
    close(at_a_quarter("cubic"), 10.0 - 8.0 * 0.75_f64.powi(3));
    close(at_a_quarter("square"), 10.0 - 8.0 * 0.75_f64.powi(2));
    close(at_a_quarter("root"), 10.0 - 8.0 * 0.75_f64.sqrt());
    close(at_a_quarter("exponential"), 2.0 * 5.0_f64.powf(0.25));
}

#[test]
fn a_range_of_one_step_is_a_jump() {
    let jump = Linear::new(1.0, 2.0, 5..=5).unwrap();
    assert_eq!([jump.at(4), jump.at(5), jump.at(6)], [1.0, 2.0, 2.0]);
}

#[test]
fn bad_settings_are_errors() {
    #[expect(clippy::reversed_empty_ranges, reason = "the mistake under test")]
    let backwards = Linear::new(0.0, 1.0, 9..=3);
    let text = backwards.unwrap_err().to_string();
    assert_eq!(text, "steps must ascend, got 3 after 9");
    let text = Cosine::new(f64::NAN, 1.0, 0..=1).unwrap_err().to_string();
    assert_eq!(text, "from must be finite, got NaN");
    let text = Polynomial::new(0.0, 1.0, 0..=1, -2.0)
        .unwrap_err()
        .to_string();
    assert_eq!(text, "power must be positive and finite, got -2");
    let text = Exponential::new(0.0, 1.0, 0..=1).unwrap_err().to_string();
    assert_eq!(text, "from must be positive and finite, got 0");
    assert!(Constant::new(f64::INFINITY).is_err());
    let repeated = MultiStep::new(0.0, [(5, 1.0), (5, 2.0)]);
    assert!(matches!(
        repeated,
        Err(Error::StepsNotAscending {
            earlier: 5,
            later: 5
        })
    ));
    assert!(MultiStep::new(0.0, [(5, f64::NAN)]).is_err());
}

#[test]
fn tables_and_closures_are_schedules() {
    let none = MultiStep::new(0.5, []).unwrap();
    assert_eq!((none.at(0), none.at(u64::MAX)), (0.5, 0.5));
    let from_the_start = MultiStep::new(0.5, [(0, 1.0)]).unwrap();
    assert_eq!(from_the_start.at(0), 1.0);
    let closure = |step: u64| if step < 3 { 0.0 } else { 1.0 };
    let schedules: [&dyn Schedule; 3] = [&closure, &none, &Constant::new(2.0).unwrap()];
    assert_eq!(schedules.map(|schedule| schedule.at(3)), [1.0, 0.5, 2.0]);
}
