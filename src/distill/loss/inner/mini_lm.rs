//! MiniLM: relations of queries, keys and values.

use super::feature::Sides;
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::relation_kl::RelationKl;
use crate::distill::loss::Reduction;
use crate::error::Result;
use crate::float::Float;

/// Which relations are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MiniLmRelations {
    /// Queries with keys, values with values: MiniLM.
    #[default]
    AttentionAndValues,
    /// Queries with queries, keys with keys, values with values: MiniLMv2.
    Selves,
}

/// MiniLM: KL divergence of the relations of queries, keys and values.
///
/// ```text
/// value = mean KL(softmax(Q Kᵀ / √d)) + mean KL(softmax(V Vᵀ / √d))      teacher ‖ student
/// ```
///
/// each mean over examples, heads and positions, as [`RelationKl`] says, which is one such term. The
/// features have shape `[batch, heads, time, d]` or `[batch · heads, time, d]`, and d may differ
/// between student and teacher. Wang et al. 2020, <https://arxiv.org/abs/2002.10957>, takes them from
/// the last layer; MiniLMv2, Wang et al. 2021, <https://arxiv.org/abs/2012.15828>, relates each to
/// itself.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of queries, keys and values of each side | none | |
/// | [`relations`](Self::relations) | which relations | those of MiniLM | [`MiniLmRelations`] |
/// | [`mask`](Self::mask) | positions to leave out | none | a feature of 0 and 1 |
/// | [`reduction`](Self::reduction) | what each term is divided by | rows compared | [`Reduction`] |
///
/// Row weights: for any number of leading axes, all but the last two.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Array4};
/// use rarefy::distill::{Loss, MiniLm, Output, Target};
///
/// let output = |width: usize| {
///     let feature = |by: f64| {
///         let shape = (2, 3, 4, width);
///         Array4::from_shape_fn(shape, |(i, j, k, l)| ((i + 2 * j + 3 * k + l) as f64 * by).sin())
///     };
///     Output::from(Array2::zeros((2, 1)))
///         .with_feature("q", feature(1.0))
///         .with_feature("k", feature(2.0))
///         .with_feature("v", feature(3.0))
/// };
/// let (student, teacher) = (output(5), output(8));
/// let loss = MiniLm::new(["q", "k", "v"], ["q", "k", "v"]);
/// let loss = loss.evaluate(&student, Target::from(&teacher))?;
/// assert!(loss.value > 0.0);
/// assert_eq!(loss.grad.features["v"].shape(), [2, 3, 4, 5]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Where everything is masked there is no mean: [`Error::NumberOutOfRange`](crate::Error::NumberOutOfRange).
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct MiniLm {
    student: [String; 3],
    teacher: [String; 3],
    terms: Vec<RelationKl>,
}

impl MiniLm {
    /// The relations of MiniLM; names are those of queries, keys and values.
    pub fn new(student: [impl Into<String>; 3], teacher: [impl Into<String>; 3]) -> Self {
        let loss = Self {
            student: student.map(Into::into),
            teacher: teacher.map(Into::into),
            terms: Vec::new(),
        };
        loss.relations(MiniLmRelations::default())
    }

    /// The same with other relations.
    #[must_use]
    pub fn relations(mut self, relations: MiniLmRelations) -> Self {
        let pairs: &[[usize; 2]] = match relations {
            MiniLmRelations::AttentionAndValues => &[[0, 1], [2, 2]],
            MiniLmRelations::Selves => &[[0, 0], [1, 1], [2, 2]],
        };
        let settings = self.terms.first();
        let mask = settings.and_then(|term| term.mask.clone());
        let reduction = settings.map_or(Reduction::MeanOverRows, |term| term.reduction);
        let term = |pair: &[usize; 2]| {
            let student = pair.map(|index| self.student[index].as_str());
            let teacher = pair.map(|index| self.teacher[index].as_str());
            let term = RelationKl::new(student, teacher).reduction(reduction);
            match &mask {
                None => term,
                Some(mask) => term.mask(mask.as_str()),
            }
        };
        self.terms = pairs.iter().map(term).collect();
        self
    }

    /// The same with positions left out, as [`RelationKl::mask`] says.
    #[must_use]
    pub fn mask(mut self, mask: impl Into<String>) -> Self {
        let mask = mask.into();
        for term in &mut self.terms {
            term.mask = Some(mask.clone());
        }
        self
    }

    /// The same with another reduction of each term.
    #[must_use]
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        for term in &mut self.terms {
            term.reduction = reduction;
        }
        self
    }
}

impl Inner for MiniLm {
    const NAME: &'static str = "minilm";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let mut found = Found::value(0.0);
        for term in &self.terms {
            let mut term = term.find(sides, want)?;
            found.value += term.value;
            found.grads.append(&mut term.grads);
        }
        Ok(found)
    }
}

inner_loss!(MiniLm);
