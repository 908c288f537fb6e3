//! What turns codes back into numbers.

use super::{Granularity, Scheme};
use crate::error::{Error, Result};
use std::fmt;

/// What turns the codes of a tensor back into numbers: scheme, granularity, scales, zero points.
///
/// Checked where it meets a tensor, in [`QuantizedTensor::from_codes`](super::QuantizedTensor) and
/// its siblings.
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    scheme: Scheme,
    granularity: Granularity,
    scales: Vec<f32>,
    zero_points: Vec<i32>,
}

impl Parameters {
    /// Parameters whose zero points, if the scheme has any, are all 0.
    pub fn new(scheme: Scheme, granularity: Granularity, scales: Vec<f32>) -> Self {
        let zero_points = if scheme.has_zero_points() {
            vec![0; scales.len()]
        } else {
            Vec::new()
        };
        Self {
            scheme,
            granularity,
            scales,
            zero_points,
        }
    }

    /// The same with these zero points, one for each scale.
    #[must_use]
    pub fn with_zero_points(mut self, zero_points: Vec<i32>) -> Self {
        self.zero_points = zero_points;
        self
    }

    /// Those of a tensor without weights, and the buffers of these.
    pub(super) fn take(&mut self) -> (Vec<f32>, Vec<i32>) {
        self.granularity = Granularity::PerTensor;
        let scales = std::mem::replace(&mut self.scales, vec![1.0]);
        let none = if self.scheme.has_zero_points() {
            vec![*self.scheme.codes().start()]
        } else {
            Vec::new()
        };
        (scales, std::mem::replace(&mut self.zero_points, none))
    }

    /// What a code means.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Which weights share a scale.
    pub fn granularity(&self) -> Granularity {
        self.granularity
    }

    /// One scale for the tensor, or one for each channel.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The code that means 0, for each scale; empty where the scheme has no zero points: there it
    /// is 0.
    pub fn zero_points(&self) -> &[i32] {
        &self.zero_points
    }

    /// Bytes of scales and zero points: four each.
    pub fn bytes(&self) -> usize {
        size_of_val(self.scales.as_slice()) + size_of_val(self.zero_points.as_slice())
    }

    /// Fails unless the parameters fit a tensor of this shape.
    pub(super) fn check(&self, shape: &[usize]) -> Result<()> {
        let expected = self.granularity.scales(shape)?;
        let counted = |what, given, expected| {
            if given == expected {
                return Ok(());
            }
            Err(Error::WrongCount {
                what,
                given,
                expected,
            })
        };
        counted("scales", self.scales.len(), expected)?;
        let expected = if self.scheme.has_zero_points() {
            expected
        } else {
            0
        };
        counted("zero points", self.zero_points.len(), expected)?;
        if let Some(index) = self
            .scales
            .iter()
            .position(|scale| !(scale.is_finite() && *scale > 0.0))
        {
            return Err(Error::ScaleOutOfRange {
                index,
                scale: self.scales[index],
            });
        }
        let codes = self.scheme.codes();
        match self
            .zero_points
            .iter()
            .position(|zero_point| !codes.contains(zero_point))
        {
            None => Ok(()),
            Some(index) => Err(Error::CodeOutOfRange {
                what: "zero point",
                index: vec![index],
                value: self.zero_points[index],
                least: *codes.start(),
                most: *codes.end(),
            }),
        }
    }
}

/// Numbers if they are few, their count otherwise: there may be a channel for every word of a language.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FEW: usize = 8;
        let mut print = f.debug_struct("Parameters");
        print
            .field("scheme", &self.scheme)
            .field("granularity", &self.granularity);
        if self.scales.len() <= FEW {
            print
                .field("scales", &self.scales)
                .field("zero_points", &self.zero_points);
        } else {
            print
                .field("scales", &self.scales.len())
                .field("zero_points", &self.zero_points.len());
        }
        print.finish()
    }
}
