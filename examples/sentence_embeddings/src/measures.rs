//! How near embeddings stayed to those of floats.

use ndarray::{Array2, ArrayView1};

/// What compressing did to embeddings of length 1, a row each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// The mean over sentences of the cosine between before and after.
    pub mean_cosine: f64,
    /// The cosine of the sentence that moved most.
    pub least_cosine: f64,
    /// Spearman's correlation of the similarities of all pairs of sentences, before and after: whether what was nearer
    /// than something else still is.
    pub spearman: f64,
}

impl Kept {
    pub fn between(before: &Array2<f32>, after: &Array2<f32>) -> Self {
        let rows = before.rows().into_iter().zip(after.rows());
        let cosines: Vec<f64> = rows.map(|(before, after)| cosine(before, after)).collect();
        Self {
            mean_cosine: mean(&cosines),
            least_cosine: cosines.iter().copied().fold(f64::INFINITY, f64::min),
            spearman: spearman(&pair_similarities(before), &pair_similarities(after)),
        }
    }
}

fn cosine(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    let dot = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The cosine of each pair of rows, each pair once.
fn pair_similarities(embeddings: &Array2<f32>) -> Vec<f64> {
    let rows = embeddings.nrows();
    let pairs = (0..rows).flat_map(|i| (i + 1..rows).map(move |j| (i, j)));
    pairs
        .map(|(i, j)| cosine(embeddings.row(i), embeddings.row(j)))
        .collect()
}

/// Pearson's correlation of the ranks.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let (middle_a, middle_b) = (mean(&a), mean(&b));
    let (mut both, mut only_a, mut only_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        let (a, b) = (a - middle_a, b - middle_b);
        both += a * b;
        only_a += a * a;
        only_b += b * b;
    }
    both / (only_a * only_b).sqrt()
}

/// The place of each value in their order, from 1 on; equal values share the mean of their places.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&place| ranks[place] = rank);
        before += equal.len();
    }
    ranks
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::{Kept, ranks, spearman};
    use ndarray::array;

    #[test]
    fn equal_values_share_the_mean_of_their_places() {
        assert_eq!(
            ranks(&[3.0, 1.0, 3.0, 0.0, 3.0]),
            [4.0, 2.0, 4.0, 1.0, 4.0],
            "three share 4"
        );
    }

    #[test]
    fn only_the_order_counts() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 10.0, 1000.0]);
        assert!((spearman(&a, &b) - 1.0).abs() < 1e-15, "the same order");
        let back = [4.0, 3.0, 2.0, 1.0];
        assert!(
            (spearman(&a, &back) + 1.0).abs() < 1e-15,
            "the other way round"
        );
        // 1 − 6 Σd² / (n (n² − 1)) where no values are equal: one swap of neighbours, Σd² = 2.
        let swapped = [1.0, 3.0, 2.0, 4.0];
        assert!((spearman(&a, &swapped) - 0.8).abs() < 1e-15, "one swap");
    }

    #[test]
    fn turning_all_embeddings_keeps_pairs_and_moves_cosines() {
        let before = array![[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]];
        let after = before.dot(&array![[0.0, 1.0], [-1.0, 0.0]]);
        let kept = Kept::between(&before, &after);
        assert!(
            kept.mean_cosine.abs() < 1e-7 && kept.least_cosine.abs() < 1e-7,
            "{kept:?}"
        );
        assert!(kept.spearman > 0.9, "{kept:?}");
    }
}
