//! Settings of the configuration files that lie beside checkpoints.

use crate::error::{Error, FileError};
use serde_json::{Map, Value};

/// Longer values are cut in messages.
const LONGEST: usize = 80;

/// The settings of one object of a configuration, and where it is in the file.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a> {
    object: &'a Map<String, Value>,
    /// What stands before the names in messages: nothing, or a name and a dot.
    prefix: &'static str,
}

impl<'a> Settings<'a> {
    /// Those of `json` itself.
    pub(super) fn new(json: &'a Value) -> Result<Self, Error> {
        let must = "an object";
        let object = json
            .as_object()
            .ok_or_else(|| wrong("the configuration", Some(json), must))?;
        let prefix = "";
        Ok(Self { object, prefix })
    }

    /// Those in `quantization_config`, where a whole `config.json` is given; else those of `json` itself.
    #[cfg(feature = "gptq")]
    pub(super) fn of_quantization(json: &'a Value) -> Result<Self, Error> {
        match json.get("quantization_config") {
            None => Self::new(json),
            Some(inner) => Ok(Self {
                object: Self::new(inner)?.object,
                prefix: "quantization_config.",
            }),
        }
    }

    /// The first of these settings that is there; null is as good as missing.
    pub(super) fn get(self, keys: &[&str]) -> Option<&'a Value> {
        let mut there = keys.iter().filter_map(|&key| self.object.get(key));
        there.find(|value| !value.is_null())
    }

    /// The error about the first of these settings.
    pub(super) fn wrong(self, keys: &[&str], must: &'static str) -> Error {
        let key = keys.iter().find(|&&key| self.object.contains_key(key));
        let key = key.or(keys.first()).copied().unwrap_or_default();
        wrong(&format!("{}{key}", self.prefix), self.object.get(key), must)
    }

    /// A whole number that `right` accepts.
    pub(super) fn integer(
        self,
        keys: &[&str],
        must: &'static str,
        right: impl Fn(i64) -> bool,
    ) -> Result<i64, Error> {
        let number = self.get(keys).and_then(Value::as_i64);
        let number = number.filter(|&number| right(number));
        number.ok_or_else(|| self.wrong(keys, must))
    }

    /// true or false, and `missing` where it is not there.
    #[cfg(feature = "gptq")]
    pub(super) fn truth(self, key: &str, missing: bool) -> Result<bool, Error> {
        match self.get(&[key]) {
            None => Ok(missing),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.wrong(&[key], "true or false")),
        }
    }

    /// A text that `right` knows a meaning for, and `missing` where it is not there.
    pub(super) fn text<T>(
        self,
        keys: &[&str],
        must: &'static str,
        missing: Option<T>,
        right: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let meant = match self.get(keys) {
            None => missing,
            Some(value) => value.as_str().and_then(right),
        };
        meant.ok_or_else(|| self.wrong(keys, must))
    }
}

fn wrong(key: &str, given: Option<&Value>, must: &'static str) -> Error {
    let mut given = given.map_or_else(|| "missing".to_owned(), Value::to_string);
    if let Some((cut, _)) = given.char_indices().nth(LONGEST) {
        given.truncate(cut);
        given.push('…');
    }
    Error::File(FileError::Setting {
        key: key.to_owned(),
        given,
        must,
    })
}
