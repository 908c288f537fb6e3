//! Features by name, checked and widened to f64, and what their rows weigh.

use crate::distill::loss::Reduction;
use crate::distill::{Output, Target};
use crate::error::{Error, FeatureError, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{Array1, Array2, ArrayD, ArrayRef1, Axis};

/// The largest magnitude: its fourth power, summed, is still a number.
const MOST: f64 = 1e70;

/// Both sides of a comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides<'a, F> {
    pub(super) student: &'a Output<F>,
    pub(super) teacher: &'a Output<F>,
    weights: Option<&'a ArrayRef1<F>>,
    mask: Option<&'a [bool]>,
}

/// What each row weighs, and whether it is there.
#[derive(Clone, Debug)]
pub(super) struct Counted<F> {
    weights: Array1<F>,
    mask: Vec<bool>,
}

impl<F: Float> Counted<F> {
    /// Whether a row is there and weighs something.
    pub(super) fn reads(&self, row: usize) -> bool {
        self.mask[row] && self.weights[row] != F::zero()
    }

    /// The same for `rows` rows, `times` in a row of which share one of these.
    pub(super) fn repeated(&self, rows: usize, times: usize) -> Self {
        Self {
            weights: (0..rows).map(|row| self.weights[row / times]).collect(),
            mask: (0..rows).map(|row| self.mask[row / times]).collect(),
        }
    }
}

impl Reduction {
    /// The shares of rows that are counted so; of all of them alike if nothing is said.
    pub(super) fn counted_shares<F: Float>(
        self,
        shape: (usize, usize),
        counted: Option<&Counted<F>>,
    ) -> Result<Vec<f64>> {
        let mut target = Target::new();
        if let Some(counted) = counted {
            target = target.weights(&counted.weights).mask(&counted.mask);
        }
        Ok(self.shares(shape, target, |_| false)?.shares)
    }
}

/// A feature and where it is from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feature<'a, F> {
    side: &'static str,
    name: &'a str,
    array: &'a ArrayD<F>,
}

impl<'a, F: Float> Sides<'a, F> {
    pub(super) fn new(
        loss: &'static str,
        student: &'a Output<F>,
        target: Target<'a, F>,
    ) -> Result<Self> {
        let teacher = target.need_teacher(loss)?;
        let (weights, mask) = (target.weights, target.mask);
        if let Some(rows) = weights.map(|w| w.len()).or(mask.map(<[bool]>::len)) {
            // Here, where the number of a row is the caller's.
            Reduction::Sum.shares((rows, 1), target, |_| false)?;
        }
        Ok(Self {
            student,
            teacher,
            weights,
            mask,
        })
    }

    pub(super) fn student<'n>(&self, name: &'n str) -> Result<Feature<'n, F>>
    where
        'a: 'n,
    {
        Feature::of("student", self.student, name)
    }

    pub(super) fn teacher<'n>(&self, name: &'n str) -> Result<Feature<'n, F>>
    where
        'a: 'n,
    {
        Feature::of("teacher", self.teacher, name)
    }

    /// The teacher's feature of this name; the student's if the teacher has none.
    pub(super) fn either<'n>(&self, name: &'n str) -> Result<Feature<'n, F>>
    where
        'a: 'n,
    {
        self.teacher(name).or_else(|_| self.student(name))
    }

    /// What each row weighs, where rows are the first `leading` axes of `shape`.
    ///
    /// As many weights, or flags of a mask, as the first axis is long, or the first two hold, and so on.
    pub(super) fn row_weights(
        &self,
        shape: &[usize],
        leading: usize,
    ) -> Result<Option<Counted<F>>> {
        let given = self
            .weights
            .map(|w| w.len())
            .or(self.mask.map(<[bool]>::len));
        let Some(given) = given else {
            return Ok(None);
        };
        let rows: usize = shape[..leading].iter().product();
        let fits = (1..=leading).any(|axes| {
            let held: usize = shape[..axes].iter().product();
            held == given
        });
        if !fits {
            return Err(Error::WrongCount {
                what: "row weights",
                given,
                expected: shape[..leading].first().copied().unwrap_or(1),
            });
        }
        let each = rows / given.max(1);
        let of = |row: usize| row / each.max(1);
        let weight = |row| self.weights.map_or(F::one(), |weights| weights[of(row)]);
        let there = |row| self.mask.is_none_or(|mask| mask[of(row)]);
        Ok(Some(Counted {
            weights: (0..rows).map(weight).collect(),
            mask: (0..rows).map(there).collect(),
        }))
    }

    /// The examples of a batch of this size that do not weigh nothing.
    pub(super) fn examples(&self, count: usize) -> Result<Vec<usize>> {
        let counted = self.row_weights(&[count], 1)?;
        let reads = |&example: &usize| counted.as_ref().is_none_or(|c| c.reads(example));
        Ok((0..count).filter(reads).collect())
    }
}

