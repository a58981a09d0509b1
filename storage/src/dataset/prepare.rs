//! From a source to prepared rows: one pass that surveys and checks, one that writes.

use serde_json::json;

use super::file::File;
use super::format::Format;
use super::open::{fingerprint, open};
use super::prepared::{INPUTS, Prepared, TARGETS, column_of, stamp};
use super::rows::{Rows, check_finite};
use super::source::{Prepare, Source, Targets};
use super::transform::{self, Moments, Running};
use crate::codec::{self, Values};
use crate::error::{Error, Result};
use crate::key::{Id, Kind};
use crate::manifest::Manifest;
use crate::open::Store;

/// Above this many classes that nobody asked for, the targets are taken for something else.
const GUESSED_CLASSES_MAX: u32 = 65_536;

/// Which part of a data set a source holds, and what happens to it.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// Rows of inputs.
    Inputs {
        /// Multiplies x first.
        scale: f64,
        /// What happens to each row then.
        prepare: Prepare,
        /// For a test set, the training inputs, whose moments standardise it. Without it the rows
        /// standardise themselves.
        standardise_by: Option<&'a Prepared>,
    },
    /// Targets of each row.
    Targets {
        /// What they mean.
        targets: Targets,
        /// Number of classes; by default the largest label + 1.
        classes: Option<u32>,
    },
}

/// What to prepare.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Where the rows are.
    pub source: &'a Source,
    /// What they are.
    pub part: Part<'a>,
    /// The first rows only.
    pub limit: Option<u64>,
    /// Rows in a block.
    pub tile: u32,
}

