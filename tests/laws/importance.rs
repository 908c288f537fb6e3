//! Laws of importances.

use crate::inputs::{ALL_VALUES, SHAPES, array, each_layout};
use ndarray::ArrayD;
use rarefy::Float;
use rarefy::prelude::*;
use rarefy::prune::{Elementwise, Magnitude};

fn all<F: Float>() -> Vec<(&'static str, Box<dyn Importance<F>>)> {
    vec![("magnitude", Box::new(Magnitude))]
}

fn check<F: Float>() {
    for (name, importance) in all::<F>() {
        for shape in SHAPES {
            for values in ALL_VALUES {
                let weights: ArrayD<F> = array(shape, values);
                let at = format!("{name} of {values:?} {shape:?}");
                let scores = importance.scores(&weights).unwrap();
                assert_eq!(scores.shape(), weights.shape(), "{at}");
                assert!(scores.iter().all(|score| !score.is_nan()), "{at}");
                each_layout(&weights, |layout, view| {
                    assert_eq!(importance.scores(&view).unwrap(), scores, "{layout}, {at}");
                });
                // The form that needs no array must be the same scores.
                match importance.elementwise() {
                    Some(Elementwise::Magnitude) => {
                        assert_eq!(scores, weights.mapv(|weight| weight.abs()), "{at}");
                    }
                    Some(Elementwise::Given(given)) => assert_eq!(*scores, *given, "{at}"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn importances_obey() {
    check::<f32>();
    check::<f64>();
}
