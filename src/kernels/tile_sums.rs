//! Sums over the elements of each tile, in f64: the same bits on any pool and any instruction set.
//!
//! A chunk sums what it has of each tile, in lanes whose number is fixed; chunks are then added in their order. So
//! each sum is a fixed tree of additions.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, map_chunks_mut, map_ranges};
use super::real::Real;
use super::tiling::Tiling;
use std::ops::Range;

/// Additions in flight.
const LANES: usize = 16;

/// The sums of a chunk, of the tiles from `first` on.
struct Partial<const K: usize> {
    first: usize,
    sums: Vec<[f64; K]>,
}

impl<const K: usize> Partial<K> {
    /// Zeros for every tile of a chunk. A chunk that ends one row of tiles and begins the next again may hold tiles
    /// that it does not touch; as there are no more of these than elements before it begins again, all partial sums
    /// together are no more than twice the elements.
    fn new(tiling: &Tiling, range: Range<usize>) -> Self {
        let (mut first, mut end) = (usize::MAX, 0);
        tiling.stretches(range, |_, tiles| {
            first = first.min(tiles.start);
            end = end.max(tiles.end);
        });
        Self {
            first,
            sums: vec![[0.0; K]; end.saturating_sub(first)],
        }
    }
}

fn merge<const K: usize>(partials: Vec<Partial<K>>, count: usize) -> Vec<[f64; K]> {
    let mut sums = vec![[0.0; K]; count];
    for Partial { first, sums: part } in partials {
        for (sum, part) in sums[first.min(count)..].iter_mut().zip(part) {
            add(sum, part);
        }
    }
    sums
}

#[inline(always)]
fn add<const K: usize>(sums: &mut [f64; K], terms: [f64; K]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += term;
    }
}

/// The lanes of each sum added up.
#[inline(always)]
fn fold<const K: usize>(lanes: [[f64; LANES]; K]) -> [f64; K] {
    lanes.map(
        #[inline(always)]
        |lanes| lanes.iter().sum(),
    )
}

/// Replaces each number of `gradient` and sums the terms of each tile.
///
/// `term` gets the value, the number of the gradient, what `prepare` made of the tile, and the index; it gives the
/// new number and the terms.
pub(super) fn replace_and_sum<F: Real, P: Copy, const K: usize>(
    values: &[F],
    gradient: &mut [F],
    tiling: &Tiling,
    prepare: impl Fn(usize) -> P + Sync,
    term: impl Fn(F, F, P, usize) -> (F, [f64; K]) + Sync,
) -> Vec<[f64; K]> {
    assert_eq!(values.len(), gradient.len(), "a gradient for each value");
    let partials = map_chunks_mut(gradient, CHUNK, |chunk, gradient| {
        let first = chunk * CHUNK;
        let range = first..first + gradient.len();
        let mut partial = Partial::<K>::new(tiling, range.clone());
        let values = &values[range.clone()];
        vectorize(
            #[inline(always)]
            || {
                tiling.stretches(
                    range,
                    #[inline(always)]
                    |stretch, tiles| {
                        let start = first + stretch.start;
                        let values = &values[stretch.clone()];
                        let gradient = &mut gradient[stretch];
                        let sums = &mut partial.sums[tiles.start - partial.first..];
                        if tiles.len() == 1 {
                            let tile = prepare(tiles.start);
                            add(&mut sums[0], one_tile(values, gradient, start, tile, &term));
                            return;
                        }
                        let pairs = values.iter().zip(gradient).zip(sums).zip(tiles);
                        for (offset, (((&value, to), sums), tile)) in pairs.enumerate() {
                            let terms;
                            (*to, terms) = term(value, *to, prepare(tile), start + offset);
                            add(sums, terms);
                        }
                    },
                );
            },
        );
        partial
    });
    merge(partials, tiling.count())
}

#[inline(always)]
fn one_tile<F: Real, P: Copy, const K: usize>(
    values: &[F],
    gradient: &mut [F],
    start: usize,
    tile: P,
    term: &impl Fn(F, F, P, usize) -> (F, [f64; K]),
) -> [f64; K] {
    let mut lanes = [[0.0; LANES]; K];
    let (blocks, rest) = values.as_chunks::<LANES>();
    let (to_blocks, to_rest) = gradient.as_chunks_mut::<LANES>();
    for (block, (values, to)) in blocks.iter().zip(to_blocks).enumerate() {
        for lane in 0..LANES {
            let index = start + block * LANES + lane;
            let terms;
            (to[lane], terms) = term(values[lane], to[lane], tile, index);
            for (lanes, term) in lanes.iter_mut().zip(terms) {
                lanes[lane] += term;
            }
        }
    }
    let start = start + blocks.len() * LANES;
    for (lane, (&value, to)) in rest.iter().zip(to_rest).enumerate() {
        let terms;
        (*to, terms) = term(value, *to, tile, start + lane);
        for (lanes, term) in lanes.iter_mut().zip(terms) {
            lanes[lane] += term;
        }
    }
    fold(lanes)
}

