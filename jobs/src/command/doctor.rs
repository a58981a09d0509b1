//! `doctor`: what this machine and a store can do.

use std::time::Instant;

use megagram_pipeline::leaf;
use megagram_storage::{Key, Store};
use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::exit::{Error, Result};
use crate::machine;
use crate::output::Stdout;
use crate::spec::size;

const PROBE_BYTES: usize = 8 << 20;
const GEMM_SIDE: usize = 1024;

#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    blas: String,
    /// Of one thread.
    gemm_gflops: f64,
    cores: usize,
    memory_bytes: u64,
    memory_source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<StoreReport>,
}

/// What a store did with a probe object.
#[derive(Debug, Serialize)]
struct StoreReport {
    store: String,
    put_seconds: f64,
    get_seconds: f64,
    /// Whether a second create of one key was refused.
    conditional_put: bool,
}

/// Examines the machine and, if one is given, a store.
pub fn run(args: &DoctorArgs, out: &mut Stdout) -> Result<()> {
    let memory = machine::memory();
    let store = args.store.as_deref().map(examine).transpose()?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        blas: leaf::blas().to_string(),
        gemm_gflops: megagram_pipeline::gemm_gflops(GEMM_SIDE),
        cores: machine::cores(),
        memory_bytes: memory.bytes,
        memory_source: memory.source,
        store,
    };
    out.show(&report, text)
}

/// Writes, reads, lists, creates twice and removes a probe object.
fn examine(location: &str) -> Result<StoreReport> {
    let store = Store::open(location)?;
    let name = format!("probe-{}", std::process::id());
    let key = Key::result("megagram-doctor", &name);
    let outcome = probe(&store, &key);
    // The probe goes whatever happened; the first error is the one to tell.
    let removed = store.remove(&key);
    let report = outcome?;
    removed?;
    if store.has(&key)? {
        return Err(broken(&store, "an object that was removed is still there"));
    }
    Ok(report)
}

fn broken(store: &Store, what: &str) -> Error {
    megagram_storage::Error::Store(format!("store {}: {what}", store.url())).into()
}

fn probe(store: &Store, key: &Key) -> Result<StoreReport> {
    let body: Vec<u8> = (0..PROBE_BYTES).map(|i| (i % 251) as u8).collect();
    if !store.create(key, b"first".to_vec().into())? {
        return Err(broken(store, &format!("{key} is there already: remove it")));
    }
    let refused = !store.create(key, b"second".to_vec().into())?;
    let kept = &store.get(key)?[..] == b"first";
    if refused != kept {
        return Err(broken(store, "a refused second create has changed the object"));
    }
    let began = Instant::now();
    store.put(key, body.clone().into())?;
    let put_seconds = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let read = store.get(key)?;
    let get_seconds = began.elapsed().as_secs_f64();
    if read[..] != body[..] {
        return Err(broken(store, "it gave back other bytes than were written"));
    }
    if !store.list("results/megagram-doctor")?.iter().any(|(k, _)| k == key) {
        return Err(broken(store, "an object that was just written is not in the listing"));
    }
    Ok(StoreReport { store: store.url().to_owned(), put_seconds, get_seconds, conditional_put: refused })
}

fn text(report: &Report) -> String {
    let mut text = format!("megagram {}\n", report.version);
    text.push_str(&format!("BLAS    {}: {:.0} GF/s a core\n", report.blas, report.gemm_gflops));
    text.push_str(&format!("cores   {}\n", report.cores));
    let half = size::show(report.memory_bytes / 2);
    let (all, source) = (size::show(report.memory_bytes), report.memory_source);
    text.push_str(&format!("memory  {all} by the {source}; a job takes {half} unless told otherwise\n"));
    if let Some(store) = &report.store {
        let rate = |seconds: f64| format!("{:.0} MB/s", PROBE_BYTES as f64 / 1e6 / seconds.max(1e-9));
        text.push_str(&format!("store   {}: put, get, list and remove work\n", store.store));
        text.push_str(&format!(
            "        one 8 MiB object: put {}, get {}\n",
            rate(store.put_seconds),
            rate(store.get_seconds)
        ));
        text.push_str(if store.conditional_put {
            "        conditional PUT: honoured\n"
        } else {
            "        conditional PUT: ignored, a second create overwrites; do not start two runs on it at one time\n"
        });
    }
    text
}