impl<'a, F: Float> Feature<'a, F> {
    fn of(side: &'static str, output: &'a Output<F>, name: &'a str) -> Result<Self> {
        match output.features.get(name) {
            Some(array) => Ok(Self { side, name, array }),
            None => Err(Error::MissingFeature {
                side,
                name: name.to_owned(),
            }),
        }
    }

    pub(super) fn shape(&self) -> &'a [usize] {
        self.array.shape()
    }

    pub(super) const fn name(&self) -> &'a str {
        self.name
    }

    pub(super) const fn array(&self) -> &'a ArrayD<F> {
        self.array
    }

    /// The product of the first axes.
    pub(super) fn rows(&self, axes: usize) -> usize {
        self.shape()[..axes].iter().product()
    }

    /// How long the last axis is.
    pub(super) fn width(&self) -> usize {
        self.shape().last().copied().unwrap_or(1)
    }

    /// Fails unless there are elements, and this many axes or more.
    pub(super) fn need_axes(self, least: usize, must: &'static str) -> Result<Self> {
        if self.array.ndim() < least || self.array.is_empty() {
            return Err(self.unfit(must));
        }
        Ok(self)
    }

    /// An error that says what the shape should have been.
    pub(super) fn unfit(&self, must: &'static str) -> Error {
        Error::Feature(FeatureError::Shape {
            side: self.side,
            name: self.name.to_owned(),
            must,
            shape: self.shape().to_vec(),
        })
    }

    /// An error that says that two features do not go together.
    pub(super) fn differs(&self, other: &Self) -> Error {
        let error = Error::ShapeMismatch {
            left: self.label(),
            left_shape: self.shape().to_vec(),
            right: other.label(),
            right_shape: other.shape().to_vec(),
        };
        error.in_tensor(self.name)
    }

    /// Fails unless the first `axes` axes are the same.
    pub(super) fn same_leading(&self, other: &Self, axes: usize) -> Result<()> {
        let (ours, theirs) = (self.shape(), other.shape());
        if ours.len() < axes || theirs.len() < axes || ours[..axes] != theirs[..axes] {
            return Err(self.differs(other));
        }
        Ok(())
    }

    /// Fails unless the shapes are the same.
    pub(super) fn same_shape(&self, other: &Self) -> Result<()> {
        if self.shape() == other.shape() {
            return Ok(());
        }
        Err(self.differs(other))
    }

    const fn label(&self) -> &'static str {
        match self.side.as_bytes() {
            b"student" => "student feature",
            _ => "teacher feature",
        }
    }

    /// The elements in f64, as this many rows. What `reads` denies may be anything, and is 0 where
    /// it is not a usable number.
    pub(super) fn matrix(
        &self,
        rows: usize,
        reads: impl Fn(usize, usize) -> bool,
    ) -> Result<Array2<f64>> {
        let width = self.array.len() / rows.max(1);
        let elements = array::elements(self.array);
        let mut values: Vec<f64> = elements.iter().map(|x| x.widen()).collect();
        let unusable = |value: f64| value.is_nan() | (value.abs() > MOST);
        // First whether there is any, in a loop that becomes vectors.
        let any = values.iter().fold(false, |any, &x| any | unusable(x));
        if any {
            for (place, value) in values.iter_mut().enumerate() {
                if !unusable(*value) {
                    continue;
                }
                if reads(place / width, place % width) {
                    return Err(self.unusable(place, *value));
                }
                *value = 0.0;
            }
        }
        Array2::from_shape_vec((rows, width), values).map_err(Error::external)
    }

    /// The elements in f64, as this many rows; rows that `shares` says count nothing are 0.
    pub(super) fn shared(&self, shares: &[f64]) -> Result<Array2<f64>> {
        let mut matrix = self.matrix(shares.len(), |row, _| shares[row] != 0.0)?;
        for (mut row, _) in matrix
            .rows_mut()
            .into_iter()
            .zip(shares)
            .filter(|(_, share)| **share == 0.0)
        {
            row.fill(0.0);
        }
        Ok(matrix)
    }

    /// The chosen rows of axis 0, each flattened.
    pub(super) fn chosen(&self, examples: &[usize]) -> Result<Array2<f64>> {
        let count = self.shape()[0];
        let matrix = self.matrix(count, |row, _| examples.binary_search(&row).is_ok())?;
        if examples.len() == count {
            return Ok(matrix);
        }
        Ok(matrix.select(Axis(0), examples))
    }

    fn unusable(&self, place: usize, value: f64) -> Error {
        let index = shape::index_of(place, self.shape());
        let what = self.label();
        if value.is_nan() {
            return Error::NotANumber { what, index }.in_tensor(self.name);
        }
        if value.is_infinite() {
            return Error::Infinite { what, index, value }.in_tensor(self.name);
        }
        Error::Feature(FeatureError::Overflow {
            of: self.name.to_owned(),
        })
    }
}

