//! Adds a multiple of one array to another.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, for_chunks_mut};
use super::real::Real;

/// to + `scale` · from, into `to`.
pub(crate) fn add_scaled<F: Real>(scale: F, from: &[F], to: &mut [F]) {
    assert_eq!(from.len(), to.len(), "a term for every sum");
    for_chunks_mut(to, CHUNK, |chunk, to| {
        let from = &from[chunk * CHUNK..];
        vectorize(
            #[inline(always)]
            || {
                for (to, &from) in to.iter_mut().zip(from) {
                    *to = *to + scale * from;
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::add_scaled;
    use crate::kernels::parallel::CHUNK;

    #[test]
    fn every_number_gets_its_term() {
        let from: Vec<f64> = (0..CHUNK + 5).map(|i| i as f64).collect();
        let mut to = vec![1.0; CHUNK + 5];
        add_scaled(0.5, &from, &mut to);
        assert!(
            to.iter()
                .zip(&from)
                .all(|(to, from)| *to == 1.0 + 0.5 * from)
        );
    }
}
