//! Relations between positions, as softmax of scaled products, and their KL divergence.

use super::feature::{Sides, number, shares_of_compared};
use super::found::{Found, Inner, Part, Want, feature_errors, inner_loss};
use super::mask::Positions;
use super::row_divergence::row_divergence;
use crate::distill::loss::Reduction;
use crate::error::Result;
use crate::float::Float;
use crate::kernels::parallel::map_ranges;
use ndarray::{Array2, ArrayRef2, ArrayView2, s};

/// KL divergence between relations of positions: softmax of scaled products of two features.
///
/// ```text
/// R = softmax(A · Bᵀ / √d)                 of each side, for each head of each example
/// value = Σᵢ wᵢ · KL(R_teacher,i ‖ R_student,i) / N      over rows i: positions of heads of examples
/// G = w · (R_student − R_teacher) / N
/// ∂ value / ∂ A_student = G · B_student / √d      ∂ value / ∂ B_student = Gᵀ · A_student / √d
/// ```
///
/// over features of shape `[batch, heads, time, d]` or `[batch · heads, time, d]` (any number of axes
/// before the last two). Student and teacher may differ in d and in nothing else. With queries and
/// keys it is attention itself, with values twice a relation of values: [`MiniLm`](super::MiniLm) is
/// the sum of both. Wang et al. 2020, <https://arxiv.org/abs/2002.10957>.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of A and B on each side; may be one | none | |
/// | [`mask`](Self::mask) | positions to leave out | none | a feature of 0 and 1 |
/// | [`reduction`](Self::reduction) | N | rows compared: the mean over examples, heads and positions | [`Reduction`] |
///
/// Row weights: for any number of leading axes, all but the last two.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{Loss, Output, RelationKl, Target};
///
/// let logits = Array2::<f64>::zeros((1, 1));
/// let student = Output::from(logits.clone()).with_feature("v", array![[[0.0], [0.0]]]);
/// let teacher = Output::from(logits).with_feature("v", array![[[1.0, 0.0], [0.0, 1.0]]]);
/// let loss = RelationKl::new(["v", "v"], ["v", "v"]);
/// let loss = loss.evaluate(&student, Target::from(&teacher))?;
/// assert!(loss.value > 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Where everything is masked there is no mean: [`Error::NumberOutOfRange`](crate::Error::NumberOutOfRange).
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct RelationKl {
    student: [String; 2],
    teacher: [String; 2],
    pub(super) mask: Option<String>,
    pub(super) reduction: Reduction,
}

impl RelationKl {
    /// The relation of the first feature's positions to the second's, the mean over all rows.
    pub fn new(student: [impl Into<String>; 2], teacher: [impl Into<String>; 2]) -> Self {
        Self {
            student: student.map(Into::into),
            teacher: teacher.map(Into::into),
            mask: None,
            reduction: Reduction::MeanOverRows,
        }
    }

    /// The same with positions left out that a mask says are none: padding, say.
    ///
    /// The mask is the teacher's feature of this name, or the student's if the teacher has none, of
    /// shape `[length of axis 0, time]`; 1 is compared, 0 is not. A position that is left out has no
    /// row, and no part in the rows of others.
    #[must_use]
    pub fn mask(mut self, mask: impl Into<String>) -> Self {
        self.mask = Some(mask.into());
        self
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }
}

/// What one head of one example gives: its value, and the gradients of A and B.
type Head = (f64, Option<[Array2<f64>; 2]>);

impl Inner for RelationKl {
    const NAME: &'static str = "relation kl";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let must = "have at least axes [batch, time, d], none empty";
        let [a, b] = &self.student;
        let (a, b) = (sides.student(a)?, sides.student(b)?);
        let [ta, tb] = &self.teacher;
        let (ta, tb) = (sides.teacher(ta)?, sides.teacher(tb)?);
        let (a, b) = (a.need_axes(3, must)?, b.need_axes(3, must)?);
        let (ta, tb) = (ta.need_axes(3, must)?, tb.need_axes(3, must)?);
        a.same_shape(&b)?;
        ta.same_shape(&tb)?;
        let shape = a.shape();
        let leading = shape.len() - 1;
        if ta.shape().len() != shape.len() {
            return Err(a.differs(&ta));
        }
        a.same_leading(&ta, leading)?;