/// The sums over each tile of the terms of its values, which get what `prepare` made of the tile.
pub(super) fn sum<F: Real, P: Copy, const K: usize>(
    values: &[F],
    tiling: &Tiling,
    prepare: impl Fn(usize) -> P + Sync,
    term: impl Fn(F, P) -> [f64; K] + Sync,
) -> Vec<[f64; K]> {
    let partials = map_ranges(values.len(), CHUNK, |range| {
        let mut partial = Partial::<K>::new(tiling, range.clone());
        let values = &values[range.clone()];
        vectorize(
            #[inline(always)]
            || {
                tiling.stretches(
                    range,
                    #[inline(always)]
                    |stretch, tiles| {
                        let values = &values[stretch];
                        let sums = &mut partial.sums[tiles.start - partial.first..];
                        if tiles.len() > 1 {
                            for ((&value, sums), tile) in values.iter().zip(sums).zip(tiles) {
                                add(sums, term(value, prepare(tile)));
                            }
                            return;
                        }
                        let tile = prepare(tiles.start);
                        let mut lanes = [[0.0; LANES]; K];
                        let (blocks, rest) = values.as_chunks::<LANES>();
                        for block in blocks {
                            for lane in 0..LANES {
                                let terms = term(block[lane], tile);
                                for (lanes, term) in lanes.iter_mut().zip(terms) {
                                    lanes[lane] += term;
                                }
                            }
                        }
                        for (lane, &value) in rest.iter().enumerate() {
                            for (lanes, term) in lanes.iter_mut().zip(term(value, tile)) {
                                lanes[lane] += term;
                            }
                        }
                        add(&mut sums[0], fold(lanes));
                    },
                );
            },
        );
        partial
    });
    merge(partials, tiling.count())
}

#[cfg(test)]
mod tests {
    use super::{replace_and_sum, sum};
    use crate::kernels::dispatch::forced;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::tiling::Tiling;

    const SHAPES: [([usize; 3], [usize; 3]); 8] = [
        ([1, 1, 1], [1, 1, 1]),
        ([2, 3, CHUNK / 2 + 5], [usize::MAX; 3]),
        ([5, 3, 7], [1, 2, 4]),
        ([700, 3, 50], [usize::MAX, usize::MAX, 1]),
        ([700, 3, 50], [usize::MAX, 1, usize::MAX]),
        ([700, 3, 50], [1, usize::MAX, usize::MAX]),
        ([2, 300, 300], [usize::MAX, 1, 1]),
        ([0, 3, 50], [1, 1, usize::MAX]),
    ];

    #[test]
    fn sums_agree_with_a_plain_loop_and_with_each_other_at_every_level() {
        let bits = std::sync::Mutex::new(Vec::new());
        forced::at_every_level(|level| {
            let mut all = Vec::new();
            for (shape, tile) in SHAPES {
                let tiling = Tiling::new(&shape, &tile).expect("few tiles");
                let len: usize = shape.iter().product();
                let values: Vec<f32> = (0..len).map(|i| (i * 7919 % 1009) as f32 - 504.5).collect();
                let before: Vec<f32> = (0..len).map(|i| (i % 13) as f32 * 0.1).collect();
                let mut right = vec![[0.0_f64; 2]; tiling.count()];
                tiling.stretches(0..len, |stretch, tiles| {
                    let own = usize::from(tiles.len() > 1);
                    for (offset, place) in stretch.enumerate() {
                        let tile = tiles.start + own * offset;
                        let product = f64::from(values[place]) * f64::from(before[place]);
                        right[tile][0] += f64::from(values[place]);
                        right[tile][1] += product + tile as f64 + place as f64;
                    }
                });
                let mut gradient = before.clone();
                let sums = replace_and_sum(
                    &values,
                    &mut gradient,
                    &tiling,
                    |tile| tile as f64,
                    |x, g, tile, index| {
                        let (x, g) = (f64::from(x), f64::from(g));
                        ((x + 1.0) as f32, [x, x * g + tile + index as f64])
                    },
                );
                assert!(gradient.iter().zip(&values).all(|(g, x)| *g == x + 1.0));
                let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
                let alone = sum(&values, &tiling, |_| (), |x, ()| [f64::from(x)]);
                assert_eq!((sums.len(), alone.len()), (right.len(), right.len()));
                for ((sums, right), alone) in sums.iter().zip(&right).zip(&alone) {
                    let fine = near(sums[0], right[0]) && near(sums[1], right[1]);
                    assert!(fine, "{sums:?} {right:?} {shape:?} {tile:?} {level:?}");
                    assert_eq!(alone[0], sums[0], "{shape:?} {tile:?} {level:?}");
                }
                all.push(sums);
            }
            bits.lock().expect("no panic before").push(all);
        });
        let bits = bits.into_inner().expect("no panic");
        assert!(bits.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
