//! Hard targets for connectionist temporal classification, from what a teacher says of each frame.
//!
//! Graves et al. 2006, <https://www.cs.toronto.edu/~graves/icml_2006.pdf>: best path decoding.

use super::Lengths;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::best_class::best_classes;
use crate::kernels::divergence::{Fault, FaultyRow};
use crate::kernels::real::Real;
use ndarray::{ArrayRef3, s};

/// The label sequences that a teacher hears, to train a student with CTC on them.
///
/// In every frame within the length of its sequence the likeliest class is taken, the first of them on
/// a tie; repeats are merged, then blanks removed. `scores` of shape `[batch, time, classes]` are
/// logits, log-probabilities or probabilities: their order is all that counts. A frame of padding is
/// not read. For arrays of shape `[time, batch, classes]`, as PyTorch's `ctc_loss` takes them,
/// pass `scores.permuted_axes([1, 0, 2])`, a view.
///
/// # Examples
///
/// ```
/// use ndarray::{Array3, array};
/// use rarefy::distill::sequence::{Lengths, ctc_targets};
///
/// // Blank is 0. The teacher says: 1 1 - 1 2 2, and in the shorter one: - 2.
/// let said = array![[1, 1, 0, 1, 2, 2], [0, 2, 1, 1, 1, 1]];
/// let scores = Array3::from_shape_fn((2, 6, 3), |(b, t, c)| f32::from(said[[b, t]] == c));
/// let targets = ctc_targets(&scores, &Lengths::new([6, 2], 6)?, 0)?;
/// assert_eq!(targets, [vec![1, 1, 2], vec![2]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::NumberOutOfRange`]: the blank is not a class.
/// * [`Error::ShapeMismatch`]: the lengths are of a batch of another shape.
/// * [`Error::NotANumber`], [`Error::Infinite`]: a score is NaN or +∞; names batch, frame and class.
/// * [`Error::MaskedRow`]: all scores of a frame are −∞; names its row in `[batch · time]`.
pub fn ctc_targets<F: Float>(
    scores: &ArrayRef3<F>,
    lengths: &Lengths,
    blank: usize,
) -> Result<Vec<Vec<usize>>> {
    let (batch, time, classes) = scores.dim();
    check_blank(blank, classes)?;
    lengths.check("teacher scores", batch, time)?;
    let elements = array::elements(scores);
    let best = best_classes(&elements, classes, |row| lengths.contains(row))
        .map_err(|fault| error(fault, scores))?;
    let targets = lengths.as_slice().iter().enumerate();
    let targets = targets.map(|(sequence, &length)| {
        let start = sequence * time;
        ctc_collapse(&best[start..start + length], blank)
    });
    Ok(targets.collect())
}

/// Merges repeats, then removes blanks: from a class for each frame to the labels.
///
/// PyTorch: `torch.unique_consecutive(frames)`, then all that are not the blank.
///
/// # Examples
///
/// ```
/// use rarefy::distill::sequence::ctc_collapse;
///
/// assert_eq!(ctc_collapse(&[0, 3, 3, 0, 3, 1, 1, 0], 0), [3, 3, 1]);
/// ```
pub fn ctc_collapse(frames: &[usize], blank: usize) -> Vec<usize> {
    let mut labels = frames.to_vec();
    labels.dedup();
    labels.retain(|&label| label != blank);
    labels
}

#[expect(clippy::cast_precision_loss, reason = "for a message")]
fn check_blank(blank: usize, classes: usize) -> Result<()> {
    if blank < classes {
        return Ok(());
    }
    Err(Error::NumberOutOfRange {
        what: "blank",
        must: "one of the classes",
        value: blank as f64,
    })
}

fn error<F: Float>(FaultyRow { row, fault }: FaultyRow, scores: &ArrayRef3<F>) -> Error {
    // A row was read, so there are steps.
    let time = scores.dim().1.max(1);
    let (sequence, step) = (row / time, row % time);
    match fault {
        Fault::NotALogit { class, .. } => {
            let (what, index) = ("teacher score", vec![sequence, step, class]);
            let value = scores.slice(s![sequence, step, class]);
            let value = value.first().map_or(f64::NAN, |value| value.widen());
            Error::not_finite(what, index, value)
        }
        Fault::AllMasked { .. } | Fault::RuledOut { .. } | Fault::NotAProbability { .. } => {
            let side = "teacher";
            Error::MaskedRow { side, row }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lengths, ctc_targets};
    use ndarray::Array3;

    /// Frame by frame, as one would say it.
    fn slow(scores: &Array3<f64>, lengths: &[usize], blank: usize) -> Vec<Vec<usize>> {
        let mut targets = Vec::new();
        for (sequence, &length) in lengths.iter().enumerate() {
            let (mut labels, mut before) = (Vec::new(), None);
            for step in 0..length {
                let mut best = 0;
                for class in 1..scores.dim().2 {
                    if scores[[sequence, step, class]] > scores[[sequence, step, best]] {
                        best = class;
                    }
                }
                if before != Some(best) && best != blank {
                    labels.push(best);
                }
                before = Some(best);
            }
            targets.push(labels);
        }
        targets
    }

    #[test]
    fn targets_agree_with_the_slow_twin_in_any_layout() {
        // Few different scores, so that ties and repeats are many.
        let scores = Array3::from_shape_fn((5, 40, 4), |(b, t, c)| {
            ((b * 7919 + t * 104_729 + c * 1_299_709) % 1013 % 3) as f64
        });
        let lengths = [40, 0, 1, 17, 39];
        for blank in 0..4 {
            let right = slow(&scores, &lengths, blank);
            let lengths = Lengths::new(lengths, 40).unwrap();
            assert_eq!(ctc_targets(&scores, &lengths, blank).unwrap(), right);
            let time_first = scores.view().permuted_axes([1, 0, 2]);
            let time_first = time_first.as_standard_layout().into_owned();
            let view = time_first.view().permuted_axes([1, 0, 2]);
            assert_eq!(ctc_targets(&view, &lengths, blank).unwrap(), right);
        }
    }

    #[test]
    fn faults_are_named_and_padding_is_not_read() {
        let mut scores = Array3::<f32>::zeros((2, 3, 4));
        scores[[1, 2, 3]] = f32::NAN;
        scores[[0, 1, 2]] = f32::INFINITY;
        let text = |scores: &Array3<f32>, lengths: [usize; 2]| {
            let lengths = Lengths::new(lengths, 3).unwrap();
            ctc_targets(scores, &lengths, 0).unwrap_err().to_string()
        };
        let right = "teacher score [0, 1, 2] is inf, must be finite";
        assert_eq!(text(&scores, [3, 3]), right);
        assert_eq!(text(&scores, [1, 3]), "teacher score [1, 2, 3] is NaN");
        let lengths = Lengths::new([1, 2], 3).unwrap();
        let empty = vec![Vec::<usize>::new(); 2];
        assert_eq!(ctc_targets(&scores, &lengths, 0).unwrap(), empty);
        let masked = Array3::from_elem((2, 3, 4), f32::NEG_INFINITY);
        let right = "every logit of teacher row 3 is -inf, at least one must be finite";
        assert_eq!(text(&masked, [0, 3]), right);
        let error = ctc_targets(&scores, &lengths, 4).unwrap_err().to_string();
        assert_eq!(error, "blank must be one of the classes, got 4");
        let error = ctc_targets(&Array3::<f32>::zeros((2, 4, 4)), &lengths, 0).unwrap_err();
        let right = "shapes differ: teacher scores [2, 4], lengths for a batch [2, 3]";
        assert_eq!(error.to_string(), right);
    }
}
