//! Who shares a scale.

use crate::error::{Error, Result};
use crate::kernels::tiling::Tiling;
use ndarray::Axis;

/// Which weights of a tensor share a scale.
///
/// | granularity | a scale for | scales of a `[rows, columns]` tensor |
/// |---|---|---|
/// | [`PerTensor`](Self::PerTensor) | all weights | 1 |
/// | [`PerChannel`](Self::PerChannel) | each index on an axis | rows, or columns |
/// | [`PerToken`](Self::PerToken) | each index on all axes but the last | rows |
/// | [`PerGroup`](Self::PerGroup) | so many neighbours on an axis, by themselves on all others | rows · ⌈columns ÷ size⌉ |
/// | [`PerBlock`](Self::PerBlock) | a block of so many along each axis | ⌈rows ÷ a⌉ · ⌈columns ÷ b⌉ |
///
/// Where a group or a block does not divide the axis, the last one has fewer. Scales stand in the row-major order of
/// their groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Granularity {
    /// All of them.
    #[default]
    PerTensor,
    /// Those with the same index on this axis. For a linear layer's weight of shape
    /// `[outputs, inputs]`, `Axis(0)` gives every output a scale of its own.
    PerChannel(#[cfg_attr(feature = "serde", serde(with = "crate::shape::number_of_axis"))] Axis),
    /// Those of one lane along the last axis: of a batch of activations, one token.
    PerToken,
    /// Neighbours along an axis, this many at a time.
    PerGroup {
        /// Along which axis.
        #[cfg_attr(feature = "serde", serde(with = "crate::shape::number_of_axis"))]
        axis: Axis,
        /// How many, at least one.
        size: usize,
    },
    /// Neighbours along each axis.
    PerBlock(BlockShape),
}

/// The settings of who shares a scale, for each quantizer that has a choice.
macro_rules! granularity_settings {
    ($field:ident $(, $wrap:path)?) => {
        /// The same with another granularity.
        #[must_use]
        pub const fn granularity(mut self, granularity: $crate::quantize::Granularity) -> Self {
            self.$field = $($wrap)?(granularity);
            self
        }

        /// The same with one scale for each index on `axis`.
        #[must_use]
        pub const fn per_channel(self, axis: ndarray::Axis) -> Self {
            self.granularity($crate::quantize::Granularity::PerChannel(axis))
        }

        /// The same with one scale for each `size` neighbours along `axis`.
        #[must_use]
        pub const fn per_group(self, axis: ndarray::Axis, size: usize) -> Self {
            self.granularity($crate::quantize::Granularity::PerGroup { axis, size })
        }

        /// The same with one scale for each lane along the last axis.
        #[must_use]
        pub const fn per_token(self) -> Self {
            self.granularity($crate::quantize::Granularity::PerToken)
        }
    };
}
pub(super) use granularity_settings;

/// The lengths of a block along each axis of a tensor, of at most eight axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Vec<usize>", into = "Vec<usize>")
)]
pub struct BlockShape {
    lengths: [usize; Self::MOST_AXES],
    axes: usize,
}

impl BlockShape {
    const MOST_AXES: usize = 8;

    /// Blocks of these lengths, one for each axis; a length beyond that of the axis is the whole axis.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] if a length is 0, or there are more than eight.
    pub fn new(lengths: &[usize]) -> Result<Self> {
        let mut held = [1; Self::MOST_AXES];
        let Some(to) = held.get_mut(..lengths.len()) else {
            #[expect(clippy::cast_precision_loss, reason = "a message")]
            return Err(Error::NumberOutOfRange {
                what: "number of lengths of a block",
                must: "at most 8",
                value: lengths.len() as f64,
            });
        };
        to.copy_from_slice(lengths);
        if lengths.contains(&0) {
            return Err(no_length("length of a block"));
        }
        Ok(Self {
            lengths: held,
            axes: lengths.len(),
        })
    }

    /// The lengths, one for each axis.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths[..self.axes]
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Vec<usize>> for BlockShape {
    type Error = Error;

    fn try_from(lengths: Vec<usize>) -> Result<Self> {
        Self::new(&lengths)
    }
}

#[cfg(feature = "serde")]
impl From<BlockShape> for Vec<usize> {
    fn from(shape: BlockShape) -> Self {
        shape.lengths().to_vec()
    }
}

fn no_length(what: &'static str) -> Error {
    Error::NumberOutOfRange {
        what,
        must: "at least 1",
        value: 0.0,
    }
}

impl Granularity {
    /// This, or where nothing is said groups of 64 neighbours along the last axis: the default of bitsandbytes and HQQ.
    pub(super) fn or_groups(given: Option<Self>, axes: usize) -> Self {
        const GROUP: usize = 64;
        given.unwrap_or(match axes {
            0 => Self::PerTensor,
            axes => Self::PerGroup {
                axis: Axis(axes - 1),
                size: GROUP,
            },
        })
    }

