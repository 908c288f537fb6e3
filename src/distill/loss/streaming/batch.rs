//! What a streaming loss is computed of: two output layers, labels, weights.

use crate::distill::Target;
use crate::distill::loss::Reduction;
use crate::distill::loss::reduction::Shares;
use crate::distill::loss::rows::check_labels;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::divergence::{Side, Store};
use crate::kernels::finite::first_not_finite;
use crate::kernels::product::product;
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{Array2, ArrayRef1, ArrayRef2};

/// Hidden states and the linear layer that makes logits of them.
///
/// ```text
/// logits = hidden · projectionᵀ + bias
/// ```
///
/// `hidden` has shape `[tokens, width]`; `projection` has shape `[classes, width]`, as the weight of
/// PyTorch's `Linear`; `bias`, if there is one, has shape `[classes]`. Any memory order does. A bias of
/// −∞ masks a class.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::OutputLayer;
///
/// let hidden = array![[1.0, 2.0]];
/// let projection = array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
/// let bias = array![0.0, 0.5, 0.0];
/// let layer = OutputLayer::new(&hidden, &projection).bias(&bias);
/// assert_eq!(layer.logits()?, array![[1.0, 2.5, 3.0]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct OutputLayer<'a, F> {
    /// One row a token, one column a feature.
    pub hidden: &'a ArrayRef2<F>,
    /// One row a class, one column a feature.
    pub projection: &'a ArrayRef2<F>,
    /// What is added to the logits of each class; nothing if missing.
    pub bias: Option<&'a ArrayRef1<F>>,
}

impl<'a, F> OutputLayer<'a, F> {
    /// A layer without a bias.
    pub const fn new(hidden: &'a ArrayRef2<F>, projection: &'a ArrayRef2<F>) -> Self {
        Self {
            hidden,
            projection,
            bias: None,
        }
    }

    /// The same with a bias.
    #[must_use]
    pub const fn bias(mut self, bias: &'a ArrayRef1<F>) -> Self {
        self.bias = Some(bias);
        self
    }
}

impl<F: Float> OutputLayer<'_, F> {
    /// All logits at once, of shape `[tokens, classes]`: what a streaming loss never holds.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if the parts do not fit together, [`Error::ShapeOverflow`] if there
    /// are more logits than can be counted. Numbers that are not finite go through.
    pub fn logits(&self) -> Result<Array2<F>> {
        self.check_shapes(Side::Student)?;
        let shape = (self.hidden.nrows(), self.projection.nrows());
        shape::count(&[shape.0, shape.1])?;
        let mut logits = Array2::zeros(shape);
        let (left, right) = (self.hidden.view(), self.projection.t());
        product(&left, &right, Store::Write, logits.view_mut(), usize::MAX);
        if let Some(bias) = self.bias {
            for mut row in logits.rows_mut() {
                row.zip_mut_with(bias, |logit, &bias| *logit += bias);
            }
        }
        Ok(logits)
    }

    pub(super) fn check_shapes(&self, side: Side) -> Result<()> {
        let names = Names::of(side);
        let mismatch = |left, left_shape: &[usize]| Error::ShapeMismatch {
            left,
            left_shape: left_shape.to_vec(),
            right: names.projection,
            right_shape: self.projection.shape().to_vec(),
        };
        if self.hidden.ncols() != self.projection.ncols() {
            return Err(mismatch(names.hidden, self.hidden.shape()));
        }
        match self.bias {
            Some(bias) if bias.len() != self.projection.nrows() => {
                Err(mismatch(names.bias, bias.shape()))
            }
            _ => Ok(()),
        }
    }

    /// Fails at a number that no logit can be made of, in the rows `read` and in the layer.
    pub(super) fn check_numbers(&self, side: Side, read: &[usize]) -> Result<()> {
        let names = Names::of(side);
        for &token in read {
            let row = self.hidden.row(token);
            if let Some(place) = first_not_finite(&row) {
                return Err(Error::not_finite(
                    names.hidden,
                    vec![token, place],
                    row[place].widen(),
                ));
            }
        }
        if let Some(place) = first_not_finite(self.projection) {
            let index = shape::index_of(place, self.projection.shape());
            let value = self.projection[[index[0], index[1]]];
            return Err(Error::not_finite(names.projection, index, value.widen()));
        }
        let bad = |b: &F| b.is_nan() || *b == F::infinity();
        if let Some(bias) = self.bias
            && let Some(class) = bias.iter().position(bad)
        {
            return Err(Error::not_finite(
                names.bias,
                vec![class],
                bias[class].widen(),
            ));
        }
        Ok(())
    }
}

// By hand: a layer holds references, whatever F is.
impl<F> Clone for OutputLayer<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for OutputLayer<'_, F> {}

