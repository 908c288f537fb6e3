//! Runs of neighbours along the inputs, a column for each; several outputs may share them.

use super::super::arithmetic::{Arithmetic, multiply_add};
use super::bits::rows;
use super::eights::{self, EIGHT};
use super::{FEW, Pattern, Sink, Stored, WORD, expand};
use std::ops::Range;

/// Blocks of `height` outputs × `width` inputs, or single weights (1 × 1, CSR).
///
/// Values lie output after output, and of each output run after run: the runs of all outputs of a block have the same
/// columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Runs {
    outputs: usize,
    inputs: usize,
    height: usize,
    run: usize,
    /// For each row of blocks the first of its columns, and how many there are at last.
    firsts: Vec<u32>,
    columns: Columns,
}

/// Columns of runs, in runs.
#[derive(Clone, Debug, PartialEq)]
enum Columns {
    /// At most 65536 of them.
    Short(Vec<u16>),
    /// More.
    Long(Vec<u32>),
}

impl Columns {
    fn push(&mut self, column: usize) -> Option<()> {
        match self {
            Self::Short(columns) => columns.push(u16::try_from(column).ok()?),
            Self::Long(columns) => columns.push(u32::try_from(column).ok()?),
        }
        Some(())
    }

    /// Gives back what growing left over.
    fn shrink(&mut self) {
        match self {
            Self::Short(columns) => columns.shrink_to_fit(),
            Self::Long(columns) => columns.shrink_to_fit(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Short(columns) => columns.len(),
            Self::Long(columns) => columns.len(),
        }
    }

    fn get(&self, number: usize) -> usize {
        match self {
            Self::Short(columns) => usize::from(columns[number]),
            Self::Long(columns) => columns[number] as usize,
        }
    }

    /// The narrowest columns that count to here.
    fn up_to(count: usize) -> Self {
        if count <= 1 << 16 {
            Self::Short(Vec::new())
        } else {
            Self::Long(Vec::new())
        }
    }
}

impl Runs {
    /// The blocks that have a weight that is not zero; they are no longer than the weights. None where there are too many to count in 32 bits.
    pub(crate) fn of_nonzero(
        weights: &[f32],
        (outputs, inputs): (usize, usize),
        (height, run): (usize, usize),
    ) -> Option<Self> {
        // What a block has beyond all weights would be stored for nothing.
        let (height, run) = (height.min(outputs.max(1)), run.min(inputs.max(1)));
        let across = inputs.div_ceil(run);
        let mut columns = Columns::up_to(across);
        let mut firsts = vec![0];
        let mut alive = vec![false; across];
        for first in (0..outputs).step_by(height) {
            alive.fill(false);
            for output in first..outputs.min(first + height) {
                let row = &weights[output * inputs..][..inputs];
                for (alive, run) in alive.iter_mut().zip(row.chunks(run)) {
                    *alive |= run.iter().any(|&weight| weight != 0.0);
                }
            }
            for (column, _) in alive.iter().enumerate().filter(|(_, alive)| **alive) {
                columns.push(column)?;
            }
            firsts.push(u32::try_from(columns.len()).ok()?);
        }
        columns.shrink();
        Some(Self {
            outputs,
            inputs,
            height,
            run,
            firsts,
            columns,
        })
    }

    /// CSR of these parts, which are right.
    pub(crate) fn of_parts(
        (outputs, inputs): (usize, usize),
        firsts: Vec<u32>,
        list: impl Iterator<Item = usize>,
    ) -> Option<Self> {
        let mut columns = Columns::up_to(inputs);
        for column in list {
            columns.push(column)?;
        }
        Some(Self {
            outputs,
            inputs,
            height: 1,
            run: 1,
            firsts,
            columns,
        })
    }

    /// The values of the blocks; zeros where a block reaches beyond the weights.
    pub(crate) fn values_of(&self, weights: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; self.columns.len() * self.height * self.run];
        for (output, row) in rows(weights, self.outputs, self.inputs).enumerate() {
            self.each(output, |value, input| values[value] = row[input]);
        }
        values
    }

    /// Calls with the number of each stored value of an output and its input.
    pub(crate) fn each(&self, output: usize, mut call: impl FnMut(usize, usize)) {
        let first = self.value(output);
        for (number, place) in self.places(output).enumerate() {
            let input = self.columns.get(place) * self.run;
            for offset in 0..self.run.min(self.inputs - input) {
                call(first + number * self.run + offset, input + offset);
            }
        }
    }

    /// Bytes of all that is held.
    pub(crate) fn bytes(&self) -> usize {
        let columns = match &self.columns {
            Columns::Short(columns) => size_of_val(columns.as_slice()),
            Columns::Long(columns) => size_of_val(columns.as_slice()),
        };
        columns + size_of_val(self.firsts.as_slice())
    }

    /// Where the columns of an output lie.
    #[inline(always)]
    fn places(&self, output: usize) -> Range<usize> {
        let block = output / self.height;
        self.firsts[block] as usize..self.firsts[block + 1] as usize
    }

    /// The first value of an output.
    #[inline(always)]
    fn value(&self, output: usize) -> usize {
        let places = self.places(output);
        (places.start * self.height + output % self.height * places.len()) * self.run
    }
}

impl Pattern for Runs {
    fn width(&self) -> usize {
        self.inputs
            .next_multiple_of(self.run)
            .next_multiple_of(WORD)
    }

    fn few(&self) -> usize {
        // Measured on 4096 × 4096, from 50 % to 95 % zeros.
        if self.run.is_multiple_of(EIGHT) && expand::is_quick() {
            16
        } else {
            FEW
        }
    }

