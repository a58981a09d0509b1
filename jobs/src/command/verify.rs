//! `verify`: every tile of every gram and factor, and every other file with a digest, read and compared with it.

mod files;

use megagram_pipeline::{RepairOptions, Residual};
use megagram_storage::{Kind, Store, TileId};
use serde::Serialize;

use files::{Files, finite};

use super::stored::{Stored, ids};
use crate::cli::VerifyArgs;
use crate::exit::{Error, Result};
use crate::output::Stdout;
use crate::{machine, progress};

#[derive(Debug, Default, Serialize)]
struct Report {
    store: String,
    /// Tiles read.
    tiles: u64,
    bytes: u64,
    /// Tiles of unfinished matrices that are not there yet.
    missing: u64,
    bad: Vec<Bad>,
    /// Rows, tables and tiles of V.
    files: Files,
    /// Bad tiles moved to `aside/` and computed again.
    repaired: u64,
    /// L·Lᵀ against K on sampled rows of each complete factor whose tiles are good.
    residuals: Vec<Residual>,
}

/// A tile that is not what it should be.
#[derive(Debug, Serialize)]
struct Bad {
    matrix: Kind,
    id: String,
    tile: String,
    why: String,
}

/// Checks the store.
pub fn run(args: &VerifyArgs, out: &mut Stdout) -> Result<()> {
    let store = super::open_existing(&args.store.store)?;
    let mut matrices = Vec::new();
    for kind in [Kind::Gram, Kind::Factor] {
        for id in ids(&store, kind)? {
            matrices.push(Stored::read(&store, kind, &id)?);
        }
    }
    let progress = progress::of(0);
    let url = store.url().to_owned();
    let mut report = Report { store: url, ..Report::default() };
    for matrix in &matrices {
        progress.begin(&format!("{} {}", matrix.kind, matrix.id), "tiles", matrix.present.len() as u64);
        report.missing += matrix.missing();
        let mut bad = Vec::new();
        for (tile, bytes) in &matrix.present {
            if let Some(why) = check(&store, matrix, *tile)? {
                progress.say(&format!("{} {} {tile}: {why}", matrix.kind, matrix.id));
                bad.push((*tile, why));
            }
            report.tiles += 1;
            report.bytes += bytes;
            progress.advance(1);
        }
        progress.end();
        if args.repair {
            for (tile, _) in &bad {
                matrix.set_aside(&store, *tile)?;
            }
        }
        let (kind, id) = (matrix.kind, matrix.id.to_string());
        report.bad.extend(bad.into_iter().map(|(t, why)| Bad {
            matrix: kind,
            id: id.clone(),
            tile: t.to_string(),
            why,
        }));
    }
    report.files = files::check(&store)?;
    if args.repair && !report.bad.is_empty() {
        // Grams first: a factor's tile may need the tile of K that was bad too.
        let options = RepairOptions { memory: machine::memory().bytes / 2, workers: machine::cores() };
        for matrix in &matrices {
            if report.bad.iter().any(|b| b.id == matrix.id.as_str()) {
                report.repaired += megagram_pipeline::repair(&store, matrix.kind, &matrix.id, options, &progress)?;
            }
        }
    }
    let sound = |m: &&Stored| m.missing() == 0 && (args.repair || report.bad.iter().all(|b| b.id != m.id.as_str()));
    for matrix in matrices.iter().filter(|m| m.kind == Kind::Factor).filter(sound) {
        report.residuals.push(megagram_pipeline::residual(&store, &matrix.id)?);
    }
    out.show(&report, text)?;
    if let Some(bad) = report.residuals.iter().find(|r| !r.holds()) {
        return Err(Error::Check(format!(
            "factor {}: L·Lᵀ is off K by {:.1e}, rounding explains {:.1e}: remove it (megagram rm) and run its job again",
            bad.factor, bad.worst, bad.bound
        )));
    }
    let tiles = if args.repair { 0 } else { report.bad.len() };
    let mut wrong = Vec::new();
    if tiles > 0 {
        wrong.push(format!("{tiles} bad tiles; nothing was changed: --repair computes them again"));
    }
    if !report.files.bad.is_empty() {
        let count = report.files.bad.len();
        wrong.push(format!("{count} other bad files: run their job again, which makes anew what it needs of them"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Check(wrong.join("; "))) }
}

/// What is wrong with a tile, if anything.
fn check(store: &Store, matrix: &Stored, tile: TileId) -> Result<Option<String>> {
    let columns: Vec<_> = matrix.columns.iter().map(String::as_str).collect();
    let mut sound = true;
    let read = matrix.tile(store, tile, &columns, &mut Vec::new(), |values| sound &= finite(values));
    Ok(tells_damage(read.map(|()| sound))?)
}

/// What is wrong with something that was read, if anything. `Ok` tells whether its numbers are finite.
fn tells_damage(read: megagram_storage::Result<bool>) -> megagram_storage::Result<Option<String>> {
    use megagram_storage::Error;
    match read {
        Ok(true) => Ok(None),
        Ok(false) => Ok(Some("it holds NaN or infinite values".to_owned())),
        Err(Error::Corrupt { why, .. }) => Ok(Some(why)),
        Err(Error::NotFound { .. }) => Ok(Some("it is not there".to_owned())),
        Err(error) => Err(error),
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for bad in &report.bad {
        text.push_str(&format!("{} {} {}: {}\n", bad.matrix, bad.id, bad.tile, bad.why));
    }
    for bad in &report.files.bad {
        text.push_str(&format!("{}: {}\n", bad.key, bad.why));
    }
    let (tiles, bytes) = (report.tiles, crate::spec::size::show(report.bytes));
    text.push_str(&format!("{tiles} tiles read ({bytes}), {} bad", report.bad.len()));
    if report.repaired > 0 {
        text.push_str(&format!(", {} computed again", report.repaired));
    }
    if report.missing > 0 {
        text.push_str(&format!("; {} not there yet", report.missing));
    }
    let files = &report.files;
    let size = crate::spec::size::show(files.bytes);
    text.push_str(&format!("\n{} other files read ({size}), {} bad\n", files.read, files.bad.len()));
    for r in &report.residuals {
        let (factor, rows, worst, bound) = (&r.factor, r.rows.len(), r.worst, r.bound);
        text.push_str(&format!(
            "factor {factor}: L·Lᵀ is off K by {worst:.1e} on {rows} rows; rounding allows {bound:.1e}\n"
        ));
    }
    text
}
