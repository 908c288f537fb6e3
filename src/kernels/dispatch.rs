//! Runs a kernel compiled for the best instruction set of this machine.
//!
//! A kernel is a closure over an `#[inline(always)]` function. Handing it to [`vectorize`] inlines
//! it into a function that carries `#[target_feature]`, so one plain body is compiled once per
//! instruction set. Closures given to rayon do not carry the features along: call [`vectorize`]
//! inside the parallel chunk, not around it.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "calling a `#[target_feature]` function is unsafe; this is the one file that does. \
                  Measured on quantization to int8 (benches/quantize.rs): without it the same body \
                  runs on SSE2 alone"
    )
)]

#[cfg(target_arch = "x86_64")]
use super::arithmetic::Fused;
use super::arithmetic::{Baseline, Kernel};
use super::compare::{Anywhere, Sweep};
#[cfg(target_arch = "x86_64")]
use super::compare::{Avx2, Avx512};

/// An instruction set that kernels are compiled for, from the least to the most able.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What the target always has: SSE2 on x86-64, NEON on aarch64.
    Baseline,
    /// AVX2 and what came with it (x86-64-v3 without MOVBE).
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, CD, DQ and VL (x86-64-v4).
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// All levels of this target, whether this machine has them or not.
    #[cfg(test)]
    pub(crate) const ALL: &[Self] = &[
        Self::Baseline,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
    ];

    /// The most able level of this machine. Cheap: the standard library caches the answer.
    #[inline]
    fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
                && std::arch::is_x86_feature_detected!("bmi1")
                && std::arch::is_x86_feature_detected!("bmi2")
                && std::arch::is_x86_feature_detected!("lzcnt")
                && std::arch::is_x86_feature_detected!("popcnt");
            let avx512 = std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512cd")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vl");
            if avx2 && avx512 {
                return Self::Avx512;
            }
            if avx2 {
                return Self::Avx2;
            }
        }
        Self::Baseline
    }

    /// The level that [`vectorize`] uses now: this machine has it.
    #[inline]
    pub(super) fn current() -> Self {
        #[cfg(test)]
        if let Some(level) = forced::level() {
            return level;
        }
        Self::detected()
    }
}

/// Runs `kernel` compiled for the best instruction set of this machine.
#[inline]
pub(crate) fn vectorize<R>(kernel: impl FnOnce() -> R) -> R {
    match Level::current() {
        Level::Baseline => kernel(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `detected` returned (or a test asked for, after asking `detected`) a level at
        // least this able, so the CPU has every feature that `avx2` is compiled with.
        Level::Avx2 => unsafe { avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above, for the features of `avx512`.
        Level::Avx512 => unsafe { avx512(kernel) },
    }
}

/// Runs `kernel` compiled for the best instruction set of this machine, with the arithmetic it has.
#[inline]
pub(super) fn vectorize_arithmetic<K: Kernel>(kernel: K) -> K::Output {
    match Level::current() {
        Level::Baseline => kernel.run::<Baseline>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `vectorize`; FMA is among what both levels are detected by.
        Level::Avx2 => unsafe {
            avx2(
                #[inline(always)]
                || kernel.run::<Fused>(),
            )
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe {
            avx512(
                #[inline(always)]
                || kernel.run::<Fused>(),
            )
        },
    }
}

/// Runs `sweep` compiled for the best instruction set of this machine, with what compares there.
#[inline]
pub(super) fn vectorize_sweep<S: Sweep>(sweep: S) -> S::Output {
    match Level::current() {
        Level::Baseline => sweep.run(Anywhere),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            // SAFETY: the level was detected, and AVX2 is in it.
            let compare = unsafe { Avx2::assume() };
            // SAFETY: as in `vectorize`.
            unsafe {
                avx2(
                    #[inline(always)]
                    || sweep.run(compare),
                )
            }
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            // SAFETY: the level was detected, and AVX-512 F is in it.
            let compare = unsafe { Avx512::assume() };
            // SAFETY: as in `vectorize`.
            unsafe {
                avx512(
                    #[inline(always)]
                    || sweep.run(compare),
                )
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn avx2<R>(kernel: impl FnOnce() -> R) -> R {
    kernel()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(
    enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
)]
fn avx512<R>(kernel: impl FnOnce() -> R) -> R {
    kernel()
}

/// Lets a test run the same kernel at every level that the machine has.
#[cfg(test)]
pub(crate) mod forced {
    use super::Level;
    use std::cell::Cell;
    use std::io::Write;

    thread_local! {
        static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
    }

    pub(super) fn level() -> Option<Level> {
        FORCED.get()
    }

    /// Calls `test` once per level, in a pool of its own all of whose threads are forced to that level:
    /// levels need not agree to the bit, so other tests of the process must not see it.
    pub(crate) fn at_every_level(test: impl Fn(Level) + Sync) {
        for &level in Level::ALL {
            if level > Level::detected() {
                // Written past the test harness, which swallows what a passing test prints: .ci/run
                // counts these lines.
                let missing = format!("not run: this machine has no {level:?}\n");
                let _ = std::io::stderr().write_all(missing.as_bytes());
                continue;
            }
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(2)
                .start_handler(move |_| FORCED.set(Some(level)))
                .build()
                .expect("a pool of two threads");
            pool.install(|| test(level));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, forced, vectorize};

    #[test]
    fn every_level_runs_the_kernel() {
        forced::at_every_level(|level| {
            assert_eq!(Level::current(), level);
            let sum = vectorize(
                #[inline(always)]
                || (0..100_u32).sum::<u32>(),
            );
            assert_eq!(sum, 4950, "at {level:?}");
        });
    }

    #[test]
    fn the_detected_level_is_one_of_all() {
        assert!(Level::ALL.contains(&Level::detected()));
    }
}
