//! One name, one question: a job's results are not silently replaced by those of another.
//!
//! `results/<name>/job.json` holds the question of the finished results beside it. It is written after them,
//! so that a run that fails, `--overwrite` or not, leaves the results of the other job as they are.

use megagram_pipeline::Summary;
use megagram_storage::{Key, Store};
use serde_json::Value;

use crate::exit::{Error, Result};
use crate::spec::Loaded;

fn question(name: &str) -> Key {
    Key::result(name, "job.json")
}

/// Refuses a name under which another job's results are kept.
pub fn is_free(store: &Store, loaded: &Loaded) -> Result<()> {
    let name = &loaded.job.name;
    let Some(other) = read(store, &question(name))? else { return Ok(()) };
    if other == loaded.identity || !store.has(&Key::result(name, "summary.json"))? {
        return Ok(());
    }
    let mut differences = Vec::new();
    compare("", &other, &loaded.identity, &mut differences);
    Err(Error::usage(format!(
        "store {}: the name \"{name}\" is taken by another job (it differs in {}); choose another name, or --overwrite \
         its results",
        store.url(),
        differences.join(", ")
    )))
}

/// Takes the name for results that are finished; what another job has left goes.
pub fn take(store: &Store, loaded: &Loaded, summary: &Summary) -> Result<()> {
    let name = &loaded.job.name;
    let question = question(name);
    if read(store, &question)?.as_ref() == Some(&loaded.identity) {
        return Ok(());
    }
    let text = serde_json::to_vec_pretty(&loaded.identity).map_err(|e| Error::usage(e.to_string()))?;
    store.put(&question, text.into())?;
    let stays = |key: &Key| summary.files.iter().any(|file| file == key.as_str());
    for (key, _) in store.list(&format!("results/{name}"))? {
        if key.as_str() != question.as_str() && !stays(&key) {
            store.remove(&key)?;
        }
    }
    Ok(())
}

fn read(store: &Store, key: &Key) -> Result<Option<Value>> {
    match store.get(key) {
        // What is no JSON is no question of ours: it is replaced.
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or(Value::Null))),
        Err(megagram_storage::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The paths at which two questions differ.
fn compare(path: &str, a: &Value, b: &Value, differences: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let mut keys: Vec<_> = x.keys().chain(y.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&below, x.get(key).unwrap_or(&Value::Null), y.get(key).unwrap_or(&Value::Null), differences);
            }
        }
        _ if a != b => differences.push(if path.is_empty() { "everything".to_owned() } else { path.to_owned() }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    fn job(folder: &std::path::Path, extra: &str) -> Loaded {
        let text = format!(
            "name = \"t\"\nstore = \"out\"\n[data]\ntrain = {{ x = \"x.npy\" }}\n{extra}\n[kernel]\nfc = {{ depth = 1 }}\n"
        );
        let path = folder.join("job.toml");
        std::fs::write(&path, text).unwrap();
        spec::load(&path, &spec::Overrides::default(), 1).unwrap()
    }

    #[test]
    fn a_finished_job_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open("memory://").unwrap();
        let (one, two) = (job(folder.path(), ""), job(folder.path(), "limit = 5"));
        let write = |name: &str| store.put(&Key::result("t", name), b"{}".to_vec().into()).unwrap();
        let summary = Summary { files: vec!["results/t/summary.json".into()], ..Summary::default() };
        is_free(&store, &one).unwrap();
        write("summary.json");
        write("old.parquet");
        take(&store, &two, &summary).unwrap();
        is_free(&store, &two).unwrap();
        let error = is_free(&store, &one).unwrap_err();
        assert_eq!(error.code(), 2);
        assert!(error.to_string().contains("(it differs in data.limit)"), "{error}");
        let left: Vec<_> = store.list("results").unwrap().into_iter().map(|(k, _)| k.to_string()).collect();
        assert_eq!(left, ["results/t/job.json", "results/t/summary.json"]);
    }
}
