//! Sorts places by key, equal keys by place.

use super::select::Keys;
use rayon::prelude::*;

/// The places in ascending order of key; of equal keys the lower place first.
///
/// The order is total, so that an unstable sort in any pool gives the same.
pub(crate) fn ascending<K: Keys>(keys: &K) -> Vec<usize> {
    let mut places: Vec<usize> = (0..keys.len()).collect();
    places.par_sort_unstable_by_key(|&place| (keys.key(place), place));
    places
}

#[cfg(test)]
mod tests {
    use super::ascending;
    use crate::kernels::select::{Keys, Magnitudes};

    #[test]
    fn it_is_a_stable_sort() {
        let weights: Vec<f32> = (0..50_000).map(|i| (i * 7919 % 101) as f32).collect();
        let keys = Magnitudes(&weights);
        let mut right: Vec<usize> = (0..weights.len()).collect();
        right.sort_by_key(|&place| keys.key(place));
        assert_eq!(ascending(&keys), right);
    }
}
