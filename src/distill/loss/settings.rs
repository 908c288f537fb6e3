//! What the divergences of two networks have in common.

use super::Reduction;
use super::logits::Logits;
use super::rows::{Against, Batch, check_not_empty, teacher_numbers};
use crate::distill::{LabelCorrection, Target};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::divergence::{Given, Kind};
use crate::kernels::real::Real;

/// Whether value and gradient are multiplied by T².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TemperatureFactor {
    /// By T², as Hinton et al. do, so that the gradient keeps its size at any temperature.
    #[default]
    Squared,
    /// By nothing: the divergence of the two softened distributions as it is.
    One,
}

/// What the numbers in a teacher's output are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TeacherForm {
    /// Logits, which are divided by the temperature as the student's are.
    #[default]
    Logits,
    /// Logarithms of probabilities, taken as they are: the temperature is the student's alone.
    ///
    /// PyTorch: `kl_div(..., log_target=True)`.
    LogProbabilities,
    /// Probabilities, taken as they are, also where they do not sum to one: the temperature is the
    /// student's alone. PyTorch: `kl_div` as it comes.
    Probabilities,
}

impl TeacherForm {
    fn given(self) -> Given {
        match self {
            Self::Logits => Given::Logits,
            Self::LogProbabilities => Given::LogProbabilities,
            Self::Probabilities => Given::Probabilities,
        }
    }
}

/// Temperature, its factor, the reduction, what the teacher gives, and what labels make of that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) temperature: f64,
    pub(super) factor: TemperatureFactor,
    pub(super) reduction: Reduction,
    pub(super) teacher_form: TeacherForm,
    pub(super) correction: Option<LabelCorrection>,
}

impl Settings {
    pub(super) const fn new(temperature: f64) -> Self {
        Self {
            temperature,
            factor: TemperatureFactor::Squared,
            reduction: Reduction::MeanOverRows,
            teacher_form: TeacherForm::Logits,
            correction: None,
        }
    }

    /// The temperature of each row: the target's if it has some.
    pub(super) fn temperatures<F: Float>(
        &self,
        rows: usize,
        target: Target<'_, F>,
    ) -> Result<Vec<f64>> {
        let temperatures: Vec<f64> = match target.temperatures {
            None => vec![self.temperature; rows],
            Some(given) if given.len() == rows => given.iter().map(|t| t.widen()).collect(),
            Some(given) => {
                return Err(Error::WrongCount {
                    what: "temperatures",
                    given: given.len(),
                    expected: rows,
                });
            }
        };
        for &temperature in &temperatures {
            check_temperature::<F>(temperature)?;
        }
        Ok(temperatures)
    }

    /// A batch of rows that are compared with what `against` makes of the teacher.
    pub(super) fn batch<'a, F: Float>(
        &self,
        student: Logits<'a, F>,
        target: Target<'a, F>,
        against: impl FnOnce() -> Result<Against<'a, F>>,
    ) -> Result<Batch<'a, F>> {
        let temperatures = self.temperatures(student.shape().0, target)?;
        let against = against()?;
        check_not_empty(student.shape())?;
        let shares = self.reduction.shares(student.shape(), target, |_| false)?;
        let squared = self.factor == TemperatureFactor::Squared;
        Batch::new(student, against, shares, &temperatures, squared)
    }

    /// A batch of rows and their divergence from a teacher's numbers.
    pub(super) fn divergence<'a, F: Float>(
        &self,
        kind: Kind,
        student: Logits<'a, F>,
        teacher: Logits<'a, F>,
        target: Target<'a, F>,
    ) -> Result<Batch<'a, F>> {
        self.batch(student, target, || {
            let numbers = teacher_numbers(student, teacher)?;
            let given = self.teacher_form.given();
            let Some(correction) = self.correction else {
                return Ok(Against::Teacher {
                    kind,
                    numbers,
                    given,
                });
            };
            let labels = target.need_labels("label correction")?;
            correction.check(student.shape(), labels, target)?;
            Ok(Against::Corrected {
                kind,
                numbers,
                given,
                correction,
                labels,
            })
        })
    }
}

/// Fails unless T and 1/T are numbers in F, and T² in f64.
pub(in crate::distill) fn check_temperature<F: Float>(temperature: f64) -> Result<()> {
    let (least, most) = if size_of::<F>() == size_of::<f32>() {
        (1e-37, 1e37)
    } else {
        (1e-150, 1e150)
    };
    if (least..=most).contains(&temperature) {
        Ok(())
    } else {
        Err(Error::TemperatureOutOfRange {
            temperature,
            least,
            most,
        })
    }
}

/// Fails unless a share lies in 0..=1.
pub(in crate::distill) fn check_share(what: &'static str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::NumberOutOfRange {
            what,
            must: "in 0..=1",
            value,
        })
    }
}

/// The settings that every divergence has, as methods of a type with a field `settings`.
macro_rules! settings {
    ($type:ident, $($extra:ident),*) => {
        impl $type {
            /// The same with another reduction.
            #[must_use]
            pub const fn reduction(mut self, reduction: $crate::distill::Reduction) -> Self {
                self.settings.reduction = reduction;
                self
            }

            /// The same with or without T².
            #[must_use]
            pub const fn temperature_factor(
                mut self,
                factor: $crate::distill::TemperatureFactor,
            ) -> Self {
                self.settings.factor = factor;
                self
            }

            $($crate::distill::loss::settings::$extra!();)*
        }
    };
}

