//! Integers with a scale and a zero point for each group of inputs: what GPTQ and AWQ store, whatever way they pack it.

use super::dense::{Decoder, Dense, Made};
use crate::error::{Error, FileError, Result};
use crate::kernels::pack;
use crate::quantize::{Granularity, Parameters, QuantizedTensor, Scheme};
use crate::tensors::{DType, TensorInfo, TensorSource, TensorSourceExt};
use ndarray::Axis;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

/// What the name of the tensor of codes ends in.
const CODES: &str = ".qweight";

/// How the weights of a module are stored.
pub(super) trait Packing: Debug + Send + Sync {
    /// What the parts of a module are called, behind its name.
    const PARTS: &'static [&'static str];

    /// The dense tensor of a module, from what is known of its parts: they are of the right types and shapes.
    fn describe(&self, source: &dyn TensorSource, module: &str) -> Result<TensorInfo>;

    /// The integers of a module.
    fn read(&self, source: &dyn TensorSource, module: &str) -> Result<Integers>;
}

/// The integers of a module.
#[derive(Debug)]
pub(super) struct Integers {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) bits: u32,
    /// A row for each output, of whole bytes; so all rows together are one stream.
    pub(super) packed: Vec<u8>,
    /// One for each group of each output; those of an output are neighbours.
    pub(super) scales: Vec<f32>,
    /// The same. They may be 2ᵇ.
    pub(super) zeros: Vec<u16>,
    /// Inputs of a group.
    pub(super) group: usize,
    /// The group of each input, where groups are not simply neighbours.
    pub(super) group_of: Option<Vec<usize>>,
}

impl Integers {
    const fn groups(&self) -> usize {
        self.inputs.div_ceil(self.group)
    }

    const fn row_bytes(&self) -> usize {
        pack::bytes_for(self.inputs, self.bits)
    }

    fn unpack_row(&self, output: usize, codes: &mut [u8]) {
        let row = self.row_bytes();
        pack::unpack(&self.packed[output * row..][..row], self.bits, codes);
    }

    /// scale · (code − zero point), from an element on in row-major order.
    fn decode(&self, from: usize, values: &mut [f32]) {
        let mut codes = vec![0; self.inputs];
        let groups = self.groups();
        let (mut output, mut first, mut rest) = (from / self.inputs, from % self.inputs, values);
        while !rest.is_empty() {
            let (row, behind) = rest.split_at_mut(rest.len().min(self.inputs - first));
            self.unpack_row(output, &mut codes);
            let scales = &self.scales[output * groups..][..groups];
            let zeros = &self.zeros[output * groups..][..groups];
            let number = |code: u8, group: usize| {
                let steps = i16::from(code) - zeros[group].cast_signed();
                scales[group] * f32::from(steps)
            };
            let codes = &codes[first..][..row.len()];
            match &self.group_of {
                Some(group_of) => {
                    for ((value, &code), &group) in
                        row.iter_mut().zip(codes).zip(&group_of[first..])
                    {
                        *value = number(code, group);
                    }
                }
                None => {
                    for (place, (value, &code)) in row.iter_mut().zip(codes).enumerate() {
                        *value = number(code, (first + place) / self.group);
                    }
                }
            }
            (output, first, rest) = (output + 1, 0, behind);
        }
    }

    /// The same as a tensor, and which input each of its columns is, if not the one of its number.
    pub(super) fn quantized(mut self) -> Result<(QuantizedTensor, Option<Vec<usize>>)> {
        let order = match self.group_of.take() {
            None => None,
            Some(group_of) => Some(self.sort(&group_of)?),
        };
        let granularity = Granularity::PerGroup {
            axis: Axis(1),
            size: self.group,
        };
        let zeros = self.zeros.into_iter().map(i32::from).collect();
        let parameters = Parameters::new(Scheme::unsigned(self.bits)?, granularity, self.scales)
            .with_zero_points(zeros);
        let shape = vec![self.outputs, self.inputs];
        let tensor = QuantizedTensor::from_packed(shape, self.packed, parameters)?;
        Ok((tensor, order))
    }

