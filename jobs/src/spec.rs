//! The job file: TOML to a typed [`Job`], every default filled in.
//!
//! A value comes from a flag, or else a `MEGAGRAM_*` variable, or else the file, or else its
//! default. Nothing is guessed: an unknown key, a wrong type or a value that cannot be is an error
//! that names file, line and key. What only the data can tell (labels, sizes beyond N) and the
//! meaning of `[kernel]` are checked by the pipeline.

mod compute;
mod data;
mod gp;
mod section;
pub mod size;

use std::cell::RefCell;
use std::path::Path;

use megagram_pipeline::{Error, Job};
use serde_json::{Value, json};
use toml::de::DeTable;

use section::{File, Section};
pub use section::{Overrides, Rank, Result};

/// A job file, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The job, paths resolved.
    pub job: Job,
    /// What was asked, as canonical JSON: without what may differ between two runs of one question
    /// (store, memory, workers, where the files lie).
    pub identity: Value,
    /// Things the user should know, a sentence each.
    pub warnings: Vec<String>,
}

impl Overrides {
    /// Overrides from flags and from the `MEGAGRAM_*` variables of this process.
    pub fn new(flags: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let variable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let key = name.to_str()?.strip_prefix("MEGAGRAM_")?.to_ascii_lowercase();
            Some((key, value.into_string().ok()?))
        };
        Self {
            flags: flags.into_iter().collect(),
            environment: std::env::vars_os()
                .filter_map(variable)
                .filter(|(key, _)| !key.starts_with("test_"))
                .collect(),
        }
    }
}

/// Reads the job file at `path`. `sharers` is how many processes of the run share this machine: the
/// defaults of memory and workers are split among them.
///
/// # Errors
/// [`Error::Usage`] if the file cannot be read or asks for what cannot be.
pub fn load(path: &Path, overrides: &Overrides, sharers: usize) -> Result<Loaded> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::Usage(format!("{name}: the job file cannot be read: {}", plain(&e))))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&name, &text, folder, overrides, sharers)
}

/// An I/O error without its number.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn parse(name: &str, text: &str, folder: &Path, overrides: &Overrides, sharers: usize) -> Result<Loaded> {
    let file = File { name: name.to_owned(), text, overrides, open_keys: RefCell::default() };
    let table = DeTable::parse(text).map_err(|e| {
        let place = e.span().map_or_else(|| name.to_owned(), |span| file.place(span.start));
        Error::Usage(format!("{place}: not TOML: {}", e.message()))
    })?;
    let root = Section::root(&file, table.get_ref());

    let job_name = root.need("name", "results are kept under it")?;
    let store = root.need("store", "a folder or a URL (file:// s3:// gs:// az:// memory://)")?;
    let data = data::read(&root.section("data")?)?;
    let kernel = root.in_file("kernel").ok_or_else(|| {
        Error::Usage(format!("{name}: the section `[kernel]` is missing: it says which network's kernel to compute"))
    })?;
    kernel.table(false)?;
    let gp = gp::read(&root.section("gp")?)?;
    let compute = compute::read(&root.section("compute")?, sharers)?;
    root.end()?;

    let mut job =
        Job { name: file_name(&job_name)?, store: location(&store)?, data, kernel: kernel.json()?, gp, compute };
    let identity = identity(&job);
    data::resolve(&mut job.data, folder);
    if store.rank == Rank::File {
        job.store = resolved(&job.store, folder);
    }
    let open = file.open_keys.borrow();
    let known: Vec<_> = open.iter().copied().collect();
    let unknown = overrides.environment.keys().filter(|key| !open.contains(key.as_str()));
    let warnings = unknown
        .map(|key| {
            let variable = format!("MEGAGRAM_{}", key.to_ascii_uppercase());
            format!("the variable {variable} has no meaning; {}", section::suggestion(key, &known))
        })
        .collect();
    Ok(Loaded { job, identity, warnings })
}

/// A name that is safe as a file name on any store.
fn file_name(found: &section::Found<'_>) -> Result<String> {
    let name = found.string()?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 100 || name.starts_with(['.', '-']) || !name.bytes().all(legal) {
        return Err(found.wrong(&format!(
            "\"{name}\" becomes a file name: use letters, digits, `-`, `_` and `.`, and begin with a letter, a digit or `_`"
        )));
    }
    Ok(name)
}

fn location(found: &section::Found<'_>) -> Result<String> {
    let location = found.string()?;
    if location.is_empty() { Err(found.wrong("expected a path or a URL, found nothing")) } else { Ok(location) }
}

/// `location` as seen from the current folder, if it is a relative path in a file of `folder`.
fn resolved(location: &str, folder: &Path) -> String {
    if megagram_storage::is_url(location) { location.to_owned() } else { without_detours(&folder.join(location)) }
}

/// A path without the `name/..` that cancel out; links are not looked at, so a link before `..` stays.
fn without_detours(path: &Path) -> String {
    use std::path::Component;
    let mut parts = std::path::PathBuf::new();
    for part in path.components() {
        let folder = matches!(parts.components().next_back(), Some(Component::Normal(_))) && !parts.is_symlink();
        if part == Component::ParentDir && folder {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    if parts.as_os_str().is_empty() { ".".to_owned() } else { parts.display().to_string() }
}

fn identity(job: &Job) -> Value {
    let parts = [
        ("name", json!(job.name)),
        ("data", json!(job.data)),
        ("kernel", job.kernel.clone()),
        ("gp", json!(job.gp)),
        ("tile", json!(job.compute.tile)),
    ];
    Value::Object(parts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests;
