//! Attention of several heads.

use crate::exponential::exp;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;
use std::ops::Range;

/// Queries, keys and values, a row for each token and a piece of the columns for each head.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    pub query: ArrayView2<'a, f32>,
    pub key: ArrayView2<'a, f32>,
    pub value: ArrayView2<'a, f32>,
    pub heads: usize,
}

impl Attention<'_> {
    /// For each token of each sentence and each head, the values of the sentence's tokens, weighted by the softmax of
    /// query · key / √width.
    ///
    /// Sentences lie one below the other and are the given ranges of rows. That a token sees its own sentence alone is
    /// the mask: no row is filled up, so no filling has to be masked.
    pub fn apply(&self, sentences: &[Range<usize>], out: ArrayViewMut2<'_, f32>) {
        let width = self.query.ncols() / self.heads;
        let mut pieces = Vec::with_capacity(sentences.len() * self.heads);
        let mut rest = out;
        for sentence in sentences {
            let (rows, below) = rest.split_at(Axis(0), sentence.len());
            let mut beside = rows;
            for head in 0..self.heads {
                let (piece, right) = beside.split_at(Axis(1), width);
                pieces.push((sentence.clone(), head * width..(head + 1) * width, piece));
                beside = right;
            }
            rest = below;
        }
        pieces
            .into_par_iter()
            .for_each(|(rows, columns, piece)| self.head(rows, columns, piece));
    }

    /// One head of one sentence.
    fn head(&self, rows: Range<usize>, columns: Range<usize>, mut out: ArrayViewMut2<'_, f32>) {
        let piece = s![rows.clone(), columns.clone()];
        let (query, key) = (self.query.slice(&piece), self.key.slice(&piece));
        let scale = 1.0 / (columns.len() as f32).sqrt();
        let mut weights = Array2::zeros((rows.len(), rows.len()));
        general_mat_mul(scale, &query, &key.t(), 0.0, &mut weights);
        for row in weights.rows_mut() {
            softmax(row);
        }
        general_mat_mul(1.0, &weights, &self.value.slice(&piece), 0.0, &mut out);
    }
}

/// Shares that add up to 1, by e to the power of each number.
fn softmax(mut row: ndarray::ArrayViewMut1<'_, f32>) {
    let largest = row.fold(f32::NEG_INFINITY, |largest, &x| largest.max(x));
    row.mapv_inplace(|x| exp(x - largest));
    let sum = row.sum();
    row /= sum;
}

#[cfg(test)]
mod tests {
    use super::Attention;
    use ndarray::{Array2, s};

    /// What the formula says, in f64 and number by number.
    fn slow(
        attention: &Attention<'_>,
        sentence: std::ops::Range<usize>,
        token: usize,
        column: usize,
    ) -> f64 {
        let width = attention.query.ncols() / attention.heads;
        let first = column / width * width;
        let weight = |other: usize| {
            let dot: f64 = (first..first + width)
                .map(|c| {
                    f64::from(attention.query[[token, c]]) * f64::from(attention.key[[other, c]])
                })
                .sum();
            (dot / (width as f64).sqrt()).exp()
        };
        let all: f64 = sentence.clone().map(weight).sum();
        let value = |other| weight(other) / all * f64::from(attention.value[[other, column]]);
        sentence.map(value).sum()
    }

    #[test]
    fn it_is_the_formula_and_stays_within_a_sentence() {
        let numbers = |seed: usize| {
            Array2::from_shape_fn((9, 8), |(i, j)| {
                ((seed + i * 8 + j) as f32 * 1.3).sin() * 2.0
            })
        };
        let (query, key, value) = (numbers(1), numbers(100), numbers(1000));
        let attention = Attention {
            query: query.view(),
            key: key.view(),
            value: value.view(),
            heads: 2,
        };
        let mut out = Array2::zeros((9, 8));
        attention.apply(&[0..3, 3..4, 4..9], out.view_mut());
        for sentence in [0..3, 3..4, 4..9] {
            for token in sentence.clone() {
                for column in 0..8 {
                    let right = slow(&attention, sentence.clone(), token, column);
                    let off = (f64::from(out[[token, column]]) - right).abs();
                    assert!(off < 2e-6, "token {token}, column {column}: off by {off:e}");
                }
            }
        }
        // A sentence of one token takes its own values.
        let alone = (&out.slice(s![3, ..]) - &value.slice(s![3, ..])).mapv(f32::abs);
        assert!(alone.iter().all(|off| *off < 1e-6), "{alone}");
    }
}