impl Request<'_> {
    fn check(&self) -> Result<()> {
        let input = |why: &str| Err(Error::Input(format!("{}: {why}", self.source.location)));
        match self.part {
            _ if self.tile == 0 => input("tile is 0; it must be at least 1"),
            _ if self.limit == Some(0) => input("limit is 0; it must be at least 1"),
            Part::Inputs { scale, .. } if !scale.is_finite() => input("scale must be a finite number"),
            Part::Targets { classes: Some(0), .. } => input("classes is 0; it must be at least 1"),
            _ => Ok(()),
        }
    }

    /// The canonical question: what the source holds, not where it lies.
    fn spec(&self) -> Result<serde_json::Value> {
        let Source { location, columns, header } = self.source;
        let (format, gz) = Format::of(location)?;
        let mut spec = json!({
            "what": INPUTS, "source": fingerprint(self.source)?, "format": format.name(), "gzip": gz,
            "columns": columns, "header": format == Format::Csv && *header, "limit": self.limit, "tile": self.tile,
        });
        match self.part {
            Part::Inputs { scale, prepare, standardise_by } => {
                spec["scale"] = json!(scale);
                spec["prepare"] = json!(prepare);
                spec["standardise_by"] = match prepare {
                    Prepare::Standardise => json!(standardise_by.map(|by| by.id.as_str())),
                    _ => serde_json::Value::Null,
                };
            }
            Part::Targets { targets, classes } => {
                spec["what"] = json!(TARGETS);
                spec["targets"] = json!(targets);
                spec["classes"] = match targets {
                    Targets::Classes => json!(classes),
                    Targets::Values => serde_json::Value::Null,
                };
            }
        }
        Ok(spec)
    }

    /// Calls `each` with blocks of `tile` rows: the reader, the first row, and the values.
    /// Returns the number of rows.
    fn each_block(&self, mut each: impl FnMut(&dyn Rows, u64, &mut Vec<f64>) -> Result<()>) -> Result<u64> {
        let mut rows = open(self.source)?;
        let name = &self.source.location;
        let short = |limit: u64, n: u64| {
            Err(Error::Input(format!("{name}: limit = {limit}, but the file has {n} rows; lower `limit`")))
        };
        if let (Some(limit), Some(n)) = (self.limit, rows.len_hint())
            && limit > n
        {
            return short(limit, n);
        }
        let mut values = Vec::new();
        let mut n = 0;
        loop {
            values.clear();
            let left = self.limit.map_or(u64::MAX, |limit| limit - n);
            let wanted = left.min(u64::from(self.tile)) as usize;
            let mut got = 0;
            while got < wanted {
                match rows.next_block(wanted - got, &mut values)? {
                    0 => break,
                    count => got += count,
                }
            }
            if got > 0 {
                each(rows.as_ref(), n, &mut values)?;
                n += got as u64;
            }
            if got < self.tile as usize || Some(n) == self.limit {
                break;
            }
        }
        match self.limit {
            Some(limit) if n < limit => short(limit, n),
            _ if n == 0 => Err(Error::Input(format!("{name}: the file holds no rows"))),
            _ => Ok(n),
        }
    }

    /// The first pass: counts, checks every value, and finds what the second pass needs.
    fn survey(&self) -> Result<Survey> {
        let mut found = Survey { n: 0, width: 0, classes: None, moments: None };
        let name = &self.source.location;
        let mut running = None;
        let mut largest = 0;
        found.n = self.each_block(|rows, first, values| {
            found.width = rows.width();
            match self.part {
                Part::Inputs { scale, prepare: Prepare::Standardise, standardise_by: None } => {
                    let running = running.get_or_insert_with(|| Running::new(rows.width()));
                    transform::inputs(values, found.width, scale, Prepare::None, None);
                    values.chunks_exact(found.width).for_each(|row| running.add(row));
                    check_prepared(name, first, found.width, values)
                }
                Part::Inputs { standardise_by, .. } => {
                    self.transform(rows, first, values, None, standardise_by.and_then(|by| by.moments.as_ref()))
                }
                Part::Targets { targets: Targets::Classes, classes: None } => {
                    check_one_column(name, rows.width())?;
                    for (row, value) in (first..).zip(values.iter()) {
                        largest = largest.max(transform::label(name, row, rows.line(row), *value)?);
                    }
                    Ok(())
                }
                Part::Targets { classes, .. } => self.transform(rows, first, values, classes, None),
            }
        })?;
        match self.part {
            Part::Inputs { prepare: Prepare::Standardise, standardise_by, .. } => {
                let own = running.map(Running::moments);
                let spread = own.iter().flat_map(|m| &m.std).position(|std| !std.is_finite());
                if let Some(col) = spread {
                    return Err(Error::Input(format!(
                        "{name}: column {col}: its variance is beyond the range of f64; scale it down"
                    )));
                }
                found.moments = own.or_else(|| standardise_by.and_then(|by| by.moments.clone()));
            }
            Part::Targets { targets: Targets::Classes, classes } => {
                let guessed = largest.saturating_add(1);
                if classes.is_none() && guessed > GUESSED_CLASSES_MAX {
                    return Err(Error::Input(format!(
                        "{name}: the largest label is {largest}, so there would be {guessed} classes; say `classes` if \
                         that is meant, or targets = \"values\""
                    )));
                }
                found.classes = Some(classes.unwrap_or(guessed));
                found.width = found.classes.unwrap_or(1) as usize;
            }
            _ => {}
        }
        Ok(found)
    }

    /// Turns rows of the file into rows of the store, in place.
    fn transform(
        &self,
        rows: &dyn Rows,
        first: u64,
        values: &mut Vec<f64>,
        classes: Option<u32>,
        moments: Option<&Moments>,
    ) -> Result<()> {
        let name = &self.source.location;
        match self.part {
            Part::Inputs { scale, prepare, standardise_by } => {
                if let (Prepare::Standardise, Some(by)) = (prepare, standardise_by) {
                    check_moments(name, rows.width(), by)?;
                }
                transform::inputs(values, rows.width(), scale, prepare, moments);
                check_prepared(name, first, rows.width(), values)
            }
            Part::Targets { targets: Targets::Values, .. } => Ok(()),
            Part::Targets { targets: Targets::Classes, .. } => {
                check_one_column(name, rows.width())?;
                let mut coded = Vec::with_capacity(values.len() * classes.unwrap_or(0) as usize);
                for (row, value) in (first..).zip(values.iter()) {
                    let line = rows.line(row);
                    let label = transform::label(name, row, line, *value)?;
                    transform::one_hot(name, row, line, label, classes.unwrap_or(0), &mut coded)?;
                }
                *values = coded;
                Ok(())
            }
        }
    }

    /// The second pass: writes the blocks that `wanted` names; returns the digests of all.
    fn write(&self, store: &Store, id: &Id, survey: &Survey, wanted: impl Fn(u32) -> bool) -> Result<Vec<String>> {
        let column = match self.part {
            Part::Inputs { .. } => column_of(INPUTS),
            Part::Targets { .. } => column_of(TARGETS),
        };
        let mut digests = Vec::new();
        let n = self.each_block(|rows, first, values| {
            self.transform(rows, first, values, survey.classes, survey.moments.as_ref())?;
            let (block, count) = ((first / u64::from(self.tile)) as u32, values.len() / survey.width);
            let flat = Values { data: values, ld: count };
            digests.push(codec::digest(flat, count, survey.width));
            if wanted(block) {
                let (key, stamp) = stamp(id, block, count, survey.width);
                store.put(&key, codec::encode(&stamp, &[(column, flat)], Vec::new())?.into())?;
            }
            Ok(())
        })?;
        if n != survey.n {
            return Err(changed(self.source));
        }
        Ok(digests)
    }
}

