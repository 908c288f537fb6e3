//! Teachers that are made of something else: of other teachers, of stored logits, of a closure.

mod averaging;
mod ensemble;
mod stored_logits;
mod teacher_fn;

pub use averaging::Averaging;
pub use ensemble::Ensemble;
pub use stored_logits::StoredLogits;
pub use teacher_fn::{TeacherFn, teacher_fn};
