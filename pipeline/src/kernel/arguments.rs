//! The arguments of layers: which there are, what they must be, and how they are read.

use super::activation::Activation;
use super::precision::{PRECISION, Precision};
use super::spec::{SpecError, nearest};
use serde_json::{Map, Value};

/// What builds an activation from its arguments. The error is a sentence without its place.
pub(crate) type Build = fn(&Arguments) -> Result<Box<dyn Activation>, String>;

/// A line of the table of activations.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    pub(crate) build: Build,
}

impl Entry {
    pub(crate) const fn new(name: &'static str, params: &'static [Param], build: Build) -> Entry {
        Entry { name, params, build }
    }
}

/// An argument that a layer takes.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) key: &'static str,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Number(Option<f64>),
    Count,
    Numbers,
    Word(&'static [&'static str]),
    Precision,
    Ignored,
}

impl Param {
    /// A number that must be given.
    pub(crate) const fn number(key: &'static str) -> Param {
        Param { key, kind: Kind::Number(None) }
    }

    /// A number with a default.
    pub(crate) const fn default(key: &'static str, default: f64) -> Param {
        Param { key, kind: Kind::Number(Some(default)) }
    }

    /// A whole number from 0 to 30 that must be given.
    pub(crate) const fn count(key: &'static str) -> Param {
        Param { key, kind: Kind::Count }
    }

    /// A list of numbers that must be given.
    pub(crate) const fn numbers(key: &'static str) -> Param {
        Param { key, kind: Kind::Numbers }
    }

    /// One of some words; it must be given.
    pub(crate) const fn word(key: &'static str, words: &'static [&'static str]) -> Param {
        Param { key, kind: Kind::Word(words) }
    }

    /// In which numbers the layer computes.
    pub(crate) const fn precision() -> Param {
        Param { key: PRECISION, kind: Kind::Precision }
    }

    /// A number that is accepted and has no effect.
    pub(crate) const fn ignored(key: &'static str) -> Param {
        Param { key, kind: Kind::Ignored }
    }

    fn read(&self, value: Option<&Value>) -> Result<Option<Argument>, String> {
        let Some(value) = value else {
            return match self.kind {
                Kind::Number(Some(default)) => Ok(Some(Argument::Number(default))),
                Kind::Ignored | Kind::Precision => Ok(None),
                _ => Err("it must be given".to_string()),
            };
        };
        match self.kind {
            Kind::Number(_) => Ok(Some(Argument::Number(number(value)?))),
            Kind::Ignored => number(value).map(|_| None),
            Kind::Precision => Ok(Precision::value(value)?.told().map(Argument::Word)),
            Kind::Count => match value.as_u64() {
                Some(count) if count <= 30 => Ok(Some(Argument::Count(count as u32))),
                _ => Err(format!("a whole number from 0 to 30 was expected, not {value}")),
            },
            Kind::Numbers => match value.as_array() {
                Some(values) if (1..=31).contains(&values.len()) => {
                    let values = values.iter().map(number).collect::<Result<_, _>>()?;
                    Ok(Some(Argument::Numbers(values)))
                }
                _ => Err(format!("a list of 1 to 31 numbers was expected, not {value}")),
            },
            Kind::Word(words) => {
                let given = value.as_str().ok_or_else(|| format!("a word was expected, not {value}"))?;
                match words.iter().find(|word| **word == given) {
                    Some(word) => Ok(Some(Argument::Word(word))),
                    None => Err(format!("{given:?} is not known; the nearest is {:?}", nearest(given, words))),
                }
            }
        }
    }
}

/// The arguments of an activation, complete and checked, in the order of its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arguments(Vec<(&'static str, Argument)>);

#[derive(Debug, Clone, PartialEq)]
enum Argument {
    Number(f64),
    Count(u32),
    Numbers(Vec<f64>),
    Word(&'static str),
}

impl Arguments {
    /// Reads the arguments of a layer whose keys are known to be good. `path` is the layer's.
    pub(crate) fn read(entry: &Entry, table: &Map<String, Value>, path: &str) -> Result<Arguments, SpecError> {
        let mut arguments = Vec::new();
        for param in entry.params {
            let argument = param
                .read(table.get(param.key))
                .map_err(|message| SpecError::new(format!("{path}.{}", param.key), message))?;
            arguments.extend(argument.map(|argument| (param.key, argument)));
        }
        Ok(Arguments(arguments))
    }

    fn find(&self, key: &str) -> Option<&Argument> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, argument)| argument)
    }

    /// A number; NaN if the layer has no such parameter.
    pub(crate) fn number(&self, key: &str) -> f64 {
        match self.find(key) {
            Some(Argument::Number(value)) => *value,
            _ => f64::NAN,
        }
    }

    /// A whole number; 0 if the layer has no such parameter.
    pub(crate) fn count(&self, key: &str) -> u32 {
        match self.find(key) {
            Some(Argument::Count(value)) => *value,
            _ => 0,
        }
    }

    /// A list; empty if the layer has no such parameter.
    pub(crate) fn numbers(&self, key: &str) -> &[f64] {
        match self.find(key) {
            Some(Argument::Numbers(values)) => values,
            _ => &[],
        }
    }

    /// A word; empty if the layer has no such parameter.
    pub(crate) fn word(&self, key: &str) -> &'static str {
        match self.find(key) {
            Some(Argument::Word(word)) => word,
            _ => "",
        }
    }

    /// All arguments, as they are hashed.
    pub(crate) fn canonical(&self) -> impl Iterator<Item = (String, Value)> + '_ {
        self.0.iter().map(|(key, argument)| {
            let value = match argument {
                Argument::Number(value) => Value::from(*value),
                Argument::Count(value) => Value::from(*value),
                Argument::Numbers(values) => Value::from(values.clone()),
                Argument::Word(word) => Value::from(*word),
            };
            ((*key).to_string(), value)
        })
    }
}

/// A finite number; an integer is fine. Minus zero is zero.
pub(crate) fn number(value: &Value) -> Result<f64, String> {
    match value.as_f64() {
        Some(number) if number.is_finite() => Ok(number + 0.0),
        _ => Err(format!("a number was expected, not {value}")),
    }
}
