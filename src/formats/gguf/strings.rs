//! Many texts in one piece of memory.

use super::value::few;
use std::fmt;

/// Texts one behind the other in one piece of memory: a vocabulary takes little more than its letters.
///
/// # Examples
///
/// ```
/// use rarefy::formats::GgufStrings;
///
/// let tokens: GgufStrings = ["<s>", "", "an"].into_iter().collect();
/// assert_eq!((tokens.len(), tokens.get(2), tokens.get(3)), (3, Some("an"), None));
/// assert_eq!(tokens.iter().collect::<Vec<_>>(), ["<s>", "", "an"]);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct GgufStrings(
    /// Apart, so that a value that is no texts takes no room for them.
    Box<Texts>,
);

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Texts {
    all: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl GgufStrings {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that lie in `all` and end there, in ascending order.
    pub(super) fn of_parts(all: String, ends: Vec<usize>) -> Self {
        Self(Box::new(Texts { all, ends }))
    }

    /// Adds one behind the others.
    pub fn push(&mut self, text: &str) {
        self.0.all.push_str(text);
        self.0.ends.push(self.0.all.len());
    }

    /// The one with this number.
    pub fn get(&self, number: usize) -> Option<&str> {
        let Texts { all, ends } = &*self.0;
        let start = number
            .checked_sub(1)
            .map_or(Some(&0), |before| ends.get(before))?;
        all.get(*start..*ends.get(number)?)
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number).unwrap_or(""))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }
}

impl<T: AsRef<str>> FromIterator<T> for GgufStrings {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut strings = Self::new();
        for text in texts {
            strings.push(text.as_ref());
        }
        strings
    }
}

/// The first few, and how many more there are.
impl fmt::Debug for GgufStrings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        few(f, "Strings", self.iter())
    }
}
