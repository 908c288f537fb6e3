//! How many tokens go through the loss at a time, so that everything held fits a number of bytes.

use crate::error::{Error, Result};
use crate::kernels::product;

/// More tokens at a time make the products no faster.
const MOST_ROWS: usize = 256;
/// The products like whole groups of this many.
const GROUP: usize = 8;
/// The tasks of a stage may take one part in so many of the budget.
const PART_FOR_TASKS: usize = 8;
/// More tasks than this gain nothing: there are only so many rows and blocks.
const MOST_TASKS: usize = 64;
/// Bytes per token of all tokens: its share, its place, its values.
const PER_TOKEN: usize = 48;

/// What a loss is computed of, as far as memory goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) tokens: usize,
    pub(super) classes: usize,
    pub(super) student_width: usize,
    /// Of the teacher's hidden states, if they are read.
    pub(super) teacher_width: Option<usize>,
    /// Bytes of a float.
    pub(super) element: usize,
    pub(super) hard: bool,
    pub(super) gradient: bool,
    /// Whether rows are computed in f64 although they are not held in it.
    pub(super) wide: bool,
}

/// How the work is cut. It depends on sizes and budget alone, never on the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Tokens at a time.
    pub(super) rows: usize,
    /// Tasks over the rows of a tile, each of which holds a few rows of logits.
    pub(super) row_tasks: usize,
    /// Tasks over the blocks of a product, each of which holds copies of two blocks.
    pub(super) product_tasks: usize,
}

impl Sizes {
    /// Bytes that do not depend on the number of rows: per token, and per class for the biases and
    /// the gradient of one.
    const fn fixed(&self) -> usize {
        let tokens = self.tokens.saturating_mul(PER_TOKEN);
        let classes = self.classes.saturating_mul(8 + 2 * self.element);
        tokens.saturating_add(classes)
    }

    /// Bytes for each token of a tile: logits and hidden states of both, the gradient of the latter.
    const fn per_row(&self) -> usize {
        let (sides, teacher) = match self.teacher_width {
            Some(width) => (2, width),
            None => (1, 0),
        };
        let logits = self.classes.saturating_mul(sides);
        let hidden = self.student_width.saturating_mul(2).saturating_add(teacher);
        logits
            .saturating_add(hidden)
            .saturating_mul(self.element)
            .saturating_add(64)
    }

    /// Bytes for each task over rows: a row of the gradient, and what the kernels keep.
    const fn per_row_task(&self) -> usize {
        let wide = if self.wide {
            // Both sides, their exponentials and the gradient.
            self.classes.saturating_mul(5 * 8)
        } else {
            0
        };
        let rows = match (self.gradient, self.teacher_width.is_some() && self.hard) {
            (false, _) => return wide.saturating_add(2 * 512 * 8),
            (true, false) => 2,
            (true, true) => 3,
        };
        self.classes
            .saturating_mul(rows * self.element)
            .saturating_add(wide)
    }

    /// The plan that fits this many bytes.
    ///
    /// Stages follow one another, so what the tasks of one hold is free for those of the next.
    pub(super) fn plan(&self, budget: usize) -> Result<Plan> {
        let tasks = |bytes: usize| (budget / PART_FOR_TASKS / bytes.max(1)).clamp(1, MOST_TASKS);
        let (row_task, product_task) = (self.per_row_task(), product::bytes_per_task(self.element));
        let (row_tasks, product_tasks) = (tasks(row_task), tasks(product_task));
        let stages = (row_tasks.saturating_mul(row_task)).max(product_tasks * product_task);
        let rest = budget.saturating_sub(self.fixed().saturating_add(stages));
        let rows = (rest / self.per_row()).min(MOST_ROWS);
        if rows == 0 {
            let one = self.per_row().saturating_add(row_task.max(product_task));
            let least = self.fixed().saturating_add(one);
            return Err(Error::BudgetTooSmall { budget, least });
        }
        let whole = rows - rows % GROUP;
        Ok(Plan {
            rows: if whole == 0 { rows } else { whole },
            row_tasks,
            product_tasks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Plan, Sizes};
    use crate::Error;

    const LARGE: Sizes = Sizes {
        tokens: 4096,
        classes: 32_000,
        student_width: 768,
        teacher_width: Some(768),
        element: 4,
        hard: true,
        gradient: true,
        wide: false,
    };

    fn held(sizes: &Sizes, plan: Plan) -> usize {
        let stages = (plan.row_tasks * sizes.per_row_task())
            .max(plan.product_tasks * crate::kernels::product::bytes_per_task(sizes.element));
        sizes.fixed() + plan.rows * sizes.per_row() + stages
    }

    #[test]
    fn a_language_model_fits_48_mebibytes_in_large_tiles() {
        let plan = LARGE.plan(48 << 20).unwrap();
        assert!(plan.rows >= 128, "{plan:?}");
        assert!(held(&LARGE, plan) <= 48 << 20, "{plan:?}");
        assert!(plan.row_tasks >= 8 && plan.product_tasks >= 8, "{plan:?}");
    }

    #[test]
    fn every_plan_fits_its_budget_and_the_least_budget_is_enough() {
        for element in [4, 8] {
            for classes in [1, 100, 5000, 262_144] {
                for (hard, teacher_width) in [(true, Some(64)), (false, Some(9)), (true, None)] {
                    let sizes = Sizes {
                        tokens: 500,
                        classes,
                        teacher_width,
                        element,
                        hard,
                        ..LARGE
                    };
                    let Err(Error::BudgetTooSmall { least, .. }) = sizes.plan(0) else {
                        panic!("nothing fits into 0 bytes");
                    };
                    assert!(sizes.plan(least - 1).is_err());
                    for budget in [least, least + 1, 2 * least, 10 * least, 1 << 30] {
                        let plan = sizes.plan(budget.max(least)).unwrap();
                        assert!(held(&sizes, plan) <= budget.max(least), "{plan:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn sizes_beyond_counting_are_an_error() {
        let sizes = Sizes {
            classes: usize::MAX / 2,
            ..LARGE
        };
        assert!(sizes.plan(usize::MAX).is_err());
    }
}
