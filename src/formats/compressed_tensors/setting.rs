//! Settings of a config, each with its path, so that what is wrong with one can be told.

use crate::error::{Error, FileError, Result};
use serde_json::{Map, Value};

/// A setting of a config, or the place where one is missing.
#[derive(Clone, Debug)]
pub(super) struct Setting<'a> {
    key: String,
    value: Option<&'a Value>,
}

impl<'a> Setting<'a> {
    /// The one of this path.
    pub(super) fn new(key: &str, value: Option<&'a Value>) -> Self {
        Self {
            key: key.to_owned(),
            value,
        }
    }

    /// The setting of this name inside.
    pub(super) fn get(&self, name: &str) -> Self {
        Self {
            key: format!("{}.{name}", self.key),
            value: self.value.and_then(|value| value.get(name)),
        }
    }

    /// What it is, if it is there.
    pub(super) fn value(&self) -> Option<&'a Value> {
        self.value
    }

    /// What it is, if it is there and not null.
    pub(super) fn given(&self) -> Option<&'a Value> {
        self.value.filter(|value| !value.is_null())
    }

    /// It should be something else.
    pub(super) fn wrong(&self, must: &'static str) -> Error {
        /// More of it would be no message any more.
        const MOST: usize = 120;
        let mut given = self
            .value
            .map_or_else(|| "missing".to_owned(), Value::to_string);
        if given.chars().count() > MOST {
            given = given.chars().take(MOST).chain("...".chars()).collect();
        }
        Error::File(FileError::Setting {
            key: self.key.clone(),
            given,
            must,
        })
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>> {
        let object = self.value.and_then(Value::as_object);
        object.ok_or_else(|| self.wrong("an object"))
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        let text = self.value.and_then(Value::as_str);
        text.ok_or_else(|| self.wrong("a text"))
    }

    pub(super) fn text_or(&self, default: &'a str) -> Result<&'a str> {
        self.given().map_or(Ok(default), |_| self.text())
    }

    pub(super) fn truth_or(&self, default: bool) -> Result<bool> {
        let truth = self.given().map_or(Some(default), Value::as_bool);
        truth.ok_or_else(|| self.wrong("true or false"))
    }

    pub(super) fn whole(&self) -> Result<usize> {
        let number = self.value.and_then(whole);
        number.ok_or_else(|| self.wrong("a whole number, not negative"))
    }

    pub(super) fn whole_or(&self, default: usize) -> Result<usize> {
        self.given().map_or(Ok(default), |_| self.whole())
    }

    /// A list of whole numbers.
    pub(super) fn wholes(&self) -> Result<Vec<usize>> {
        let list = self.value.and_then(Value::as_array);
        let numbers = list.and_then(|list| list.iter().map(whole).collect());
        numbers.ok_or_else(|| self.wrong("a list of whole numbers"))
    }

    /// A list of texts; empty where there is none.
    pub(super) fn texts(&self) -> Result<Vec<String>> {
        let Some(list) = self.given() else {
            return Ok(Vec::new());
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let texts = list
            .as_array()
            .and_then(|list| list.iter().map(text).collect());
        texts.ok_or_else(|| self.wrong("a list of texts"))
    }
}

fn whole(value: &Value) -> Option<usize> {
    value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
}

/// The integer that this is.
pub(super) fn json_number(value: &Value) -> Option<i64> {
    value.as_i64()
}
