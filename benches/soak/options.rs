//! `--name value`, each asked for once.

use crate::Failure;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Options(BTreeMap<String, String>);

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or(format!("{word}?"))?;
            let value = words.next().ok_or(format!("--{name} needs a value"))?;
            options.insert(name.to_owned(), value);
        }
        Ok(Options(options))
    }

    /// The value, if the option is there.
    pub(crate) fn get<T>(&mut self, name: &str) -> Result<Option<T>, Failure>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        let parse = |value: String| match value.parse() {
            Ok(value) => Ok(value),
            Err(error) => Err(format!("--{name} {value}: {error}").into()),
        };
        self.0.remove(name).map(parse).transpose()
    }

    pub(crate) fn or<T>(&mut self, name: &str, default: T) -> Result<T, Failure>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        Ok(self.get(name)?.unwrap_or(default))
    }

    pub(crate) fn seconds(&mut self, name: &str, default: f64) -> Result<Duration, Failure> {
        Ok(Duration::from_secs_f64(self.or(name, default)?))
    }

    /// `--rest-secs`: how long a server rests before it is looked at.
    pub(crate) fn rest(&mut self) -> Result<Duration, Failure> {
        self.seconds("rest-secs", 11.0)
    }

    pub(crate) fn millis(&mut self, name: &str) -> Result<Option<Duration>, Failure> {
        Ok(self.get(name)?.map(Duration::from_millis))
    }

    /// Nothing may be left over.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        match self.0.keys().next() {
            Some(name) => Err(format!("there is no --{name}").into()),
            None => Ok(()),
        }
    }
}
