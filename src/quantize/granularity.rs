//! Who shares a scale.

use crate::error::{Error, Result};
use crate::kernels::extremes::Channels;
use ndarray::Axis;

/// Which weights of a tensor share a scale.
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
}

impl Granularity {
    /// How many scales a tensor of this shape has.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::Axis;
    /// use rarefy::quantize::Granularity;
    ///
    /// assert_eq!(Granularity::PerTensor.scales(&[64, 120])?, 1);
    /// assert_eq!(Granularity::PerChannel(Axis(0)).scales(&[64, 120])?, 64);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::AxisOutOfRange`] if the shape has no such axis.
    pub fn scales(self, shape: &[usize]) -> Result<usize> {
        self.channels(shape).map(|channels| channels.count)
    }

    /// Which element belongs to which scale.
    pub(crate) fn channels(self, shape: &[usize]) -> Result<Channels> {
        match self {
            // Longer than any tensor, so that it is one stretch.
            Self::PerTensor => Ok(Channels {
                count: 1,
                inner: usize::MAX,
            }),
            Self::PerChannel(Axis(axis)) => match shape.get(axis) {
                // A length of 0 elsewhere makes the tensor empty, and then nobody looks at `inner`;
                // it only must not be 0.
                Some(&count) => {
                    let inner = shape[axis + 1..]
                        .iter()
                        .fold(1, |n: usize, &m| n.saturating_mul(m));
                    Ok(Channels {
                        count,
                        inner: inner.max(1),
                    })
                }
                None => Err(Error::AxisOutOfRange {
                    axis,
                    ndim: shape.len(),
                }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Granularity;
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
    }

    #[test]
    fn elements_are_found_by_outer_channels_inner() {
        let channels = Granularity::PerChannel(Axis(1))
            .channels(&[2, 3, 4, 5])
            .unwrap();
        assert_eq!((channels.count, channels.inner), (3, 20));
        let empty = Granularity::PerChannel(Axis(0)).channels(&[3, 0]).unwrap();
        assert_eq!((empty.count, empty.inner), (3, 1));
    }
}
