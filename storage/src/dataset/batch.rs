//! Columns of Arrow batches to rows: what Parquet and Arrow IPC share.

use arrow::array::{Array, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};

use super::columns::choose;
use super::rows::{Rows, guarded};
use super::source::Columns;
use crate::error::{Error, Result};

/// The chosen columns of a table.
pub(crate) struct Choice {
    /// Places in the file, in the order wanted.
    places: Vec<usize>,
    /// For each, its place in a batch that holds the chosen columns in the order of the file.
    in_batch: Vec<usize>,
}

impl Choice {
    /// Chooses columns and checks that they hold numbers.
    pub fn of(name: &str, columns: &Columns, schema: &Schema) -> Result<Choice> {
        let all: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let places = choose(name, columns, &all)?;
        for place in &places {
            let field = schema.field(*place);
            if !field.data_type().is_numeric() && *field.data_type() != DataType::Boolean {
                return Err(Error::Input(format!(
                    "{name}: column {place} `{}` holds {}, not numbers; leave it out or convert it",
                    field.name(),
                    field.data_type()
                )));
            }
        }
        let in_batch = places.iter().map(|p| places.iter().filter(|q| *q < p).count()).collect();
        Ok(Choice { places, in_batch })
    }

    /// Places of the chosen columns in the order of the file.
    pub fn sorted(&self) -> Vec<usize> {
        let mut sorted = self.places.clone();
        sorted.sort_unstable();
        sorted
    }
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// Rows from batches of the chosen columns.
pub(crate) struct BatchRows {
    name: String,
    choice: Choice,
    batches: Batches,
    len: Option<u64>,
    /// What is left of the current batch.
    batch: Option<RecordBatch>,
    next: u64,
}

impl BatchRows {
    /// `batches` hold the columns of [`Choice::sorted`].
    pub fn new(name: &str, choice: Choice, batches: Batches, len: Option<u64>) -> Self {
        Self { name: name.to_owned(), choice, batches, len, batch: None, next: 0 }
    }

    fn push(&self, batch: &RecordBatch, out: &mut Vec<f64>) -> Result<()> {
        let (rows, width, first) = (batch.num_rows(), self.width(), out.len());
        out.resize(first + rows * width, 0.0);
        for (col, place) in self.choice.in_batch.iter().enumerate() {
            let Some(column) = batch.columns().get(*place) else {
                return Err(Error::Input(format!("{}: a batch lacks a column; the file is damaged", self.name)));
            };
            let column = cast(column, &DataType::Float64).map_err(|e| Error::Input(format!("{}: {e}", self.name)))?;
            let Some(column) = column.as_any().downcast_ref::<Float64Array>() else {
                return Err(Error::Input(format!("{}: a column does not turn into numbers", self.name)));
            };
            for row in 0..rows {
                out[first + row * width + col] = if column.is_valid(row) { column.value(row) } else { f64::NAN };
            }
        }
        let Some(at) = out[first..].iter().position(|v| !v.is_finite()) else { return Ok(()) };
        let (row, col) = (at / width, at % width);
        let null = batch.column(self.choice.in_batch[col]).is_null(row);
        Err(Error::NonFinite {
            what: self.name.clone(),
            row: self.next + row as u64,
            col: self.choice.places[col] as u64,
            value: if null { "null".to_owned() } else { out[first + at].to_string() },
            line: None,
        })
    }
}

impl Rows for BatchRows {
    fn width(&self) -> usize {
        self.choice.places.len()
    }

    fn len_hint(&self) -> Option<u64> {
        self.len
    }

    fn next_block(&mut self, max_rows: usize, out: &mut Vec<f64>) -> Result<usize> {
        while self.batch.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
            let batches = &mut self.batches;
            match guarded(&self.name, || batches.next().transpose())? {
                Some(batch) => self.batch = Some(batch),
                None => return Ok(0),
            }
        }
        let Some(batch) = self.batch.take() else { return Ok(0) };
        let count = batch.num_rows().min(max_rows);
        guarded(&self.name, || self.push(&batch.slice(0, count), out))?;
        self.batch = Some(batch.slice(count, batch.num_rows() - count));
        self.next += count as u64;
        Ok(count)
    }
}