    /// Brings the inputs of each group together, in their order within each.
    fn sort(&mut self, group_of: &[usize]) -> Result<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.inputs).collect();
        order.sort_by_key(|&input| group_of[input]);
        let mut counts = vec![0; self.groups()];
        group_of.iter().for_each(|&group| counts[group] += 1);
        let right = |group: usize| self.group.min(self.inputs - group * self.group);
        let mut uneven = counts.iter().enumerate();
        if let Some((group, count)) = uneven.find(|&(group, &count)| count != right(group)) {
            return Err(Error::File(FileError::CannotHold {
                format: "a quantized tensor",
                what: format!("group {group} of {count} inputs"),
                must: "groups as long as the configuration says; as a dense tensor it can be read",
            }));
        }
        let row = self.row_bytes();
        let (mut codes, mut sorted) = (vec![0; self.inputs], vec![0; self.inputs]);
        for output in 0..self.outputs {
            self.unpack_row(output, &mut codes);
            sorted
                .iter_mut()
                .zip(&order)
                .for_each(|(to, &input)| *to = codes[input]);
            pack::pack(&sorted, self.bits, &mut self.packed[output * row..][..row]);
        }
        Ok(order)
    }
}

/// The modules of a checkpoint and the integers of the one that is being read.
#[derive(Debug)]
pub(super) struct Modules<P> {
    pub(super) packing: P,
    pub(super) names: Vec<String>,
    held: Mutex<Option<(usize, Arc<Integers>)>>,
}

/// A checkpoint whose modules are those that have codes.
pub(super) fn open<S: TensorSource, P: Packing>(
    source: S,
    packing: P,
) -> Result<Dense<S, Modules<P>>> {
    let names = source
        .infos()
        .iter()
        .filter_map(|info| info.name.strip_suffix(CODES));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let mut made = Vec::with_capacity(names.len());
    for module in &names {
        made.push(Made {
            info: packing.describe(&source, module)?,
            leader: format!("{module}{CODES}"),
            parts: P::PARTS
                .iter()
                .map(|part| format!("{module}{part}"))
                .collect(),
        });
    }
    let held = Mutex::new(None);
    let modules = Modules {
        packing,
        names,
        held,
    };
    Dense::new(source, modules, &made)
}

impl<P: Packing> Decoder for Modules<P> {
    fn decode(
        &self,
        source: &dyn TensorSource,
        made: usize,
        from: usize,
        values: &mut [f32],
    ) -> Result<()> {
        let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match &*held() {
            Some((number, integers)) if *number == made => Some(Arc::clone(integers)),
            _ => None,
        };
        let integers = match kept {
            Some(integers) => integers,
            None => {
                let module = self.names.get(made).map_or("", String::as_str);
                let read = Arc::new(self.packing.read(source, module)?);
                *held() = Some((made, Arc::clone(&read)));
                read
            }
        };
        integers.decode(from, values);
        // Whoever reads a tensor in order needs it no more.
        if from + values.len() == integers.outputs * integers.inputs {
            *held() = None;
        }
        Ok(())
    }
}

/// Fails unless a part is there, of one of these types and of this shape.
pub(super) fn check_part(
    source: &dyn TensorSource,
    name: &str,
    dtypes: (&[DType], &'static str),
    shape: &[usize],
) -> Result<DType> {
    let info = source.info(name)?;
    let wrong = if !dtypes.0.contains(&info.dtype) {
        FileError::WrongDType {
            given: info.dtype.name(),
            expected: dtypes.1,
        }
    } else if info.shape != shape {
        FileError::WrongShape {
            given: info.shape.clone(),
            expected: shape.to_vec(),
        }
    } else {
        return Ok(info.dtype);
    };
    Err(Error::File(wrong).in_tensor(name))
}

/// Words of 32 bits; their sign has no meaning.
pub(super) const WORDS: (&[DType], &str) = (&[DType::I32, DType::U32], "I32");
/// Scales.
pub(super) const SCALES: (&[DType], &str) =
    (&[DType::F16, DType::Bf16, DType::F32], "F16, BF16 or F32");

/// The shape of the words of a module, which says how large it is; both lengths at least 1.
pub(super) fn shape_of_words(source: &dyn TensorSource, name: &str) -> Result<[usize; 2]> {
    let shape = &source.info(name)?.shape;
    match shape[..] {
        [rows, columns] if rows > 0 && columns > 0 => Ok([rows, columns]),
        _ => Err(Error::File(FileError::CannotHold {
            format: "a matrix of words",
            what: format!("the shape {shape:?}"),
            must: "two lengths of at least 1",
        })
        .in_tensor(name)),
    }
}

/// Rows of one number a group as columns: those of an output become neighbours.
pub(super) fn by_output<T: Copy>(by_group: &[T], outputs: usize) -> Vec<T> {
    let mut sorted = Vec::with_capacity(by_group.len());
    for output in 0..outputs {
        sorted.extend(by_group.iter().skip(output).step_by(outputs));
    }
    sorted
}