/// Rows of chosen examples back among all of them, zeros elsewhere.
pub(super) fn spread(chosen: Array2<f64>, examples: &[usize], count: usize) -> Array2<f64> {
    if examples.len() == count {
        return chosen;
    }
    let mut all = Array2::zeros((count, chosen.ncols()));
    for (row, &example) in chosen.rows().into_iter().zip(examples) {
        all.row_mut(example).assign(&row);
    }
    all
}

/// What each row is multiplied by, where row i compares `counts[i]` entries; 0 where it compares
/// none. Means are over what is compared in the rows that are there.
pub(super) fn shares_of_compared<F: Float>(
    reduction: Reduction,
    counted: Option<&Counted<F>>,
    counts: &[usize],
) -> Result<Vec<f64>> {
    let there = |row: usize| counted.is_none_or(|counted| counted.mask[row]);
    let compares = (0..counts.len()).filter(|&row| counts[row] > 0 && there(row));
    let compares: Vec<usize> = compares.collect();
    let has_a_divisor = matches!(reduction, Reduction::Sum | Reduction::DividedBy(_));
    if compares.is_empty() && !has_a_divisor {
        let rows = counts.len();
        return Err(Error::NoWeight { rows });
    }
    let reduction = match reduction {
        Reduction::MeanOverElements => {
            let entries = compares.iter().map(|&row| counts[row]).sum();
            Reduction::DividedBy(number(entries))
        }
        other => other,
    };
    let counted = counted.map(|counted| Counted {
        weights: counted.weights.select(Axis(0), &compares),
        mask: compares.iter().map(|&row| counted.mask[row]).collect(),
    });
    let shares = reduction.counted_shares((compares.len(), 1), counted.as_ref())?;
    let mut all = vec![0.0; counts.len()];
    for (row, share) in compares.into_iter().zip(shares) {
        all[row] = share;
    }
    Ok(all)
}

/// A count as a float.
#[expect(clippy::cast_precision_loss, reason = "counts above 2⁵³ do not occur")]
pub(super) const fn number(count: usize) -> f64 {
    count as f64
}
