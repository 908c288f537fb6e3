//! Brings a teacher's logits to the student's vocabulary.

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::parallel::{CHUNK, for_chunks_mut};
use crate::kernels::{array, real::Real};
use crate::shape;
use ndarray::{Array2, ArrayRef2};
use std::collections::BTreeMap;
use std::fmt;

/// How a teacher's classes become the student's.
///
/// | made by | a student's logit is | for |
/// |---|---|---|
/// | [`truncate`](Self::truncate) | the teacher's of the same index; the rest is dropped | the same tokenizer, teacher's table padded |
/// | [`pad`](Self::pad) | the teacher's of the same index; −∞ behind its last | the same tokenizer, student's table padded |
/// | [`pick`](Self::pick) | that of one class of the teacher, or −∞ | tokenizers that share words |
/// | [`merge`](Self::merge) | ln Σ exp over the classes of the teacher that become it | several of the teacher's words are one of the student's |
///
/// A class that the teacher does not know gets −∞ and so probability exactly 0, in every loss of this
/// crate. (Padding with a logit of 0 would give it a share, often a large one.) The probability of a
/// class that is dropped goes to the others in proportion, as the softmax of what is left divides by
/// what is left; a row of which all is dropped is [`Error::MaskedRow`] in the loss.
///
/// Where the two vocabularies have nothing in common,
/// [`SortedProbability`](super::SortedProbability) compares them by rank.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{self, Vocabulary};
///
/// let teacher = array![[1.0_f32, 2.0, 3.0]];
/// // The student's class 0 is the teacher's 2, its class 1 is new, its class 2 is the teacher's 0.
/// let vocabulary = Vocabulary::pick(vec![Some(2), None, Some(0)])?;
/// let teacher = vocabulary.apply(&teacher)?;
/// assert_eq!(teacher, array![[3.0, f32::NEG_INFINITY, 1.0]]);
/// let loss = distill::kl_divergence(&array![[0.0, 0.0, 0.0]], &teacher, 1.0)?;
/// assert!(loss.value.is_finite());
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Vocabulary(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Truncate(usize),
    Pad(usize),
    Pick(Vec<Option<usize>>),
    Merge {
        map: Vec<Option<usize>>,
        /// The teacher's classes of each student class: `members[starts[c]..starts[c + 1]]`.
        members: Vec<usize>,
        starts: Vec<usize>,
    },
}

impl Vocabulary {
    /// The first `classes` of the teacher, which has as many or more.
    pub const fn truncate(classes: usize) -> Self {
        Self(Kind::Truncate(classes))
    }

    /// The teacher's classes, then −∞ up to `classes`; the teacher has as many or fewer.
    pub const fn pad(classes: usize) -> Self {
        Self(Kind::Pad(classes))
    }

    /// For each class of the student the class of the teacher that it is, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::ClassUsedTwice`] if a class of the teacher is there twice: its probability would be
    /// counted twice, and nothing says how to divide it.
    pub fn pick(map: Vec<Option<usize>>) -> Result<Self> {
        let mut taken = BTreeMap::new();
        for (second, class) in map.iter().enumerate() {
            let Some(class) = *class else { continue };
            if let Some(first) = taken.insert(class, second) {
                return Err(Error::ClassUsedTwice {
                    class,
                    first,
                    second,
                });
            }
        }
        Ok(Self(Kind::Pick(map)))
    }

    /// For each class of the teacher the class of the student, out of `classes`, that it becomes, if
    /// any.
    ///
    /// The probabilities of those that become one are added, which in logits is ln Σ exp: at
    /// temperature 1, before the loss divides by its own. A class of the student that none becomes
    /// gets −∞.
    ///
    /// # Errors
    ///
    /// [`Error::MappedClassOutOfRange`] if the map names a class of the student that does not exist;
    /// [`Error::ShapeOverflow`] if there cannot be so many.
    pub fn merge(map: Vec<Option<usize>>, classes: usize) -> Result<Self> {
        shape::count(&[classes, 2])?;
        let named = map.iter().enumerate();
        let mut pairs = Vec::with_capacity(map.len());
        for (entry, class) in named {
            match *class {
                Some(class) if class >= classes => {
                    return Err(Error::MappedClassOutOfRange {
                        entry,
                        class,
                        classes,
                    });
                }
                Some(class) => pairs.push((class, entry)),
                None => {}
            }
        }
        pairs.sort_unstable();
        let starts = (0..=classes).map(|class| pairs.partition_point(|pair| pair.0 < class));
        let starts = starts.collect();
        let members = pairs.into_iter().map(|(_, entry)| entry).collect();
        Ok(Self(Kind::Merge {
            map,
            members,
            starts,
        }))
    }

