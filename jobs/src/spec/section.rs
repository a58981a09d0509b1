//! One table of a job file, read key by key.
//!
//! A key is known because it was asked for; [`Section::end`] refuses whatever nobody asked for and
//! names the nearest key that somebody did. Every complaint says the file, the line and the path.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use megagram_pipeline::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A result of reading a job file.
pub type Result<T> = std::result::Result<T, Error>;

/// Values that beat the file: flags first, then the environment.
#[derive(Debug, Default)]
pub struct Overrides {
    /// `(key, text)` from flags.
    pub flags: BTreeMap<&'static str, String>,
    /// `MEGAGRAM_*` variables, by the key in lower case.
    pub environment: BTreeMap<String, String>,
}

/// How strong the source of a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The job file.
    File,
    /// A `MEGAGRAM_*` variable.
    Environment,
    /// A flag.
    Flag,
}

/// The text of a job file and what may override it.
#[derive(Debug)]
pub struct File<'a> {
    /// Its name, for messages.
    pub name: String,
    /// Its text.
    pub text: &'a str,
    /// What beats it.
    pub overrides: &'a Overrides,
    /// Every key that may be overridden, as it is asked for.
    pub open_keys: RefCell<BTreeSet<&'static str>>,
}

impl File<'_> {
    fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|b| *b == b'\n').count()
    }

    /// `job.toml:12`
    pub fn place(&self, at: usize) -> String {
        format!("{}:{}", self.name, self.line(at))
    }
}

/// A table of the file, or its absence.
#[derive(Debug)]
pub struct Section<'a> {
    file: &'a File<'a>,
    path: String,
    at: String,
    table: Option<&'a DeTable<'a>>,
    open: bool,
    known: RefCell<Vec<&'static str>>,
}

/// A value and where it was found.
#[derive(Debug)]
pub struct Found<'a> {
    /// `job.toml:12: gp.noise_var`, `--noise-var` or `MEGAGRAM_NOISE_VAR`.
    pub at: String,
    /// What kind of source that is.
    pub rank: Rank,
    raw: Raw<'a>,
    file: &'a File<'a>,
    path: String,
}

#[derive(Debug)]
enum Raw<'a> {
    Text(String),
    Toml(&'a Spanned<DeValue<'a>>),
}

impl<'a> Section<'a> {
    /// The whole file.
    pub fn root(file: &'a File<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(file, String::new(), file.name.clone(), Some(table), true)
    }

