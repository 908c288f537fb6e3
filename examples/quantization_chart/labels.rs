//! Finds room for the names of points.

use std::ops::Range;

pub const FONT: u32 = 13;
/// Of a letter in that size, about.
const LETTER: i32 = 7;
const HEIGHT: i32 = 14;

/// What is taken on the picture, in pixels across and down, and where names may be.
pub struct Labels {
    taken: Vec<(Range<i32>, Range<i32>)>,
    bounds: (Range<i32>, Range<i32>),
}

impl Labels {
    pub const fn new(bounds: (Range<i32>, Range<i32>)) -> Self {
        Self {
            taken: Vec::new(),
            bounds,
        }
    }

    pub fn take_dot(&mut self, (x, y): (i32, i32)) {
        self.taken.push((x - 5..x + 5, y - 5..y + 5));
    }

    pub fn take_line(&mut self, from: (i32, i32), to: (i32, i32)) {
        const PIECES: i32 = 16;
        for piece in 0..=PIECES {
            let between = |a: i32, b: i32| a + (b - a) * piece / PIECES;
            let (x, y) = (between(from.0, to.0), between(from.1, to.1));
            self.taken.push((x - 2..x + 2, y - 2..y + 2));
        }
    }

    /// Where the name of a point starts, seen from the point: the nearest free place beside it; and where a line from
    /// the point to it ends.
    pub fn place(&mut self, (x, y): (i32, i32), name: &str) -> ((i32, i32), (i32, i32)) {
        let width = LETTER * name.len() as i32;
        let area = |&(right, down): &(i32, i32)| {
            let (left, top) = (x + right, y + down);
            (left..left + width, top..top + HEIGHT)
        };
        let apart = |a: &Range<i32>, b: &Range<i32>| a.end <= b.start || b.end <= a.start;
        let within = |a: &Range<i32>, b: &Range<i32>| b.start <= a.start && a.end <= b.end;
        let free = |at: &&(i32, i32)| {
            let (across, down) = area(at);
            let mut taken = self.taken.iter();
            within(&across, &self.bounds.0)
                && within(&down, &self.bounds.1)
                && taken.all(|(x, y)| apart(x, &across) || apart(y, &down))
        };
        // Beside the point in rows of half a line, then the same farther away.
        let mut tries = Vec::new();
        for away in [8, 24, 48, 72] {
            for row in [0, -1, 1, -2, 2, -3, 3, -4, 4] {
                let down = (row - 1) * HEIGHT / 2;
                tries.extend([(away, down), (-away - width, down)]);
            }
        }
        let place = *tries.iter().find(free).unwrap_or(&tries[0]);
        self.taken.push(area(&place));
        let near = if place.0 > 0 {
            place.0 - 2
        } else {
            place.0 + width
        };
        (place, (near, place.1 + HEIGHT / 2))
    }
}
