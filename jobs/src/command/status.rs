//! `status`: what a store holds and what is missing. Asks manifests and a listing, reads no tile.

use std::collections::BTreeMap;

use megagram_storage::{Id, Key, Kind, Manifest, Store};
use serde::Serialize;

use super::stored::{Stored, fact, ids};
use crate::cli::StoreArg;
use crate::exit::Result;
use crate::output::{Stdout, columns};
use crate::spec::size;

#[derive(Debug, Serialize)]
struct Status {
    store: String,
    matrices: Vec<Item>,
    results: BTreeMap<String, Vec<String>>,
}

/// One id of the store.
#[derive(Debug, Serialize)]
struct Item {
    kind: Kind,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tile: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise_var: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tiles: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<u64>,
    objects: u64,
    bytes: u64,
    /// A noise try that met a bad pivot.
    failed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Shows the store.
pub fn run(args: &StoreArg, out: &mut Stdout) -> Result<()> {
    let store = super::open_existing(&args.store)?;
    let mut matrices = Vec::new();
    let mut problem = None;
    for kind in Kind::ALL {
        for id in ids(&store, kind)? {
            let mut item = look(&store, kind, &id)?;
            let found = match kind {
                Kind::Gram | Kind::Factor => Stored::read(&store, kind, &id).map(|matrix| fill(&mut item, &matrix)),
                Kind::Data | Kind::Border => Manifest::read(&store, kind, &id)
                    .map(|manifest| item.n = fact(&manifest, "n").and_then(|v| v.as_u64()))
                    .map_err(Into::into),
            };
            match found {
                Ok(()) => {}
                // A manifest of rows comes last: until then they are under way, or were cut short.
                Err(_) if kind == Kind::Data && !store.has(&Key::manifest(kind, &id))? => {
                    item.problem = Some("unfinished: the next run prepares it again".to_owned());
                }
                Err(e) => {
                    item.problem = Some(e.to_string());
                    problem.get_or_insert(e);
                }
            }
            matrices.push(item);
        }
    }
    let mut results: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, _) in store.list("results")? {
        let mut parts = key.as_str().splitn(3, '/').skip(1);
        if let (Some(job), Some(file)) = (parts.next(), parts.next()) {
            results.entry(job.to_owned()).or_default().push(file.to_owned());
        }
    }
    let status = Status { store: store.url().to_owned(), matrices, results };
    out.show(&status, text)?;
    problem.map_or(Ok(()), Err)
}

fn look(store: &Store, kind: Kind, id: &Id) -> Result<Item> {
    let objects = store.list(&format!("{kind}/{id}"))?;
    let failed = Key::beside(kind, id, "failed.json");
    Ok(Item {
        kind,
        id: id.to_string(),
        n: None,
        tile: None,
        outputs: Vec::new(),
        noise_var: None,
        tiles: None,
        missing: None,
        objects: objects.len() as u64,
        bytes: objects.iter().map(|(_, size)| size).sum(),
        failed: objects.iter().any(|(key, _)| key.as_str() == failed.as_str()),
        problem: None,
    })
}

fn fill(item: &mut Item, matrix: &Stored) {
    item.n = Some(matrix.grid.n);
    item.tile = Some(matrix.grid.tile);
    item.outputs = matrix.outputs.clone();
    item.noise_var = fact(&matrix.manifest, "noise_var").and_then(|v| v.as_f64());
    item.tiles = Some(matrix.grid.lower_len());
    item.missing = Some(matrix.missing());
}

fn text(status: &Status) -> String {
    let row = |item: &Item| {
        let shape = match (item.n, item.tile) {
            (Some(n), Some(tile)) => format!("n {n}, tile {tile}"),
            (Some(n), None) => format!("n {n}"),
            _ => String::new(),
        };
        let noise = item.noise_var.map_or(String::new(), |v| format!(", noise_var {v:e}"));
        let what = format!("{}{noise}", item.outputs.join("+"));
        let state = match (&item.problem, item.failed, item.tiles, item.missing) {
            (Some(_), ..) => "unreadable".to_owned(),
            (_, true, ..) => "failed".to_owned(),
            (_, _, Some(tiles), Some(0)) => format!("complete, {tiles} tiles"),
            (_, _, Some(tiles), Some(missing)) => format!("{missing} of {tiles} tiles missing"),
            _ => format!("{} objects", item.objects),
        };
        vec![format!("{:<6}  {}", item.kind.folder(), item.id), shape, what, state, size::show(item.bytes)]
    };
    let mut text = format!("store {}\n", status.store);
    text.push_str(&columns(&status.matrices.iter().map(row).collect::<Vec<_>>()));
    for item in &status.matrices {
        if let Some(problem) = &item.problem {
            text.push_str(&format!("{problem}\n"));
        }
    }
    for (job, files) in &status.results {
        text.push_str(&format!("results {job}: {}\n", files.join(", ")));
    }
    if status.matrices.is_empty() && status.results.is_empty() {
        text.push_str("empty\n");
    }
    text
}
