//! Small Parquet tables with a digest: predictions, strips, `z` and `alpha`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Repetition, Type as PhysicalType};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::codec::properties;
use crate::error::{Error, Result};
use crate::key::{FORMAT_VERSION, Key};

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Integers.
    I64(Vec<i64>),
    /// Floats.
    F64(Vec<f64>),
}

impl Column {
    fn digest(&self, hasher: &mut blake3::Hasher) {
        match self {
            Column::I64(v) => hasher.update(bytemuck::cast_slice(v)),
            Column::F64(v) => hasher.update(bytemuck::cast_slice(v)),
        };
    }
}

/// Named columns of one length, and facts about them (`megagram.<name>` in the file's metadata).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Columns in order.
    pub columns: Vec<(String, Column)>,
    /// Facts.
    pub facts: BTreeMap<String, String>,
}

impl Table {
    fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, column) in &self.columns {
            hasher.update(name.as_bytes());
            column.digest(&mut hasher);
        }
        for (name, value) in &self.facts {
            hasher.update(name.as_bytes());
            hasher.update(value.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The float column `name`.
    pub fn floats(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find_map(|(n, c)| match c {
            Column::F64(v) if n == name => Some(v.as_slice()),
            _ => None,
        })
    }

    /// The table as a Parquet file.
    ///
    /// # Errors
    /// [`Error::Store`] if the Parquet writer refuses (columns of unequal length).
    pub fn encode(&self) -> Result<Bytes> {
        let write = || -> Result<Vec<u8>, ParquetError> {
            let fields = self.columns.iter().map(|(name, column)| {
                let kind = match column {
                    Column::I64(_) => PhysicalType::INT64,
                    Column::F64(_) => PhysicalType::DOUBLE,
                };
                let field = Type::primitive_type_builder(name, kind).with_repetition(Repetition::REQUIRED);
                field.build().map(Arc::new)
            });
            let fields = fields.collect::<Result<Vec<_>, _>>()?;
            let schema = Arc::new(Type::group_type_builder("table").with_fields(fields).build()?);
            let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties())?;
            let mut group = writer.next_row_group()?;
            for (_, values) in &self.columns {
                let Some(mut column) = group.next_column()? else { break };
                match values {
                    Column::I64(v) => column.typed::<Int64Type>().write_batch(v, None, None)?,
                    Column::F64(v) => column.typed::<DoubleType>().write_batch(v, None, None)?,
                };
                column.close()?;
            }
            group.close()?;
            let mut pair =
                |k: &str, v: String| writer.append_key_value_metadata(KeyValue::new(format!("megagram.{k}"), v));
            pair("format_version", FORMAT_VERSION.to_string());
            pair("blake3", self.digest());
            for (name, value) in &self.facts {
                pair(&format!("fact.{name}"), value.clone());
            }
            writer.into_inner()
        };
        write().map(Bytes::from).map_err(|e| Error::Store(format!("a table cannot be encoded: {e}")))
    }

    /// Reads a table and checks its digest.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is not what was written.
    pub fn decode(key: &Key, bytes: Bytes) -> Result<Table> {
        let corrupt = |why: String| Error::Corrupt { key: key.to_string(), why };
        let read = || -> Result<(Table, String), ParquetError> {
            let reader = SerializedFileReader::new(bytes)?;
            let metadata = reader.metadata();
            let mut table = Table::default();
            let mut digest = String::new();
            for pair in metadata.file_metadata().key_value_metadata().into_iter().flatten() {
                let value = pair.value.clone().unwrap_or_default();
                if pair.key == "megagram.blake3" {
                    digest = value;
                } else if let Some(name) = pair.key.strip_prefix("megagram.fact.") {
                    table.facts.insert(name.to_owned(), value);
                }
            }
            if metadata.num_row_groups() != 1 {
                return Err(ParquetError::General("a table has one row group".into()));
            }
            let group = reader.get_row_group(0)?;
            let rows = metadata.row_group(0).num_rows() as usize;
            for index in 0..group.num_columns() {
                let name = metadata.row_group(0).column(index).column_path().string();
                let column = match group.get_column_reader(index)? {
                    ColumnReader::Int64ColumnReader(mut column) => {
                        let mut values = Vec::with_capacity(rows);
                        column.read_records(rows, None, None, &mut values)?;
                        Column::I64(values)
                    }
                    ColumnReader::DoubleColumnReader(mut column) => {
                        let mut values = Vec::with_capacity(rows);
                        column.read_records(rows, None, None, &mut values)?;
                        Column::F64(values)
                    }
                    _ => return Err(ParquetError::General("a column of an unknown type".into())),
                };
                table.columns.push((name, column));
            }
            Ok((table, digest))
        };
        // The Parquet reader panics on some damaged pages; to the caller that is damage like any other.
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(ParquetError::General("its pages are damaged".into())));
        let (table, digest) = read.map_err(|e| corrupt(format!("not a readable table: {e}")))?;
        if table.digest() != digest {
            return Err(corrupt("its blake3 is not the one in its footer".to_owned()));
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back_and_a_flip_is_found() {
        let mut table = Table::default();
        table.columns.push(("row".into(), Column::I64(vec![0, 1, 2])));
        table.columns.push(("mean_0".into(), Column::F64(vec![0.5, -1.0, 2.0])));
        table.facts.insert("n".into(), "3".into());
        let key = Key::result("t", "x.parquet");
        let bytes = table.encode().unwrap();
        assert_eq!(Table::decode(&key, bytes.clone()).unwrap(), table);
        assert_eq!(table.floats("mean_0").unwrap()[1], -1.0);
        let mut bad = bytes.to_vec();
        let at = bad.windows(8).position(|w| w == 0.5f64.to_le_bytes()).unwrap();
        bad[at + 7] ^= 1;
        assert!(matches!(Table::decode(&key, bad.into()), Err(Error::Corrupt { .. })));
    }
}
