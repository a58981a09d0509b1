//! `run`, `gram`, `factor`, `predict`: one job, as far as a stage, in one process or in several.

use std::time::Duration;

use megagram_pipeline::{Cluster, Stage};
use megagram_storage::{Id, Store};
use serde_json::json;

use super::take_name;
use crate::cli::{ClusterArgs, RunArgs};
use crate::exit::{Error, Result};
use crate::launch::{self, Hello, Hosts};
use crate::output::Stdout;
use crate::spec::Loaded;
use crate::{faults, progress, report};

/// Does the job as far as `upto`.
pub fn run(args: &RunArgs, upto: Stage, out: &mut Stdout) -> Result<()> {
    let cluster = &args.cluster;
    if cluster.is_child() {
        faults::leave_words_to_launcher();
    } else if cluster.processes.is_some() && cluster.hosts.is_some() {
        return Err(Error::usage("--processes starts local processes, --hosts joins a cluster: give one of them"));
    } else if cluster.process.is_some() && cluster.hosts.is_none() {
        return Err(Error::usage("--process needs --hosts: it is a line of that file"));
    }
    let sharers = usize::from(cluster.processes.unwrap_or(1));
    let loaded = super::load(&args.job, sharers, cluster.is_child())?;
    let hosts = match &cluster.hosts {
        _ if cluster.is_child() => Some(Hosts::new(cluster.launched.clone())),
        Some(file) => Some(Hosts::read(file)?),
        None => None,
    };
    let launching = hosts.is_none() && sharers > 1;
    if (launching || hosts.as_ref().is_some_and(|h| h.len() > 1)) && loaded.job.store.starts_with("memory:") {
        return Err(Error::usage("a memory:// store cannot be seen by several processes; give a folder or a URL"));
    }
    megagram_pipeline::check(&loaded.job)?;
    // Before any peer is waited for, so that every process tells the same.
    if !cluster.is_child() && !args.overwrite {
        take_name::is_free(&Store::open(&loaded.job.store)?, &loaded)?;
    }
    if launching {
        return launch::local::run(sharers, out);
    }
    let cluster = match &hosts {
        Some(hosts) => join(hosts, &loaded, upto, cluster)?,
        None => Cluster::alone(),
    };
    let process = cluster.process;
    let result = megagram_pipeline::run(&loaded.job, upto, cluster, progress::of(process));
    let summary = result.map_err(|e| match e {
        megagram_pipeline::Error::Lost(_) if args.cluster.is_child() => Error::Said(5),
        e => e.into(),
    })?;
    if process > 0 {
        return Ok(());
    }
    take_name::take(&Store::open(&loaded.job.store)?, &loaded, &summary)?;
    out.show(&summary, report::summary)
}

fn join(hosts: &Hosts, loaded: &Loaded, upto: Stage, args: &ClusterArgs) -> Result<Cluster> {
    let process = args.process.unwrap_or(0);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let job = &loaded.job;
    let compute = &job.compute;
    // A folder may be mounted elsewhere on each machine; a URL names the same store everywhere.
    let store = megagram_storage::is_url(&job.store).then_some(&job.store);
    let asked = json!([loaded.identity, store, format!("{upto:?}"), compute.keep_gram, compute.allow_mixed_bits]);
    let digest = Id::of(&asked);
    let hello =
        Hello::new(number(process), number(hosts.len()), number(compute.workers), compute.memory, digest.as_str());
    let sockets = launch::connect(hosts, &hello, Duration::from_secs(args.wait))?;
    Ok(Cluster { process, sockets })
}
