//! Several teachers as one.
//!
//! ```text
//! Probabilities   logits = T · ln Σₖ wₖ · softmax(zₖ / T)        Σₖ wₖ = 1
//! Logits          logits = Σₖ wₖ · zₖ
//! ```
//!
//! The arithmetic and the geometric mean of the predictions, both named by Hinton, Vinyals and Dean
//! 2015, <https://arxiv.org/abs/1503.02531>.

use super::super::{Output, Teacher};
use super::Averaging;
use crate::distill::faults::error_of;
use crate::distill::loss::check_temperature;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::mixture::{self, Average, FaultyMember};
use crate::kernels::real::Real;
use crate::shape;
use ndarray::Array2;
use std::borrow::Cow;
use std::fmt;

/// Several teachers as one: the weighted mean of what they say.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `weight` of a member | what it counts; divided by the sum of all | none | positive, finite |
/// | [`averaging`](Self::averaging) | what is averaged | probabilities | [`Averaging`] |
/// | [`temperature`](Self::temperature) T | at which probabilities are averaged | 1 | positive, finite |
/// | [`features_from`](Self::features_from) | whose features are passed on | nobody's | a member's name |
///
/// The mean of probabilities is computed in log space and returned as a logarithm, so no probability
/// is too small for it, unless its logarithm is below the least number of `F`: such a class is masked.
/// With a loss of temperature T, set the same T here: then
/// `softmax(logits / T)` is the mean of the members' softened predictions. The mean of logits needs no
/// temperature.
///
/// `T` is the type of the members: one type for all, without a box, or
/// `Box<dyn Teacher<F, I>>` for members of different types.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{Averaging, Ensemble, Output, Teacher, teacher_fn};
///
/// type Boxed = Box<dyn Teacher<f64, Array2<f64>>>;
/// let ensemble = Ensemble::<Boxed>::new()
///     .with("wide", 3.0, Box::new(teacher_fn(|x: &Array2<f64>| Ok(Output::from(x * 2.0)))))
///     .with("deep", 1.0, Box::new(teacher_fn(|x: &Array2<f64>| Ok(Output::from(-x)))))
///     .averaging(Averaging::Logits);
/// assert_eq!(ensemble.teach(&array![[0.0, 1.0]])?.logits, array![[0.0, 1.25]]);
///
/// let ensemble = ensemble.averaging(Averaging::Probabilities);
/// let p = ensemble.teach(&array![[0.0, 1.0]])?.logits.mapv(f64::exp);
/// let right = 0.75 / (1.0 + (-2.0_f64).exp()) + 0.25 / (1.0 + 1.0_f64.exp());
/// assert!((p[[0, 1]] - right).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`teach`](Teacher::teach) fails with
///
/// * [`Error::Teacher`], which names the member: its own failure, a NaN or +∞ among its logits, a row
///   with nothing but −∞ (rows of padding too, as a teacher is not told which those are), or
///   logits of another shape than the first member's.
/// * [`Error::WrongCount`]: there is no member.
/// * [`Error::NumberOutOfRange`]: a weight is not positive and finite, or nothing beside the others.
/// * [`Error::TemperatureOutOfRange`]: T is not positive and finite.
/// * [`Error::UnknownName`]: nobody has the name that features are to come from.
/// * [`Error::MaskedRow`] with the side "ensemble": members mask different classes, so that the mean
///   of their logits masks all of a row; or T times a logarithm fits no `F`.
#[derive(Clone, PartialEq)]
pub struct Ensemble<T> {
    members: Vec<Member<T>>,
    averaging: Averaging,
    temperature: f64,
    features_from: Option<String>,
}

#[derive(Clone, PartialEq)]
struct Member<T> {
    name: String,
    weight: f64,
    teacher: T,
}

impl<T> Ensemble<T> {
    /// An ensemble without members.
    pub const fn new() -> Self {
        Self {
            members: Vec::new(),
            averaging: Averaging::Probabilities,
            temperature: 1.0,
            features_from: None,
        }
    }

