//! What the terms of a sum of losses said about one batch.

use super::LossValue;
use crate::float::Float;
use std::fmt;

/// One term of a [`WeightedSum`](super::WeightedSum), evaluated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TermValue<F> {
    /// Its name.
    pub name: String,
    /// Its weight in the sum.
    pub weight: f64,
    /// Its own value, not multiplied by the weight; nothing where the weight is 0 and the term was
    /// not evaluated.
    pub value: Option<F>,
}

/// A [`WeightedSum`](super::WeightedSum), evaluated: the sum, its gradient, and each term.
///
/// Printed, it is one line for a log.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation<F> {
    /// The sum and its gradient.
    pub loss: LossValue<F>,
    /// The terms, in the order in which they were added.
    pub terms: Vec<TermValue<F>>,
}

impl<F: Float> fmt::Display for Evaluation<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6} =", self.loss.value)?;
        for (number, term) in self.terms.iter().enumerate() {
            let plus = if number == 0 { "" } else { " +" };
            write!(f, "{plus} {} · {}", Short(term.weight), term.name)?;
            if let Some(value) = term.value {
                write!(f, " {value:.6}")?;
            }
        }
        if self.terms.is_empty() {
            f.write_str(" no terms")?;
        }
        Ok(())
    }
}

/// A weight in at most four decimals.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.4}", self.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use crate::distill::{CrossEntropy, KlDivergence, Loss, Output, Target, WeightedSum};
    use ndarray::array;

    #[test]
    fn the_report_is_the_loss_and_says_how_it_came_about() {
        let student = Output::from(array![[0.5_f32, 1.0, -2.0], [0.0, 3.0, 1.0]]);
        let teacher = Output::from(array![[1.5_f32, 1.0, 0.0], [0.0, 2.0, 9.0]]);
        let target = Target::from(&teacher).labels(&[0, 2]);
        let (soft, hard) = (KlDivergence::new(3.0), CrossEntropy::new());
        let sum = WeightedSum::new()
            .with("soft", 1.0 / 3.0, soft)
            .with("off", 0.0, KlDivergence::new(f64::NAN))
            .with("hard", 20.0, hard);
        let evaluation = sum.evaluate_terms(&student, target).unwrap();
        assert_eq!(evaluation.loss, sum.evaluate(&student, target).unwrap());
        let values: Vec<Option<f32>> = evaluation.terms.iter().map(|term| term.value).collect();
        let right = [
            soft.value(&student, target).ok(),
            None,
            hard.value(&student, target).ok(),
        ];
        assert_eq!(values, right);
        let text = evaluation.to_string();
        assert!(text.contains("= 0.3333 · soft "), "{text}");
        assert!(text.contains(" + 0 · off + 20 · hard "), "{text}");
        let nothing = WeightedSum::new().evaluate_terms(&student, target).unwrap();
        assert_eq!(nothing.to_string(), "0.000000 = no terms");
    }

    #[test]
    fn the_rest_is_what_is_left_of_one() {
        let hard = CrossEntropy::new;
        let rest = |weights: &[f64]| {
            let mut sum = WeightedSum::<f64>::new();
            for &weight in weights {
                sum = sum.with("part", weight, hard());
            }
            let sum = sum.with_rest("rest", hard())?;
            let last = sum.terms().last();
            Ok::<_, crate::Error>(last.unwrap().1)
        };
        assert_eq!(rest(&[]).unwrap(), 1.0);
        assert_eq!(rest(&[0.5, 0.25]).unwrap(), 0.25);
        for none in [[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [1.0 + 1e-15, 0.0, 0.0]] {
            assert_eq!(rest(&none).unwrap(), 0.0);
        }
        assert_eq!(
            rest(&[0.7, 0.4]).unwrap_err().to_string(),
            "sum of the weights before the rest must be at most 1, got 1.1"
        );
        for unusable in [-0.1, f64::NAN, f64::INFINITY] {
            let error = rest(&[0.3, unusable]).unwrap_err().to_string();
            assert!(error.ends_with(&format!("takes the rest, got {unusable}")));
        }
    }

    #[test]
    fn weights_that_do_not_fit_the_float_are_refused() {
        let sum = WeightedSum::<f32>::new().with("hard", 1e300, CrossEntropy::new());
        let student = Output::from(array![[0.5_f32, 1.0]]);
        let error = sum.value(&student, Target::new().labels(&[0])).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("weight of a term must be finite")
        );
    }
}
