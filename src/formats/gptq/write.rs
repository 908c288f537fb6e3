//! Writes the parts of a module as `gptq`, v1.

use super::packing::{WORD_BITS, turn};
use super::{GptqConfig, GptqWeights};
use crate::error::{Error, FileError, Result};
use crate::formats::words::{pack_rows, words_for};
use crate::kernels::pack;
use crate::quantize::{Granularity, Parameters, QuantizedTensor};
use crate::tensors::{DType, StoredTensor, TensorInfo};
use half::f16;
use ndarray::{Array1, Axis};

impl GptqWeights {
    /// The parts that [`encode`](Self::encode) will make of weights of this shape, outputs × inputs: for whoever has to
    /// say first what a file will hold.
    ///
    /// | name | type | shape |
    /// |---|---|---|
    /// | `module.qweight` | I32 | inputs · bits / 32, outputs |
    /// | `module.qzeros` | I32 | ⌈inputs / group⌉, outputs · bits / 32 |
    /// | `module.scales` | F16 | ⌈inputs / group⌉, outputs |
    /// | `module.g_idx` | I32 | inputs |
    ///
    /// `group` is how many inputs share a scale, `None` if all do. A bias is not among them; it stays as it is.
    ///
    /// # Errors
    ///
    /// [`FileError::CannotHold`]: bits that are not 2, 3, 4 or 8; inputs or outputs that 32 does not divide; a group of
    /// no inputs.
    pub fn infos(
        module: &str,
        [outputs, inputs]: [usize; 2],
        bits: u32,
        group: Option<usize>,
    ) -> Result<Vec<TensorInfo>> {
        if !matches!(bits, 2 | 3 | 4 | 8) {
            return Err(cannot(format!("{bits} bits"), "2, 3, 4 or 8 bits"));
        }
        for (count, of) in [(outputs, "outputs"), (inputs, "inputs")] {
            if count == 0 || count % WORD_BITS != 0 {
                return Err(cannot(
                    format!("{count} {of}"),
                    "multiples of 32; leave such a layer as it is",
                ));
            }
        }
        if group == Some(0) {
            return Err(cannot("groups of 0".to_owned(), "groups of at least 1"));
        }
        let groups = inputs.div_ceil(group.unwrap_or(inputs));
        let info = |part: &str, dtype, shape: &[usize]| {
            TensorInfo::new(format!("{module}.{part}"), dtype, shape)
        };
        Ok(vec![
            info("qweight", DType::I32, &[words_for(inputs, bits), outputs]),
            info("qzeros", DType::I32, &[groups, words_for(outputs, bits)]),
            info("scales", DType::F16, &[groups, outputs]),
            info("g_idx", DType::I32, &[inputs]),
        ])
    }

    /// The parts of a module, with their names, as v1 stores them.
    ///
    /// Codes of any scheme of integers are moved to 0 ..= 2ᵇ − 1, zero points with them: symmetric ones get 2ᵇ⁻¹. What a
    /// mask drops gets the code of 0. So what readers compute, scale · (code − zero point), is what
    /// [`dequantize`](Self::dequantize) gives, rounded by them to F16.
    ///
    /// # Errors
    ///
    /// [`FileError::CannotHold`]: those of [`infos`](Self::infos); a scheme that is not of integers; scales that are
    /// shared in another way than along the inputs; a zero point that is the lowest code, as 0 less one is no code; a
    /// scale that is no number of F16: [`half_scales`](Self::half_scales).
    pub fn encode(&self, module: &str) -> Result<Vec<(String, StoredTensor)>> {
        let encoded = self.parts(module);
        encoded.map_err(|error| error.in_tensor(module))
    }

    fn parts(&self, module: &str) -> Result<Vec<(String, StoredTensor)>> {
        let tensor = &self.tensor;
        let (scheme, shape) = (tensor.scheme(), tensor.shape());
        let &[outputs, inputs] = shape else {
            return Err(cannot(
                format!("a tensor of shape {shape:?}"),
                "outputs × inputs",
            ));
        };
        if !scheme.is_integer() {
            return Err(cannot(format!("{scheme:?}"), "codes that are integers"));
        }
        let (bits, group) = (scheme.bits(), group_of(tensor)?);
        let infos = Self::infos(module, [outputs, inputs], bits, group)?;
        let group = group.unwrap_or(inputs);
        let groups = inputs.div_ceil(group);
        // Two's complement becomes an offset of half the codes.
        let half = if scheme.is_signed() {
            1 << (bits - 1)
        } else {
            0
        };

        // One scale may serve all.
        let number = |output: usize, group: usize| match tensor.scales().len() {
            1 => 0,
            _ => output * groups + group,
        };
        let zero = |output: usize, group: usize| {
            let given = tensor.zero_points().get(number(output, group));
            u8::try_from(given.unwrap_or(&0) + i32::from(half)).unwrap_or(half)
        };
        let (mut scales, mut zeros) = (Vec::new(), Vec::new());
        for group in 0..groups {
            for output in 0..outputs {
                let place = number(output, group);
                scales.extend(half_of(tensor.scales()[place], place)?.to_le_bytes());
                zeros.push(zero(output, group).checked_sub(1).ok_or_else(|| {
                    cannot(
                        format!("zero point {place}, the lowest code"),
                        "zero points above the lowest code, as it stores them less one",
                    )
                })?);
            }
        }
        let mut codes = vec![0; outputs * inputs];
        pack::unpack(tensor.packed(), bits, &mut codes);
        codes.iter_mut().for_each(|code| *code ^= half);
        if let Some(mask) = tensor.mask() {
            for (place, _) in mask.iter().enumerate().filter(|(_, kept)| !kept) {
                codes[place] = zero(place / inputs, place % inputs / group);
            }
        }
        if let Some(order) = &self.order {
            let mut sorted = vec![0; inputs];
            for row in codes.chunks_mut(inputs) {
                sorted.copy_from_slice(row);
                for (&code, &input) in sorted.iter().zip(order) {
                    row[input] = code;
                }
            }
        }
        let words = pack_rows(&codes, inputs, bits);
        let bytes = [
            turn(&words, outputs, words_for(inputs, bits)),
            pack_rows(&zeros, outputs, bits),
            scales,
            StoredTensor::of(&self.group_numbers(inputs, group)?).into_bytes(),
        ];
        let stored = infos.into_iter().zip(bytes).map(|(info, bytes)| {
            let TensorInfo { name, dtype, shape } = info;
            Ok((name, StoredTensor::new(dtype, shape, bytes)?))
        });
        stored.collect()
    }

