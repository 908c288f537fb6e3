//! Quantizes to the nearest entry of a table.
//!
//! ```text
//! scale s = max|w| / max|entry|        code = the number of the entry nearest to w / s
//! ```

use super::casting::{by_largest, non_finite_setting, with_parameters};
use super::granularity::granularity_settings;
use super::{Granularity, NonFinite, Parameters, QuantizedTensor, Quantizer, Scheme};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::coding::Scaling;
use crate::kernels::uneven::{Casting, Entries};
use ndarray::{ArrayRef, ArrayRefD, Dimension};

/// Quantizes to the nearest entry of a table, scaled so that the largest weight meets the largest entry.
///
/// | table | entries | default granularity |
/// |---|---|---|
/// | [`nf4`](Self::nf4) | 16, the quantiles of a normal distribution: QLoRA's | groups of 64 along the last axis |
/// | [`fp4`](Self::fp4) | 15, those of bitsandbytes' float of 4 bits | the same |
/// | [`new`](Self::new) | yours, at most 256 | one scale |
///
/// Codes have the fewest bits that number all entries. A weight between two entries becomes the nearer one; on the mean of
/// both, rounded to f32, the lower. Of equal entries the first is used.
///
/// Guarantees: no weight moves by more than half of the largest gap between entries, times its scale (where the entry of
/// the largest magnitude has an opposite), and the last bits of a float; quantizing what came back with the same
/// parameters gives the same codes. All weights zero: what is nearest to 0, and the least scale, 1.1754944e-38. No
/// weights: no codes, scale 1.
///
/// Left out: scales that are quantized themselves (bitsandbytes' `compress_statistics`, torchao's scaler blocks).
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::quantize::Codebook;
///
/// let weights = Array2::from_shape_fn((4, 128), |(i, j)| ((i * 37 + j * 11) % 101) as f32 - 50.0);
/// let q = Codebook::nf4().quantize(&weights)?;
/// assert_eq!((q.scales().len(), q.bytes()), (8, 256 + 4 * 8 + 4 * 16)); // codes, scales, the table
/// assert!(q.keeps_zero());
///
/// let powers = Codebook::new(vec![-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]).per_channel(Axis(0));
/// let q = powers.quantize(&array![[8.0_f32, -3.0, 0.5]])?;
/// assert_eq!(q.codes(), array![[6, 1, 3]].into_dyn()); // −3/8 is midway between −0.5 and −0.25: the lower
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::NumberOutOfRange`]: no entries, more than 256, or nothing but zeros.
/// * [`Error::NotANumber`], [`Error::Infinite`]: the first entry or weight that is not finite.
/// * [`Error::NoCodeForNan`]: NaN should be propagated.
/// * [`Error::AxisOutOfRange`] and the others of [`Granularity::scales`].
/// * [`Error::ScaleOverflow`]: weights that are too large for a scale in f32.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Codebook {
    entries: Vec<f32>,
    /// None: groups along the last axis.
    granularity: Option<Granularity>,
    by_inverse: bool,
    non_finite: NonFinite,
}

impl Codebook {
    /// These entries, in any order: the code of entry i is i.
    pub const fn new(entries: Vec<f32>) -> Self {
        Self {
            entries,
            granularity: Some(Granularity::PerTensor),
            by_inverse: false,
            non_finite: NonFinite::Error,
        }
    }

    /// NF4: the numbers of bitsandbytes. torchao has them to four digits, as entries for [`new`](Self::new).
    pub fn nf4() -> Self {
        Self {
            granularity: None,
            ..Self::new(NF4.to_vec())
        }
    }

    /// FP4 as bitsandbytes has it: sign, two bits of exponent, one of fraction, in the order of the bit patterns; its
    /// two zeros are one here, code 0.
    pub fn fp4() -> Self {
        let entry = |code: usize| {
            let number = FP4[code % FP4.len()];
            if code < FP4.len() {
                number
            } else {
                0.0 - number
            }
        };
        Self {
            granularity: None,
            ..Self::new((0..2 * FP4.len()).map(entry).collect())
        }
    }

    granularity_settings!(granularity, Some);
    non_finite_setting!();

    /// The same, where w · (1 / s), rounded twice, takes the place of w / s: bitsandbytes computes so, and near a
    /// boundary some weights fall on its other side.
    #[must_use]
    pub const fn by_inverse(mut self) -> Self {
        self.by_inverse = true;
        self
    }

    /// The entries.
    pub fn entries(&self) -> &[f32] {
        &self.entries
    }

    /// What the codes mean.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`]: no entries, or more than 256.
    pub fn scheme(&self) -> Result<Scheme> {
        let wrong = self.entries.is_empty() || self.entries.len() > 256;
        if wrong {
            #[expect(clippy::cast_precision_loss, reason = "a message")]
            return Err(Error::NumberOutOfRange {
                what: "number of entries of a codebook",
                must: "1 to 256",
                value: self.entries.len() as f64,
            });
        }
        let bits = (self.entries.len() - 1).checked_ilog2().unwrap_or(0) + 1;
        Scheme::codebook(bits)
    }

    /// The weights as codes with these parameters, whose entries they have; of this quantizer count only
    /// [`by_inverse`](Self::by_inverse) and what becomes of NaN and infinity.
    ///
    /// # Errors
    ///
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
    /// * [`Error::WrongCount`]: parameters without a codebook.
    /// * Those of [`QuantizedTensor::from_codes`] for parameters that do not fit.
    pub fn quantize_with<F: Float, D: Dimension>(
        &self,
        weights: &ArrayRef<F, D>,
        parameters: &Parameters,
    ) -> Result<QuantizedTensor> {
        parameters.check(weights.shape())?;
        if !parameters.scheme().has_codebook() {
            return Err(Error::WrongCount {
                what: "codebooks",
                given: 0,
                expected: 1,
            });
        }
        let bits = parameters.scheme().bits();
        let entries = ascending(parameters.codebook(), bits, self.by_inverse);
        let casting = Casting::Entries(&entries);
        with_parameters(weights, parameters.clone(), casting, self.non_finite)
    }
}

