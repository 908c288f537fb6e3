//! What turns codes back into numbers.

use super::{Granularity, Scheme};
use crate::error::{Error, Result};
use std::fmt;
use std::ops::RangeInclusive;

/// What turns the codes of a tensor back into numbers: scheme, granularity, scales, zero points, codebook.
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
    // Files from before there were these have none.
    #[cfg_attr(feature = "serde", serde(default))]
    float_zero_points: Vec<f32>,
    #[cfg_attr(feature = "serde", serde(default))]
    codebook: Vec<f32>,
}

impl Parameters {
    /// Parameters whose zero points, if the scheme has any, are all 0. A scheme with a codebook needs
    /// [`with_codebook`](Self::with_codebook) as well.
    pub fn new(scheme: Scheme, granularity: Granularity, scales: Vec<f32>) -> Self {
        let zero_points = if scheme.has_zero_points() {
            vec![0; scales.len()]
        } else {
            Vec::new()
        };
        let float_zero_points = if scheme.has_float_zero_points() {
            vec![0.0; scales.len()]
        } else {
            Vec::new()
        };
        Self {
            scheme,
            granularity,
            scales,
            zero_points,
            float_zero_points,
            codebook: Vec::new(),
        }
    }

    /// The same with these zero points, one for each scale.
    #[must_use]
    pub fn with_zero_points(mut self, zero_points: Vec<i32>) -> Self {
        self.zero_points = zero_points;
        self
    }

    /// The same with these zero points, one finite number for each scale, for [`Scheme::float_zero_point`].
    #[must_use]
    pub fn with_float_zero_points(mut self, zero_points: Vec<f32>) -> Self {
        self.float_zero_points = zero_points;
        self
    }

    /// The same with this table, for [`Scheme::codebook`]: at least one finite number and at most as many as there are
    /// codes, in any order. The code of entry i is i.
    #[must_use]
    pub fn with_codebook(mut self, entries: Vec<f32>) -> Self {
        self.codebook = entries;
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
        let zeros = usize::from(self.scheme.has_float_zero_points());
        self.float_zero_points.resize(zeros, 0.0);
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

    /// The zero point of each scale, in steps; empty where the scheme has no zero points that are floats.
    pub fn float_zero_points(&self) -> &[f32] {
        &self.float_zero_points
    }

    /// What codes mean before they are scaled; empty where the scheme has no codebook.
    pub fn codebook(&self) -> &[f32] {
        &self.codebook
    }

    /// Whether some code of each scale means exactly 0: by the scheme, by an entry of the codebook, or by zero points
    /// that all are codes.
    pub fn keeps_zero(&self) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "codes have at most 8 bits")]
        let largest = *self.scheme.codes().end() as f32;
        let is_code = |zero: &f32| zero.fract() == 0.0 && (0.0..=largest).contains(zero);
        if self.scheme.has_float_zero_points() {
            let each = self.float_zero_points.len() == self.scales.len();
            return each && self.float_zero_points.iter().all(is_code);
        }
        self.scheme.keeps_zero() || self.scheme.has_codebook() && self.codebook.contains(&0.0)
    }

    /// Bytes of scales, zero points and codebook: four for each number.
    pub fn bytes(&self) -> usize {
        size_of_val(self.scales.as_slice())
            + size_of_val(self.zero_points.as_slice())
            + size_of_val(self.float_zero_points.as_slice())
            + size_of_val(self.codebook.as_slice())
    }

    /// The integers that a code may be, by scheme and codebook.
    pub(super) fn codes(&self) -> RangeInclusive<i32> {
        let codes = self.scheme.codes();
        match i32::try_from(self.codebook.len()) {
            Ok(entries) if self.scheme.has_codebook() => 0..=entries - 1,
            _ => codes,
        }
    }

    /// Whether some bit pattern of the width of a code is none.
    pub(super) fn refuse_some(&self) -> bool {
        let codes = self.codes();
        let all = codes.end() - codes.start() + 1 == 1 << self.scheme.bits();
        let finite = |numbers: Vec<f32>| numbers.iter().all(|number| number.is_finite());
        !(all && self.scheme.numbers().is_none_or(finite))
    }

    /// What each code means before a zero point is taken off and it is scaled, for every bit pattern; `None` where
    /// codes are integers.
    pub(super) fn table(&self) -> Option<Vec<f32>> {
        let all = 1 << self.scheme.bits();
        if self.scheme.is_integer() {
            return None;
        }
        if self.scheme.has_codebook() {
            let mut entries = self.codebook.clone();
            entries.resize(all, 0.0);
            return Some(entries);
        }
        #[expect(clippy::cast_precision_loss, reason = "codes have at most 8 bits")]
        let integers = || (0..all).map(|code| code as f32).collect();
        Some(self.scheme.numbers().unwrap_or_else(integers))
    }

    /// Fails unless the parameters fit a tensor of this shape, or if codes are not integers.
    pub(super) fn check_integer(&self, shape: &[usize]) -> Result<()> {
        self.check(shape)?;
        if self.scheme.is_integer() {
            Ok(())
        } else {
            Err(Error::CodesNotIntegers)
        }
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
        let if_any = |any| if any { expected } else { 0 };
        let zeros = if_any(self.scheme.has_zero_points());
        counted("zero points", self.zero_points.len(), zeros)?;
        let zeros = if_any(self.scheme.has_float_zero_points());
        counted("float zero points", self.float_zero_points.len(), zeros)?;
        self.check_codebook()?;
        all_finite("zero point", &self.float_zero_points)?;
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

    fn check_codebook(&self) -> Result<()> {
        let given = self.codebook.len();
        if !self.scheme.has_codebook() {
            return match given {
                0 => Ok(()),
                _ => Err(Error::WrongCount {
                    what: "entries of a codebook",
                    given,
                    expected: 0,
                }),
            };
        }
        if given == 0 || given > 1 << self.scheme.bits() {
            #[expect(clippy::cast_precision_loss, reason = "a message")]
            return Err(Error::NumberOutOfRange {
                what: "number of entries of a codebook",
                must: "at least 1 and at most the number of codes",
                value: given as f64,
            });
        }
        all_finite("entry of a codebook", &self.codebook)
    }
}

/// Fails with the first number that is not finite.
fn all_finite(what: &'static str, numbers: &[f32]) -> Result<()> {
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::not_finite(what, vec![index], numbers[index].into())),
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
        let mut put = |name: &str, numbers: &dyn fmt::Debug, len: usize| {
            if len <= FEW {
                print.field(name, numbers);
            } else {
                print.field(name, &len);
            }
        };
        put("scales", &self.scales, self.scales.len());
        put("zero_points", &self.zero_points, self.zero_points.len());
        let zeros = &self.float_zero_points;
        if !zeros.is_empty() {
            put("float_zero_points", zeros, zeros.len());
        }
        if !self.codebook.is_empty() {
            put("codebook", &self.codebook, self.codebook.len());
        }
        print.finish()
    }
}
