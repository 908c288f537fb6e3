//! A closure as a teacher.

use super::super::{Output, Teacher};
use crate::error::Result;
use crate::float::Float;
use std::fmt;

/// A closure as a teacher, as [`teacher_fn`] makes it.
#[derive(Clone, Copy)]
pub struct TeacherFn<T> {
    teach: T,
}

/// Makes a teacher of a closure: of a snapshot of a student, of another teacher seen through the
/// caller's own batch, of a rule.
///
/// The closure takes the input by reference and gives a `Result<Output<F>>`. Write the type of its
/// argument, as in `|batch: &Batch<'_>|`: then it serves batches of every lifetime.
///
/// # Examples
///
/// Born again (Furlanello et al. 2018, <https://arxiv.org/abs/1805.04770>): a student that has learned
/// becomes the teacher of the next one, of the same size, and so on.
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::Result;
/// use rarefy::distill::{
///     CrossEntropy, Distiller, KlDivergence, Output, Student, Target, WeightedSum, teacher_fn,
/// };
///
/// #[derive(Clone, Default)]
/// struct Linear {
///     weights: Array2<f64>,
///     input: Array2<f64>,
/// }
///
/// impl Student<f64, Array2<f64>> for Linear {
///     fn forward(&mut self, input: &Array2<f64>) -> Result<Output<f64>> {
///         self.input.clone_from(input);
///         Ok(Output::from(input.dot(&self.weights)))
///     }
///
///     fn backward(&mut self, grad: &Output<f64>) -> Result<()> {
///         self.weights.scaled_add(-0.5, &self.input.t().dot(&grad.logits));
///         Ok(())
///     }
/// }
///
/// let (input, labels) = (array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0, 1, 1]);
/// let young = || Linear { weights: Array2::zeros((2, 2)), ..Linear::default() };
///
/// // The first generation has only the labels.
/// let mut student = young();
/// for _ in 0..100 {
///     Distiller::new(CrossEntropy::new())
///         .learn(&mut student, &input, Target::new().labels(&labels))?;
/// }
/// // Each later one has its elder as well.
/// let loss = WeightedSum::new()
///     .with("elder", 0.5, KlDivergence::new(1.0))
///     .with_rest("labels", CrossEntropy::new())?;
/// for _ in 0..3 {
///     let elder = std::mem::replace(&mut student, young()).weights;
///     let elder = teacher_fn(move |x: &Array2<f64>| Ok(Output::from(x.dot(&elder))));
///     let distiller = Distiller::new(loss.clone());
///     for _ in 0..100 {
///         distiller.step(&elder, &mut student, &input, Target::new().labels(&labels))?;
///     }
/// }
/// let says = student.forward(&input)?.logits;
/// assert!(labels.iter().enumerate().all(|(row, &right)| says[[row, right]] > says[[row, 1 - right]]));
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// Annealed (Jafari et al. 2021, <https://arxiv.org/abs/2104.07163>): a large teacher speaks softly at
/// first, its logits shrunk, and plainly in the end.
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{Output, Teacher, teacher_fn};
/// use rarefy::schedule::{Linear, Schedule};
///
/// let teacher = teacher_fn(|x: &Array2<f64>| Ok(Output::from(x * 8.0)));
/// let loudness = Linear::new(0.125, 1.0, 0..=700)?;
/// for (step, says) in [(0, 1.0), (400, 5.0), (700, 8.0)] {
///     let annealed = teacher_fn(|x: &Array2<f64>| {
///         let mut output = teacher.teach(x)?;
///         output.logits *= loudness.at(step);
///         Ok(output)
///     });
///     assert_eq!(annealed.teach(&array![[1.0]])?.logits, array![[says]]);
/// }
/// # Ok::<(), rarefy::Error>(())
/// ```
// Without the bound that the implementation below has: naming one input type here would tie a
// closure over a batch that borrows to the lifetime of one batch.
pub const fn teacher_fn<T>(teach: T) -> TeacherFn<T> {
    TeacherFn { teach }
}

impl<F: Float, I: ?Sized, T: Fn(&I) -> Result<Output<F>>> Teacher<F, I> for TeacherFn<T> {
    fn teach(&self, input: &I) -> Result<Output<F>> {
        (self.teach)(input)
    }
}

// By hand: closures cannot be printed.
impl<T> fmt::Debug for TeacherFn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TeacherFn").finish_non_exhaustive()
    }
}
