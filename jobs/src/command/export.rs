//! `export`: a matrix as a `.npy` file, one tile in memory at a time.

use megagram_storage::{Kind, Store, TileId};
use serde::Serialize;

use super::npy::Npy;
use super::stored::{Stored, ids};
use crate::cli::{ExportArgs, Matrix};
use crate::exit::{Error, Result};
use crate::output::Stdout;

#[derive(Debug, Serialize)]
struct Exported {
    matrix: &'static str,
    id: String,
    output: String,
    rows: u64,
    cols: u64,
    file: String,
}

/// Writes the file.
pub fn run(args: &ExportArgs, out: &mut Stdout) -> Result<()> {
    let store = super::open_existing(&args.store.store)?;
    let matrix = choose(&store, args)?;
    let Some(column) = matrix.column(args.output) else {
        let outputs = matrix.outputs.join(" and ");
        return Err(Error::usage(format!(
            "the {} {} holds {outputs}; say which with --output",
            matrix.kind, matrix.id
        )));
    };
    let n = matrix.grid.n;
    let rows = args.rows.clone().unwrap_or(0..n);
    let cols = args.cols.clone().unwrap_or(0..n);
    for (flag, range) in [("--rows", &rows), ("--cols", &cols)] {
        if range.end > n {
            return Err(Error::usage(format!("{flag} {}..{}: the matrix has {n}", range.start, range.end)));
        }
    }
    let failed = |error| Error::Output { what: args.to.display().to_string(), error };
    let mut npy = Npy::create(&args.to, rows.clone(), cols.clone()).map_err(failed)?;
    let mut buffer = Vec::new();
    for tile in matrix.grid.lower() {
        write_tile(&store, &matrix, column, tile, &mut buffer, &mut npy, &failed)?;
    }
    npy.finish().map_err(failed)?;
    let exported = Exported {
        matrix: matrix.kind.folder(),
        id: matrix.id.to_string(),
        output: args.output.map_or_else(|| matrix.outputs.join(","), |o| o.name().to_owned()),
        rows: rows.end - rows.start,
        cols: cols.end - cols.start,
        file: args.to.display().to_string(),
    };
    out.show(&exported, |e| format!("{}: {} × {}, {} {} ({})\n", e.file, e.rows, e.cols, e.matrix, e.id, e.output))
}

/// The tile at its place and, in a symmetric matrix, at its mirror's.
fn write_tile(
    store: &Store,
    matrix: &Stored,
    column: &str,
    tile: TileId,
    buffer: &mut Vec<f64>,
    npy: &mut Npy,
    failed: &impl Fn(std::io::Error) -> Error,
) -> Result<()> {
    let side = |block: u32| {
        let start = matrix.grid.start(block);
        start..start + matrix.grid.rows(block) as u64
    };
    let (rows, cols) = (side(tile.row), side(tile.col));
    let mirrored = matrix.kind == Kind::Gram && !tile.is_diagonal();
    let (here, there) = (npy.wants(&rows, &cols), mirrored && npy.wants(&cols, &rows));
    if !here && !there {
        return Ok(());
    }
    matrix.tile(store, tile, &[column], buffer, |_| {}).map_err(|e| match e {
        megagram_storage::Error::NotFound { .. } => {
            let (kind, id, missing, all) = (matrix.kind, &matrix.id, matrix.missing(), matrix.grid.lower_len());
            Error::from(megagram_storage::Error::Store(format!(
                "the {kind} {id} is not complete: {missing} of {all} tiles are missing; run its job first"
            )))
        }
        e => e.into(),
    })?;
    let ld = matrix.grid.rows(tile.row);
    if here {
        npy.block(&rows, &cols, |r, c| buffer[c * ld + r]).map_err(failed)?;
    }
    if there {
        npy.block(&cols, &rows, |r, c| buffer[r * ld + c]).map_err(failed)?;
    }
    Ok(())
}

/// The matrix that is meant: by id, or the only one that fits.
fn choose(store: &Store, args: &ExportArgs) -> Result<Stored> {
    let kind = match args.matrix {
        Matrix::Gram => Kind::Gram,
        Matrix::Factor => Kind::Factor,
    };
    let ids = ids(store, kind)?;
    if let Some(wanted) = &args.id {
        return match ids.iter().find(|id| id.as_str() == wanted) {
            Some(id) => Stored::read(store, kind, id),
            None => Err(Error::usage(format!("store {}: there is no {kind} {wanted}", store.url()))),
        };
    }
    let mut fitting = Vec::new();
    for id in &ids {
        let matrix = Stored::read(store, kind, id)?;
        let output = args.output.is_none_or(|o| matrix.outputs.iter().any(|m| m == o.name()));
        if output && !matrix.present.is_empty() {
            fitting.push(matrix);
        }
    }
    match fitting.len() {
        1 => Ok(fitting.remove(0)),
        0 => {
            let with = args.output.map_or(String::new(), |o| format!(" of {}", o.name()));
            Err(Error::usage(format!("store {}: there is no stored {kind}{with}", store.url())))
        }
        _ => {
            let list = fitting.iter().map(describe).collect::<Vec<_>>().join("\n  ");
            Err(Error::usage(format!("the store holds several; choose one with --id:\n  {list}")))
        }
    }
}

fn describe(matrix: &Stored) -> String {
    let noise = super::stored::fact(&matrix.manifest, "noise_var").and_then(|v| v.as_f64());
    let noise = noise.map_or(String::new(), |v| format!(", noise_var {v:e}"));
    let (id, n, tile, outputs) = (&matrix.id, matrix.grid.n, matrix.grid.tile, matrix.outputs.join("+"));
    format!("{id}  n {n}, tile {tile}, {outputs}{noise}, {} tiles missing", matrix.missing())
}