    fn new(file: &'a File<'a>, path: String, at: String, table: Option<&'a DeTable<'a>>, open: bool) -> Self {
        Self { file, path, at, table, open, known: RefCell::default() }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of `key` from the strongest source that has one.
    pub fn find(&self, key: &'static str) -> Option<Found<'a>> {
        if self.open {
            self.file.open_keys.borrow_mut().insert(key);
            let overrides = self.file.overrides;
            let found = |at: String, rank, text: &String| {
                let raw = Raw::Text(text.clone());
                Found { at, rank, raw, file: self.file, path: self.path_of(key) }
            };
            if let Some(text) = overrides.flags.get(key) {
                self.known.borrow_mut().push(key);
                return Some(found(format!("--{}", key.replace('_', "-")), Rank::Flag, text));
            }
            if let Some(text) = overrides.environment.get(key) {
                self.known.borrow_mut().push(key);
                return Some(found(format!("MEGAGRAM_{}", key.to_ascii_uppercase()), Rank::Environment, text));
            }
        }
        self.in_file(key)
    }

    /// The value of `key` in the file, whatever overrides it.
    pub fn in_file(&self, key: &'static str) -> Option<Found<'a>> {
        self.known.borrow_mut().push(key);
        let value = self.table?.get(key)?;
        let path = self.path_of(key);
        let at = format!("{}: {path}", self.file.place(value.span().start));
        Some(Found { at, rank: Rank::File, raw: Raw::Toml(value), file: self.file, path })
    }

    /// The value of `key`, or an error that says what it is for.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none.
    pub fn need(&self, key: &'static str, what: &str) -> Result<Found<'a>> {
        self.find(key).ok_or_else(|| Error::Usage(format!("{}: `{}` is missing: {what}", self.at, self.path_of(key))))
    }

    /// The table `[key]`; an absent one is empty. Its keys may be overridden.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is not a table.
    pub fn section(&self, key: &'static str) -> Result<Section<'a>> {
        match self.in_file(key) {
            Some(found) => found.table(true),
            None => Ok(Section::new(self.file, self.path_of(key), self.at.clone(), None, true)),
        }
    }

    /// An error about this table as a whole.
    pub fn wrong(&self, what: &str) -> Error {
        Error::Usage(format!("{}: {}: {what}", self.at, self.path))
    }

    /// Refuses keys that nobody asked for.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the key, its line and the nearest known key.
    pub fn end(&self) -> Result<()> {
        let known = self.known.borrow();
        for (key, value) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let place = self.file.place(key.span().start);
            let (what, shown) = match (self.path.is_empty(), value.get_ref().is_table()) {
                (true, true) => ("unknown section", format!("[{name}]")),
                _ => ("unknown key", self.path_of(name)),
            };
            return Err(Error::Usage(format!("{place}: {what} `{shown}`; {}", suggestion(name, &known))));
        }
        Ok(())
    }
}

/// "did you mean …" for a near miss, the list of what is known otherwise.
pub fn suggestion(name: &str, known: &[&str]) -> String {
    let near = known.iter().map(|k| (strsim::damerau_levenshtein(name, k), *k)).min();
    match near {
        Some((distance, key)) if distance <= 1 + key.len() / 4 => format!("did you mean `{key}`?"),
        _ => {
            let mut known: Vec<_> = known.to_vec();
            known.sort_unstable();
            known.dedup();
            format!("known here: {}", known.join(", "))
        }
    }
}

impl<'a> Found<'a> {
    /// An error about this value.
    pub fn wrong(&self, what: &str) -> Error {
        Error::Usage(format!("{}: {what}", self.at))
    }

    fn expected<T>(&self, what: &str) -> Result<T> {
        let found = match &self.raw {
            Raw::Text(text) => format!("`{text}`"),
            Raw::Toml(value) => match value.get_ref() {
                DeValue::String(s) => format!("\"{s}\""),
                DeValue::Integer(i) => i.to_string(),
                DeValue::Float(f) => f.as_str().to_owned(),
                DeValue::Boolean(b) => b.to_string(),
                other => format!("a TOML {}", other.type_str()),
            },
        };
        Err(self.wrong(&format!("expected {what}, found {found}")))
    }

    /// A string.
    pub fn string(&self) -> Result<String> {
        match &self.raw {
            Raw::Text(text) => Ok(text.clone()),
            Raw::Toml(value) => match value.get_ref().as_str() {
                Some(s) => Ok(s.to_owned()),
                None => self.expected("a string"),
            },
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T> {
        let word = self.string()?;
        if let Some((_, value)) = words.iter().find(|(w, _)| *w == word) {
            return Ok(*value);
        }
        let all: Vec<_> = words.iter().map(|(w, _)| *w).collect();
        let quoted: Vec<_> = all.iter().map(|w| format!("\"{w}\"")).collect();
        Err(self.wrong(&format!(
            "expected one of {}, found \"{word}\"; {}",
            quoted.join(", "),
            suggestion(&word, &all)
        )))
    }

    /// A finite number; an integer is fine.
    pub fn float(&self) -> Result<f64> {
        let number = match &self.raw {
            Raw::Text(text) => text.trim().parse().ok(),
            Raw::Toml(value) => match value.get_ref() {
                DeValue::Float(f) => f.as_str().parse().ok(),
                DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok().map(|i| i as f64),
                _ => None,
            },
        };
        match number {
            Some(number) if f64::is_finite(number) => Ok(number),
            _ => self.expected("a finite number"),
        }
    }

    /// A finite number that is not negative.
    pub fn non_negative(&self) -> Result<f64> {
        let number = self.float()?;
        if number < 0.0 { self.expected("a number that is not negative") } else { Ok(number) }
    }

    /// A whole number, at least `least`.
    pub fn count(&self, least: u64) -> Result<u64> {
        let number = match &self.raw {
            Raw::Text(text) => text.trim().parse().ok(),
            Raw::Toml(value) => {
                value.get_ref().as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok())
            }
        };
        match number {
            Some(number) if number >= least => Ok(number),
            _ => self.expected(&format!("a whole number, at least {least}")),
        }
    }

    /// A [`Found::count`] that fits 32 bits.
    pub fn count_u32(&self, least: u64) -> Result<u32> {
        let number = self.count(least)?;
        u32::try_from(number).or_else(|_| self.expected(&format!("a whole number, at most {}", u32::MAX)))
    }

    /// `true` or `false`.
    pub fn flag(&self) -> Result<bool> {
        let flag = match &self.raw {
            Raw::Text(text) => text.trim().parse().ok(),
            Raw::Toml(value) => value.get_ref().as_bool(),
        };
        flag.map_or_else(|| self.expected("true or false"), Ok)
    }

    /// A size in bytes: `"256MiB"`, or a plain number of bytes.
    pub fn size(&self) -> Result<u64> {
        let text = match &self.raw {
            Raw::Text(text) => text.clone(),
            Raw::Toml(value) if value.get_ref().is_integer() => self.count(1)?.to_string(),
            Raw::Toml(_) => self.string()?,
        };
        match super::size::parse(&text) {
            Some(bytes) if bytes > 0 => Ok(bytes),
            _ => self.expected("a size such as \"256MiB\" (KiB MiB GiB TiB, KB MB GB TB, or plain bytes)"),
        }
    }

    /// Whether this is a list (in text: `[…]` or anything with a comma or a number alone).
    pub fn is_list(&self) -> bool {
        match &self.raw {
            Raw::Text(text) => text.trim().starts_with(|c: char| c == '[' || c.is_ascii_digit()),
            Raw::Toml(value) => value.get_ref().is_array(),
        }
    }

    /// The items of a list.
    pub fn items(&self) -> Result<Vec<Found<'a>>> {
        let item = |i: usize, at: String, raw| Found {
            at,
            rank: self.rank,
            raw,
            file: self.file,
            path: format!("{}[{i}]", self.path),
        };
        match &self.raw {
            Raw::Text(text) => {
                let text = text.trim().trim_start_matches('[').trim_end_matches(']');
                let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
                Ok(parts.enumerate().map(|(i, p)| item(i, self.at.clone(), Raw::Text(p.to_owned()))).collect())
            }
            Raw::Toml(value) => match value.get_ref().as_array() {
                Some(items) => Ok(items
                    .iter()
                    .enumerate()
                    .map(|(i, v)| {
                        let at = format!("{}: {}[{i}]", self.file.place(v.span().start), self.path);
                        item(i, at, Raw::Toml(v))
                    })
                    .collect()),
                None => self.expected("a list"),
            },
        }
    }

    /// A table; `open` says whether its keys may be overridden.
    pub fn table(&self, open: bool) -> Result<Section<'a>> {
        match &self.raw {
            Raw::Toml(value) => match value.get_ref().as_table() {
                Some(table) => {
                    let at = self.file.place(value.span().start);
                    Ok(Section::new(self.file, self.path.clone(), at, Some(table), open))
                }
                None => self.expected("a table"),
            },
            Raw::Text(_) => self.expected("a table"),
        }
    }

    /// The value as JSON, as it stands.
    pub fn json(&self) -> Result<serde_json::Value> {
        match &self.raw {
            Raw::Text(text) => Ok(text.clone().into()),
            Raw::Toml(value) => self.to_json(value),
        }
    }

    fn to_json(&self, value: &Spanned<DeValue<'_>>) -> Result<serde_json::Value> {
        let bad = |what: &str| {
            let place = self.file.place(value.span().start);
            Error::Usage(format!("{place}: {}: {what}", self.path))
        };
        Ok(match value.get_ref() {
            DeValue::String(s) => s.as_ref().into(),
            DeValue::Boolean(b) => (*b).into(),
            DeValue::Integer(i) => {
                let number = i64::from_str_radix(i.as_str(), i.radix()).map_err(|_| bad("the number is too large"))?;
                number.into()
            }
            DeValue::Float(f) => {
                let number: f64 = f.as_str().parse().map_err(|_| bad("not a number"))?;
                serde_json::Number::from_f64(number).ok_or_else(|| bad("expected a finite number"))?.into()
            }
            DeValue::Datetime(_) => return Err(bad("a date has no meaning here")),
            DeValue::Array(items) => {
                serde_json::Value::Array(items.iter().map(|v| self.to_json(v)).collect::<Result<_>>()?)
            }
            DeValue::Table(table) => {
                let pairs = table.iter().map(|(k, v)| Ok((k.get_ref().to_string(), self.to_json(v)?)));
                serde_json::Value::Object(pairs.collect::<Result<_>>()?)
            }
        })
    }
}
