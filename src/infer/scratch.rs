//! Memory that layers use while they compute.

pub(super) use crate::kernels::array::take;
use ndarray::{ArrayRef, Dimension};

/// Memory that layers use while they compute, kept from call to call.
///
/// One scratch serves any number of layers of any kind, one after the other; it grows to what the largest needs and
/// stays there. What it holds between calls has no meaning.
///
/// # Examples
///
/// ```
/// use rarefy::infer::Scratch;
///
/// let scratch = Scratch::default();
/// assert_eq!(scratch.bytes(), 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Codes of activations.
    pub(super) codes: Vec<u8>,
    /// Codes of an image, with its border.
    pub(super) image: Vec<u8>,
    /// Codes of the patches of an image.
    pub(super) patches: Vec<u8>,
    /// Scales and other floats.
    pub(super) floats: Vec<f32>,
    /// Inputs that do not lie in a row.
    pub(super) gathered: Vec<f32>,
    /// Sums of codes.
    pub(super) sums: Vec<i32>,
    /// Inputs in another order, one buffer for each such layer inside another.
    pub(super) reordered: Vec<Vec<f32>>,
}

impl Scratch {
    /// How many bytes it holds now.
    pub fn bytes(&self) -> usize {
        let reordered: usize = self.reordered.iter().map(Vec::capacity).sum();
        self.codes.capacity()
            + self.image.capacity()
            + self.patches.capacity()
            + 4 * (self.floats.capacity()
                + self.gathered.capacity()
                + self.sums.capacity()
                + reordered)
    }
}

/// The numbers of `x` in row-major order: borrowed where they lie so, gathered into `room` otherwise.
pub(super) fn in_order<'a, D: Dimension>(
    x: &'a ArrayRef<f32, D>,
    room: &'a mut Vec<f32>,
) -> &'a [f32] {
    if let Some(x) = x.as_slice() {
        return x;
    }
    let gathered = take(room, x.len());
    gathered.iter_mut().zip(x).for_each(|(to, x)| *to = *x);
    gathered
}
