//! What a teacher says, corrected by the labels.
//!
//! ```text
//! p' = (1 − m)·p + m·onehot(y),   p = softmax(z_teacher / T),  y the label,  b the likeliest class
//! m = (p_b − p_y + τ) / (1 + p_b − p_y)     where b ≠ y: the label then leads by τ
//! m = min(τ, 1 − p_y) / (1 − p_y)           where b = y: the label then has p_y + τ, at most 1
//! ```
//!
//! Belcak et al. 2025, "Minifinetuning", <https://arxiv.org/abs/2506.15702>: a network that learns from its own
//! past, where that was right, forgets less. It is the target of `MFTLoss` in NVIDIA's Model Optimizer.

use super::Target;
use super::faults::error_of;
use super::loss::{check_labels, check_share, check_temperature};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::divergence::{Correction, FaultyRow, Given, correct_rows};
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{Array2, ArrayRef2};

/// What becomes of a row whose label is the teacher's likeliest class already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeadingLabel {
    /// It is raised by the threshold too, at most to 1, as Model Optimizer does.
    #[default]
    Raise,
    /// It stays as it is, also where it leads by less than the threshold.
    Keep,
}

/// Corrects a teacher's probabilities so that the label of each row leads.
///
/// ```text
/// p' = (1 − m)·p + m·onehot(y),   y the label,  b the likeliest class
/// m = (p_b − p_y + τ) / (1 + p_b − p_y)     where b ≠ y: the label then leads by τ
/// m = min(τ, 1 − p_y) / (1 − p_y)           where b = y: the label then has p_y + τ, at most 1
/// ```
///
/// The other classes keep their proportions. Of equally likely classes the first counts as the likeliest.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | [`threshold`](Self::threshold) τ | how far the label leads the likeliest other class | 0.2 | 0..=1; 1 is the label alone |
/// | [`leading_label`](Self::leading_label) | what becomes of a row whose label leads already | it is raised by τ | [`LeadingLabel`] |
/// | [`ignore_index`](Self::ignore_index) | the label of rows that stay the teacher's | none | any number |
///
/// As a setting of a divergence (`label_correction`) it needs no memory for what it corrects, and goes wherever
/// a [`Loss`](super::Loss) goes. [`targets`](Self::targets) gives the probabilities themselves, for
/// [`TeacherForm::Probabilities`](super::TeacherForm::Probabilities): the same numbers.
///
/// Belcak et al. 2025, <https://arxiv.org/abs/2506.15702>. Model Optimizer's `MFTLoss` is
/// `KlDivergence::new(t).label_correction(LabelCorrection::new())`; it adds 1e-7 to both denominators, and we
/// do not.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{KlDivergence, LabelCorrection, Loss, Output, Target, TeacherForm};
///
/// // The teacher says 0, the label is 1.
/// let teacher = array![[0.6_f64.ln(), 0.3_f64.ln(), 0.1_f64.ln()]];
/// let correction = LabelCorrection::new().threshold(0.3);
/// let targets = correction.targets(&teacher, &[1], 1.0)?;
/// assert!((targets[[0, 1]] - targets[[0, 0]] - 0.3).abs() < 1e-12);
/// assert!((targets.sum() - 1.0).abs() < 1e-12);
///
/// let student = Output::from(array![[0.2, 0.1, 0.0]]);
/// let loss = KlDivergence::new(1.0).label_correction(correction);
/// let teacher = Output::from(teacher);
/// let direct = loss.value(&student, Target::from(&teacher).labels(&[1]))?;
///
/// let loss = KlDivergence::new(1.0).teacher_form(TeacherForm::Probabilities);
/// let targets = Output::from(targets);
/// assert_eq!(loss.value(&student, Target::from(&targets))?, direct);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelCorrection {
    threshold: f64,
    leading: LeadingLabel,
    ignored: Option<usize>,
}

impl LabelCorrection {
    /// A correction by a threshold of 0.2, of every row.
    pub const fn new() -> Self {
        Self {
            threshold: 0.2,
            leading: LeadingLabel::Raise,
            ignored: None,
        }
    }

    /// The same with another threshold τ.
    #[must_use]
    pub const fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// The same with something else for rows whose label leads already.
    #[must_use]
    pub const fn leading_label(mut self, leading: LeadingLabel) -> Self {
        self.leading = leading;
        self
    }

    /// The same where a row with this label, which need not be a class, stays as the teacher has it.
    #[must_use]
    pub const fn ignore_index(mut self, label: usize) -> Self {
        self.ignored = Some(label);
        self
    }

