//! What training through quantization needs of a float, compiled once with the crate.

use super::fake::{self, Fake};
use super::learned;
use super::real::Sealed;
use super::tiling::Tiling;

/// The kernels of [`fake`] and [`learned`] for one float: a supertrait of [`Float`](crate::Float), as [`Sealed`] is,
/// without a method that has a receiver.
#[doc(hidden)]
pub trait Trained: Sealed {
    fn fake_forward_in_place(values: &mut [Self], fake: Fake<'_>);
    fn fake_forward_into(values: &[Self], fake: Fake<'_>, to: &mut [Self]);
    fn fake_backward_in_place(values: &[Self], fake: Fake<'_>, gradient: &mut [Self]);
    fn fake_backward_into(
        values: &[Self],
        gradient: &[Self],
        fake: Fake<'_>,
        to: (bool, &mut [Self]),
    );
    fn learned_backward(values: &[Self], fake: Fake<'_>, gradient: &mut [Self]) -> Vec<[f64; 2]>;
    fn clipped_backward(values: &[Self], limit: Self, gradient: &mut [Self]) -> f64;
    fn mean_magnitudes(values: &[Self], tiling: &Tiling) -> Vec<f64>;
}

macro_rules! trained {
    ($($float:ty),+) => {$(
        impl Trained for $float {
            fn fake_forward_in_place(values: &mut [Self], fake: Fake<'_>) {
                fake::forward_in_place(values, fake);
            }
            fn fake_forward_into(values: &[Self], fake: Fake<'_>, to: &mut [Self]) {
                fake::forward_into(values, fake, to);
            }
            fn fake_backward_in_place(values: &[Self], fake: Fake<'_>, gradient: &mut [Self]) {
                fake::backward_in_place(values, fake, gradient);
            }
            fn fake_backward_into(
                values: &[Self],
                gradient: &[Self],
                fake: Fake<'_>,
                to: (bool, &mut [Self]),
            ) {
                fake::backward_into(values, gradient, fake, to);
            }
            fn learned_backward(
                values: &[Self],
                fake: Fake<'_>,
                gradient: &mut [Self],
            ) -> Vec<[f64; 2]> {
                learned::backward(values, fake, gradient)
            }
            fn clipped_backward(values: &[Self], limit: Self, gradient: &mut [Self]) -> f64 {
                learned::clipped_backward(values, limit, gradient)
            }
            fn mean_magnitudes(values: &[Self], tiling: &Tiling) -> Vec<f64> {
                learned::mean_magnitudes(values, tiling)
            }
        }
    )+};
}

trained!(f32, f64);
