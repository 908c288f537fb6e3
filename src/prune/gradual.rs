//! Prunes gradually, under a training loop of the caller's own.
//!
//! Zhu and Gupta 2017, <https://arxiv.org/abs/1710.01878>: a schedule says how sparse the network is by
//! now, and in between it learns to do without.

use super::{Amount, Pruner};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::mask::Mask;
use crate::schedule::{Interval, Schedule};
use ndarray::{ArrayD, ArrayRef, ArrayViewMutD, Dimension};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;

/// Prunes gradually: says at which step how much is due, prunes, and keeps the masks.
///
/// The loop stays the caller's. It calls, at each step,
///
/// 1. [`before_step`](Self::before_step) with each gradient, before the optimiser looks at it;
/// 2. [`after_step`](Self::after_step) with each tensor of weights and the moments that belong to it;
/// 3. [`prune`](Self::prune) with all tensors: at steps that are not due it does nothing.
///
/// The first may be left out where the second gets the moments.
///
/// | setting | meaning |
/// |---|---|
/// | `when` | at which steps something is pruned: an [`Interval`] |
/// | `sparsity` | how much is pruned by then: any [`Schedule`] of shares in 0..=1 |
/// | `method` | makes the pruner: `Fn(&str, Amount) -> impl Pruner`, of the tensor's name and the amount |
/// | [`except`](Self::except) | names of tensors that are never pruned |
///
/// Everything is a function of the weights and the step; what must be saved to go on later is
/// [`state`](Self::state).
///
/// TensorFlow Model Optimization: `prune_low_magnitude` with a `PruningSchedule`.
///
/// # Examples
///
/// ```
/// use ndarray::Array2;
/// use rarefy::prune::{Amount, GradualPruning, Magnitude, Unstructured};
/// use rarefy::schedule::{Interval, Polynomial};
///
/// let mut pruning = GradualPruning::new(
///     Interval::between(10..=50, 10)?,
///     Polynomial::cubic(0.0, 0.75, 10..=50)?,
///     |_: &str, amount: Amount| Unstructured::new(Magnitude, amount),
/// );
/// let mut weights = Array2::from_shape_fn((4, 4), |(i, j)| (i * 4 + j) as f32 - 7.5);
/// for step in 0..60 {
///     let mut gradient = weights.clone() * 0.1;
///     pruning.before_step("weights", &mut gradient)?;
///     weights -= &gradient;
///     pruning.after_step("weights", [&mut weights])?;
///     pruning.prune(step, &mut [("weights", weights.view_mut().into_dyn())])?;
/// }
/// assert_eq!(pruning.masks()["weights"].sparsity(), 0.75);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct GradualPruning<S, P> {
    when: Interval,
    sparsity: S,
    method: P,
    except: BTreeSet<String>,
    state: PruningState,
}

/// What a run of [`GradualPruning`] must keep to go on later: write it beside the weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PruningState {
    /// The last step at which something was pruned.
    pub step: Option<u64>,
    /// The mask of each tensor that was pruned.
    pub masks: BTreeMap<String, Mask>,
}

/// What was pruned at a step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PruningStep {
    /// The step.
    pub step: u64,
    /// The share that was due.
    pub sparsity: f64,
    /// Each tensor that was pruned, in the order given.
    pub tensors: Vec<TensorChange>,
    /// Each tensor that was passed over, in the order given.
    pub skipped: Vec<Skipped>,
}

/// What happened to one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorChange {
    /// Its name.
    pub name: String,
    /// How many weights it keeps.
    pub kept: usize,
    /// How many it does not.
    pub dropped: usize,
    /// How many of those were kept until now.
    pub newly_dropped: usize,
    /// How many are kept that were not until now.
    pub newly_kept: usize,
}

/// A tensor that was passed over, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why a tensor was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is on the list of exceptions.
    Excepted,
    /// It has no elements.
    Empty,
}

/// How far a call of [`GradualPruning::prune_watched`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruningProgress<'a> {
    /// The tensor that comes next.
    pub name: &'a str,
    /// How many are done.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

impl<S, P> GradualPruning<S, P> {
    /// Prunes at the steps of `when`, as much as `sparsity` says, with the pruner that `method` makes.
    pub const fn new(when: Interval, sparsity: S, method: P) -> Self {
        Self {
            when,
            sparsity,
            method,
            except: BTreeSet::new(),
            state: PruningState {
                step: None,
                masks: BTreeMap::new(),
            },
        }
    }

    /// Never prunes the tensors of these names.
    #[must_use]
    pub fn except<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.except.extend(names.into_iter().map(Into::into));
        self
    }

    /// Goes on where another run, or this one before it was stopped, had arrived.
    #[must_use]
    pub fn resume(mut self, state: PruningState) -> Self {
        self.state = state;
        self
    }

    /// What a resumed run must be given.
    pub const fn state(&self) -> &PruningState {
        &self.state
    }

    /// The mask of each tensor that was pruned.
    pub const fn masks(&self) -> &BTreeMap<String, Mask> {
        &self.state.masks
    }

    /// When something is pruned.
    pub const fn when(&self) -> Interval {
        self.when
    }

    /// Masks a gradient, before the optimiser looks at it. Does nothing to a tensor without a mask.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] with the name if the shapes differ; nothing is then changed.
    pub fn before_step<F: Float, D: Dimension>(
        &self,
        name: &str,
        gradient: &mut ArrayRef<F, D>,
    ) -> Result<()> {
        self.after_step(name, [gradient])
    }

    /// Masks weights and the moments that belong to them, after a step of the optimiser, in one sweep.
    /// Does nothing to a tensor without a mask.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] with the name if the shapes differ; nothing is then changed.
    pub fn after_step<F: Float, D: Dimension, const N: usize>(
        &self,
        name: &str,
        arrays: [&mut ArrayRef<F, D>; N],
    ) -> Result<()> {
        match self.state.masks.get(name) {
            Some(mask) => mask
                .apply_all(arrays)
                .map_err(|error| error.in_tensor(name)),
            None => Ok(()),
        }
    }
}

