//! The threshold below which weights of many tensors go together, without having the tensors together.
//!
//! The key of a weight is the bits of its magnitude, which are in the order of magnitudes. The k-th lowest key is found
//! sixteen bits at a time, the highest first: a histogram over all tensors says which sixteen bits it has, and how many keys are
//! below them. It is exact, needs 512 KiB, and reads the tensors twice for f32 (four times where there is an f64), and
//! once more to count the keys that are equal to it.

use crate::error::{Error, FileError, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use crate::mask::Mask;
use crate::prune::Amount;
use crate::shape;
use crate::tensors::{DType, TensorInfo, TensorSource, TensorSourceExt};

/// Bits of a key that one reading decides.
const DIGIT: u32 = 16;
/// How many weights are read at a time.
const BLOCK: usize = 1 << 17;

/// Which weights of many tensors go together.
#[derive(Debug)]
pub(super) struct Threshold {
    /// Lower keys go.
    key: u64,
    /// Whether keys are those of f64.
    wide: bool,
    /// Of each tensor, its number, how many weights with just this key go, the first ones, and how many stay in all.
    tensors: Vec<(usize, usize, usize)>,
}

/// The key of a weight.
fn key(weight: f64, wide: bool) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "it came from an f32")]
    if wide {
        weight.abs().to_bits()
    } else {
        u64::from((weight as f32).abs().to_bits())
    }
}

impl Threshold {
    /// The threshold for `share` of the weights of these tensors. `seen` is called with every weight block, and may stop.
    pub(super) fn find(
        source: &dyn TensorSource,
        tensors: &[usize],
        share: f64,
        seen: &mut dyn FnMut(&TensorInfo, usize) -> Result<()>,
    ) -> Result<Self> {
        let infos: Vec<&TensorInfo> = tensors
            .iter()
            .map(|&tensor| &source.infos()[tensor])
            .collect();
        let wide = infos.iter().any(|info| info.dtype == DType::F64);
        let mut total = 0_usize;
        for info in &infos {
            let sum = total.checked_add(info.elements()?);
            total = sum.ok_or_else(|| Error::ShapeOverflow {
                shape: info.shape.clone(),
            })?;
        }
        let drop = Amount::Fraction(share).count(total)?;
        let bits = if wide { 64 } else { 32 };
        // The lowest key that stays has `drop` keys before it; where all go, a key that none has.
        let mut found = 0_u64;
        let mut before = drop;
        let all_go = drop == total;
        if !all_go {
            for shift in (0..bits / DIGIT).rev().map(|digit| digit * DIGIT) {
                let mut counts = vec![0_usize; 1 << DIGIT];
                for info in &infos {
                    each_key(source, info, wide, seen, |key| {
                        if (key >> shift) >> DIGIT == found {
                            counts[usize::from(low_digit(key >> shift))] += 1;
                        }
                    })?;
                }
                let mut digit = 0_u64;
                let here = counts.iter().find(|&&count| {
                    let here = before < count;
                    if !here {
                        before -= count;
                        digit += 1;
                    }
                    here
                });
                if here.is_none() {
                    return Err(changed(infos[0]));
                }
                found = found << DIGIT | digit;
            }
        }
        let key = if all_go { u64::MAX } else { found };
        // Of the keys that are the threshold itself, the first `before` go.
        let mut ties = if all_go { 0 } else { before };
        let mut counted = Vec::with_capacity(infos.len());
        for (info, &tensor) in infos.iter().zip(tensors) {
            let (mut below, mut equal) = (0, 0);
            each_key(source, info, wide, seen, |of_weight| {
                below += usize::from(of_weight < key);
                equal += usize::from(of_weight == key);
            })?;
            let go = equal.min(ties);
            ties -= go;
            counted.push((tensor, go, info.elements()?.saturating_sub(below + go)));
        }
        Ok(Self {
            key,
            wide,
            tensors: counted,
        })
    }

    /// How often these tensors are read.
    pub(super) fn readings(
        source: &dyn TensorSource,
        tensors: &[usize],
        share: f64,
    ) -> Result<u64> {
        let infos = || tensors.iter().map(|&tensor| &source.infos()[tensor]);
        let mut total = 0_usize;
        for info in infos() {
            total = total.saturating_add(info.elements()?);
        }
        let all_go = Amount::Fraction(share).count(total)? == total;
        let wide = infos().any(|info| info.dtype == DType::F64);
        Ok(match (all_go, wide) {
            (true, _) => 1,
            (false, false) => 3,
            (false, true) => 5,
        })
    }

    /// How many weights of a tensor stay.
    pub(super) fn kept(&self, tensor: usize) -> Option<usize> {
        self.of(tensor).map(|(_, _, kept)| kept)
    }

    fn of(&self, tensor: usize) -> Option<(usize, usize, usize)> {
        self.tensors
            .iter()
            .copied()
            .find(|(number, _, _)| *number == tensor)
    }

    /// The mask of a tensor that was counted.
    pub(super) fn mask(
        &self,
        tensor: usize,
        shape: &[usize],
        weights: &[impl Float],
    ) -> Result<Mask> {
        let mut ties = self.of(tensor).map_or(0, |(_, ties, _)| ties);
        let mut words = Vec::with_capacity(weights.len().div_ceil(64));
        for chunk in weights.chunks(64) {
            let mut word = 0;
            for (bit, &weight) in chunk.iter().enumerate() {
                let of_weight = key(weight.widen(), self.wide);
                let goes = of_weight < self.key || (of_weight == self.key && ties > 0);
                ties -= usize::from(goes && of_weight == self.key);
                word |= u64::from(!goes) << bit;
            }
            words.push(word);
        }
        Mask::from_parts(shape.to_vec(), words)
    }
}

/// The tensors are not what they were when they were read before.
fn changed(info: &TensorInfo) -> Error {
    Error::File(FileError::Damaged {
        path: info.name.clone(),
        why: "it changed while it was read".to_owned(),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits are asked for"
)]
fn low_digit(key: u64) -> u16 {
    key as u16
}

/// Calls `take` with the key of each weight.
fn each_key(
    source: &dyn TensorSource,
    info: &TensorInfo,
    wide: bool,
    seen: &mut dyn FnMut(&TensorInfo, usize) -> Result<()>,
    mut take: impl FnMut(u64),
) -> Result<()> {
    let not_a_number = |place| {
        let error = Error::NotANumber {
            what: "weight",
            index: shape::index_of(place, &info.shape),
        };
        error.in_tensor(&*info.name)
    };
    if wide {
        source.float_blocks(&info.name, BLOCK, &mut |from, block: &[f64]| {
            if let Some(place) = block.iter().position(|weight| weight.is_nan()) {
                return Err(not_a_number(from + place));
            }
            block.iter().for_each(|&weight| take(key(weight, true)));
            seen(info, block.len())
        })
    } else {
        source.float_blocks(&info.name, BLOCK, &mut |from, block: &[f32]| {
            if let Some(place) = block.iter().position(|weight| weight.is_nan()) {
                return Err(not_a_number(from + place));
            }
            let bits = |weight: f32| u64::from(weight.abs().to_bits());
            block.iter().for_each(|&weight| take(bits(weight)));
            seen(info, block.len())
        })
    }
}
