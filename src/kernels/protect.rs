//! Keeps the highest few of every slice.

use super::bits::words_for;
use super::runs;
use super::select::Keys;
use super::units::Slices;

/// Mask bits that are set for the `keep` highest keys of every slice, or for all where it has fewer; of equal keys
/// the higher place stays.
pub(crate) fn keep_in_each_slice<K: Keys>(keys: &K, slices: Slices, keep: usize) -> Vec<u64> {
    let Slices {
        outer,
        count,
        inner,
    } = slices;
    let mut words = vec![0; words_for(keys.len())];
    let mut order = Vec::with_capacity(outer * inner);
    for slice in 0..count {
        order.clear();
        for row in 0..outer {
            let start = (row * count + slice) * inner;
            order.extend((start..start + inner).map(|place| (keys.key(place), place)));
        }
        let drop = order.len().saturating_sub(keep);
        if drop > 0 && drop < order.len() {
            order.select_nth_unstable(drop);
        }
        for &(_, place) in &order[drop..] {
            runs::set(&mut words, place..place + 1);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::keep_in_each_slice;
    use crate::kernels::runs::is_set;
    use crate::kernels::select::{Keys, Magnitudes};
    use crate::kernels::units::Slices;

    #[test]
    fn every_slice_keeps_its_highest() {
        let (outer, count, inner) = (4, 5, 3);
        let weights: Vec<f32> = (0..60).map(|i| (i * 7919 % 13) as f32).collect();
        let keys = Magnitudes(&weights);
        let slices = Slices {
            outer,
            count,
            inner,
        };
        for keep in [0, 1, 5, 12, 99] {
            let words = keep_in_each_slice(&keys, slices, keep);
            for slice in 0..count {
                let mut places: Vec<usize> =
                    (0..60).filter(|i| i / inner % count == slice).collect();
                places.sort_by_key(|&place| keys.key(place));
                let drop = places.len().saturating_sub(keep);
                for (rank, &place) in places.iter().enumerate() {
                    assert_eq!(
                        is_set(&words, place),
                        rank >= drop,
                        "{keep} of slice {slice}"
                    );
                }
            }
        }
    }
}
