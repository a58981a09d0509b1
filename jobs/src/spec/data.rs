//! The `[data]` section: rows, targets, test sets.

use std::path::Path;

use megagram_pipeline::{Data, Pair, TestSet};
use megagram_storage::dataset::{Columns, Prepare, Source, Targets};

use super::section::{Found, Result, Section};

/// Reads the section; paths stay as they are written.
pub fn read(section: &Section<'_>) -> Result<Data> {
    let Some(train) = section.in_file("train") else {
        return Err(section.wrong("`train` is missing: train = { x = \"train-x.npy\", y = \"train-y.npy\" }"));
    };
    let table = train.table(false)?;
    let train = pair(&table)?;
    table.end()?;
    let test = tests(section)?;
    let limit = section.find("limit").map(|f| f.count(1)).transpose()?;
    let targets = section.find("targets");
    let targets = targets.map(|f| f.word(&[("classes", Targets::Classes), ("values", Targets::Values)])).transpose()?;
    let targets = match targets {
        Some(targets) => targets,
        // Without any targets the word would have nothing to say.
        None if train.y.is_none() && test.iter().all(|t| t.rows.y.is_none()) => Targets::Values,
        None => return Err(section.wrong("`targets` is missing: \"classes\" (integer labels) or \"values\"")),
    };
    let classes = match section.find("classes") {
        Some(found) if targets == Targets::Values => {
            return Err(found.wrong("a number of classes has no meaning with targets = \"values\""));
        }
        found => found.map(|f| f.count_u32(1)).transpose()?,
    };
    let prepare = section.find("prepare").map(|f| {
        f.word(&[
            ("none", Prepare::None),
            ("unit-norm", Prepare::UnitNorm),
            ("layer-norm", Prepare::LayerNorm),
            ("standardise", Prepare::Standardise),
        ])
    });
    let prepare = prepare.transpose()?.unwrap_or_default();
    let shape = section.find("shape").map(|f| shape(&f)).transpose()?;
    let scale = section.find("scale").map(|f| f.float()).transpose()?.unwrap_or(1.0);
    let mask = section.find("mask").map(|f| f.float()).transpose()?;
    section.end()?;
    Ok(Data { train, test, limit, targets, classes, prepare, shape, scale, mask })
}

fn shape(found: &Found<'_>) -> Result<Vec<usize>> {
    let sides = found.items()?.iter().map(|f| f.count_u32(1).map(|s| s as usize)).collect::<Result<Vec<_>>>()?;
    match sides.len() {
        2 | 3 => Ok(sides),
        _ => Err(found.wrong("expected [H, W, C] for images or [L, C] for sequences")),
    }
}

fn tests(section: &Section<'_>) -> Result<Vec<TestSet>> {
    let Some(found) = section.in_file("test") else { return Ok(Vec::new()) };
    let mut sets: Vec<TestSet> = Vec::new();
    for item in found.items()? {
        let table = item.table(false)?;
        let name = table.need("name", "a test set's name is part of file names")?;
        let text = super::file_name(&name)?;
        // Some stores and file systems do not tell capitals from small letters.
        if sets.iter().any(|s| s.name.eq_ignore_ascii_case(&text)) {
            return Err(name.wrong(&format!("there are two test sets named \"{text}\"")));
        }
        let rows = pair(&table)?;
        table.end()?;
        sets.push(TestSet { name: text, rows });
    }
    Ok(sets)
}

/// `{ x = file, y = file }`, or `{ path = file, x = columns, y = columns }`.
fn pair(table: &Section<'_>) -> Result<Pair> {
    let (path, x, y) = (table.in_file("path"), table.in_file("x"), table.in_file("y"));
    let header = table.in_file("header").map(|f| f.flag()).transpose()?;
    let Some(path) = path else {
        let file = |found: &Found<'_>| -> Result<Source> {
            let header = header.unwrap_or(false);
            Ok(Source { location: super::location(found)?, columns: Columns::All, header })
        };
        let Some(x) = x else {
            return Err(table.wrong("`x` is missing: x = \"rows.npy\", or path = \"table.parquet\" and y = \"column\""));
        };
        return Ok(Pair { x: file(&x)?, y: y.map(|y| file(&y)).transpose()? });
    };
    let location = super::location(&path)?;
    let y = y.map(|y| columns(&y)).transpose()?;
    let x = match (x, &y) {
        (Some(x), _) => Columns::Named(columns(&x)?),
        (None, Some(y)) => Columns::AllBut(y.clone()),
        (None, None) => Columns::All,
    };
    // Columns have names only where the file has a line of them.
    let header = header.unwrap_or(x != Columns::All);
    let source = |columns| Source { location: location.clone(), columns, header };
    Ok(Pair { x: source(x), y: y.map(|y| source(Columns::Named(y))) })
}

fn columns(found: &Found<'_>) -> Result<Vec<String>> {
    if !found.is_list() {
        return Ok(vec![found.string()?]);
    }
    let names = found.items()?.iter().map(Found::string).collect::<Result<Vec<_>>>()?;
    if names.is_empty() { Err(found.wrong("expected at least one column")) } else { Ok(names) }
}

/// Turns relative paths into paths as seen from the current folder.
pub fn resolve(data: &mut Data, folder: &Path) {
    let pairs = std::iter::once(&mut data.train).chain(data.test.iter_mut().map(|t| &mut t.rows));
    for source in pairs.flat_map(|p| std::iter::once(&mut p.x).chain(p.y.as_mut())) {
        source.location = super::resolved(&source.location, folder);
    }
}
