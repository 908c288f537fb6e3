//! Weights in the order in which products read them.

/// Outputs in a panel: as many as a vector of 64 bytes has numbers of 32 bits.
pub(crate) const WIDTH: usize = 16;
/// Inputs that one instruction multiplies for each output.
pub(crate) const QUAD: usize = 4;

/// Four codes for each output of a panel, one vector: `[output][input]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Quads(pub(crate) [[i8; QUAD]; WIDTH]);

/// Codes of eight bits as panels of sixteen outputs, `[output / 16][input / 4][16][4]`.
///
/// All kernels read this layout. Outputs and inputs are filled up with zeros.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Panels {
    inputs: usize,
    outputs: usize,
    quads: Vec<Quads>,
    /// For each output the sum of its codes, zeros behind the last.
    sums: Vec<i32>,
    /// Whether a code is -128, which has no opposite among the codes.
    lowest: bool,
}

impl Panels {
    /// The most inputs there may be: sums of so many codes fit 32 bits, with a sign or without.
    pub(crate) const MOST_INPUTS: usize = 1 << 23;

    /// Packs rows of codes, one for each output.
    pub(crate) fn new(codes: &[i8], inputs: usize, outputs: usize) -> Self {
        debug_assert_eq!(codes.len(), inputs * outputs, "a code for each weight");
        debug_assert!(inputs <= Self::MOST_INPUTS, "sums fit");
        let deep = inputs.div_ceil(QUAD);
        let wide = outputs.div_ceil(WIDTH);
        let mut quads = vec![Quads([[0; QUAD]; WIDTH]); deep * wide];
        let mut sums = vec![0; wide * WIDTH];
        if inputs > 0 {
            for (output, row) in codes.chunks_exact(inputs).enumerate() {
                let panel = &mut quads[output / WIDTH * deep..][..deep];
                for (to, from) in panel.iter_mut().zip(row.chunks(QUAD)) {
                    to.0[output % WIDTH][..from.len()].copy_from_slice(from);
                }
                sums[output] = row.iter().map(|&code| i32::from(code)).sum();
            }
        }
        Self {
            inputs,
            outputs,
            quads,
            sums,
            lowest: codes.contains(&i8::MIN),
        }
    }

    pub(crate) const fn inputs(&self) -> usize {
        self.inputs
    }

    pub(crate) const fn outputs(&self) -> usize {
        self.outputs
    }

    /// Groups of four inputs, the last one filled up.
    pub(crate) const fn depth(&self) -> usize {
        self.inputs.div_ceil(QUAD)
    }

    /// For each output the sum of its codes, filled up to whole panels.
    pub(super) fn sums(&self) -> &[i32] {
        &self.sums
    }

    /// Whether a code is -128.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only instructions of x86-64 ask for it")
    )]
    pub(super) const fn has_lowest(&self) -> bool {
        self.lowest
    }

    /// Sixteen outputs, all inputs.
    #[inline(always)]
    pub(super) fn panel(&self, panel: usize) -> &[Quads] {
        let deep = self.depth();
        &self.quads[panel * deep..][..deep]
    }

    /// The code of one weight.
    pub(crate) fn code(&self, output: usize, input: usize) -> i8 {
        self.panel(output / WIDTH)[input / QUAD].0[output % WIDTH][input % QUAD]
    }

    /// Bytes that codes and sums take.
    pub(crate) const fn bytes(&self) -> usize {
        self.quads.len() * size_of::<Quads>() + self.sums.len() * size_of::<i32>()
    }
}

#[cfg(test)]
mod tests {
    use super::Panels;

    #[test]
    fn codes_come_back_and_are_summed() {
        for (inputs, outputs) in [(0, 3), (3, 0), (1, 1), (7, 17), (64, 32)] {
            let codes: Vec<i8> = (0..inputs * outputs)
                .map(|i| (i * 37 % 256) as u8 as i8)
                .collect();
            let panels = Panels::new(&codes, inputs, outputs);
            assert_eq!(panels.depth(), inputs.div_ceil(4));
            assert_eq!(panels.has_lowest(), codes.contains(&-128));
            for output in 0..outputs {
                let row = &codes[output * inputs..][..inputs];
                for (input, &code) in row.iter().enumerate() {
                    assert_eq!(panels.code(output, input), code);
                }
                let sum: i32 = row.iter().map(|&code| i32::from(code)).sum();
                assert_eq!(panels.sums()[output], sum);
            }
        }
    }
}