    /// The group of each input.
    fn group_numbers(&self, inputs: usize, group: usize) -> Result<Array1<i32>> {
        let mut numbers = Array1::zeros(inputs);
        for column in 0..inputs {
            let input = self.order.as_ref().map_or(column, |order| order[column]);
            numbers[input] = i32::try_from(column / group)
                .map_err(|_| cannot(format!("{inputs} inputs"), "groups that 31 bits count"))?;
        }
        Ok(numbers)
    }

    /// These parameters with each scale rounded to F16, half to even, so that [`encode`](Self::encode) takes them: for
    /// [`Linear::quantize_with`](crate::quantize::Linear::quantize_with), which then finds the codes that are nearest with
    /// the scales that are stored.
    ///
    /// # Errors
    ///
    /// [`FileError::TooLarge`]: a scale from 65520 on. [`Error::ScaleOutOfRange`]: one that becomes 0.
    pub fn half_scales(parameters: &Parameters) -> Result<Parameters> {
        let mut scales = Vec::with_capacity(parameters.scales().len());
        for (index, &scale) in parameters.scales().iter().enumerate() {
            let rounded = f16::from_f32(scale).to_f32();
            if rounded.is_infinite() {
                let (dtype, index) = ("F16", vec![index]);
                return Err(Error::File(FileError::TooLarge { dtype, index }));
            }
            if rounded == 0.0 {
                return Err(Error::ScaleOutOfRange { index, scale });
            }
            scales.push(rounded);
        }
        let (scheme, granularity) = (parameters.scheme(), parameters.granularity());
        Ok(Parameters::new(scheme, granularity, scales)
            .with_zero_points(parameters.zero_points().to_vec())
            .with_float_zero_points(parameters.float_zero_points().to_vec())
            .with_codebook(parameters.codebook().to_vec()))
    }
}

impl GptqConfig {
    /// What is to be said of these weights where [`GptqWeights::encode`] writes them.
    ///
    /// # Errors
    ///
    /// [`FileError::CannotHold`]: scales that are shared in another way than along the inputs.
    pub fn of(weights: &GptqWeights) -> Result<Self> {
        let tensor = &weights.tensor;
        let bits = tensor.scheme().bits();
        let middle = if tensor.scheme().is_signed() {
            0
        } else {
            1 << (bits - 1)
        };
        Ok(Self {
            desc_act: weights.order.is_some(),
            sym: tensor.zero_points().iter().all(|&zero| zero == middle),
            ..Self::new(bits, group_of(tensor)?)
        })
    }
}

/// How many inputs share a scale; `None` if all do.
fn group_of(tensor: &QuantizedTensor) -> Result<Option<usize>> {
    match tensor.granularity() {
        Granularity::PerTensor | Granularity::PerChannel(Axis(0)) | Granularity::PerToken => {
            Ok(None)
        }
        Granularity::PerGroup {
            axis: Axis(1),
            size,
        } => {
            let inputs = tensor.shape().get(1).copied().unwrap_or_default();
            Ok(Some(size).filter(|&size| size < inputs))
        }
        other => Err(cannot(
            format!("scales {other:?}"),
            "scales per group along the inputs, per output or per tensor",
        )),
    }
}

/// This scale as a number of F16.
fn half_of(scale: f32, place: usize) -> Result<f16> {
    let half = f16::from_f32(scale);
    if half.to_f32() == scale {
        return Ok(half);
    }
    Err(cannot(
        format!("scale {place}, {scale:?}"),
        "scales that are numbers of F16: round them by `half_scales`, then quantize",
    ))
}

fn cannot(what: String, must: &'static str) -> Error {
    let format = "GPTQ v1";
    Error::File(FileError::CannotHold { format, what, must })
}
