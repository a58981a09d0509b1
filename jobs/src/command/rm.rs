//! `rm`: removes one gram, factor or border.

use std::io::{BufRead, IsTerminal, Write};

use megagram_storage::{Key, Kind, Store};
use serde::Serialize;

use super::stored::ids;
use crate::cli::RmArgs;
use crate::exit::{Error, Result};
use crate::output::Stdout;
use crate::spec::size;

#[derive(Debug, Serialize)]
struct Removed {
    kind: Kind,
    id: String,
    objects: u64,
    bytes: u64,
}

/// Removes what `--id` names, after asking.
pub fn run(args: &RmArgs, out: &mut Stdout) -> Result<()> {
    let store = super::open_existing(&args.store.store)?;
    let (kind, objects) = find(&store, &args.id)?;
    let bytes = objects.iter().map(|(_, size)| size).sum();
    let removed = Removed { kind, id: args.id.clone(), objects: objects.len() as u64, bytes };
    if !args.yes && !agreed(&format!("remove the {kind} {}: {}?", args.id, show(&removed)))? {
        return Err(Error::usage("nothing was removed"));
    }
    // The manifest goes last: an interrupted removal leaves a matrix with missing tiles, which is
    // something that every command understands.
    let (manifests, others): (Vec<_>, Vec<_>) =
        objects.into_iter().map(|(key, _)| key).partition(|key| key.as_str().ends_with("/manifest.json"));
    for key in others.iter().chain(&manifests) {
        store.remove(key)?;
    }
    out.show(&removed, |r| format!("removed the {} {}: {}\n", r.kind, r.id, show(r)))
}

fn show(removed: &Removed) -> String {
    format!("{} objects, {}", removed.objects, size::show(removed.bytes))
}

fn find(store: &Store, id: &str) -> Result<(Kind, Vec<(Key, u64)>)> {
    for kind in [Kind::Gram, Kind::Factor, Kind::Border] {
        if let Some(id) = ids(store, kind)?.into_iter().find(|i| i.as_str() == id) {
            return Ok((kind, store.list(&format!("{kind}/{id}"))?));
        }
    }
    let url = store.url();
    if ids(store, Kind::Data)?.iter().any(|i| i.as_str() == id) {
        return Err(Error::usage(format!(
            "store {url}: {id} is prepared data, which matrices depend on; rm leaves it"
        )));
    }
    Err(Error::usage(format!(
        "store {url}: there is no gram, factor or border {id}; `megagram status {url}` shows the ids"
    )))
}

fn agreed(question: &str) -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Error::usage(format!("{question} Nobody is there to answer: give --yes")));
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(|e| Error::usage(format!("cannot read the answer: {e}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