        let (time, heads) = (shape[leading - 1], a.rows(leading - 1));
        let positions = Positions::new(sides, self.mask.as_deref(), shape[0], heads, time)?;
        let head_weights = sides.row_weights(shape, leading - 1)?;
        let rows = heads * time;
        let weights = head_weights.map(|counted| counted.repeated(rows, time));
        let counts = (0..rows).map(|row| {
            let (head, position) = (row / time, row % time);
            let others = (0..time).filter(|&other| positions.compares(head, other));
            if positions.compares(head, position) {
                others.count()
            } else {
                0
            }
        });
        let counts: Vec<usize> = counts.collect();
        let shares = shares_of_compared(self.reduction, weights.as_ref(), &counts)?;
        let (a, b) = (a.shared(&shares)?, b.shared(&shares)?);
        let (ta, tb) = (ta.shared(&shares)?, tb.shared(&shares)?);

        let heads: Vec<Head> = map_ranges(heads, 1, |range| {
            let head = range.start;
            let slice = s![head * time..(head + 1) * time, ..];
            let shares = &shares[head * time..(head + 1) * time];
            let compares = |position: usize| positions.compares(head, position);
            relate(
                [a.slice(slice), b.slice(slice)],
                [ta.slice(slice), tb.slice(slice)],
                shares,
                compares,
                want,
            )
        });
        let value = heads.iter().map(|(value, _)| value).sum();
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let (mut grad_a, mut grad_b) = (Array2::zeros(a.raw_dim()), Array2::zeros(b.raw_dim()));
        for (head, (_, grads)) in heads.into_iter().enumerate() {
            let slice = s![head * time..(head + 1) * time, ..];
            if let Some([a, b]) = grads {
                grad_a.slice_mut(slice).assign(&a);
                grad_b.slice_mut(slice).assign(&b);
            }
        }
        let [name_a, name_b] = &self.student;
        let grads = vec![
            (Part::Feature(name_a), grad_a),
            (Part::Feature(name_b), grad_b),
        ];
        Ok(Found { value, grads })
    }
}

fn relate(
    [a, b]: [ArrayView2<'_, f64>; 2],
    [ta, tb]: [ArrayView2<'_, f64>; 2],
    shares: &[f64],
    compares: impl Fn(usize) -> bool,
    want: Want,
) -> Head {
    let time = a.nrows();
    if shares.iter().all(|&share| share == 0.0) {
        return (0.0, None);
    }
    let scale = number(a.ncols()).sqrt().recip();
    let scores = scaled_products(&a, &b, scale);
    let teacher = scaled_products(&ta, &tb, number(ta.ncols()).sqrt().recip());
    let mut grad = vec![0.0; time * time];
    let mut scratch = vec![0.0; time];
    let mut value = 0.0;
    for (row, &share) in shares.iter().enumerate() {
        if share == 0.0 {
            continue;
        }
        let range = row * time..(row + 1) * time;
        let (student, teacher) = (&scores[range.clone()], &teacher[range.clone()]);
        let grad = &mut grad[range];
        value += share * row_divergence(student, teacher, &compares, grad, &mut scratch).kl;
        grad.iter_mut().for_each(|g| *g *= share * scale);
    }
    let grads = ArrayView2::from_shape((time, time), &grad).ok();
    let grads = grads.filter(|_| want == Want::Gradient);
    (value, grads.map(|grad| [grad.dot(&b), grad.t().dot(&a)]))
}

fn scaled_products(a: &ArrayRef2<f64>, b: &ArrayRef2<f64>, scale: f64) -> Vec<f64> {
    let products = a.dot(&b.t());
    products.iter().map(|product| product * scale).collect()
}

inner_loss!(RelationKl);
