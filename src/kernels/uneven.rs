//! What codes that are not evenly spaced need of a float, compiled once with the crate.

use super::lookup::{self, Lookup};
use super::real::Sealed;
use super::tiling::Tiling;

/// The kernels of [`lookup`] for one float: a supertrait of [`Float`](crate::Float), as [`Sealed`] is, without a
/// method that has a receiver.
#[doc(hidden)]
pub trait Uneven: Sealed {
    fn look_up(packed: &[u8], tiling: &Tiling, lookup: Lookup<'_>, values: &mut [Self]);
}

macro_rules! uneven {
    ($($float:ty),+) => {$(
        impl Uneven for $float {
            fn look_up(packed: &[u8], tiling: &Tiling, lookup: Lookup<'_>, values: &mut [Self]) {
                lookup::decode(packed, tiling, lookup, values);
            }
        }
    )+};
}

uneven!(f32, f64);
