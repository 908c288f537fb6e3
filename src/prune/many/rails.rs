//! Guard rails: what no selection over several tensors may take, and notes of where that mattered.

use crate::error::{Error, Result};
use crate::kernels::bits;
use crate::kernels::ranked::{self, Joined, Protected};
use crate::kernels::runs;
use crate::kernels::select::{self, Keys};
use crate::prune::TieRule;
use crate::prune::scored::keep;

/// What no selection over several tensors may take.
///
/// What a rail protects ranks behind all other weights, the highest scores of a tensor first; others go in its
/// place, so that the total stays what was asked. Only where nothing else is left fewer go.
///
/// | rail | default | meaning | range |
/// |---|---|---|---|
/// | [`least_kept`](Self::least_kept) | 0 | so many of each tensor stay, or all it has: weights, or slices where slices go | |
/// | [`least_per_slice`](Self::least_per_slice) | 0 | so many weights of each slice along the layer's axis stay, or all it has | 0 where whole slices go |
/// | [`highest_share`](Self::highest_share) | 1 | of each tensor at most this share goes, rounded down | 0..=1 |
/// | [`skip`](Self::skip) | none | tensors that stay as they are, and do not count for the amount | names of layers |
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prune::{Global, Layer, Rail, Rails};
///
/// let (small, large) = (array![0.1, 0.2, 0.3, 0.4], array![1.0, 2.0, 3.0, 4.0]);
/// let layers = [Layer::new("small", &small), Layer::new("large", &large)];
/// let global = Global::new(0.5).rails(Rails::new().highest_share(0.75));
/// let pruned = global.masks(&layers)?;
/// assert_eq!((pruned.masks[0].kept(), pruned.masks[1].kept()), (1, 3));
/// let note = &pruned.notes[0];
/// assert_eq!((note.tensor.as_str(), note.rail, note.kept), ("small", Rail::HighestShare, 1));
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rails {
    pub(super) least_kept: usize,
    pub(super) least_per_slice: usize,
    pub(super) highest_share: f64,
    pub(super) skip: Vec<String>,
}

impl Default for Rails {
    fn default() -> Self {
        Self::new()
    }
}

impl Rails {
    /// No rails.
    pub const fn new() -> Self {
        Self {
            least_kept: 0,
            least_per_slice: 0,
            highest_share: 1.0,
            skip: Vec::new(),
        }
    }

    /// Keeps at least so many of each tensor.
    #[must_use]
    pub fn least_kept(mut self, count: usize) -> Self {
        self.least_kept = count;
        self
    }

    /// Keeps at least so many weights of each slice along the layer's axis.
    #[must_use]
    pub fn least_per_slice(mut self, count: usize) -> Self {
        self.least_per_slice = count;
        self
    }

    /// Lets at most this share of each tensor go.
    #[must_use]
    pub fn highest_share(mut self, share: f64) -> Self {
        self.highest_share = share;
        self
    }

    /// Leaves the tensor of this name alone.
    #[must_use]
    pub fn skip(mut self, tensor: impl Into<String>) -> Self {
        self.skip.push(tensor.into());
        self
    }

    /// Fails where a setting is out of range, or a name is no layer's.
    pub(super) fn check(&self, names: &[&str]) -> Result<()> {
        if !(0.0..=1.0).contains(&self.highest_share) {
            return Err(Error::NumberOutOfRange {
                what: "highest share",
                must: "in 0..=1",
                value: self.highest_share,
            });
        }
        match self
            .skip
            .iter()
            .find(|name| !names.contains(&name.as_str()))
        {
            Some(name) => Err(Error::UnknownName {
                what: "layer",
                name: name.clone(),
            }),
            None => Ok(()),
        }
    }

    pub(super) fn skips(&self, name: &str) -> bool {
        self.skip.iter().any(|skipped| skipped == name)
    }

    /// What the rails for whole tensors protect of one with these keys.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is a length"
    )]
    pub(super) fn protect<K: Keys>(&self, keys: &K) -> Vec<(Rail, Vec<u64>)> {
        let len = keys.len();
        let most = ((self.highest_share * len as f64) as usize).min(len);
        let rails = [
            (Rail::LeastKept, self.least_kept.min(len)),
            (Rail::HighestShare, len - most),
        ];
        let top = |(rail, count)| (rail, select::keep_highest(keys, len - count));
        rails
            .into_iter()
            .filter(|&(_, count)| count > 0)
            .map(top)
            .collect()
    }
}

/// A guard rail by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rail {
    /// The tensor is one to skip.
    Skip,
    /// So many of the tensor must stay.
    LeastKept,
    /// So many of each slice must stay.
    LeastPerSlice,
    /// At most such a share of the tensor may go.
    HighestShare,
}

/// Where a guard rail acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// In which tensor.
    pub tensor: String,
    /// Which rail.
    pub rail: Rail,
    /// How many weights, or slices, stayed that would have gone without any rail; all of a tensor that is
    /// skipped.
    pub kept: usize,
}

/// For each part, the bits of what stays, and which rails kept how many that would have gone.
pub(super) type Selected = (Vec<Vec<u64>>, Vec<Vec<(Rail, usize)>>);

/// Bits of what stays of each part when `drop` of all go, and which rails kept how many that would have gone.
pub(super) fn select_joined<K: Keys + Clone>(
    parts: &[K],
    drop: usize,
    rule: TieRule,
    protected: &[Vec<(Rail, Vec<u64>)>],
) -> Selected {
    let starts = ranked::starts(parts.iter().map(Keys::len));
    let total = starts[parts.len()];
    let joined = Joined::new(parts, &starts);
    let split = |words: &[u64]| -> Vec<Vec<u64>> {
        let ends = starts.windows(2);
        ends.map(|ends| runs::part(words, ends[0]..ends[1]))
            .collect()
    };
    let free = split(&keep(&joined, drop, rule));
    if protected.iter().all(Vec::is_empty) {
        return (free, vec![Vec::new(); parts.len()]);
    }
    let mut safe = vec![0; bits::words_for(total)];
    for (part, rails) in protected.iter().enumerate() {
        let len = starts[part + 1] - starts[part];
        for (_, words) in rails {
            runs::put(&mut safe, starts[part], words, len);
        }
    }
    let drop = drop.min(total - bits::count_ones(&safe));
    let kept = split(&keep(&Protected::new(joined, &safe), drop, rule));
    let acted = protected.iter().zip(&free).map(|(rails, free)| {
        let saved = |words: &Vec<u64>| {
            let saved: Vec<u64> = words.iter().zip(free).map(|(a, b)| a & !b).collect();
            bits::count_ones(&saved)
        };
        let acted = rails.iter().map(|(rail, words)| (*rail, saved(words)));
        acted.filter(|&(_, count)| count > 0).collect()
    });
    let acted = acted.collect();
    (kept, acted)
}
