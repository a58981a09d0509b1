//! `kill -9` at ten moments of a run, told by the objects that are stored: the same command then gives the same bytes as
//! a run that nobody disturbed, and what was stored is not done again.
//!
//! It catches a tile that is visible before it is whole, a resume that trusts more than the listing, and a cluster
//! that waits for a process that is gone.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::digits::Digits;
use support::store::{assert_same, computed, walk};
use support::{Ended, Folder};

/// 13 blocks: 91 tiles of K, 91 of L, and four strips.
const JOB: Digits<'_> = Digits {
    limit: 800,
    test: 250,
    tile: 64,
    output: "nngp",
    gp: "curve = [100, 800]",
    compute: "workers = 1\nmemory = \"2MiB\"",
};
const TILES: u64 = 91;
/// Stored objects at which a run is killed: in the gram, in the factor, around z and alpha, among the strips.
const MOMENTS: [usize; 10] = [1, 20, 60, 90, 95, 120, 150, 175, 182, 185];
/// What the issue allows the others to notice that one is gone.
const NOTICED: Duration = Duration::from_secs(10);
/// Only a test that hangs waits as long as this.
const FOR_EVER: Duration = Duration::from_secs(120);

/// Objects stored so far.
fn stored(store: &Path) -> usize {
    let mut count = 0;
    for folder in ["gram", "factor", "border"] {
        walk(&store.join(folder), &mut |path| count += usize::from(path.extension().is_some_and(|e| e == "parquet")));
    }
    count
}

/// Tiles by key, each with the inode and the time of its file.
fn tiles(store: &Path) -> BTreeMap<String, (u64, i64, i64)> {
    let mut found = BTreeMap::new();
    for folder in ["gram", "factor"] {
        walk(&store.join(folder), &mut |path| {
            let text = path.to_str().unwrap();
            if text.contains("/tiles/") && text.ends_with(".parquet") {
                let meta = std::fs::metadata(path).unwrap();
                found.insert(text.to_owned(), (meta.ino(), meta.mtime(), meta.mtime_nsec()));
            }
        });
    }
    found
}

/// Waits until `done`, or says that it never came.
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < FOR_EVER, "{what} never came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn start(folder: &Folder, arguments: &[&str]) -> Child {
    folder.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn kill(pid: u32) {
    // SAFETY: a child of a child of this process, or its own, that has just been seen.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
}

/// The children of a process that were started as process `number` of a cluster.
fn member(parent: u32, number: &str) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let stat = read("stat");
        let mut after_name = stat.rsplit(')').next().unwrap_or("").split_whitespace();
        let is_child = after_name.nth(1).is_some_and(|ppid| ppid == parent.to_string());
        is_child && read("cmdline").contains(&format!("--process\0{number}\0"))
    })
}