    /// The corrected probabilities of a teacher's logits, of shape `[rows, classes]`, at a temperature.
    ///
    /// A logit of −∞ is a class that is masked: 0, unless it is the label.
    ///
    /// # Errors
    ///
    /// * [`Error::NumberOutOfRange`]: the threshold is not in 0..=1.
    /// * [`Error::TemperatureOutOfRange`]: the temperature is not in the range of
    ///   [`KlDivergence`](super::KlDivergence).
    /// * [`Error::NoLogits`]: no rows or no classes.
    /// * [`Error::WrongCount`]: not as many labels as rows.
    /// * [`Error::LabelOutOfRange`]: there is no such class.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: a logit is NaN or +∞.
    /// * [`Error::MaskedRow`]: all the logits of a row are −∞.
    pub fn targets<F: Float>(
        &self,
        teacher: &ArrayRef2<F>,
        labels: &[usize],
        temperature: f64,
    ) -> Result<Array2<F>> {
        let mut targets = Array2::zeros(teacher.raw_dim());
        self.targets_into(teacher, labels, temperature, &mut targets)?;
        Ok(targets)
    }

    /// [`targets`](Self::targets) written to an array of the same shape.
    ///
    /// # Errors
    ///
    /// As [`targets`](Self::targets), and [`Error::ShapeMismatch`] if the shapes differ. `targets` may have
    /// been written to.
    pub fn targets_into<F: Float>(
        &self,
        teacher: &ArrayRef2<F>,
        labels: &[usize],
        temperature: f64,
        targets: &mut ArrayRef2<F>,
    ) -> Result<()> {
        check_temperature::<F>(temperature)?;
        self.check(teacher.dim(), labels, Target::<F>::new())?;
        let (ours, theirs) = (targets.shape(), teacher.shape());
        shape::check_same("targets", ours, "teacher logits", theirs)?;
        targets.assign(teacher);
        let inverse = F::cast(temperature.recip());
        self.run(targets, labels, Given::Logits, inverse)
            .map_err(|faulty| error_in(teacher, faulty))
    }

    /// Corrects a teacher's probabilities, of shape `[rows, classes]`, in their place.
    ///
    /// They are taken as they are, also where they do not sum to one; the label leads all the same.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::distill::{LabelCorrection, LeadingLabel};
    ///
    /// let mut teacher = array![[0.5_f64, 0.25, 0.25], [0.1, 0.9, 0.0]];
    /// let correction = LabelCorrection::new().threshold(0.5);
    /// let correction = correction.leading_label(LeadingLabel::Keep);
    /// correction.correct(&mut teacher, &[2, 1])?;
    /// assert!((teacher[[0, 2]] - teacher[[0, 0]] - 0.5).abs() < 1e-12);
    /// assert_eq!(teacher.row(1), array![0.1, 0.9, 0.0]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`targets`](Self::targets), with [`Error::NotAProbability`] for a number that is negative, NaN or
    /// infinite, and [`Error::MaskedRow`] for a row of zeros. `probabilities` are unchanged then.
    pub fn correct<F: Float>(
        &self,
        probabilities: &mut ArrayRef2<F>,
        labels: &[usize],
    ) -> Result<()> {
        self.check(probabilities.dim(), labels, Target::<F>::new())?;
        let given = Given::Probabilities;
        self.run(probabilities, labels, given, F::one())
            .map_err(|faulty| error_in(probabilities, faulty))
    }

    /// Fails unless rows of this shape, those that `target` reads, can be corrected by these labels.
    pub(super) fn check<F: Float>(
        &self,
        (rows, classes): (usize, usize),
        labels: &[usize],
        target: Target<'_, F>,
    ) -> Result<()> {
        check_share("threshold of a label correction", self.threshold)?;
        if rows == 0 || classes == 0 {
            let shape = vec![rows, classes];
            return Err(Error::NoLogits { shape });
        }
        check_labels(labels, (rows, classes), target, self.ignored)
    }

    /// By what a row with this label is corrected; nothing where it is ignored.
    pub(super) fn of(&self, label: usize) -> Option<Correction> {
        (Some(label) != self.ignored).then_some(Correction {
            threshold: self.threshold,
            raises_leaders: self.leading == LeadingLabel::Raise,
        })
    }

    fn run<F: Float>(
        &self,
        rows: &mut ArrayRef2<F>,
        labels: &[usize],
        given: Given,
        inverse_temperature: F,
    ) -> Result<(), FaultyRow> {
        let classes = rows.ncols();
        let correction = |row: usize| Some((self.of(labels[row])?, labels[row]));
        array::update(rows, |rows| {
            correct_rows(rows, classes, correction, given, inverse_temperature)
        })
    }
}

impl Default for LabelCorrection {
    fn default() -> Self {
        Self::new()
    }
}

fn error_in<F: Float>(teacher: &ArrayRef2<F>, faulty: FaultyRow) -> Error {
    let row = faulty.row;
    error_of(faulty, |_, class| teacher[[row, class]].widen())
}
