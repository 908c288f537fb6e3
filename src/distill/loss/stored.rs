//! Losses over logits that are stored in 16 bits and computed with in 32.
//!
//! A row at a time is widened, so that beside the logits there is never more than a row of each side for
//! every task that runs. Widening is exact: value and gradient have the bits that logits have which somebody
//! else turned into f32 before.

use super::logits::Logits;
use half::{bf16, f16};
use ndarray::ArrayRef2;
use sealed::Sealed;

mod sealed {
    use super::Logits;
    use ndarray::ArrayRef2;

    pub trait Sealed: Copy + Send + Sync + 'static {
        /// Logits of this type, to compute with in f32.
        fn logits(array: &ArrayRef2<Self>) -> Logits<'_, f32>
        where
            Self: Sized;
    }
}

/// A type that logits may be stored in: [`half::f16`], [`half::bf16`], or `f32`.
///
/// Never one that is computed in, which is what [`Float`](crate::Float) is: losses over such logits compute in
/// f32, and give value and gradient in f32. The trait is sealed. It and what takes it come with the feature
/// `half`.
///
/// The student and the teacher may be stored in different types, and f32 is one of them. Each loss over logits
/// with a gradient of their size (not those over the likeliest classes) has five methods for them, which do
/// what the methods of [`Loss`](crate::distill::Loss) do without these letters:
///
/// | method | gives |
/// |---|---|
/// | `evaluate_stored` | value and gradient |
/// | `evaluate_stored_into` | the value, and the gradient in the caller's array |
/// | `accumulate_stored` | the value, and the gradient on top of the caller's array: a mix of losses, for one |
/// | `value_stored` | the value |
/// | `per_row_stored` | the value of each row |
///
/// # Examples
///
/// The mix of soft and hard loss that a [`WeightedSum`](crate::distill::WeightedSum) is for f32:
///
/// ```
/// use half::{bf16, f16};
/// use ndarray::{Array2, array};
/// use rarefy::distill::{CrossEntropy, KlDivergence, Target};
///
/// let student = array![[0.5_f32, 0.0], [-1.0, 2.0]].mapv(bf16::from_f32);
/// let teacher = array![[2.0_f32, 0.0], [0.0, 1.0]].mapv(f16::from_f32);
/// let target = Target::new().labels(&[0, 1]);
/// let (soft, hard) = (KlDivergence::new(2.0), CrossEntropy::new());
///
/// let mut gradient = Array2::<f32>::zeros((2, 2)); // made once, for all steps
/// let soft = soft.evaluate_stored_into(&student, &teacher, target, &mut gradient)?;
/// let hard = hard.accumulate_stored(&student, target, 0.3, &mut gradient)?;
/// assert!(soft > 0.0 && hard > 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "logits may be stored in f32, f16 or bf16, not in `{Self}`",
    label = "not an f32, f16 or bf16",
    note = "losses over f64 are those of the trait `Loss`"
)]
pub trait Logit: Sealed {}

macro_rules! logit {
    ($type:ty, $variant:ident) => {
        impl Sealed for $type {
            fn logits(array: &ArrayRef2<Self>) -> Logits<'_, f32> {
                Logits::$variant(array)
            }
        }

        impl Logit for $type {}
    };
}

logit!(f32, Own);
logit!(f16, F16);
logit!(bf16, Bf16);

/// The logits of an array, to compute with in f32.
pub(super) fn logits<S: Logit>(array: &ArrayRef2<S>) -> Logits<'_, f32> {
    S::logits(array)
}