/// Waits for the end, which must come within [`NOTICED`].
fn ends_in_time(mut child: Child, what: &str) -> Ended {
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        let late = since.elapsed() > NOTICED;
        if late {
            child.kill().unwrap();
        }
        assert!(!late, "{what}: not ended {} s after a process was lost", NOTICED.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ended::of(child.wait_with_output().unwrap())
}

fn lost(ended: &Ended, what: &str) {
    assert_eq!((ended.code, ended.stdout.as_str()), (5, ""), "{what}: {ended:#?}");
    let errors: Vec<_> = ended.stderr.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!(errors, ["error: a process was lost; the same command continues where it stopped"], "{what}");
}

/// Runs the job again in one process and compares all that there is with an undisturbed run's.
fn resumes(folder: &Folder, store: &str, flags: &[&str], wanted: &(Value, BTreeMap<String, Vec<u8>>), what: &str) {
    let place = folder.path(store);
    let before = tiles(&place);
    for (key, bytes) in computed(&place) {
        assert!(bytes == wanted.1[&key], "{what}: {key} was visible before it was whole");
    }
    let summary = folder.run(&[&["run", "job.toml", "--json", "--store", store], flags].concat()).json();
    assert_same(&computed(&place), &wanted.1, what);
    let after = tiles(&place);
    let rewritten: Vec<_> = before.iter().filter(|(key, file)| after[*key] != **file).map(|(key, _)| key).collect();
    assert!(rewritten.is_empty(), "{what}: written again: {rewritten:?}");
    for fact in ["n", "noise_var", "log_evidence", "smallest_pivot", "sets", "curve", "repaired"] {
        assert_eq!(summary[fact], wanted.0[fact], "{what}: {fact}");
    }
    for stage in ["gram", "factor"] {
        let there = before.keys().filter(|k| k.contains(&format!("/{stage}/"))).count() as u64;
        let counted = |fact: &str| summary["stages"][stage][fact].as_u64().unwrap();
        assert_eq!((counted("tiles_reused"), counted("tiles_done")), (there, TILES - there), "{what}: {stage}");
    }
}

fn undisturbed(folder: &Folder) -> (Value, BTreeMap<String, Vec<u8>>) {
    let summary = JOB.run(folder, "whole", &[]).json();
    (summary, computed(&folder.path("whole")))
}

#[test]
fn a_killed_process_is_resumed_from_any_moment() {
    let folder = Folder::new();
    let wanted = undisturbed(&folder);
    let mut killed = 0;
    for moment in MOMENTS {
        let store = format!("at-{moment}");
        let mut child = start(&folder, &["run", "job.toml", "--json", "--store", &store]);
        wait_for("the moment", || stored(&folder.path(&store)) >= moment || child.try_wait().unwrap().is_some());
        kill(child.id());
        killed += u32::from(child.wait_with_output().unwrap().status.code().is_none());
        resumes(&folder, &store, &[], &wanted, &format!("killed at {moment} objects"));
    }
    assert!(killed >= 8, "only {killed} of the runs were still alive at their moment");
}

#[test]
fn one_of_two_killed_ends_both_and_is_resumed_from_any_moment() {
    let folder = Folder::new();
    let wanted = undisturbed(&folder);
    let mut killed = 0;
    for (turn, moment) in MOMENTS.into_iter().enumerate() {
        let (store, number) = (format!("at-{moment}"), ["1", "0"][turn % 2]);
        let what = format!("process {number} of two killed at {moment} objects");
        let mut child = start(&folder, &["run", "job.toml", "--json", "--store", &store, "--processes", "2"]);
        let mut victim = None;
        wait_for("the moment", || {
            victim = victim.or_else(|| member(child.id(), number));
            (victim.is_some() && stored(&folder.path(&store)) >= moment) || child.try_wait().unwrap().is_some()
        });
        kill(victim.unwrap());
        let ended = ends_in_time(child, &what);
        if ended.code != 0 {
            killed += 1;
            lost(&ended, &what);
        }
        // In turn by two processes and by one.
        let flags: &[&str] = if turn % 4 < 2 { &["--processes", "2"] } else { &[] };
        resumes(&folder, &store, flags, &wanted, &what);
    }
    assert!(killed >= 8, "only {killed} of the runs were still alive at their moment");
}

#[test]
fn of_two_that_were_started_by_hand_the_other_ends() {
    let folder = Folder::new();
    let wanted = undisturbed(&folder);
    for (victim, moment) in [(0, 40), (1, 130)] {
        let store = format!("by-hand-{victim}");
        let addresses = megagram_jobs::launch::local::free_addresses(2).unwrap();
        folder.write("hosts", &addresses.join("\n"));
        let flags = ["run", "job.toml", "--json", "--store", &store, "--hosts", "hosts", "--process"];
        let mut children = ["0", "1"].map(|p| start(&folder, &[&flags[..], &[p]].concat()));
        wait_for("the moment", || stored(&folder.path(&store)) >= moment);
        kill(children[victim].id());
        let what = format!("process {victim} of two killed");
        let [zero, one] = children;
        let (other, mut gone) = if victim == 0 { (one, zero) } else { (zero, one) };
        lost(&ends_in_time(other, &what), &what);
        assert_eq!(gone.wait().unwrap().code(), None, "it was killed");
        resumes(&folder, &store, &[], &wanted, &what);
        children = ["0", "1"].map(|p| start(&folder, &[&flags[..], &[p]].concat()));
        for child in children {
            assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
        }
    }
}