    /// How many scales a tensor of this shape has.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::Axis;
    /// use rarefy::quantize::{BlockShape, Granularity};
    ///
    /// assert_eq!(Granularity::PerTensor.scales(&[64, 120])?, 1);
    /// assert_eq!(Granularity::PerChannel(Axis(0)).scales(&[64, 120])?, 64);
    /// assert_eq!(Granularity::PerGroup { axis: Axis(1), size: 32 }.scales(&[64, 120])?, 64 * 4);
    /// assert_eq!(Granularity::PerBlock(BlockShape::new(&[16, 16])?).scales(&[64, 120])?, 4 * 8);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`Error::AxisOutOfRange`]: the shape has no such axis.
    /// * [`Error::NumberOutOfRange`]: a group of no weights.
    /// * [`Error::WrongCount`]: not a length of the block for each axis.
    /// * [`Error::ShapeOverflow`]: more scales than can be counted.
    pub fn scales(self, shape: &[usize]) -> Result<usize> {
        self.tiling(shape).map(|tiling| tiling.count())
    }

    /// Which element belongs to which scale.
    pub(crate) fn tiling(self, shape: &[usize]) -> Result<Tiling> {
        Tiling::new(shape, &self.tile(shape)?).ok_or_else(|| Error::ShapeOverflow {
            shape: shape.to_vec(),
        })
    }

    /// How many neighbours on each axis share a scale; at least the length where all do.
    pub(super) fn tile(self, shape: &[usize]) -> Result<Vec<usize>> {
        let mut tile = vec![Tiling::WHOLE; shape.len()];
        let there = |axis: Axis| match axis.index() < shape.len() {
            true => Ok(axis.index()),
            false => Err(Error::AxisOutOfRange {
                axis: axis.index(),
                ndim: shape.len(),
            }),
        };
        match self {
            Self::PerTensor => {}
            Self::PerChannel(axis) => tile[there(axis)?] = 1,
            Self::PerToken => {
                if let Some((_, outer)) = tile.split_last_mut() {
                    outer.fill(1);
                }
            }
            Self::PerGroup { size: 0, .. } => return Err(no_length("size of a group")),
            Self::PerGroup { axis, size } => {
                let axis = there(axis)?;
                tile.fill(1);
                tile[axis] = size;
            }
            Self::PerBlock(block) => {
                if block.axes != shape.len() {
                    return Err(Error::WrongCount {
                        what: "lengths of a block",
                        given: block.axes,
                        expected: shape.len(),
                    });
                }
                tile.copy_from_slice(block.lengths());
            }
        }
        Ok(tile)
    }
}

#[cfg(test)]
mod tests {
    use super::{BlockShape, Granularity};
    use crate::Error;
    use ndarray::Axis;

    #[test]
    fn an_axis_must_exist() {
        let error = Granularity::PerChannel(Axis(2))
            .scales(&[3, 4])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "axis 2 does not exist, the array has 2 axes"
        );
        assert!(Granularity::PerChannel(Axis(0)).scales(&[]).is_err());
        assert_eq!(Granularity::PerTensor.scales(&[]).unwrap(), 1);
        assert_eq!(Granularity::PerToken.scales(&[]).unwrap(), 1);
    }

    #[test]
    fn scales_are_counted() {
        let group = |axis, size| Granularity::PerGroup {
            axis: Axis(axis),
            size,
        };
        assert_eq!(group(1, 3).scales(&[2, 7, 5]).unwrap(), 2 * 3 * 5);
        assert_eq!(group(0, 100).scales(&[2, 7, 5]).unwrap(), 35);
        assert_eq!(Granularity::PerToken.scales(&[2, 7, 5]).unwrap(), 14);
        let block = |lengths: &[usize]| BlockShape::new(lengths).map(Granularity::PerBlock);
        assert_eq!(block(&[2, 4, 9]).unwrap().scales(&[3, 7, 5]).unwrap(), 4);
        assert_eq!(block(&[1, 1]).unwrap().scales(&[3, 0]).unwrap(), 0);
        assert!(matches!(
            block(&[2, 4]).unwrap().scales(&[3, 7, 5]),
            Err(Error::WrongCount {
                given: 2,
                expected: 3,
                ..
            })
        ));
        assert_eq!(
            group(0, 0).scales(&[3]).unwrap_err().to_string(),
            "size of a group must be at least 1, got 0"
        );
        assert!(block(&[1, 0]).is_err() && block(&[1; 9]).is_err());
        assert!(matches!(
            group(1, 1).scales(&[usize::MAX, 2]),
            Err(Error::ShapeOverflow { .. })
        ));
    }
}
