//! Patches of an image of codes as rows, so that a convolution is a product.

use super::codes::{Coding, Rows, read, stride};
use super::panels::QUAD;
use crate::kernels::parallel::for_chunks_mut;

/// The shape of a convolution of one image; heights before widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) channels: usize,
    pub(crate) image: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
}

impl Geometry {
    /// Height and width of the result; none where the kernel reaches beyond the image and its border.
    pub(crate) fn out(&self) -> Option<[usize; 2]> {
        let of = |axis: usize| {
            let reach = self.dilation[axis].checked_mul(self.kernel[axis].checked_sub(1)?)?;
            let room = self.padded(axis)?.checked_sub(reach.checked_add(1)?)?;
            Some(room / self.stride[axis] + 1)
        };
        Some([of(0)?, of(1)?])
    }

    fn padded(&self, axis: usize) -> Option<usize> {
        self.padding[axis]
            .checked_mul(2)?
            .checked_add(self.image[axis])
    }

    /// Inputs of a patch, in the order \[row of the kernel\]\[column\]\[channel\].
    pub(crate) const fn inputs(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// Bytes of an image with its border and of all patches; none where they cannot be counted.
    pub(crate) fn bytes(&self) -> Option<(usize, usize)> {
        let image = self
            .padded(0)?
            .checked_mul(self.padded(1)?)?
            .checked_mul(self.channels)?;
        let [height, width] = self.out()?;
        let inputs = self.kernel[0]
            .checked_mul(self.kernel[1])?
            .checked_mul(self.channels)?;
        let row = stride(inputs.div_ceil(QUAD)).checked_mul(QUAD)?;
        let patches = height.checked_mul(width)?.checked_mul(row)?;
        Some((image, patches))
    }
}

/// Turns codes of `[channel][row][column]` into `[row][column][channel]` with a border of the code of 0.
pub(crate) fn border(codes: &[u8], geometry: &Geometry, zero: u8, image: &mut [u8]) {
    let Geometry {
        channels,
        image: [height, width],
        padding,
        ..
    } = *geometry;
    let across = (width + 2 * padding[1]) * channels;
    if across == 0 {
        return;
    }
    for_chunks_mut(image, across, |row, line| {
        let inside = row.checked_sub(padding[0]).filter(|&row| row < height);
        line.fill(zero);
        let Some(row) = inside else { return };
        let line = &mut line[padding[1] * channels..][..width * channels];
        for channel in 0..channels {
            let from = &codes[(channel * height + row) * width..][..width];
            for (to, &code) in line[channel..].iter_mut().step_by(channels).zip(from) {
                *to = code;
            }
        }
    });
}

/// Copies the patch of each number of the result into a row of codes. `scale` is that of the image.
pub(crate) fn patches<'a>(
    image: &[u8],
    geometry: &Geometry,
    (coding, zero): (Coding, i32),
    scale: &'a [f32],
    patches: &'a mut [u8],
    sums: Option<&'a mut [i32]>,
) -> Rows<'a> {
    let Geometry {
        channels,
        image: [_, width],
        kernel,
        stride: steps,
        padding,
        dilation,
    } = *geometry;
    let inputs = geometry.inputs();
    let depth = inputs.div_ceil(QUAD);
    let stride = stride(depth);
    let across = (width + 2 * padding[1]) * channels;
    let [_, columns] = geometry.out().unwrap_or_default();
    let bytes = stride * QUAD;
    for_chunks_mut(patches, columns.max(1) * bytes, |row, patches| {
        for (column, patch) in patches.chunks_exact_mut(bytes).enumerate() {
            let mut patch = &mut patch[..inputs];
            for y in 0..kernel[0] {
                let line = &image[(row * steps[0] + y * dilation[0]) * across..][..across];
                let start = column * steps[1] * channels;
                if dilation[1] == 1 {
                    let (to, rest) = patch.split_at_mut(kernel[1] * channels);
                    to.copy_from_slice(&line[start..][..to.len()]);
                    patch = rest;
                    continue;
                }
                for x in 0..kernel[1] {
                    let (to, rest) = patch.split_at_mut(channels);
                    to.copy_from_slice(&line[start + x * dilation[1] * channels..][..channels]);
                    patch = rest;
                }
            }
        }
    });
    let shift = zero - coding.zero();
    let patches = &*patches;
    let sums: &[i32] = match sums {
        None => &[],
        Some(sums) => {
            for_chunks_mut(sums, columns.max(1), |row, sums| {
                let patches = &patches[row * columns * bytes..];
                for (sum, patch) in sums.iter_mut().zip(patches.chunks_exact(bytes)) {
                    *sum = patch[..inputs].iter().map(|&code| read(code, shift)).sum();
                }
            });
            sums
        }
    };
    Rows::new(patches, (stride, depth), scale, sums, (coding, zero))
}