/// What the parts of a side are called in errors.
struct Names {
    hidden: &'static str,
    projection: &'static str,
    bias: &'static str,
}

impl Names {
    const fn of(side: Side) -> Self {
        match side {
            Side::Student => Self {
                hidden: "student hidden states",
                projection: "student projection",
                bias: "student bias",
            },
            Side::Teacher => Self {
                hidden: "teacher hidden states",
                projection: "teacher projection",
                bias: "teacher bias",
            },
        }
    }
}

/// What a batch asks of a streaming loss. Each part but the student is optional; a loss that needs
/// one which is missing says so.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{OutputLayer, StreamingBatch};
///
/// let (hidden, projection) = (array![[1.0_f32], [2.0]], array![[1.0], [0.5], [-1.0]]);
/// let layer = OutputLayer::new(&hidden, &projection);
/// let batch = StreamingBatch::new(layer).teacher(layer).labels(&[0, 2]);
/// assert!(batch.weights.is_none());
/// ```
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct StreamingBatch<'a, F> {
    /// The network that learns.
    pub student: OutputLayer<'a, F>,
    /// The network that is imitated: as many tokens and classes, of any width.
    pub teacher: Option<OutputLayer<'a, F>>,
    /// The right class of each token.
    pub labels: Option<&'a [usize]>,
    /// How much each token counts; all the same if missing. A token of weight 0 is not read, so its
    /// hidden states may be anything, NaN too.
    pub weights: Option<&'a ArrayRef1<F>>,
    /// Which tokens are there; all of them if missing. One that is not is as if it did not exist.
    pub mask: Option<&'a [bool]>,
}

impl<'a, F> StreamingBatch<'a, F> {
    /// A batch of a student alone.
    pub const fn new(student: OutputLayer<'a, F>) -> Self {
        Self {
            student,
            teacher: None,
            labels: None,
            weights: None,
            mask: None,
        }
    }

    /// The same with a teacher.
    #[must_use]
    pub const fn teacher(mut self, teacher: OutputLayer<'a, F>) -> Self {
        self.teacher = Some(teacher);
        self
    }

    /// The same with the right class of each token.
    #[must_use]
    pub const fn labels(mut self, labels: &'a [usize]) -> Self {
        self.labels = Some(labels);
        self
    }

    /// The same with a weight for each token.
    #[must_use]
    pub const fn weights(mut self, weights: &'a ArrayRef1<F>) -> Self {
        self.weights = Some(weights);
        self
    }
}

impl<'a, F> StreamingBatch<'a, F> {
    /// The same with a flag for each token that says whether it is there.
    #[must_use]
    pub const fn mask(mut self, mask: &'a [bool]) -> Self {
        self.mask = Some(mask);
        self
    }
}

impl<F: Float> StreamingBatch<'_, F> {
    /// Tokens and classes.
    pub(super) fn dim(&self) -> (usize, usize) {
        (self.student.hidden.nrows(), self.student.projection.nrows())
    }

    /// Fails unless all parts fit together; gives what the value of each token is multiplied by.
    pub(super) fn check(&self, reduction: Reduction) -> Result<Shares> {
        self.student.check_shapes(Side::Student)?;
        let (tokens, classes) = self.dim();
        if let Some(teacher) = &self.teacher {
            teacher.check_shapes(Side::Teacher)?;
            let same = |rows,
                        other_rows,
                        (left, left_shape): (_, &[usize]),
                        (right, right_shape): (_, &[usize])| {
                if rows == other_rows {
                    return Ok(());
                }
                let (left_shape, right_shape) = (left_shape.to_vec(), right_shape.to_vec());
                Err(Error::ShapeMismatch {
                    left,
                    left_shape,
                    right,
                    right_shape,
                })
            };
            let (ours, theirs) = (Names::of(Side::Student), Names::of(Side::Teacher));
            same(
                teacher.hidden.nrows(),
                tokens,
                (theirs.hidden, teacher.hidden.shape()),
                (ours.hidden, self.student.hidden.shape()),
            )?;
            same(
                teacher.projection.nrows(),
                classes,
                (theirs.projection, teacher.projection.shape()),
                (ours.projection, self.student.projection.shape()),
            )?;
        }
        if tokens == 0 || classes == 0 {
            return Err(Error::NoLogits {
                shape: vec![tokens, classes],
            });
        }
        let mut target = Target::new();
        (target.weights, target.mask) = (self.weights, self.mask);
        if let Some(labels) = self.labels {
            check_labels(labels, (tokens, classes), target, None)?;
        }
        reduction.shares((tokens, classes), target, |_| false)
    }
}

// By hand: a batch holds references, whatever F is.
impl<F> Clone for StreamingBatch<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for StreamingBatch<'_, F> {}