    #[inline(always)]
    fn dot<A: Arithmetic, V: Stored, const ROWS: usize>(
        &self,
        output: usize,
        values: &[V],
        x: [&[f32]; ROWS],
    ) -> [f32; ROWS] {
        let places = self.places(output);
        let values = &values[self.value(output)..][..places.len() * self.run];
        match &self.columns {
            Columns::Short(columns) => dot::<A, _, _, _>(&columns[places], values, self.run, x),
            Columns::Long(columns) => dot::<A, _, _, _>(&columns[places], values, self.run, x),
        }
    }

    #[inline(always)]
    fn start(&self, output: usize) -> usize {
        self.places(output).start
    }

    #[inline(always)]
    fn walk<V: Stored>(
        &self,
        output: usize,
        at: &mut usize,
        inputs: Range<usize>,
        values: &[V],
        sink: &mut impl Sink,
    ) {
        let places = self.places(output);
        let values = &values[self.value(output) + (*at - places.start) * self.run..];
        let rest = *at..places.end;
        *at += match &self.columns {
            Columns::Short(columns) => walk(&columns[rest], values, self.run, inputs, sink),
            Columns::Long(columns) => walk(&columns[rest], values, self.run, inputs, sink),
        };
    }
}

#[inline(always)]
fn dot<A: Arithmetic, V: Stored, I: Copy + Into<u32>, const ROWS: usize>(
    columns: &[I],
    values: &[V],
    run: usize,
    x: [&[f32]; ROWS],
) -> [f32; ROWS] {
    // No closure: it would be compiled apart, without the instruction set.
    let mut sums = [0.0; ROWS];
    for (sum, x) in sums.iter_mut().zip(x) {
        *sum = match run {
            1 => dot_single::<A, _, _>(columns, values, x),
            _ if run.is_multiple_of(EIGHT) => eights::dot_runs(columns, values, run, x),
            _ => dot_any::<A, _, _>(columns, values, run, x),
        };
    }
    sums
}

/// One weight for each column.
#[inline(always)]
fn dot_single<A: Arithmetic, V: Stored, I: Copy + Into<u32>>(
    columns: &[I],
    values: &[V],
    x: &[f32],
) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0_f32; LANES];
    let (groups, rest) = columns.as_chunks::<LANES>();
    let (values, values_rest) = values.as_chunks::<LANES>();
    for (columns, values) in groups.iter().zip(values) {
        for lane in 0..LANES {
            let column: u32 = columns[lane].into();
            sums[lane] =
                multiply_add::<A, f32>(values[lane].number(), x[column as usize], sums[lane]);
        }
    }
    for (lane, (&column, &value)) in rest.iter().zip(values_rest).enumerate() {
        let column: u32 = column.into();
        sums[lane] = multiply_add::<A, f32>(value.number(), x[column as usize], sums[lane]);
    }
    sums.iter().sum()
}

/// Runs of any length.
#[inline(always)]
fn dot_any<A: Arithmetic, V: Stored, I: Copy + Into<u32>>(
    columns: &[I],
    values: &[V],
    run: usize,
    x: &[f32],
) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0_f32; LANES];
    for (&column, values) in columns.iter().zip(values.chunks_exact(run)) {
        let column: u32 = column.into();
        let x = &x[column as usize * run..][..run];
        for (values, x) in values.chunks(LANES).zip(x.chunks(LANES)) {
            for (sum, (value, x)) in sums.iter_mut().zip(values.iter().zip(x)) {
                *sum = multiply_add::<A, f32>(value.number(), *x, *sum);
            }
        }
    }
    sums.iter().sum()
}

/// Walks over the runs that begin in `inputs`, and says how many these were.
#[inline(always)]
fn walk<V: Stored, I: Copy + Into<u32>>(
    columns: &[I],
    values: &[V],
    run: usize,
    inputs: Range<usize>,
    sink: &mut impl Sink,
) -> usize {
    const ROOM: usize = 1024;
    // Columns ascend, so there are no more in these inputs than inputs. All are compared: vectors do that.
    let most = columns.len().min(inputs.len().div_ceil(run));
    let mut count = 0_u32;
    for &column in &columns[..most] {
        let column: u32 = column.into();
        count += u32::from((column as usize * run) < inputs.end);
    }
    let count = count as usize;
    let (columns, values) = (&columns[..count], &values[..count * run]);
    if run == 1
        && let super::Kind::Floats(values) = V::kind(values)
    {
        sink.take(columns, values);
        return count;
    }
    let (mut places, mut weights) = ([0_u32; ROOM], [0.0; ROOM]);
    if run == 1 {
        for (columns, values) in columns.chunks(ROOM).zip(values.chunks(ROOM)) {
            for (weight, value) in weights.iter_mut().zip(values) {
                *weight = value.number();
            }
            sink.take(columns, &weights[..columns.len()]);
        }
        return count;
    }
    let mut len = 0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no run is longer than the inputs, which 32 bits count"
    )]
    let run_length = run as u32;
    for (&column, values) in columns.iter().zip(values.chunks_exact(run)) {
        let mut place = column.into() * run_length;
        for part in values.chunks(ROOM) {
            if len + part.len() > ROOM {
                sink.take(&places[..len], &weights[..len]);
                len = 0;
            }
            let to = places[len..].iter_mut().zip(&mut weights[len..]);
            for ((to, weight), value) in to.zip(part) {
                (*to, *weight) = (place, value.number());
                place += 1;
            }
            len += part.len();
        }
    }
    sink.take(&places[..len], &weights[..len]);
    count
}