    /// The same with one more member.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, weight: f64, teacher: T) -> Self {
        self.members.push(Member {
            name: name.into(),
            weight,
            teacher,
        });
        self
    }

    /// The same with another mean.
    #[must_use]
    pub const fn averaging(mut self, averaging: Averaging) -> Self {
        self.averaging = averaging;
        self
    }

    /// The same with probabilities averaged at this temperature.
    #[must_use]
    pub const fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// The same with the features of this member passed on; those of all others are dropped.
    #[must_use]
    pub fn features_from(mut self, name: impl Into<String>) -> Self {
        self.features_from = Some(name.into());
        self
    }

    /// Name and weight of each member, in the order in which they were added.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.members
            .iter()
            .map(|member| (member.name.as_str(), member.weight))
    }

    /// The weights, divided by their sum.
    fn shares(&self) -> Result<Vec<f64>> {
        let out_of_range = |value| Error::NumberOutOfRange {
            what: "weight of a teacher",
            must: "positive, finite and not nothing beside the others",
            value,
        };
        let weights = || self.members.iter().map(|member| member.weight);
        if let Some(weight) = weights().find(|weight| !(*weight > 0.0 && weight.is_finite())) {
            return Err(out_of_range(weight));
        }
        // By the largest first, as the sum of large weights may overflow.
        let largest = weights().fold(0.0, f64::max);
        let sum: f64 = weights().map(|weight| weight / largest).sum();
        weights()
            .map(|weight| match weight / largest / sum {
                0.0 => Err(out_of_range(weight)),
                share => Ok(share),
            })
            .collect()
    }

    fn average(&self) -> Result<Average> {
        let temperature = self.temperature;
        // In f64, whatever the members give.
        check_temperature::<f64>(temperature)?;
        Ok(match self.averaging {
            Averaging::Probabilities => Average::Probabilities { temperature },
            Averaging::Logits => Average::Logits,
        })
    }

    /// Which member's features are passed on.
    fn source_of_features(&self) -> Result<Option<usize>> {
        let Some(name) = &self.features_from else {
            return Ok(None);
        };
        let what = "teacher";
        let found = self.members.iter().position(|member| member.name == *name);
        let name = name.clone();
        found.map(Some).ok_or(Error::UnknownName { what, name })
    }

    fn in_member(&self, member: usize, error: Error) -> Error {
        let name = self.members.get(member).map(|member| member.name.clone());
        Error::Teacher {
            name: name.unwrap_or_default(),
            error: Box::new(error),
        }
    }
}

impl<F: Float, I: ?Sized, T: Teacher<F, I>> Teacher<F, I> for Ensemble<T> {
    fn teach(&self, input: &I) -> Result<Output<F>> {
        let (shares, average) = (self.shares()?, self.average()?);
        let source = self.source_of_features()?;
        let mut outputs = Vec::with_capacity(self.members.len());
        for (number, member) in self.members.iter().enumerate() {
            let taught = member.teacher.teach(input);
            outputs.push(taught.map_err(|error| self.in_member(number, error))?);
        }
        let logits = self.mean(&outputs, &shares, average)?;
        let features = source.map(|member| outputs.swap_remove(member).features);
        Ok(Output {
            logits,
            features: features.unwrap_or_default(),
        })
    }
}

impl<T> Ensemble<T> {
    fn mean<F: Float>(
        &self,
        outputs: &[Output<F>],
        shares: &[f64],
        average: Average,
    ) -> Result<Array2<F>> {
        let Some(first) = outputs.first() else {
            return Err(Error::WrongCount {
                what: "teachers",
                given: 0,
                expected: 1,
            });
        };
        let shape = first.logits.shape();
        for (number, output) in outputs.iter().enumerate() {
            shape::check_same(
                "logits",
                output.logits.shape(),
                "logits of the first",
                shape,
            )
            .map_err(|error| self.in_member(number, error))?;
        }
        let mut mean = Array2::zeros(first.logits.raw_dim());
        let (rows, classes) = mean.dim();
        if rows == 0 || classes == 0 {
            return Err(Error::NoLogits {
                shape: shape.to_vec(),
            });
        }
        let members: Vec<Cow<'_, [F]>> = outputs
            .iter()
            .map(|output| array::elements(&output.logits))
            .collect();
        let members: Vec<&[F]> = members.iter().map(AsRef::as_ref).collect();
        array::update(&mut mean, |mean| {
            mixture::mix(&members, shares, classes, average, mean)
        })
        .map_err(|fault| self.error(fault, &members, classes))?;
        Ok(mean)
    }

    fn error<F: Float>(&self, fault: FaultyMember, members: &[&[F]], classes: usize) -> Error {
        let FaultyMember { member, row } = fault;
        let Some(member) = member else {
            let (side, row) = ("ensemble", row.row);
            return Error::MaskedRow { side, row };
        };
        let first = row.row * classes;
        let error = error_of(row, |_, class| members[member][first + class].widen());
        self.in_member(member, error)
    }
}

impl<T> Default for Ensemble<T> {
    fn default() -> Self {
        Self::new()
    }
}

// By hand: networks need not be printable, and should not be printed.
impl<T> fmt::Debug for Ensemble<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Weights<'a, T>(&'a Ensemble<T>);
        impl<T> fmt::Debug for Weights<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_map().entries(self.0.members()).finish()
            }
        }
        f.debug_struct("Ensemble")
            .field("members", &Weights(self))
            .field("averaging", &self.averaging)
            .field("temperature", &self.temperature)
            .field("features_from", &self.features_from)
            .finish()
    }
}
