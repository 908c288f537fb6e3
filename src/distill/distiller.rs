//! One step of training: both networks forward, the loss, the student backward.

use super::{Evaluation, Loss, Student, Target, Teacher, WeightedSum};
use crate::error::{Error, Result};
use crate::float::Float;

/// Does steps of distillation with a loss.
///
/// There is nothing hidden in it: data, order, batches, optimiser and schedule are the caller's. It
/// is the same circle in the same order every time, so that nobody writes it again.
///
/// # Examples
///
/// One weight per class, plain gradient descent, a batch of one:
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::Result;
/// use rarefy::distill::{Distiller, KlDivergence, Output, Student, Target, Teacher};
///
/// struct Bias(Array2<f64>);
///
/// impl Teacher<f64, ()> for Bias {
///     fn teach(&self, _: &()) -> Result<Output<f64>> {
///         Ok(Output::from(self.0.clone()))
///     }
/// }
///
/// impl Student<f64, ()> for Bias {
///     fn forward(&mut self, _: &()) -> Result<Output<f64>> {
///         Ok(Output::from(self.0.clone()))
///     }
///
///     fn backward(&mut self, grad: &Output<f64>) -> Result<()> {
///         self.0.scaled_add(-1.0, &grad.logits);
///         Ok(())
///     }
/// }
///
/// let teacher = Bias(array![[1.0, 2.0, 3.0]]);
/// let mut student = Bias(array![[0.0, 0.0, 0.0]]);
/// let distiller = Distiller::new(KlDivergence::new(2.0));
/// let mut losses = Vec::new();
/// for _ in 0..50 {
///     losses.push(distiller.step(&teacher, &mut student, &(), Target::new())?);
/// }
/// assert!(losses[49] < 1e-6 * losses[0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Distiller<L> {
    loss: L,
}

impl<L> Distiller<L> {
    /// Steps that minimise `loss`.
    pub const fn new(loss: L) -> Self {
        Self { loss }
    }

    /// The loss.
    pub const fn loss(&self) -> &L {
        &self.loss
    }

    /// Asks the teacher, lets the student learn from the answer, and returns the loss before that.
    ///
    /// `target` holds what else the loss needs: labels, weights of rows.
    ///
    /// # Errors
    ///
    /// Those of the networks and of the loss; [`Error::TeacherGivenTwice`] if `target` holds a
    /// teacher's output already. Unless it is the student's backward pass that fails, the student has
    /// not learned anything then.
    pub fn step<F, I>(
        &self,
        teacher: &(impl Teacher<F, I> + ?Sized),
        student: &mut (impl Student<F, I> + ?Sized),
        input: &I,
        target: Target<'_, F>,
    ) -> Result<F>
    where
        F: Float,
        I: ?Sized,
        L: Loss<F>,
    {
        if target.teacher.is_some() {
            return Err(Error::TeacherGivenTwice);
        }
        let taught = teacher.teach(input)?;
        self.learn(student, input, target.teacher(&taught))
    }

    /// Lets the student learn from a target that is complete already: from stored outputs of a
    /// teacher, or from labels alone. Returns the loss before that.
    ///
    /// # Errors
    ///
    /// Those of the student and of the loss.
    pub fn learn<F, I>(
        &self,
        student: &mut (impl Student<F, I> + ?Sized),
        input: &I,
        target: Target<'_, F>,
    ) -> Result<F>
    where
        F: Float,
        I: ?Sized,
        L: Loss<F>,
    {
        let output = student.forward(input)?;
        let loss = self.loss.evaluate(&output, target)?;
        student.backward(&loss.grad)?;
        Ok(loss.value)
    }
}

impl<F: Float> Distiller<WeightedSum<F>> {
    /// As [`step`](Self::step), and says what each term of the loss was.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::{Array2, array};
    /// use rarefy::Result;
    /// use rarefy::distill::{
    ///     CrossEntropy, Distiller, KlDivergence, Output, Student, Target, WeightedSum, teacher_fn,
    /// };
    ///
    /// struct Bias(Array2<f64>);
    ///
    /// impl Student<f64, ()> for Bias {
    ///     fn forward(&mut self, _: &()) -> Result<Output<f64>> {
    ///         Ok(Output::from(self.0.clone()))
    ///     }
    ///
    ///     fn backward(&mut self, grad: &Output<f64>) -> Result<()> {
    ///         self.0.scaled_add(-1.0, &grad.logits);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let teacher = teacher_fn(|_: &()| Ok(Output::from(array![[1.0, 2.0]])));
    /// let loss = WeightedSum::new()
    ///     .with("soft", 0.5, KlDivergence::new(1.0))
    ///     .with_rest("hard", CrossEntropy::new())?;
    /// let mut student = Bias(array![[0.0, 0.0]]);
    /// let target = Target::new().labels(&[1]);
    /// let said = Distiller::new(loss).step_terms(&teacher, &mut student, &(), target)?;
    /// assert_eq!(said.to_string(), "0.402046 = 0.5 · soft 0.110944 + 0.5 · hard 0.693147");
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`step`](Self::step).
    pub fn step_terms<I: ?Sized>(
        &self,
        teacher: &(impl Teacher<F, I> + ?Sized),
        student: &mut (impl Student<F, I> + ?Sized),
        input: &I,
        target: Target<'_, F>,
    ) -> Result<Evaluation<F>> {
        if target.teacher.is_some() {
            return Err(Error::TeacherGivenTwice);
        }
        let taught = teacher.teach(input)?;
        self.learn_terms(student, input, target.teacher(&taught))
    }

    /// As [`learn`](Self::learn), and says what each term of the loss was.
    ///
    /// # Errors
    ///
    /// Those of [`learn`](Self::learn).
    pub fn learn_terms<I: ?Sized>(
        &self,
        student: &mut (impl Student<F, I> + ?Sized),
        input: &I,
        target: Target<'_, F>,
    ) -> Result<Evaluation<F>> {
        let output = student.forward(input)?;
        let evaluation = self.loss.evaluate_terms(&output, target)?;
        student.backward(&evaluation.loss.grad)?;
        Ok(evaluation)
    }
}
