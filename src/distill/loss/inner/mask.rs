//! Which queries and keys of attention maps are compared.

use super::feature::{Feature, Sides};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;

/// Positions of each sequence of a batch: true = compared.
#[derive(Debug)]
pub(super) struct Positions {
    compared: Option<Vec<bool>>,
    length: usize,
    /// How many consecutive maps belong to one sequence: its heads.
    heads: usize,
}

impl Positions {
    /// The mask of this name, for maps in `[batch, .., length, ..]` whose number is `maps`.
    pub(super) fn new<F: Float>(
        sides: &Sides<'_, F>,
        name: Option<&str>,
        batch: usize,
        maps: usize,
        length: usize,
    ) -> Result<Self> {
        let heads = maps / batch;
        let compared = match name {
            None => None,
            Some(name) => {
                let feature = sides.either(name)?;
                if feature.shape() != [batch, length] {
                    return Err(feature.unfit("be a mask of shape [length of axis 0, positions]"));
                }
                Some(bits(feature)?)
            }
        };
        Ok(Self {
            compared,
            length,
            heads,
        })
    }

    pub(super) fn compares(&self, map: usize, position: usize) -> bool {
        match &self.compared {
            None => true,
            Some(compared) => compared[map / self.heads * self.length + position],
        }
    }
}

fn bits<F: Float>(feature: Feature<'_, F>) -> Result<Vec<bool>> {
    let bit = |value: &F| {
        if *value == F::one() {
            return Ok(true);
        }
        if *value == F::zero() {
            return Ok(false);
        }
        let error = Error::NumberOutOfRange {
            what: "a value of a mask",
            must: "0 or 1",
            value: value.widen(),
        };
        Err(error.in_tensor(feature.name()))
    };
    feature.array().iter().map(bit).collect()
}

/// What is left out of the comparison of two attention maps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Left {
    pub(super) key_mask: Option<String>,
    pub(super) query_mask: Option<String>,
    pub(super) at_or_below: Option<f64>,
}

/// Two attention maps as rows of scores, one row a query of a head of an example.
#[derive(Debug)]
pub(super) struct Maps {
    pub(super) student: Vec<f64>,
    pub(super) teacher: Vec<f64>,
    pub(super) compared: Vec<bool>,
    pub(super) shares: Vec<f64>,
    pub(super) keys: usize,
}

impl Left {
    /// Reads both maps: what is left out is not read, what is compared must be finite.
    pub(super) fn read<F: Float>(
        &self,
        sides: &Sides<'_, F>,
        names: (&str, &str),
        reduction: crate::distill::loss::Reduction,
    ) -> Result<Maps> {
        let must = "have at least axes [batch, queries, keys], none empty";
        let student = sides.student(names.0)?.need_axes(3, must)?;
        let teacher = sides.teacher(names.1)?.need_axes(3, must)?;
        student.same_shape(&teacher)?;
        let threshold = self.at_or_below;
        if let Some(value) = threshold.filter(|threshold| threshold.is_nan()) {
            let (what, must) = ("threshold of masked scores", "a number");
            return Err(Error::NumberOutOfRange { what, must, value });
        }
        let shape = student.shape();
        let leading = shape.len() - 1;
        let (batch, queries, keys) = (shape[0], shape[leading - 1], shape[leading]);
        let (maps, rows) = (student.rows(leading - 1), student.rows(leading));
        let key_mask = self.key_mask.as_deref();
        let key_mask = Positions::new(sides, key_mask, batch, maps, keys)?;
        let query_mask = self.query_mask.as_deref();
        let query_mask = Positions::new(sides, query_mask, batch, maps, queries)?;

        let weights = sides.row_weights(shape, leading)?;
        let weighs = |row: usize| weights.as_ref().is_none_or(|counted| counted.reads(row));
        let low = |score: &F| threshold.is_some_and(|threshold| score.widen() <= threshold);
        let scores = student.array().iter().zip(teacher.array().iter());
        let compared = scores.enumerate().map(|(place, (s, t))| {
            let (row, key) = (place / keys, place % keys);
            let open = query_mask.compares(row / queries, row % queries)
                && key_mask.compares(row / queries, key);
            // A row that weighs nothing is not read, also not for its scores' being low.
            open && !(weighs(row) && (low(s) || low(t)))
        });
        let mut compared: Vec<bool> = compared.collect();
        let counts: Vec<usize> = compared
            .chunks_exact(keys)
            .map(|row| row.iter().filter(|&&compared| compared).count())
            .collect();
        let shares = super::feature::shares_of_compared(reduction, weights.as_ref(), &counts)?;
        for (row, _) in compared
            .chunks_exact_mut(keys)
            .zip(&shares)
            .filter(|(_, share)| **share == 0.0)
        {
            row.fill(false);
        }
        let reads = |row: usize, key: usize| compared[row * keys + key];
        let read = |feature: Feature<'_, F>| -> Result<Vec<f64>> {
            Ok(feature.matrix(rows, reads)?.into_iter().collect())
        };
        let (student, teacher) = (read(student)?, read(teacher)?);
        Ok(Maps {
            student,
            teacher,
            compared,
            shares,
            keys,
        })
    }
}

/// Gives a loss over attention maps the settings that leave entries out.
macro_rules! mask_settings {
    () => {
        /// The same with keys left out that a mask says are none: padding, say.
        ///
        /// The mask is the teacher's feature of this name, or the student's if the teacher has none,
        /// of shape `[batch, keys]`; 1 is compared, 0 is not.
        #[must_use]
        pub fn key_mask(mut self, mask: impl Into<String>) -> Self {
            self.left.key_mask = Some(mask.into());
            self
        }

        /// The same with queries left out that a mask of shape `[batch, queries]` says are none. For
        /// attention of a sequence to itself it is usually the mask of the keys.
        #[must_use]
        pub fn query_mask(mut self, mask: impl Into<String>) -> Self {
            self.left.query_mask = Some(mask.into());
            self
        }

        /// The same with entries left out where a score of either side is at or below this number.
        ///
        /// For models that mask by adding a large negative number. −∞ leaves out what is −∞.
        #[must_use]
        pub const fn masked_at_or_below(mut self, threshold: f64) -> Self {
            self.left.at_or_below = Some(threshold);
            self
        }
    };
}

pub(super) use mask_settings;
