//! What a sparse layer stores of its weights.

/// Stored weights, in the order that their places give them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    /// The numbers themselves.
    Floats(Vec<f32>),
    /// Codes, and a scale for each output.
    Codes(Vec<i8>, Vec<f32>),
}

/// The largest code.
const MOST: f32 = 127.0;

/// The scale at which this magnitude is the largest code.
fn scale_for(largest: f32) -> f32 {
    if largest == 0.0 {
        return 1.0;
    }
    // Of the tiniest weights it would be no normal number, and inexact.
    let scale = (largest / MOST).max(f32::MIN_POSITIVE);
    // Of the largest weights it may have been rounded so far up that its code means infinity.
    match (scale * MOST).is_finite() {
        true => scale,
        false => scale.next_down(),
    }
}

impl Values {
    /// Codes of these numbers. `each` calls with the number of each value of an output.
    pub(super) fn quantized(
        &self,
        outputs: usize,
        each: impl Fn(usize, &mut dyn FnMut(usize)),
    ) -> Self {
        let Self::Floats(values) = self else {
            return self.clone();
        };
        let mut codes = vec![0; values.len()];
        let scale = |output| {
            let mut largest = 0.0_f32;
            each(output, &mut |value| {
                largest = largest.max(values[value].abs());
            });
            let scale = scale_for(largest);
            #[expect(clippy::cast_possible_truncation, reason = "a code of at most ±127")]
            each(output, &mut |value| {
                codes[value] = (values[value] / scale).round_ties_even().clamp(-MOST, MOST) as i8;
            });
            scale
        };
        let scales = (0..outputs).map(scale).collect();
        Self::Codes(codes, scales)
    }

    /// The number of a value of this output.
    pub(super) fn get(&self, output: usize, value: usize) -> f32 {
        match self {
            Self::Floats(values) => values[value],
            Self::Codes(codes, scales) => f32::from(codes[value]) * scales[output],
        }
    }

    /// Bytes of all that is held.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Floats(values) => size_of_val(values.as_slice()),
            Self::Codes(codes, scales) => codes.len() + size_of_val(scales.as_slice()),
        }
    }
}
