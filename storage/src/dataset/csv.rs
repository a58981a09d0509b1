//! Comma-separated values, with or without a line of names.

use std::io::Read;

use csv::{Position, ReaderBuilder, StringRecord};

use super::array::Stream;
use super::columns::choose;
use super::file::failed;
use super::rows::Rows;
use super::source::Columns;
use crate::error::{Error, Result};

/// Opens a CSV file. Without a header the columns are called `0`, `1`, ….
pub(crate) fn open(stream: Stream, columns: &Columns, header: bool) -> Result<Box<dyn Rows>> {
    let name = stream.name;
    let mut reader = ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(stream.bytes);
    let mut record = StringRecord::new();
    let mut pending = reader.read_record(&mut record).map_err(|e| broken(&name, &e))?;
    if !pending {
        return Err(Error::Input(format!("{name}: the file is empty")));
    }
    let all: Vec<String> = match header {
        true => record.iter().map(str::to_owned).collect(),
        false => (0..record.len()).map(|col| col.to_string()).collect(),
    };
    if header {
        pending = false;
        if *columns == Columns::All && looks_like_data(&all) {
            return Err(Error::Input(format!(
                "{name}: line 1 holds numbers only, so it looks like a row of data; say header = false, or put column \
                 names there"
            )));
        }
    }
    let chosen = choose(&name, columns, &all)?;
    Ok(Box::new(CsvRows { name, reader, record, pending, all, chosen, next: 0, lines: Vec::new() }))
}

/// Whether all names are numbers, and not the running numbers that pandas gives nameless columns.
fn looks_like_data(names: &[String]) -> bool {
    let counts_from = |start: usize| names.iter().enumerate().all(|(at, name)| *name == (at + start).to_string());
    names.iter().all(|name| name.parse::<f64>().is_ok()) && !counts_from(0) && !counts_from(1)
}

fn broken(name: &str, e: &csv::Error) -> Error {
    match e.kind() {
        csv::ErrorKind::Io(e) => failed(name, e),
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => Error::Input(format!(
            "{name}: line {} of the file has {len} fields where {expected_len} belong",
            pos.as_ref().map_or(0, Position::line)
        )),
        _ => Error::Input(format!("{name}: cannot be read as CSV: {e}")),
    }
}

struct CsvRows {
    name: String,
    reader: csv::Reader<Box<dyn Read + Send>>,
    record: StringRecord,
    /// Whether `record` holds a row that is not yet given out.
    pending: bool,
    all: Vec<String>,
    chosen: Vec<usize>,
    next: u64,
    /// Lines of the latest block's rows.
    lines: Vec<u64>,
}

impl CsvRows {
    fn push(&self, line: u64, out: &mut Vec<f64>) -> Result<()> {
        for col in &self.chosen {
            let text = &self.record[*col];
            let value = match text.parse::<f64>() {
                Ok(value) => value,
                Err(_) if text.eq_ignore_ascii_case("true") => 1.0,
                Err(_) if text.eq_ignore_ascii_case("false") => 0.0,
                Err(_) if text.is_empty() => f64::NAN,
                Err(_) => {
                    let hint = if self.next == 0 { "; if this line holds names, say header = true" } else { "" };
                    return Err(Error::Input(format!(
                        "{}: row {}, column {col} `{}`: {text:?} is not a number (line {line} of the file){hint}; \
                         choose columns of numbers or mend the file",
                        self.name, self.next, self.all[*col]
                    )));
                }
            };
            if !value.is_finite() {
                return Err(Error::NonFinite {
                    what: self.name.clone(),
                    row: self.next,
                    col: *col as u64,
                    value: if text.is_empty() { "missing".to_owned() } else { value.to_string() },
                    line: Some(line),
                });
            }
            out.push(value);
        }
        Ok(())
    }
}

impl Rows for CsvRows {
    fn width(&self) -> usize {
        self.chosen.len()
    }

    fn len_hint(&self) -> Option<u64> {
        None
    }

    fn next_block(&mut self, max_rows: usize, out: &mut Vec<f64>) -> Result<usize> {
        let mut count = 0;
        while count < max_rows {
            if !self.pending && !self.reader.read_record(&mut self.record).map_err(|e| broken(&self.name, &e))? {
                break;
            }
            self.pending = false;
            let line = self.record.position().map_or(0, Position::line);
            self.push(line, out)?;
            // Asking again at the end must not lose the lines of the last block.
            if count == 0 {
                self.lines.clear();
            }
            self.lines.push(line);
            count += 1;
            self.next += 1;
        }
        Ok(count)
    }

    fn line(&self, row: u64) -> Option<u64> {
        let first = self.next - self.lines.len() as u64;
        self.lines.get(row.checked_sub(first)? as usize).copied()
    }
}
