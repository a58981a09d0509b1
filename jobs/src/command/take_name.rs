//! One name, one question: a job's results are not silently replaced by those of another.
//!
//! `results/<name>/job.json` holds the question of the results beside it. A summary without that
//! question's results never stays: on `--overwrite` the old results go first.

use megagram_storage::{Key, Store};
use serde_json::Value;

use crate::exit::{Error, Result};
use crate::spec::Loaded;

/// Takes the job's name for its results.
pub fn take_name(store: &Store, loaded: &Loaded, overwrite: bool) -> Result<()> {
    let name = &loaded.job.name;
    let (question, summary) = (Key::result(name, "job.json"), Key::result(name, "summary.json"));
    let taken = read(store, &question)?;
    if taken.as_ref() == Some(&loaded.identity) {
        return Ok(());
    }
    if let Some(other) = taken.filter(|_| overwrite || store.has(&summary).unwrap_or(true)) {
        if !overwrite {
            let mut differences = Vec::new();
            compare("", &other, &loaded.identity, &mut differences);
            return Err(Error::usage(format!(
                "store {}: the name \"{name}\" is taken by another job (it differs in {}); choose another name, or \
                 --overwrite its results",
                store.url(),
                differences.join(", ")
            )));
        }
        for (key, _) in store.list(&format!("results/{name}"))? {
            store.remove(&key)?;
        }
    }
    let text = serde_json::to_vec_pretty(&loaded.identity).map_err(|e| Error::usage(e.to_string()))?;
    Ok(store.put(&question, text.into())?)
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
        take_name(&store, &one, false).unwrap();
        take_name(&store, &two, false).unwrap();
        store.put(&Key::result("t", "summary.json"), b"{}".to_vec().into()).unwrap();
        store.put(&Key::result("t", "old.parquet"), b"x".to_vec().into()).unwrap();
        take_name(&store, &two, false).unwrap();
        let error = take_name(&store, &one, false).unwrap_err();
        assert_eq!(error.code(), 2);
        assert!(error.to_string().contains("(it differs in data.limit)"), "{error}");
        take_name(&store, &one, true).unwrap();
        let left: Vec<_> = store.list("results").unwrap().into_iter().map(|(k, _)| k.to_string()).collect();
        assert_eq!(left, ["results/t/job.json"]);
    }
}