    /// How many classes the student has.
    pub const fn classes(&self) -> usize {
        match &self.0 {
            Kind::Truncate(classes) | Kind::Pad(classes) => *classes,
            Kind::Pick(map) => map.len(),
            Kind::Merge { starts, .. } => starts.len() - 1,
        }
    }

    /// The teacher's logits, `[rows, teacher's classes]`, as logits of the student's classes.
    ///
    /// NaN and +∞ go through to the class that they belong to, so that the loss can say where they
    /// are, or does not read them where the row weighs nothing.
    ///
    /// # Errors
    ///
    /// * [`Error::WrongCount`]: the teacher has too few classes to truncate, too many to pad, or not
    ///   as many as the map to merge by has entries.
    /// * [`Error::MappedClassOutOfRange`]: the map to pick by names a class that the teacher lacks.
    /// * [`Error::ShapeOverflow`]: there are more logits than can be counted.
    pub fn apply<F: Float>(&self, logits: &ArrayRef2<F>) -> Result<Array2<F>> {
        let (rows, given) = logits.dim();
        let expected = self.classes();
        let wrong_count = |what, expected| Error::WrongCount {
            what,
            given,
            expected,
        };
        match &self.0 {
            Kind::Truncate(_) if given < expected => {
                return Err(wrong_count("teacher classes to truncate", expected));
            }
            Kind::Pad(_) if given > expected => {
                return Err(wrong_count("teacher classes to pad", expected));
            }
            Kind::Merge { map, .. } if given != map.len() => {
                return Err(wrong_count("teacher classes to merge", map.len()));
            }
            Kind::Pick(map) => {
                let named = map.iter().enumerate();
                for (entry, class) in named.filter_map(|(entry, &class)| Some((entry, class?))) {
                    if class >= given {
                        let classes = given;
                        return Err(Error::MappedClassOutOfRange {
                            entry,
                            class,
                            classes,
                        });
                    }
                }
            }
            _ => {}
        }
        shape::count(&[rows, expected])?;
        let mut out = Array2::from_elem((rows, expected), F::neg_infinity());
        if out.is_empty() {
            return Ok(out);
        }
        let from = array::elements(logits);
        let per_task = (CHUNK / expected.max(given).max(1)).max(1);
        array::update(&mut out, |out| {
            for_chunks_mut(out, per_task * expected, |task, out| {
                for (row, out) in out.chunks_exact_mut(expected).enumerate() {
                    let start = (task * per_task + row) * given;
                    self.row(&from[start..start + given], out);
                }
            });
        });
        Ok(out)
    }

    fn row<F: Float>(&self, from: &[F], to: &mut [F]) {
        match &self.0 {
            Kind::Truncate(_) | Kind::Pad(_) => {
                for (to, &from) in to.iter_mut().zip(from) {
                    *to = from;
                }
            }
            Kind::Pick(map) => {
                for (to, class) in to.iter_mut().zip(map) {
                    *to = class.map_or(F::neg_infinity(), |class| from[class]);
                }
            }
            Kind::Merge {
                members, starts, ..
            } => {
                for (to, range) in to.iter_mut().zip(starts.windows(2)) {
                    *to = log_sum_exp(from, &members[range[0]..range[1]]);
                }
            }
        }
    }
}

/// ln Σ exp of these logits; a single one as it is, −∞ for none.
fn log_sum_exp<F: Float>(logits: &[F], classes: &[usize]) -> F {
    if let [class] = classes {
        return logits[*class];
    }
    let logits = || classes.iter().map(|&class| logits[class]);
    if logits().any(|logit| logit.is_nan()) {
        return F::nan();
    }
    let most = logits().fold(F::neg_infinity(), num_traits::Float::max);
    if most.is_infinite() {
        return most;
    }
    let sum: f64 = logits()
        .map(|logit| (logit.widen() - most.widen()).exponential())
        .sum();
    F::cast(most.widen() + sum.ln())
}

