//! From what a loss computes in f64 to value and gradient in F, the same way for all of them.

use super::feature::Sides;
use crate::distill::loss::LossValue;
use crate::distill::{Output, Target};
use crate::error::{Error, FeatureError, Result};
use crate::float::Float;
use ndarray::Array2;

/// Whether a gradient is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Value,
    Gradient,
}

/// The part of a student's output that a gradient belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Logits,
    Feature(&'a str),
}

impl Part<'_> {
    fn name(self) -> String {
        match self {
            Part::Logits => "logits".to_owned(),
            Part::Feature(name) => name.to_owned(),
        }
    }
}

/// A value, and gradients whose elements have the order of the part that they belong to.
///
/// A part may occur twice: its gradients add up.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) value: f64,
    pub(super) grads: Vec<(Part<'a>, Array2<f64>)>,
}

impl<'a> Found<'a> {
    pub(super) const fn value(value: f64) -> Self {
        let grads = Vec::new();
        Self { value, grads }
    }

    /// A value and one gradient.
    pub(super) fn new(value: f64, name: &'a str, grad: Array2<f64>) -> Self {
        let grads = vec![(Part::Feature(name), grad)];
        Self { value, grads }
    }

    fn value_as<F: Float>(&self, loss: &'static str) -> Result<F> {
        let value = F::cast(self.value);
        if value.is_finite() {
            return Ok(value);
        }
        Err(Error::Feature(FeatureError::Overflow {
            of: loss.to_owned(),
        }))
    }

    /// Gradients of one part as one, in f64: their sum is then rounded once.
    fn merge(&mut self) {
        let mut merged: Vec<(Part<'a>, Array2<f64>)> = Vec::with_capacity(self.grads.len());
        for (part, grad) in self.grads.drain(..) {
            match merged.iter_mut().find(|(other, _)| *other == part) {
                Some((_, sum)) => *sum += &grad,
                None => merged.push((part, grad)),
            }
        }
        self.grads = merged;
    }

    /// Fails, or adds `scale` times every gradient.
    fn add_to<F: Float>(mut self, scale: F, grad: &mut Output<F>) -> Result<()> {
        self.merge();
        for (part, found) in &self.grads {
            if !found.iter().all(|&g| F::cast(g).is_finite()) {
                return Err(Error::Feature(FeatureError::Overflow { of: part.name() }));
            }
        }
        for (part, found) in &self.grads {
            match part {
                Part::Logits => add(grad.logits.iter_mut(), scale, found),
                Part::Feature(name) => match grad.features.get_mut(*name) {
                    Some(feature) => add(feature.iter_mut(), scale, found),
                    None => {
                        let name = (*name).to_owned();
                        return Err(Error::FeatureMismatch { name });
                    }
                },
            }
        }
        Ok(())
    }
}

fn add<'f, F: Float>(to: impl Iterator<Item = &'f mut F>, scale: F, from: &Array2<f64>) {
    for (to, &from) in to.zip(from) {
        *to += scale * F::cast(from);
    }
}

/// A loss over features, as its file writes it.
pub(super) trait Inner {
    /// Its name in errors.
    const NAME: &'static str;

    /// Computes the value, and the gradients if they are wanted.
    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>>;
}

pub(super) fn evaluate<F: Float, I: Inner>(
    loss: &I,
    student: &Output<F>,
    target: Target<'_, F>,
) -> Result<LossValue<F>> {
    let sides = Sides::new(I::NAME, student, target)?;
    let found = loss.find(&sides, Want::Gradient)?;
    let value = found.value_as(I::NAME)?;
    let mut grad = student.zeros_like();
    found.add_to(F::one(), &mut grad)?;
    Ok(LossValue { value, grad })
}

pub(super) fn accumulate<F: Float, I: Inner>(
    loss: &I,
    student: &Output<F>,
    target: Target<'_, F>,
    scale: F,
    grad: &mut Output<F>,
) -> Result<F> {
    grad.check_like(student)?;
    let sides = Sides::new(I::NAME, student, target)?;
    let found = loss.find(&sides, Want::Gradient)?;
    let value = found.value_as(I::NAME)?;
    found.add_to(scale, grad)?;
    Ok(value)
}

pub(super) fn value<F: Float, I: Inner>(
    loss: &I,
    student: &Output<F>,
    target: Target<'_, F>,
) -> Result<F> {
    let sides = Sides::new(I::NAME, student, target)?;
    loss.find(&sides, Want::Value)?.value_as(I::NAME)
}

/// Makes an [`Inner`] a [`Loss`](crate::distill::Loss). A blanket implementation would collide with
/// those for `&L`, `Box<L>` and `Arc<L>`.
macro_rules! inner_loss {
    ($loss:ty) => {
        impl<F: crate::float::Float> crate::distill::Loss<F> for $loss {
            fn evaluate(
                &self,
                student: &crate::distill::Output<F>,
                target: crate::distill::Target<'_, F>,
            ) -> crate::error::Result<crate::distill::LossValue<F>> {
                $crate::distill::loss::inner::found::evaluate(self, student, target)
            }

            fn accumulate(
                &self,
                student: &crate::distill::Output<F>,
                target: crate::distill::Target<'_, F>,
                scale: F,
                grad: &mut crate::distill::Output<F>,
            ) -> crate::error::Result<F> {
                $crate::distill::loss::inner::found::accumulate(self, student, target, scale, grad)
            }

            fn value(
                &self,
                student: &crate::distill::Output<F>,
                target: crate::distill::Target<'_, F>,
            ) -> crate::error::Result<F> {
                $crate::distill::loss::inner::found::value(self, student, target)
            }
        }
    };
}

/// The errors that every loss over features may give, for their documentation.
macro_rules! feature_errors {
    () => {
        "* [`Error::MissingTarget`](crate::error::Error::MissingTarget): the target has no teacher output.\n\
         * [`Error::MissingFeature`](crate::error::Error::MissingFeature): a side lacks a feature; it says \
         which.\n\
         * [`Error::Feature`](crate::error::Error::Feature), \
         [`Error::ShapeMismatch`](crate::error::Error::ShapeMismatch): a feature has too few axes or no \
         elements, or does not go with another.\n\
         * [`Error::NotANumber`](crate::error::Error::NotANumber), \
         [`Error::Infinite`](crate::error::Error::Infinite): a feature is NaN or infinite in what is read; \
         wrapped in [`Error::Tensor`](crate::error::Error::Tensor) with the feature's name, as shapes are.\n\
         * [`Error::Feature`](crate::error::Error::Feature): a feature exceeds 1e70, or value or \
         gradient do not fit the float.\n\
         * [`Error::WrongCount`](crate::error::Error::WrongCount), \
         [`Error::RowWeightOutOfRange`](crate::error::Error::RowWeightOutOfRange), \
         [`Error::NoWeight`](crate::error::Error::NoWeight), \
         [`Error::NumberOutOfRange`](crate::error::Error::NumberOutOfRange): row weights, what the loss is \
         divided by, or a setting."
    };
}

pub(super) use {feature_errors, inner_loss};
