//! Arrays to try laws on: ranks 0 to 4, memory orders, views, special values.

use ndarray::{Array2, ArrayD, ArrayViewD, Axis, IxDyn, ShapeBuilder, Slice};
use ndarray_rand::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rarefy::Float;

/// What is in an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// All magnitudes differ.
    Distinct,
    /// A few magnitudes, both signs, zeros of both signs.
    Ties,
    /// One number.
    Equal,
    /// Nothing but zeros, of both signs.
    Zeros,
    /// From the smallest subnormal to nearly the largest number.
    Extreme,
}

pub(crate) const ALL_VALUES: [Values; 5] = [
    Values::Distinct,
    Values::Ties,
    Values::Equal,
    Values::Zeros,
    Values::Extreme,
];

/// Ranks 0 to 4, empty, one element, and one that is longer than a chunk of the kernels.
pub(crate) const SHAPES: [&[usize]; 9] = [
    &[],
    &[1],
    &[0],
    &[3, 0, 2],
    &[17],
    &[5, 13],
    &[4, 3, 7],
    &[2, 3, 4, 5],
    &[260, 257],
];

pub(crate) fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(crate) fn array<F: Float>(shape: &[usize], values: Values) -> ArrayD<F> {
    let mut random = generator(shape.iter().fold(11, |seed, &n| seed * 31 + n as u64));
    let mut place = 0_u32;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        place += 1;
        let sign = if random.random::<bool>() { 1.0 } else { -1.0 };
        let value = match values {
            // Distinct also in f32: 24 bits of a counter that is stirred by an odd factor.
            Values::Distinct => {
                sign * f64::from((place.wrapping_mul(0x9E_3779)) % (1 << 22) + 1) / 65_536.0
            }
            Values::Ties => sign * f64::from(random.random_range(0..4_u8)) / 2.0,
            Values::Equal => -0.75,
            Values::Zeros => sign * 0.0,
            Values::Extreme => {
                let extremes = [1e-45, 1e-38, 2.5e38, 1.0, 1e-20, 65_504.0];
                sign * extremes[random.random_range(0..extremes.len())]
            }
        };
        F::cast(value)
    })
}

/// The same logical array in other memory orders and as views: what `check` sees is always equal to
/// `array`, element by element.
pub(crate) fn each_layout<F: Float>(
    array: &ArrayD<F>,
    mut check: impl FnMut(&str, ArrayViewD<'_, F>),
) {
    check("standard", array.view());

    let mut fortran = ArrayD::zeros(array.raw_dim().f());
    fortran.assign(array);
    check("column-major", fortran.view());

    let mut reversed = array.clone();
    let mut strided_shape = array.shape().to_vec();
    for (axis, length) in strided_shape.iter_mut().enumerate() {
        reversed.invert_axis(Axis(axis));
        *length = *length * 3 + 1;
    }
    let mut reversed = reversed.as_standard_layout().into_owned();
    for axis in 0..array.ndim() {
        reversed.invert_axis(Axis(axis));
    }
    check("reversed", reversed.view());

    let mut padded = ArrayD::from_elem(IxDyn(&strided_shape), F::nan());
    let mut strided = padded.view_mut();
    for axis in 0..array.ndim() {
        let step = Slice::new(1, Some(1 + 3 * array.len_of(Axis(axis)) as isize), 3);
        strided.slice_axis_inplace(Axis(axis), step);
    }
    strided.assign(array);
    check("strided", strided.view());
}

pub(crate) fn logits<F: Float>(rows: usize, classes: usize, seed: u64, spread: f64) -> Array2<F> {
    let mut random = generator(seed);
    Array2::from_shape_simple_fn((rows, classes), || {
        F::cast((random.random::<f64>() - 0.5) * spread)
    })
}

/// Runs `work` in pools of 1, 2, 3 and 16 threads and checks that each gives the same.
pub(crate) fn same_in_every_pool<T: PartialEq + std::fmt::Debug + Send>(
    work: impl Fn() -> T + Sync,
) -> T {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(&work)
    };
    let first = in_pool(1);
    for threads in [2, 3, 16] {
        assert!(
            in_pool(threads) == first,
            "{threads} threads give another result than one"
        );
    }
    first
}