/// The entries in ascending order, equal ones once.
pub(super) fn ascending(entries: &[f32], bits: u32, by_inverse: bool) -> Entries {
    let mut codes: Vec<(f32, u8)> = entries.iter().copied().zip(0..=u8::MAX).collect();
    // Both zeros are one number.
    codes.sort_by(|(a, _), (b, _)| (a + 0.0).total_cmp(&(b + 0.0)));
    codes.dedup_by(|(later, _), (earlier, _)| later == earlier);
    let mut boundaries = [f32::INFINITY; 256];
    for (boundary, pair) in boundaries.iter_mut().zip(codes.windows(2)) {
        *boundary = f32::midpoint(pair[0].0, pair[1].0);
        // Between neighbours there is no float, and what equals the upper one is not nearer to the lower.
        if *boundary >= pair[1].0 {
            *boundary = pair[0].0;
        }
    }
    let in_order = codes
        .iter()
        .zip(0..=u8::MAX)
        .all(|(entry, rank)| entry.1 == rank);
    let order = (!in_order).then(|| {
        let mut order = Box::new([0; 256]);
        for (to, &(_, code)) in order.iter_mut().zip(&codes) {
            *to = code;
        }
        order
    });
    Entries {
        bits,
        boundaries,
        few: codes.len() <= 16,
        order,
        scaling: if by_inverse {
            Scaling::MultiplyByInverse
        } else {
            Scaling::Divide
        },
    }
}

impl<F: Float> Quantizer<F> for Codebook {
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor> {
        let scheme = self.scheme()?;
        let granularity = Granularity::or_groups(self.granularity, weights.ndim());
        if let Some(index) = self.entries.iter().position(|entry| !entry.is_finite()) {
            let value = self.entries[index].into();
            return Err(Error::not_finite("entry of a codebook", vec![index], value));
        }
        let largest = self
            .entries
            .iter()
            .fold(0.0_f32, |most, entry| most.max(entry.abs()));
        if largest == 0.0 {
            return Err(Error::NumberOutOfRange {
                what: "largest magnitude of a codebook",
                must: "above 0",
                value: 0.0,
            });
        }
        let entries = ascending(&self.entries, scheme.bits(), self.by_inverse);
        let casting = (Casting::Entries(&entries), largest);
        by_largest(weights, (granularity, self.non_finite), casting, |scales| {
            Parameters::new(scheme, granularity, scales).with_codebook(self.entries.clone())
        })
    }
}

/// The quantiles of a normal distribution, as bitsandbytes writes them down.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// Twelfths, in the order of the bit patterns.
const FP4: [f32; 8] = [
    0.0,
    0.0625 / 12.0,
    8.0 / 12.0,
    1.0,
    4.0 / 12.0,
    6.0 / 12.0,
    2.0 / 12.0,
    3.0 / 12.0,
];
