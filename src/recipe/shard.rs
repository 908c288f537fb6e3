//! A part of a job.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Which part of a job is done here: number `index` of `of`, counted from 1, written `index/of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

impl Shard {
    /// Part `index` of `of`.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] unless 1 ≤ `index` ≤ `of`.
    #[expect(clippy::cast_precision_loss, reason = "a message")]
    pub fn new(index: usize, of: usize) -> Result<Self> {
        if (1..=of).contains(&index) {
            return Ok(Self { index, of });
        }
        Err(Error::NumberOutOfRange {
            what: "number of a shard",
            must: "at least 1 and at most how many there are",
            value: index as f64,
        })
    }

    /// How many parts there are.
    pub const fn of(self) -> usize {
        self.of
    }

    /// Whether this part does the file with this number, counted from 0.
    pub(super) const fn has(self, file: usize) -> bool {
        file % self.of == self.index - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = Error;

    /// Reads `index/of`.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        // What is no number is as wrong as 0.
        let (index, of) = numbers.unwrap_or((0, 0));
        Self::new(index, of)
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn files_are_dealt_out() {
        let parts: Vec<Shard> = (1..=3).map(|index| Shard::new(index, 3).unwrap()).collect();
        for file in 0..10 {
            assert_eq!(parts.iter().filter(|part| part.has(file)).count(), 1);
        }
        let whole = Shard::new(1, 1).unwrap();
        assert!(whole.has(0) && whole.has(7));
        assert_eq!("2/3".parse::<Shard>().unwrap(), parts[1]);
        assert_eq!(parts[1].to_string(), "2/3");
        for wrong in ["0/3", "4/3", "1", "a/b", "", "1/0", "-1/2"] {
            let error = wrong.parse::<Shard>().unwrap_err().to_string();
            assert!(
                error.starts_with("number of a shard must be at least 1"),
                "{error}"
            );
        }
    }
}
