//! Flow of the solution procedure: products of the channels of two layers.

use super::feature::{Feature, Sides, number};
use super::found::{Found, Inner, Part, Want, feature_errors, inner_loss};
use crate::distill::loss::Reduction;
use crate::error::Result;
use crate::float::Float;
use ndarray::{Array2, Zip};

/// The squared distance of FSP matrices: how the channels of one layer go with those of another.
///
/// ```text
/// Gᵢ = Aᵢ · Bᵢᵀ / places                    [channels of A, channels of B], for example i
/// value = Σᵢ wᵢ · |G_student,i − G_teacher,i|² / N         (squared Frobenius norm)
/// ∂ value / ∂ Aᵢ = D · Bᵢ,  ∂ value / ∂ Bᵢ = Dᵀ · Aᵢ,  D = 2 · wᵢ · (G_student,i − G_teacher,i) / (N · places)
/// ```
///
/// over features A and B of shape `[batch, channels, ..]` with the same places behind the channels.
/// Student and teacher may differ in places, not in channels. Yim et al. 2017,
/// <https://doi.org/10.1109/CVPR.2017.754>, takes the mean over examples, as here by default. With A
/// and B the same feature, G is a Gram matrix: [`gram`](Self::gram).
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of A and B on each side | none | |
/// | [`reduction`](Self::reduction) | N, where a row is an example and an element one of G's | number of examples | [`Reduction`] |
///
/// Row weights: one an example.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{Fsp, Loss, Output, Target};
///
/// let logits = Array2::<f64>::zeros((1, 1));
/// let student = Output::from(logits.clone()).with_feature("map", array![[[1.0, 3.0]]]);
/// let teacher = Output::from(logits).with_feature("map", array![[[2.0, 2.0, 1.0]]]);
/// let loss = Fsp::gram("map", "map").evaluate(&student, Target::from(&teacher))?;
/// assert_eq!(loss.value, (10.0 / 2.0 - 9.0 / 3.0) * (10.0 / 2.0 - 9.0 / 3.0));
/// assert_eq!(loss.grad.features["map"], array![[[4.0, 12.0]]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct Fsp {
    student: [String; 2],
    teacher: [String; 2],
    reduction: Reduction,
}

impl Fsp {
    /// Of two layers, the mean over examples.
    pub fn new(student: [impl Into<String>; 2], teacher: [impl Into<String>; 2]) -> Self {
        Self {
            student: student.map(Into::into),
            teacher: teacher.map(Into::into),
            reduction: Reduction::MeanOverRows,
        }
    }

    /// Of a layer with itself.
    pub fn gram(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        let (student, teacher) = (student.into(), teacher.into());
        Self::new([student.clone(), student], [teacher.clone(), teacher])
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }
}

/// Two layers of one side: a row an example, and how many channels each has.
struct Layers {
    rows: [Array2<f64>; 2],
    channels: [usize; 2],
    places: usize,
}

impl Layers {
    fn read<F: Float>([a, b]: [Feature<'_, F>; 2], shares: &[f64]) -> Result<Self> {
        Ok(Self {
            rows: [a.shared(shares)?, b.shared(shares)?],
            channels: [a.shape()[1], b.shape()[1]],
            places: a.shape()[2..].iter().product(),
        })
    }

    /// A and B of this example, each [channels, places].
    fn maps(&self, example: usize) -> [Array2<f64>; 2] {
        [0, 1].map(|layer| {
            let row = self.rows[layer].row(example);
            let places = self.places;
            Array2::from_shape_fn((self.channels[layer], places), |(channel, place)| {
                row[channel * places + place]
            })
        })
    }

    fn flow(&self, example: usize) -> Array2<f64> {
        let [a, b] = self.maps(example);
        a.dot(&b.t()) / number(self.places)
    }
}

impl Inner for Fsp {
    const NAME: &'static str = "fsp";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let must = "have axes [batch, channels, ..], none empty";
        let [a, b] = &self.student;
        let student = [
            sides.student(a)?.need_axes(2, must)?,
            sides.student(b)?.need_axes(2, must)?,
        ];
        let [a, b] = &self.teacher;
        let teacher = [
            sides.teacher(a)?.need_axes(2, must)?,
            sides.teacher(b)?.need_axes(2, must)?,
        ];
        for [a, b] in [&student, &teacher] {
            if a.shape()[0] != b.shape()[0] || a.shape()[2..] != b.shape()[2..] {
                return Err(a.differs(b));
            }
        }
        for (ours, theirs) in student.iter().zip(&teacher) {
            ours.same_leading(theirs, 2)?;
        }
        let shape = student[0].shape();
        let elements = shape[1] * student[1].shape()[1];
        let weights = sides.row_weights(shape, 1)?;
        let shares = self
            .reduction
            .counted_shares((shape[0], elements), weights.as_ref())?;
        let teacher = Layers::read(teacher, &shares)?;
        let student = Layers::read(student, &shares)?;
        let mut grads = [0, 1].map(|layer: usize| Array2::zeros(student.rows[layer].raw_dim()));
        let mut value = 0.0;
        for (example, &share) in shares.iter().enumerate() {
            if share == 0.0 {
                continue;
            }
            let difference = student.flow(example) - teacher.flow(example);
            value += share * difference.iter().map(|d| d * d).sum::<f64>();
            if want == Want::Gradient {
                let factor = 2.0 * share / number(student.places);
                let by_flow = difference * factor;
                let [a, b] = student.maps(example);
                let found = [by_flow.dot(&b), by_flow.t().dot(&a)];
                for (grads, found) in grads.iter_mut().zip(found) {
                    let row = grads.row_mut(example);
                    Zip::from(row)
                        .and(&found.flatten())
                        .for_each(|to, &from| *to = from);
                }
            }
        }
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let [a, b] = &self.student;
        let [grad_a, grad_b] = grads;
        let grads = vec![(Part::Feature(a), grad_a), (Part::Feature(b), grad_b)];
        Ok(Found { value, grads })
    }
}

inner_loss!(Fsp);
