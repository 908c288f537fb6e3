//! Against the formulas in f64, one tile and one weight after the other.

use super::{LARGE, Solver, Turn, share, solve};
use crate::kernels::dispatch::forced;
use crate::kernels::tiling::Tiling;
use std::sync::Mutex;

const WHOLE: usize = usize::MAX;

fn solver(bits: u32) -> Solver {
    Solver {
        highest: ((1 << bits) - 1) as f32,
        lp_norm: 0.7,
        beta: 6.0,
        kappa: 1.01,
        iterations: 20,
        round_start: false,
    }
}

/// About normal, some of them far out.
fn values(len: usize) -> Vec<f32> {
    let mut state = 5_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..len)
        .map(|i| (random() + random() + random()) * if i % 97 == 0 { 0.09 } else { 0.02 })
        .collect()
}

/// Scale and zero point of one tile.
fn slow(tile: &[f32], solver: &Solver) -> (f64, f64) {
    let w = || tile.iter().map(|&w| f64::from(w));
    let (low, high) = w().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), w| {
        (a.min(w), b.max(w))
    });
    let scale = (high - low) / f64::from(solver.highest);
    let mut zero = -low / scale;
    if solver.round_start {
        zero = zero.round_ties_even();
    }
    let (mut best, mut beta) = ((f64::INFINITY, zero), solver.beta);
    for _ in 0..=solver.iterations {
        let error = |w: f64| {
            let place = w / scale + zero;
            place
                - place
                    .round_ties_even()
                    .clamp(0.0, f64::from(solver.highest))
        };
        let squares: f64 = w().map(|w| error(w) * error(w)).sum();
        if squares < best.0 {
            best = (squares, zero);
        }
        let kept = |u: f64| {
            let left = u.abs() - u.abs().powf(solver.lp_norm - 1.0) / beta;
            if left > 0.0 { u.signum() * left } else { 0.0 }
        };
        let moves: f64 = w().map(|w| error(w) - kept(error(w))).sum();
        zero -= moves / tile.len() as f64;
        beta *= solver.kappa;
    }
    (scale, best.1)
}

/// Σ of squared errors in steps.
fn squares(tile: &[f32], (scale, zero): (f64, f64), highest: f32) -> f64 {
    let error = |&w: &f32| {
        let place = f64::from(w) / scale + zero;
        (place - place.round_ties_even().clamp(0.0, highest.into())).powi(2)
    };
    tile.iter().map(error).sum()
}

const SHAPES: [([usize; 2], [usize; 2]); 7] = [
    ([37, 200], [1, 64]),
    ([5, 33], [1, 5]),
    ([70, 19], [WHOLE, 1]),
    ([6, 3 * LARGE / 2 + 5], [1, WHOLE]),
    ([50, 60], [7, 9]),
    ([1, 4 * LARGE + 3], [1, WHOLE]),
    ([300, 64], [1, 64]),
];

#[test]
fn zero_points_are_as_good_as_those_of_the_slow_twin() {
    for bits in [1, 2, 3, 4, 8] {
        let solver = Solver {
            round_start: bits == 3,
            ..solver(bits)
        };
        for (shape, tile) in SHAPES {
            let values = values(shape[0] * shape[1]);
            let tiling = Tiling::new(&shape, &tile).unwrap();
            let (mut scales, mut zeros) = (vec![9.0; tiling.count()], vec![9.0; tiling.count()]);
            solve(&values, &tiling, &solver, &mut scales, &mut zeros).unwrap();
            let (mut ours, mut theirs, mut near) = (0.0, 0.0, 0);
            for number in 0..tiling.count() {
                let mut tile = Vec::new();
                tiling.runs(number, |run| tile.extend_from_slice(&values[run]));
                let right = slow(&tile, &solver);
                let found = (f64::from(scales[number]), f64::from(zeros[number]));
                if tile.len() > 1 {
                    assert!((found.0 / right.0 - 1.0).abs() < 1e-6, "{shape:?}");
                    ours += squares(&tile, found, solver.highest);
                    theirs += squares(&tile, right, solver.highest);
                } else {
                    assert_eq!(found.0 * -found.1, f64::from(tile[0]));
                }
                near += usize::from((found.1 - right.1).abs() < 1e-3 || tile.len() == 1);
            }
            let at = format!("{bits} bits, {shape:?}: {ours} {theirs}, {near}");
            // A code that is a tie to one and not to the other sends them different ways.
            assert!(ours <= theirs * 1.01 && theirs <= ours * 1.01, "{at}");
            assert!(
                near * 10 >= tiling.count() * 8,
                "{at} of {}",
                tiling.count()
            );
        }
    }
}

#[test]
fn every_level_gives_the_same_bits() {
    let seen = Mutex::new(Vec::new());
    forced::at_every_level(|_| {
        let mut all = Vec::new();
        for (shape, tile) in SHAPES {
            let values = values(shape[0] * shape[1]);
            let tiling = Tiling::new(&shape, &tile).unwrap();
            let (mut scales, mut zeros) = (vec![9.0; tiling.count()], vec![9.0; tiling.count()]);
            solve(&values, &tiling, &solver(3), &mut scales, &mut zeros).unwrap();
            all.push((scales, zeros));
        }
        seen.lock().unwrap().push(all);
    });
    let seen = seen.into_inner().unwrap();
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn the_share_of_an_error_that_moves_is_the_formulas() {
    for lp_norm in [0.1, 0.7, 1.0] {
        let solver = Solver {
            lp_norm,
            ..solver(4)
        };
        for (number, turn) in solver.turns().into_iter().enumerate() {
            let beta = solver.beta * solver.kappa.powi(number as i32);
            for i in 0..4000 {
                let u = i as f32 / 1000.0;
                let kept = (f64::from(u) - f64::from(u).powf(lp_norm - 1.0) / beta).max(0.0);
                let moves = if u == 0.0 { 0.0 } else { f64::from(u) - kept };
                let ours = f64::from(u * share(u, turn));
                assert!((ours - moves).abs() < 2e-6, "{u}: {ours}, not {moves}");
            }
        }
    }
    let turn = Turn {
        power: -1.9,
        shift: -2.0,
    };
    assert_eq!(share(0.0, turn), 1.0);
    assert!(share(1e30, turn) < 1e-20);
}

#[test]
fn equal_weights_and_ends_of_the_floats_are_exact() {
    let one = |values: &[f32]| {
        let tiling = Tiling::whole(values.len());
        let (mut scales, mut zeros) = ([9.0], [9.0]);
        solve(values, &tiling, &solver(2), &mut scales, &mut zeros).map(|()| (scales[0], zeros[0]))
    };
    for c in [
        0.37,
        -0.37,
        1e-40,
        -1e-45,
        0.0,
        -0.0,
        f32::MAX,
        -f32::MAX,
        f32::MIN_POSITIVE,
    ] {
        let (scale, zero) = one(&[c; 5]).unwrap();
        assert!(scale >= f32::MIN_POSITIVE, "{c}");
        assert_eq!((0.0 - zero) * scale, c, "{c}: {scale} {zero}");
    }
    assert!(one(&[f32::MAX / 2.0, -f32::MAX / 2.0, 1.0]).is_ok());
    assert_eq!(one(&[f32::MAX, -f32::MAX, 1.0]), Err(0));
    assert_eq!(one(&[f32::INFINITY, 1.0]), Err(0));
    assert_eq!(one(&[f32::INFINITY, f32::INFINITY]), Err(0));
    let (scale, _) = one(&[1e-45, 3e-45]).unwrap();
    assert_eq!(scale, f32::MIN_POSITIVE);
}
