//! Batches of sequences: lengths to weights of rows, tokens to labels, frames to CTC targets.
//!
//! Logits of shape `[batch, time, classes]` flatten to rows of shape `[batch · time, classes]`, one
//! sequence behind the other. [`Lengths`] says which of those rows are padding, and how much each of
//! the others counts:
//!
//! | mean over | weights | reduction |
//! |---|---|---|
//! | tokens | [`token_weights`](Lengths::token_weights): 1, and 0 for padding | [`over_tokens`](Lengths::over_tokens) |
//! | sequences, of the mean over the tokens of each | [`sequence_weights`](Lengths::sequence_weights): 1 / length, and 0 for padding | [`over_sequences`](Lengths::over_sequences) |
//!
//! A row of padding weighs nothing and is not read: it may hold NaN. Lengths are whole numbers of
//! steps, never fractions of the longest.
//!
//! # Examples
//!
//! Frame-level distillation of a recogniser of speech, from a padded batch:
//!
//! ```
//! use ndarray::Array3;
//! use rarefy::distill::sequence::Lengths;
//! use rarefy::distill::{KlDivergence, Loss, Output, Target};
//!
//! let (batch, time, classes) = (2, 3, 4);
//! let lengths = Lengths::new([3, 1], time)?;
//! let student = Array3::<f32>::zeros((batch, time, classes));
//! let mut teacher = Array3::from_shape_fn((batch, time, classes), |(_, t, c)| (t * c) as f32);
//! teacher[[1, 2, 0]] = f32::NAN;
//!
//! let rows = (batch * time, classes);
//! let student = Output::from(student.into_shape_with_order(rows)?);
//! let teacher = Output::from(teacher.into_shape_with_order(rows)?);
//! let weights = lengths.token_weights();
//! let loss = KlDivergence::new(2.0).reduction(lengths.over_tokens());
//! let loss = loss.evaluate(&student, Target::from(&teacher).weights(&weights))?;
//! assert!((loss.value - 0.580_001).abs() < 1e-6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ctc;
mod lengths;
mod next_tokens;

pub use ctc::{ctc_collapse, ctc_targets};
pub use lengths::Lengths;
pub use next_tokens::NextTokens;
