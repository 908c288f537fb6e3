//! How a machine multiplies and adds, for kernels that are bound by it.
//!
//! Fused, x·y + z is one instruction and one rounding, where the machine has it; it halves the work of a
//! polynomial. A [`Kernel`] is compiled for each instruction set with the arithmetic that it has. What
//! fused kernels give is the same for any number of threads and on all machines that fuse (x86-64 with
//! AVX2 and FMA, aarch64); the others (older x86-64, wasm32) round twice, and may differ in the last
//! digits. So nothing whose bits are promised everywhere, masks and codes above all, comes from one.

use super::real::Real;

/// How x·y + z is computed.
pub trait Arithmetic {
    /// Whether it is rounded once.
    const FUSED: bool;
}

/// One instruction, one rounding.
#[cfg_attr(
    all(
        not(test),
        not(any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_feature = "fma"
        ))
    ),
    expect(dead_code, reason = "a machine such as wasm32 never fuses")
)]
pub(super) enum Fused {}

/// Two instructions, two roundings.
pub(super) enum Separate {}

impl Arithmetic for Fused {
    const FUSED: bool = true;
}

impl Arithmetic for Separate {
    const FUSED: bool = false;
}

/// What the target has before anything is detected.
#[cfg(any(target_arch = "aarch64", target_feature = "fma"))]
pub(super) type Baseline = Fused;
/// What the target has before anything is detected.
#[cfg(not(any(target_arch = "aarch64", target_feature = "fma")))]
pub(super) type Baseline = Separate;

/// x·y + z.
///
/// Never fused where the machine cannot: the standard library then calls a function that takes as long
/// as the rest of the kernel.
#[inline(always)]
pub(super) fn multiply_add<A: Arithmetic, F: Real>(x: F, y: F, z: F) -> F {
    if A::FUSED { x.mul_add(y, z) } else { x * y + z }
}

/// A kernel that asks how this machine multiplies and adds.
pub(super) trait Kernel {
    /// What it gives.
    type Output;

    /// Runs it. To be `#[inline(always)]`, so that it is compiled for the instruction set of its caller.
    fn run<A: Arithmetic>(self) -> Self::Output;
}
