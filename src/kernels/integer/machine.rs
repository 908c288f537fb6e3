//! Which instructions multiply integers here.
//!
//! Apart from [`dispatch`](crate::kernels::dispatch): products of small integers are instructions that a compiler
//! does not find in a plain loop, and which of them a machine has does not follow from how wide its vectors are.

/// What multiplies integers. A value of it proves that this machine can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// A plain loop: any machine.
    Portable,
    /// `vpmaddubsw`, `vpsignb` and `vpmaddwd` on 32 bytes.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// `vpdpbusd` and `vpdpwssd` on 64 bytes.
    #[cfg(target_arch = "x86_64")]
    Vnni(Vnni),
}

/// Proof that the machine has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

/// Proof that the machine has AVX-512 F, BW, DQ, VL, VBMI and VNNI, and AVX2.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vnni(());

impl Machine {
    /// The fastest that this machine can.
    pub(crate) fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(vnni) = Vnni::detected() {
                return Self::Vnni(vnni);
            }
            if let Some(avx2) = Avx2::detected() {
                return Self::Avx2(avx2);
            }
        }
        Self::Portable
    }

    /// Calls `test` with each that this machine can, and says which it cannot.
    #[cfg(test)]
    pub(crate) fn each(mut test: impl FnMut(Self)) {
        test(Self::Portable);
        #[cfg(target_arch = "x86_64")]
        {
            let all = [
                ("AVX2", Avx2::detected().map(Self::Avx2)),
                ("VNNI", Vnni::detected().map(Self::Vnni)),
            ];
            for (name, machine) in all {
                match machine {
                    Some(machine) => test(machine),
                    None => {
                        use std::io::Write;
                        // Past the test harness, which swallows it: .ci/run counts these lines.
                        let line = format!("not run: this machine has no {name}\n");
                        let _ = std::io::stderr().write_all(line.as_bytes());
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// A value, if the machine has it.
    pub(crate) fn detected() -> Option<Self> {
        let has = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma");
        has.then_some(Self(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Vnni {
    /// A value, if the machine has it.
    pub(crate) fn detected() -> Option<Self> {
        let has = Avx2::detected().is_some()
            && std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512vbmi")
            && std::arch::is_x86_feature_detected!("avx512vnni");
        has.then_some(Self(()))
    }
}
