//! In from and out to the matrices of `sprs`.

use super::{Csr, SparseLinear};
use crate::error::Result;
use crate::float::Float;
use ndarray::ArrayRef1;
use sprs::CsMat;

#[cfg_attr(docsrs, doc(cfg(feature = "sprs")))]
impl SparseLinear {
    /// A layer in the format [`SparseFormat::Csr`](super::SparseFormat::Csr) of a matrix outputs × inputs, whichever way
    /// it is compressed. Stored zeros stay stored.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::infer::SparseLinear;
    /// use rarefy::sprs::CsMat;
    ///
    /// let weights = CsMat::new((2, 3), vec![0, 1, 3], vec![2, 0, 1], vec![5.0_f32, -1.0, 1.0]);
    /// let layer = SparseLinear::from_sprs(&weights, None)?;
    /// assert_eq!(layer.to_sprs(), weights);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`from_csr`](Self::from_csr).
    pub fn from_sprs<F: Float>(weights: &CsMat<F>, bias: Option<&ArrayRef1<f32>>) -> Result<Self> {
        let rows = weights.to_csr();
        let csr = Csr {
            shape: rows.shape(),
            starts: rows.proper_indptr().into_owned(),
            columns: rows.indices().to_vec(),
            values: F::singles_of(rows.data()).into_owned(),
        };
        Self::from_csr(&csr, bias)
    }

    /// The stored weights as a matrix of compressed rows, exactly as they are computed with.
    pub fn to_sprs(&self) -> CsMat<f32> {
        let csr = self.to_csr();
        CsMat::new(csr.shape, csr.starts, csr.columns, csr.values)
    }
}
