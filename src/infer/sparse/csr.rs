//! In from and out to what others hold: compressed rows.

use super::checks::finite;
use super::{Places, SparseFormat, SparseLinear, Values};
use crate::error::{Error, InferError, Result};
use crate::infer::bias;
use crate::kernels::sparse::runs::Runs;
use ndarray::ArrayRef1;

/// Compressed sparse rows, in the three arrays that everyone has: PyTorch's `crow_indices`, `col_indices` and `values`,
/// SciPy's `indptr`, `indices` and `data`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Csr {
    /// How many rows and columns: outputs and inputs of a layer.
    pub shape: (usize, usize),
    /// For each row the place of its first value, and how many values there are at last.
    pub starts: Vec<usize>,
    /// The column of each value; they ascend in a row.
    pub columns: Vec<usize>,
    /// The values.
    pub values: Vec<f32>,
}

impl SparseLinear {
    /// A layer in the format [`SparseFormat::Csr`] of these parts. Stored zeros stay stored.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::infer::{Csr, SparseLinear};
    ///
    /// let csr = Csr {
    ///     shape: (2, 3),
    ///     starts: vec![0, 1, 3],
    ///     columns: vec![2, 0, 1],
    ///     values: vec![5.0, -1.0, 1.0],
    /// };
    /// let layer = SparseLinear::from_csr(&csr, None)?;
    /// assert_eq!(layer.to_dense(), array![[0.0, 0.0, 5.0], [-1.0, 1.0, 0.0]]);
    /// assert_eq!(layer.to_csr(), csr);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`Error::WrongCount`]: not one start more than rows, not one column for each value, or a bias that does not fit.
    /// * [`InferError::RowStart`], [`InferError::Column`]: starts or columns do not ascend, or leave their range.
    /// * [`InferError::TooLarge`]: there is more to store than 32 bits count.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: a value is (the index is its place), or a number of the bias.
    pub fn from_csr(csr: &Csr, bias: Option<&ArrayRef1<f32>>) -> Result<Self> {
        let (outputs, inputs) = csr.shape;
        let count = |what, given, expected| match given == expected {
            true => Ok(()),
            false => Err(Error::WrongCount {
                what,
                given,
                expected,
            }),
        };
        count(
            "starts of rows",
            csr.starts.len(),
            outputs.saturating_add(1),
        )?;
        count("columns", csr.columns.len(), csr.values.len())?;
        csr.check_places().map_err(Error::Infer)?;
        finite(&csr.values, &[csr.values.len()])?;
        let too_large = || Error::Infer(InferError::TooLarge { outputs, inputs });
        u32::try_from(inputs).map_err(|_| too_large())?;
        let starts = csr.starts.iter().map(|&start| u32::try_from(start));
        let starts = starts.collect::<Result<_, _>>().map_err(|_| too_large())?;
        let columns = csr.columns.iter().copied();
        let runs = Runs::of_parts(csr.shape, starts, columns).ok_or_else(too_large)?;
        Ok(Self {
            outputs,
            inputs,
            format: SparseFormat::Csr,
            places: Places::Runs(runs),
            values: Values::Floats(csr.values.clone()),
            bias: bias::checked(bias, outputs)?,
        })
    }

    /// The stored weights as compressed rows, whatever the format, exactly as they are computed with.
    pub fn to_csr(&self) -> Csr {
        let mut csr = Csr {
            shape: (self.outputs, self.inputs),
            starts: vec![0],
            ..Csr::default()
        };
        for output in 0..self.outputs {
            self.each(output, |value, input| {
                csr.columns.push(input);
                csr.values.push(self.values.get(output, value));
            });
            csr.starts.push(csr.values.len());
        }
        csr
    }
}

impl Csr {
    fn check_places(&self) -> Result<(), InferError> {
        let mut least = 0;
        for (row, &start) in self.starts.iter().enumerate() {
            let most = match row {
                0 => 0,
                _ => self.values.len(),
            };
            if row + 1 == self.starts.len() {
                least = most;
            }
            if !(least..=most).contains(&start) {
                return Err(InferError::RowStart {
                    row,
                    start,
                    least,
                    most,
                });
            }
            least = start;
        }
        for (row, ends) in self.starts.windows(2).enumerate() {
            let mut least = 0;
            for place in ends[0]..ends[1] {
                let (column, inputs) = (self.columns[place], self.shape.1);
                if !(least..inputs).contains(&column) {
                    return Err(InferError::Column {
                        row,
                        place,
                        column,
                        least,
                        inputs,
                    });
                }
                least = column + 1;
            }
        }
        Ok(())
    }
}
