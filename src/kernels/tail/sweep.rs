//! The exponentials of the classes outside S, and the gradient that is made of them.
//!
//! As everywhere a row is swept in blocks, each relative to its own largest logit. A block that has
//! classes of S is swept in a copy in which they are −∞, so no loop over classes need know of S.

use crate::kernels::arithmetic::{Arithmetic, Kernel};
use crate::kernels::dispatch::{vectorize, vectorize_arithmetic};
use crate::kernels::divergence::Store;
use crate::kernels::divergence::softmax::{Keep, Part, Whole, block, combine};
use crate::kernels::divergence::sums::BLOCK;
use crate::kernels::memory;
use crate::kernels::real::Real;

/// What a task needs while it goes through its rows.
#[derive(Default)]
pub(super) struct Scratch<F> {
    /// Whether gradients that replace others go past the caches.
    pub(super) streams: bool,
    /// exp(z − m) with m the largest logit of the block, 0 for the classes of S: of a row or a block.
    exponentials: Vec<F>,
    parts: Vec<Part>,
    members: Members,
    /// Of each class of S: the student's exponential, the teacher's, and the gradient.
    pub(super) inside: Inside<F>,
}

/// Numbers for each class of S, in its order.
#[derive(Default)]
pub(super) struct Inside<F> {
    pub(super) student: Vec<f64>,
    pub(super) teacher: Vec<f64>,
    pub(super) gradient: Vec<F>,
}

/// The classes of S by block.
#[derive(Default)]
struct Members {
    /// Where those of a block begin among `places`; the next number is where they end.
    starts: Vec<usize>,
    /// Their places in S.
    places: Vec<usize>,
}

impl Members {
    /// Counts the classes of each block, then puts each where its block has room.
    fn sort(&mut self, indices: &[u32], classes: usize) {
        self.starts.clear();
        self.starts.resize(classes.div_ceil(BLOCK) + 2, 0);
        self.places.resize(indices.len(), 0);
        // Two on, so that a start that has moved behind its own classes is where the next begin.
        for &index in indices {
            self.starts[index as usize / BLOCK + 2] += 1;
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
        for (place, &index) in indices.iter().enumerate() {
            let next = &mut self.starts[index as usize / BLOCK + 1];
            self.places[*next] = place;
            *next += 1;
        }
    }

    #[inline(always)]
    fn of(&self, block: usize) -> &[usize] {
        &self.places[self.starts[block]..self.starts[block + 1]]
    }
}

/// Sweeps the classes outside S, which are those that `indices` does not name.
pub(super) fn others<F: Real>(
    student: &[F],
    indices: &[u32],
    scratch: &mut Scratch<F>,
    keep: Keep,
) -> Whole {
    scratch.members.sort(indices, student.len());
    scratch.parts.clear();
    scratch
        .exponentials
        .resize(keep.room(student.len()), F::zero());
    vectorize_arithmetic(Others {
        student,
        indices,
        scratch,
        keep,
    })
}

struct Others<'a, F> {
    student: &'a [F],
    indices: &'a [u32],
    scratch: &'a mut Scratch<F>,
    keep: Keep,
}

impl<F: Real> Kernel for Others<'_, F> {
    type Output = Whole;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> Whole {
        let Self {
            student,
            indices,
            scratch,
            keep,
        } = self;
        let softening = F::softening(1.0);
        let mut copy = [F::zero(); BLOCK];
        for (number, logits) in student.chunks(BLOCK).enumerate() {
            let start = number * BLOCK;
            let e = &mut scratch.exponentials[keep.place(start..start + logits.len())];
            let members = scratch.members.of(number);
            let logits = if members.is_empty() {
                logits
            } else {
                memory::copy_ahead(logits, &mut copy, BLOCK);
                for &place in members {
                    copy[indices[place] as usize - start] = F::neg_infinity();
                }
                &copy[..logits.len()]
            };
            let (_, part) = block::<F, A>(logits, softening, e);
            scratch.parts.push(part);
        }
        combine(&mut scratch.parts, softening.hardened())
    }
}

/// Puts the gradient of a row into `gradient` or onto it: `factor` times the exponentials that were kept,
/// and for the classes of S what the scratch has for them.
pub(super) fn put<F: Real>(
    scratch: &Scratch<F>,
    indices: &[u32],
    factor: f64,
    store: Store,
    gradient: &mut [F],
) {
    vectorize(
        #[inline(always)]
        || {
            let mut buffer = [F::zero(); BLOCK];
            let exponentials = scratch.exponentials.chunks(BLOCK);
            let blocks = gradient.chunks_mut(BLOCK).zip(exponentials);
            for (number, (gradient, e)) in blocks.enumerate() {
                let factor = F::narrow(scratch.parts[number].factor * factor);
                let streams = store == Store::Write && scratch.streams;
                let to = if streams {
                    &mut buffer[..e.len()]
                } else {
                    &mut *gradient
                };
                let members = scratch.members.of(number).iter().map(|&place| {
                    let class = indices[place] as usize - number * BLOCK;
                    (class, scratch.inside.gradient[place])
                });
                match store {
                    Store::Write => {
                        for (g, &e) in to.iter_mut().zip(e) {
                            *g = e * factor;
                        }
                        members.for_each(|(class, g)| to[class] = g);
                    }
                    Store::Add => {
                        for (g, &e) in to.iter_mut().zip(e) {
                            *g = *g + e * factor;
                        }
                        members.for_each(|(class, g)| to[class] = to[class] + g);
                    }
                }
                if streams {
                    memory::stream(&buffer[..e.len()], gradient);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Members};

    #[test]
    fn members_are_found_in_their_blocks_and_nowhere_else() {
        let mut members = Members::default();
        for classes in [1, BLOCK, BLOCK + 1, 5 * BLOCK - 3] {
            for step in [1, 3, 700, classes] {
                // Downwards, so that their order is not that of the blocks.
                let indices: Vec<u32> = (0..classes as u32).step_by(step).collect();
                let indices: Vec<u32> = indices.into_iter().rev().collect();
                members.sort(&indices, classes);
                let mut seen = vec![false; indices.len()];
                for block in 0..classes.div_ceil(BLOCK) {
                    for &place in members.of(block) {
                        assert_eq!(indices[place] as usize / BLOCK, block);
                        assert!(!std::mem::replace(&mut seen[place], true));
                    }
                }
                assert!(seen.into_iter().all(|seen| seen), "{classes}, {step}");
            }
        }
    }
}