/// The setting of divergences that need not have the teacher's logits.
macro_rules! teacher_form {
    () => {
        /// The same for a teacher that gives probabilities or their logarithms.
        #[must_use]
        pub const fn teacher_form(mut self, form: $crate::distill::TeacherForm) -> Self {
            self.settings.teacher_form = form;
            self
        }
    };
}

/// The setting of divergences whose teacher may be corrected.
macro_rules! label_correction {
    () => {
        /// The same from what labels make of the teacher's probabilities; the target needs labels then.
        #[must_use]
        pub const fn label_correction(
            mut self,
            correction: $crate::distill::LabelCorrection,
        ) -> Self {
            self.settings.correction = Some(correction);
            self
        }
    };
}

/// [`Loss`](super::Loss) for a type with a method `prepare` that makes a [`Batch`].
macro_rules! loss_by_rows {
    ($type:ident) => {
        impl $type {
            fn prepare_output<'a, F: $crate::float::Float>(
                &self,
                student: &'a $crate::distill::Output<F>,
                target: $crate::distill::Target<'a, F>,
            ) -> $crate::error::Result<$crate::distill::loss::rows::Batch<'a, F>> {
                let logits = |output: &'a $crate::distill::Output<F>| (&*output.logits).into();
                self.prepare(logits(student), target.teacher.map(logits), target)
            }

            /// The value of each row, of shape `[rows]`: its weight times its value (times T² if that is
            /// set), divided by nothing. A row that is not read has 0.
            ///
            /// PyTorch: `reduction='none'`, summed over classes.
            ///
            /// # Errors
            ///
            /// As [`evaluate`](crate::distill::Loss::evaluate), but for an infinite value, which is
            /// returned as such.
            pub fn per_row<F: $crate::float::Float>(
                &self,
                student: &$crate::distill::Output<F>,
                target: $crate::distill::Target<'_, F>,
            ) -> $crate::error::Result<ndarray::Array1<f64>> {
                let sum = self.reduction($crate::distill::Reduction::Sum);
                sum.prepare_output(student, target)?.per_row()
            }
        }

        impl<F: $crate::float::Float> $crate::distill::Loss<F> for $type {
            fn evaluate(
                &self,
                student: &$crate::distill::Output<F>,
                target: $crate::distill::Target<'_, F>,
            ) -> $crate::error::Result<$crate::distill::LossValue<F>> {
                let $crate::distill::LossValue { value, grad } =
                    self.prepare_output(student, target)?.evaluate()?;
                let grad = student.like(grad);
                Ok($crate::distill::LossValue { value, grad })
            }

            fn evaluate_into(
                &self,
                student: &$crate::distill::Output<F>,
                target: $crate::distill::Target<'_, F>,
                grad: &mut $crate::distill::Output<F>,
            ) -> $crate::error::Result<F> {
                grad.check_like(student)?;
                let batch = self.prepare_output(student, target)?;
                for feature in grad.features.values_mut() {
                    feature.fill(F::zero());
                }
                let store = $crate::kernels::divergence::Store::Write;
                batch.gradient(F::one(), store, &mut grad.logits)
            }

            fn accumulate(
                &self,
                student: &$crate::distill::Output<F>,
                target: $crate::distill::Target<'_, F>,
                scale: F,
                grad: &mut $crate::distill::Output<F>,
            ) -> $crate::error::Result<F> {
                grad.check_like(student)?;
                let batch = self.prepare_output(student, target)?;
                let store = $crate::kernels::divergence::Store::Add;
                batch.gradient(scale, store, &mut grad.logits)
            }

            fn value(
                &self,
                student: &$crate::distill::Output<F>,
                target: $crate::distill::Target<'_, F>,
            ) -> $crate::error::Result<F> {
                self.prepare_output(student, target)?.value()
            }
        }
    };
}

/// Everything that a divergence from a teacher's numbers is made of, for a type with a field `settings`
/// and a method `kind` that says which divergence it is.
macro_rules! divergence {
    ($type:ident, $name:literal) => {
        impl $type {
            fn prepare<'a, F: $crate::float::Float>(
                &self,
                student: $crate::distill::loss::logits::Logits<'a, F>,
                teacher: Option<$crate::distill::loss::logits::Logits<'a, F>>,
                target: $crate::distill::Target<'a, F>,
            ) -> $crate::error::Result<$crate::distill::loss::rows::Batch<'a, F>> {
                let kind = self.kind()?;
                let teacher = $crate::distill::loss::rows::need_teacher(teacher, $name)?;
                self.settings.divergence(kind, student, teacher, target)
            }
        }

        $crate::distill::loss::settings::settings!($type, teacher_form, label_correction);
        $crate::distill::loss::settings::loss_by_rows!($type);
        #[cfg(feature = "half")]
        $crate::distill::loss::stored::stored!($type, teacher: T);
    };
}

pub(super) use {divergence, label_correction, loss_by_rows, settings, teacher_form};
