//! A mask as serde sees it: its shape and its words, checked when they come in.

use super::Mask;
use crate::error::{Error, Result};

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename = "Mask")]
pub(super) struct Written {
    shape: Vec<usize>,
    words: Vec<u64>,
}

impl From<Mask> for Written {
    fn from(mask: Mask) -> Self {
        let (shape, words) = mask.into_parts();
        Self { shape, words }
    }
}

impl TryFrom<Written> for Mask {
    type Error = Error;

    fn try_from(Written { shape, words }: Written) -> Result<Self> {
        Self::from_parts(shape, words)
    }
}
