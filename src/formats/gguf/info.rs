//! What a GGUF file says of a tensor.

use super::GgufType;
use crate::error::Result;

/// What a GGUF file says of a tensor: name, type, shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GgufTensorInfo {
    /// Its name in the model.
    pub name: String,
    /// The type that it is stored in.
    pub kind: GgufType,
    /// Its lengths, outermost first, row-major: the reverse of the file's order.
    pub shape: Vec<usize>,
}

impl GgufTensorInfo {
    /// A tensor of this name, type and shape.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::formats::GgufTensorInfo;
    /// use rarefy::quantize::BlockFormat;
    /// use rarefy::tensors::DType;
    ///
    /// let weight = GgufTensorInfo::new("blk.0.ffn_up.weight", BlockFormat::Q4_0, [4, 64]);
    /// assert_eq!(weight.bytes()?, 4 * 2 * 18);
    /// let norm = GgufTensorInfo::new("blk.0.ffn_norm.weight", DType::F32, [64]);
    /// assert_eq!(norm.bytes()?, 4 * 64);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    pub fn new(
        name: impl Into<String>,
        kind: impl Into<GgufType>,
        shape: impl Into<Vec<usize>>,
    ) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            shape: shape.into(),
        }
    }

    /// How many bytes it takes in the file, without what fills up to the next tensor.
    ///
    /// # Errors
    ///
    /// Those of [`GgufType::bytes_for`].
    pub fn bytes(&self) -> Result<usize> {
        self.kind.bytes_for(&self.shape)
    }
}
