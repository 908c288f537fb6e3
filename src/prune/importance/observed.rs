//! Sums over batches that scores are made of: raw, in f64, so that two of them can be added.

use crate::error::{CalibrationError, Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{ArrayD, ArrayRef, ArrayRefD, Dimension, IxDyn, Zip};
use std::fmt;

/// The sum of a term over batches, for each weight, and how many batches there were.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Observed {
    sums: Option<ArrayD<f64>>,
    pub(super) batches: u64,
}

impl Observed {
    /// Adds `term(weight, gradient)` for each weight to `decay` times the sums; nothing if one is NaN.
    pub(super) fn add<F: Float, D: Dimension>(
        &mut self,
        weights: &ArrayRef<F, D>,
        gradient: &ArrayRef<F, D>,
        decay: f64,
        term: impl Fn(f64, f64) -> f64,
    ) -> Result<()> {
        let (weights, gradient) = (weights.view().into_dyn(), gradient.view().into_dyn());
        shape::check_same("weights", weights.shape(), "gradient", gradient.shape())?;
        self.check_shape("weights", weights.shape())?;
        let terms = Zip::from(&weights)
            .and(&gradient)
            .map_collect(|weight, gradient| term(weight.widen(), gradient.widen()));
        if let Some(place) = terms.iter().position(|term| term.is_nan()) {
            return Err(Error::NotANumber {
                what: "weight times gradient",
                index: shape::index_of(place, weights.shape()),
            });
        }
        self.batches += 1;
        self.plus(&terms, decay);
        Ok(())
    }

    /// Adds another's sums to `decay` times these.
    pub(super) fn merge(&mut self, other: &Self, decay: f64) -> Result<()> {
        let Some(sums) = &other.sums else {
            return Ok(());
        };
        self.check_shape("other sums", sums.shape())?;
        self.batches += other.batches;
        self.plus(sums, decay);
        Ok(())
    }

    fn plus(&mut self, terms: &ArrayD<f64>, decay: f64) {
        match &mut self.sums {
            Some(sums) => sums.zip_mut_with(terms, |sum, term| *sum = *sum * decay + term),
            None => self.sums = Some(terms.as_standard_layout().into_owned()),
        }
    }

    fn check_shape(&self, what: &'static str, other: &[usize]) -> Result<()> {
        match &self.sums {
            Some(sums) => shape::check_same("observed weights", sums.shape(), what, other),
            None => Ok(()),
        }
    }

    /// `score(sum, weight)` for each weight.
    pub(super) fn scores<F: Float>(
        &self,
        what: &'static str,
        weights: &ArrayRefD<F>,
        score: impl Fn(f64, f64) -> f64,
    ) -> Result<ArrayD<F>> {
        let Some(sums) = &self.sums else {
            return Err(Error::Calibration(CalibrationError::NothingObserved {
                what,
            }));
        };
        self.check_shape("weights", weights.shape())?;
        let mut scores = ArrayD::zeros(IxDyn(weights.shape()));
        Zip::from(&mut scores)
            .and(sums)
            .and(weights)
            .for_each(|to, &sum, weight| *to = F::cast(score(sum, weight.widen())));
        Ok(scores)
    }

    pub(super) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field(
                "shape",
                &self.sums.as_ref().map(|sums| sums.shape().to_vec()),
            )
            .field("batches", &self.batches)
            .finish_non_exhaustive()
    }

    /// The number of batches as a divisor.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean; more than 2⁵³ batches do not occur"
    )]
    pub(super) fn divisor(&self) -> f64 {
        self.batches.max(1) as f64
    }
}
