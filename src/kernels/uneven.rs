//! What codes that are not evenly spaced need of a float, compiled once with the crate.

use super::cast::{self, Codes};
use super::clusters::{self, Start, Wanted};
use super::coding::Scaling;
use super::fitted::Trouble;
use super::lookup::{self, Lookup};
use super::minifloat::{E4M3, E5M2, round_to_odd};
use super::nearest::{Above, Among, Nearest, Sign};
use super::ranges::Finite;
use super::real::Sealed;
use super::tiling::Tiling;

/// Which number becomes which code.
#[derive(Clone, Copy, Debug)]
pub enum Casting<'a> {
    /// 1 unless the number is below 0.
    Sign,
    /// Bit patterns of E4M3.
    E4M3,
    /// Bit patterns of E5M2.
    E5M2,
    /// The nearest of some numbers.
    Entries(&'a Entries),
}

/// Numbers in ascending order, seen from what becomes which.
#[derive(Clone, Debug)]
pub struct Entries {
    pub(crate) bits: u32,
    /// What lies between neighbours, infinity behind the last.
    pub(crate) boundaries: [f32; 256],
    /// Whether at most 15 of them are finite.
    pub(crate) few: bool,
    /// The code of each number, if that is not its rank.
    pub(crate) order: Option<Box<[u8; 256]>>,
    pub(crate) scaling: Scaling,
}

impl Casting<'_> {
    /// Bits of a code.
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::Sign => 1,
            Self::E4M3 | Self::E5M2 => 8,
            Self::Entries(entries) => entries.bits,
        }
    }
}

/// The kernels of [`lookup`], [`cast`] and [`clusters`] for one float: a supertrait of [`Float`](crate::Float), as
/// [`Sealed`] is, without a method that has a receiver.
#[doc(hidden)]
pub trait Uneven: Sealed {
    fn look_up(packed: &[u8], tiling: &Tiling, lookup: Lookup<'_>, values: &mut [Self]);
    fn cast_with(
        values: &[Self],
        tiling: &Tiling,
        casting: Casting<'_>,
        scales: &[f32],
        packed: &mut [u8],
    );
    fn fit_and_cast(
        values: &[Self],
        tiling: &Tiling,
        fit: (f32, Finite),
        casting: Casting<'_>,
        to: (&mut [f32], &mut [u8]),
    ) -> Result<(), Trouble>;
    fn sorted(values: &[Self]) -> Vec<Self>;
    fn cluster(sorted: &[Self], starts: &[Start], wanted: Wanted) -> Vec<f64>;
    /// This number as an f32, rounded to odd.
    fn single_of(value: Self) -> f32;
}

/// Calls `$with` with the codes of a casting, whatever their type is.
macro_rules! cast_by {
    ($casting:expr, $narrow:expr, |$codes:ident| $with:expr) => {
        match $casting {
            Casting::Sign => {
                let $codes = Codes::plain(1, Sign);
                $with
            }
            Casting::E4M3 => {
                let $codes = Codes::plain(8, Nearest::<E4M3>::NEW);
                $with
            }
            Casting::E5M2 => {
                let $codes = Codes::plain(8, Nearest::<E5M2>::NEW);
                $with
            }
            Casting::Entries(entries) => {
                let boundaries = entries.boundaries.map($narrow);
                let (bits, scaling) = (entries.bits, entries.scaling);
                let order = entries.order.as_deref();
                match boundaries.first_chunk::<15>() {
                    Some(boundaries) if entries.few => {
                        let cast = Above {
                            boundaries,
                            scaling,
                        };
                        let $codes = Codes { bits, cast, order };
                        $with
                    }
                    _ => {
                        let cast = Among {
                            boundaries: &boundaries,
                            scaling,
                        };
                        let $codes = Codes { bits, cast, order };
                        $with
                    }
                }
            }
        }
    };
}

macro_rules! uneven {
    ($float:ty, $single:expr) => {
        impl Uneven for $float {
            fn look_up(packed: &[u8], tiling: &Tiling, lookup: Lookup<'_>, values: &mut [Self]) {
                lookup::decode(packed, tiling, lookup, values);
            }

            fn cast_with(
                values: &[Self],
                tiling: &Tiling,
                casting: Casting<'_>,
                scales: &[f32],
                packed: &mut [u8],
            ) {
                cast_by!(casting, <$float>::from, |codes| {
                    cast::cast_with(values, tiling, codes, scales, packed)
                });
            }

            fn fit_and_cast(
                values: &[Self],
                tiling: &Tiling,
                fit: (f32, Finite),
                casting: Casting<'_>,
                to: (&mut [f32], &mut [u8]),
            ) -> Result<(), Trouble> {
                cast_by!(casting, <$float>::from, |codes| {
                    cast::fit_and_cast(values, tiling, fit, codes, to)
                })
            }

            fn sorted(values: &[Self]) -> Vec<Self> {
                clusters::sorted(values)
            }

            fn cluster(sorted: &[Self], starts: &[Start], wanted: Wanted) -> Vec<f64> {
                clusters::best(sorted, starts, wanted)
            }

            #[inline(always)]
            fn single_of(value: Self) -> f32 {
                $single(value)
            }
        }
    };
}

uneven!(f32, std::convert::identity);
uneven!(f64, round_to_odd);