// Not derived: a map has as many entries as a vocabulary.
impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Truncate(_) => "truncate",
            Kind::Pad(_) => "pad",
            Kind::Pick(_) => "pick",
            Kind::Merge { .. } => "merge",
        };
        f.debug_struct("Vocabulary")
            .field("kind", &format_args!("{kind}"))
            .field("classes", &self.classes())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Vocabulary;
    use approx::assert_relative_eq;
    use ndarray::{Array2, array};

    const NONE: f64 = f64::NEG_INFINITY;

    #[test]
    fn every_kind_does_what_its_table_says() {
        let teacher = array![[1.0, 2.0, 3.0], [4.0, NONE, 6.0]];
        let apply = |vocabulary: Vocabulary| vocabulary.apply(&teacher).unwrap();
        assert_eq!(
            apply(Vocabulary::truncate(2)),
            array![[1.0, 2.0], [4.0, NONE]]
        );
        assert_eq!(apply(Vocabulary::truncate(3)), teacher);
        assert_eq!(
            apply(Vocabulary::pad(4)),
            array![[1.0, 2.0, 3.0, NONE], [4.0, NONE, 6.0, NONE]]
        );
        let pick = Vocabulary::pick(vec![Some(2), None, Some(1)]).unwrap();
        assert_eq!(apply(pick), array![[3.0, NONE, 2.0], [6.0, NONE, NONE]]);
        let merge = Vocabulary::merge(vec![Some(3), Some(0), Some(3)], 4).unwrap();
        let merged = apply(merge);
        assert_relative_eq!(merged[[0, 3]], (1_f64.exp() + 3_f64.exp()).ln());
        assert_eq!(merged.row(0).to_vec()[..3], [2.0, NONE, NONE]);
        assert_eq!(merged.row(1).to_vec()[..3], [NONE; 3]);
    }

    #[test]
    fn merging_adds_probabilities_and_any_layout_does() {
        let teacher = Array2::from_shape_fn((300, 900), |(i, j)| ((i * j) % 37) as f32 / 3.0);
        let softmax = |logits: &Array2<f32>| {
            let e = logits.mapv(|z| f64::from(z).exp());
            let total = e.sum_axis(ndarray::Axis(1)).insert_axis(ndarray::Axis(1));
            e / total
        };
        let map = (0..900).map(|class| (class % 7 != 6).then_some(class % 5));
        let merge = Vocabulary::merge(map.clone().collect(), 6).unwrap();
        let merged = merge.apply(&teacher).unwrap();
        let (ours, all) = (softmax(&merged), softmax(&teacher));
        for (row, all) in ours.rows().into_iter().zip(all.rows()) {
            let mut right = vec![0.0; 6];
            for (class, p) in map.clone().zip(all) {
                if let Some(class) = class {
                    right[class] += p;
                }
            }
            let kept: f64 = right.iter().sum();
            for (ours, right) in row.iter().zip(right) {
                assert_relative_eq!(*ours, right / kept, epsilon = 1e-6);
            }
        }
        let columns = teacher.t().as_standard_layout().into_owned();
        assert_eq!(merge.apply(&columns.t()).unwrap(), merged);
    }

    #[test]
    fn what_is_no_logit_goes_through_to_its_class_alone() {
        let merge = Vocabulary::merge(vec![Some(0), Some(0), Some(1), Some(1)], 2).unwrap();
        let odd = array![[f64::NAN, 9.0, 1.0, NONE], [f64::INFINITY, 0.0, NONE, NONE]];
        let merged = merge.apply(&odd).unwrap();
        assert!(merged[[0, 0]].is_nan());
        assert_eq!((merged[[0, 1]], merged[[1, 1]]), (1.0, NONE));
        assert_eq!(merged[[1, 0]], f64::INFINITY);
    }

    #[test]
    fn maps_that_do_not_fit_are_named() {
        let text =
            |result: crate::Result<_>| result.map(|_: Vocabulary| ()).unwrap_err().to_string();
        assert_eq!(
            text(Vocabulary::pick(vec![Some(4), None, Some(4)])),
            "teacher class 4 goes to student classes 0 and 2, one is right"
        );
        assert_eq!(
            text(Vocabulary::merge(vec![Some(0), Some(2)], 2)),
            "entry 1 of the map must lie in 0..2, got 2"
        );
        assert!(Vocabulary::merge(vec![], usize::MAX).is_err());
        let teacher = array![[0.0, 1.0, 2.0]];
        let text = |vocabulary: Vocabulary| vocabulary.apply(&teacher).unwrap_err().to_string();
        assert_eq!(
            text(Vocabulary::pick(vec![Some(3)]).unwrap()),
            "entry 0 of the map must lie in 0..3, got 3"
        );
        assert_eq!(
            text(Vocabulary::truncate(4)),
            "3 teacher classes to truncate given, 4 needed"
        );
        assert_eq!(
            text(Vocabulary::pad(2)),
            "3 teacher classes to pad given, 2 needed"
        );
        assert_eq!(
            text(Vocabulary::merge(vec![Some(0)], 2).unwrap()),
            "3 teacher classes to merge given, 1 needed"
        );
        assert_eq!(
            Vocabulary::truncate(0).apply(&teacher).unwrap().dim(),
            (1, 0)
        );
    }
}
