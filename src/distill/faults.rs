//! What a kernel found wrong with a row, as an error.

use crate::error::Error;
use crate::kernels::divergence::{Fault, FaultyRow, Side};

/// The error that says so. `number` gives what a side has for a class of that row.
pub(super) fn error_of(faulty: FaultyRow, number: impl FnOnce(Side, usize) -> f64) -> Error {
    let FaultyRow { row, fault } = faulty;
    let name = |side| match side {
        Side::Student => "student",
        Side::Teacher => "teacher",
    };
    match fault {
        Fault::NotALogit { side, class } => {
            let what = match side {
                Side::Student => "student logit",
                Side::Teacher => "teacher logit",
            };
            Error::not_finite(what, vec![row, class], number(side, class))
        }
        Fault::NotAProbability { class } => Error::NotAProbability {
            index: vec![row, class],
            value: number(Side::Teacher, class),
        },
        Fault::AllMasked { side } => Error::MaskedRow {
            side: name(side),
            row,
        },
        Fault::RuledOut { side, class } => Error::InfiniteLoss {
            side: name(side),
            row,
            class,
        },
    }
}