/// The teacher of a loss that has one.
pub(super) fn first<const N: usize>(teachers: [Logits<'_, f32>; N]) -> Option<Logits<'_, f32>> {
    teachers.first().copied()
}

/// The methods for stored logits of a type with a method `prepare` that makes a
/// [`Batch`](super::rows::Batch), and a teacher or none.
macro_rules! stored {
    ($type:ident $(, $teacher:ident: $stored:ident)?) => {
        impl $type {
            fn prepare_stored<'a, S: $crate::distill::Logit $(, $stored: $crate::distill::Logit)?>(
                &self,
                student: &'a ndarray::ArrayRef2<S>,
                $($teacher: &'a ndarray::ArrayRef2<$stored>,)?
                target: $crate::distill::Target<'a, f32>,
            ) -> $crate::error::Result<$crate::distill::loss::rows::Batch<'a, f32>> {
                use $crate::distill::loss::stored::{first, logits};
                self.prepare(logits(student), first([$(logits($teacher))?]), target)
            }

            /// The value and its gradient of logits that are stored in f32 or in 16 bits, computed in f32.
            ///
            /// A teacher in the target is not looked at.
            ///
            /// # Errors
            ///
            /// As [`evaluate`](crate::distill::Loss::evaluate).
            pub fn evaluate_stored<S: $crate::distill::Logit $(, $stored: $crate::distill::Logit)?>(
                &self,
                student: &ndarray::ArrayRef2<S>,
                $($teacher: &ndarray::ArrayRef2<$stored>,)?
                target: $crate::distill::Target<'_, f32>,
            ) -> $crate::error::Result<$crate::distill::LossValue<f32, ndarray::Array2<f32>>> {
                self.prepare_stored(student, $($teacher,)? target)?.evaluate()
            }

            /// [`evaluate_stored`](Self::evaluate_stored) with the gradient written to `grad`, of the shape of
            /// the logits.
            ///
            /// # Errors
            ///
            /// As [`evaluate`](crate::distill::Loss::evaluate), and if `grad` has another shape. `grad` may then
            /// have been written to.
            pub fn evaluate_stored_into<S: $crate::distill::Logit $(, $stored: $crate::distill::Logit)?>(
                &self,
                student: &ndarray::ArrayRef2<S>,
                $($teacher: &ndarray::ArrayRef2<$stored>,)?
                target: $crate::distill::Target<'_, f32>,
                grad: &mut ndarray::ArrayRef2<f32>,
            ) -> $crate::error::Result<f32> {
                let store = $crate::kernels::divergence::Store::Write;
                self.prepare_stored(student, $($teacher,)? target)?
                    .gradient(1.0, store, grad)
            }

            /// [`evaluate_stored`](Self::evaluate_stored) with `scale` times the gradient added to `grad`, and
            /// the value as it is.
            ///
            /// # Errors
            ///
            /// As [`evaluate`](crate::distill::Loss::evaluate), and if `grad` has another shape. `grad` is then
            /// unchanged.
            pub fn accumulate_stored<S: $crate::distill::Logit $(, $stored: $crate::distill::Logit)?>(
                &self,
                student: &ndarray::ArrayRef2<S>,
                $($teacher: &ndarray::ArrayRef2<$stored>,)?
                target: $crate::distill::Target<'_, f32>,
                scale: f32,
                grad: &mut ndarray::ArrayRef2<f32>,
            ) -> $crate::error::Result<f32> {
                let store = $crate::kernels::divergence::Store::Add;
                self.prepare_stored(student, $($teacher,)? target)?
                    .gradient(scale, store, grad)
            }

            /// The value alone of [`evaluate_stored`](Self::evaluate_stored). Where it is infinite it is
            /// returned.
            ///
            /// # Errors
            ///
            /// As [`evaluate`](crate::distill::Loss::evaluate).
            pub fn value_stored<S: $crate::distill::Logit $(, $stored: $crate::distill::Logit)?>(
                &self,
                student: &ndarray::ArrayRef2<S>,
                $($teacher: &ndarray::ArrayRef2<$stored>,)?
                target: $crate::distill::Target<'_, f32>,
            ) -> $crate::error::Result<f32> {
                self.prepare_stored(student, $($teacher,)? target)?.value()
            }

            /// [`per_row`](Self::per_row) of logits that are stored in f32 or in 16 bits.
            ///
            /// # Errors
            ///
            /// As [`per_row`](Self::per_row).
            pub fn per_row_stored<S: $crate::distill::Logit $(, $stored: $crate::distill::Logit)?>(
                &self,
                student: &ndarray::ArrayRef2<S>,
                $($teacher: &ndarray::ArrayRef2<$stored>,)?
                target: $crate::distill::Target<'_, f32>,
            ) -> $crate::error::Result<ndarray::Array1<f64>> {
                let sum = self.reduction($crate::distill::Reduction::Sum);
                sum.prepare_stored(student, $($teacher,)? target)?.per_row()
            }
        }
    };
}

pub(super) use stored;