struct Survey {
    n: u64,
    /// Values in a row of the store.
    width: usize,
    classes: Option<u32>,
    moments: Option<Moments>,
}

fn changed(source: &Source) -> Error {
    Error::Input(format!("{}: the file changed while it was read; run again", source.location))
}

fn check_prepared(name: &str, first: u64, width: usize, values: &[f64]) -> Result<()> {
    check_finite(&format!("{name}, after scale and prepare"), first, width, values)
}

fn check_one_column(name: &str, width: usize) -> Result<()> {
    if width == 1 {
        return Ok(());
    }
    Err(Error::Input(format!(
        "{name}: labels are one column, the file has {width}; choose the column, or say targets = \"values\""
    )))
}

fn check_moments(name: &str, width: usize, by: &Prepared) -> Result<()> {
    match &by.moments {
        Some(moments) if moments.mean.len() == width => Ok(()),
        Some(moments) => Err(Error::Input(format!(
            "{name}: has {width} columns, the training rows have {}: they must have the same",
            moments.mean.len()
        ))),
        None => Err(Error::Input(format!("{name}: the rows that should standardise it are not standardised"))),
    }
}

/// Prepares a source into the store, or finds it there already. The same bytes and the same request
/// always give the same objects; a preparation that was killed is simply repeated.
///
/// # Errors
/// [`Error::Input`] and [`Error::NonFinite`] for what is wrong with the source, found before
/// anything is written; [`Error::Store`], [`Error::Format`].
pub fn prepare(store: &Store, request: &Request<'_>) -> Result<Prepared> {
    request.check()?;
    let before = File::open(&request.source.location)?;
    let before = (before.size(), before.modified());
    let spec = request.spec()?;
    if let Some(manifest) = Manifest::find(store, Kind::Data, &Id::of(&spec))? {
        return Prepared::of(&manifest);
    }
    let survey = request.survey()?;
    let id = Id::of(&spec);
    let row_digests = request.write(store, &id, &survey, |_| true)?;
    let after = File::open(&request.source.location)?;
    if before != (after.size(), after.modified()) {
        return Err(changed(request.source));
    }
    let column = column_of(spec["what"].as_str().unwrap_or(INPUTS));
    let Survey { n, width, classes, moments } = survey;
    let prepared = Prepared { id, n, width, tile: request.tile, row_digests, classes, moments, column };
    Prepared::of(&Manifest::new(Kind::Data, spec, prepared.facts()).publish(store)?)
}

/// Writes the blocks of a prepared matrix anew that are missing or damaged; returns them. What was
/// never prepared is prepared.
///
/// # Errors
/// As [`prepare`]; [`Error::Corrupt`] if the source no longer gives the rows that the manifest tells.
pub fn repair(store: &Store, request: &Request<'_>) -> Result<(Prepared, Vec<u32>)> {
    let prepared = prepare(store, request)?;
    let bad: Vec<u32> = prepared.verify(store)?.into_iter().map(|(block, _)| block).collect();
    if bad.is_empty() {
        return Ok((prepared, bad));
    }
    let survey =
        Survey { n: prepared.n, width: prepared.width, classes: prepared.classes, moments: prepared.moments.clone() };
    let digests = request.write(store, &prepared.id, &survey, |block| bad.contains(&block))?;
    if digests != prepared.row_digests {
        let key = format!("data/{}", prepared.id);
        let why = "the source gives other rows than its manifest tells; remove this folder and run again".to_owned();
        return Err(Error::Corrupt { key, why });
    }
    Ok((prepared, bad))
}