impl<S: Schedule, P> GradualPruning<S, P> {
    /// The share to prune at this step; `None` if nothing is due.
    pub fn due(&self, step: u64) -> Option<f64> {
        self.when.is_due(step).then(|| self.sparsity.at(step))
    }

    /// Prunes all tensors if something is due, and says what happened.
    ///
    /// While it works it holds a copy of the tensors that it prunes, so that an error leaves all as
    /// they were.
    ///
    /// # Errors
    ///
    /// Those of the pruner, with the name of the tensor; [`Error::AmountOutOfRange`] so if the
    /// schedule leaves 0..=1; [`Error::NameRepeated`] if two tensors have one name. Weights and masks
    /// are then unchanged.
    pub fn prune<F: Float, Q: Pruner<F>>(
        &mut self,
        step: u64,
        tensors: &mut [(&str, ArrayViewMutD<'_, F>)],
    ) -> Result<Option<PruningStep>>
    where
        P: Fn(&str, Amount) -> Q,
    {
        self.prune_watched(step, tensors, |_| ControlFlow::Continue(()))
    }

    /// [`prune`](Self::prune), asking before each tensor whether to go on.
    ///
    /// # Errors
    ///
    /// Those of [`prune`](Self::prune), and [`Error::Interrupted`] if `watch` says so; weights and
    /// masks are then unchanged.
    pub fn prune_watched<F: Float, Q: Pruner<F>>(
        &mut self,
        step: u64,
        tensors: &mut [(&str, ArrayViewMutD<'_, F>)],
        mut watch: impl FnMut(PruningProgress<'_>) -> ControlFlow<()>,
    ) -> Result<Option<PruningStep>>
    where
        P: Fn(&str, Amount) -> Q,
    {
        let Some(sparsity) = self.due(step) else {
            return Ok(None);
        };
        let mut names = BTreeSet::new();
        if let Some((name, _)) = tensors.iter().find(|(name, _)| !names.insert(*name)) {
            return Err(Error::NameRepeated {
                what: "tensors",
                name: (*name).to_owned(),
            });
        }
        let mut report = PruningStep {
            step,
            sparsity,
            tensors: Vec::new(),
            skipped: Vec::new(),
        };
        let total = tensors.len();
        let mut results: Vec<Option<(ArrayD<F>, Mask)>> = Vec::with_capacity(total);
        for (done, (name, weights)) in tensors.iter().enumerate() {
            let name = *name;
            if watch(PruningProgress { name, done, total }).is_break() {
                return Err(Error::Interrupted { done, total });
            }
            let reason = if self.except.contains(name) {
                Some(SkipReason::Excepted)
            } else {
                weights.is_empty().then_some(SkipReason::Empty)
            };
            if let Some(reason) = reason {
                let name = name.to_owned();
                report.skipped.push(Skipped { name, reason });
                results.push(None);
                continue;
            }
            let pruner = (self.method)(name, Amount::Fraction(sparsity));
            let mut pruned = weights.to_owned();
            let mask = pruner
                .prune_dyn(&mut pruned)
                .map_err(|error| error.in_tensor(name))?;
            let tensor = self.compare(name, &mask);
            report
                .tensors
                .push(tensor.map_err(|error| error.in_tensor(name))?);
            results.push(Some((pruned, mask)));
        }
        for ((name, weights), result) in tensors.iter_mut().zip(results) {
            if let Some((pruned, mask)) = result {
                weights.assign(&pruned);
                self.state.masks.insert((*name).to_owned(), mask);
            }
        }
        self.state.step = Some(step);
        Ok(Some(report))
    }

    /// What a new mask changes.
    fn compare(&self, name: &str, mask: &Mask) -> Result<TensorChange> {
        let (newly_dropped, newly_kept) = match self.state.masks.get(name) {
            Some(before) => (before.and_not(mask)?.kept(), mask.and_not(before)?.kept()),
            None => (mask.dropped(), 0),
        };
        Ok(TensorChange {
            name: name.to_owned(),
            kept: mask.kept(),
            dropped: mask.dropped(),
            newly_dropped,
            newly_kept,
        })
    }
}

impl<S: fmt::Debug, P> fmt::Debug for GradualPruning<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The method is a closure as a rule, and those cannot be printed.
        f.debug_struct("GradualPruning")
            .field("when", &self.when)
            .field("sparsity", &self.sparsity)
            .field("except", &self.except)
            .field("step", &self.state.step)
            .field("masks", &self.state.masks.len())
            .finish_non_exhaustive()
    }
}
