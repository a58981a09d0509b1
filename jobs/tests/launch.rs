//! Several local processes: the loss of one ends all, the same command goes on, and no child outlives its launcher.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use support::{Ended, Folder};

const JOB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/specs/digits.toml");

/// A run of two processes that takes some seconds: many small tiles.
fn start(folder: &Folder) -> Child {
    let store = folder.path("out").display().to_string();
    let flags = ["run", JOB, "--json", "--store", &store, "--tile", "64", "--limit", "2500", "--processes", "2"];
    folder.command(&flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The numbers of the children of a process.
fn children(parent: u32) -> Vec<u32> {
    let of = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let (state, of) = (fields.next()?, fields.next()?);
        (state != "Z" && of == parent.to_string()).then_some(pid)
    };
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    let mut children: Vec<u32> = all.filter_map(of).collect();
    children.sort_unstable();
    children
}

/// Waits until a run has stored `tiles` tiles or has ended.
fn wait_for_tiles(folder: &Folder, child: &mut Child, tiles: usize) {
    let began = Instant::now();
    let stored = || {
        let ids = std::fs::read_dir(folder.path("out/gram")).into_iter().flatten().flatten();
        let entries = ids.filter_map(|id| std::fs::read_dir(id.path().join("tiles")).ok()).flatten().flatten();
        // Beside the tiles there may be files still being written.
        entries.filter(|e| e.path().extension().is_some_and(|x| x == "parquet")).count()
    };
    while stored() < tiles && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "no tiles");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(pid: u32) {
    // SAFETY: a process of this test that has not been waited for by anyone yet.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
}

#[test]
fn the_loss_of_one_process_ends_all_and_the_same_command_goes_on() {
    let folder = Folder::new();
    for (victim, tiles) in [(0, 20), (1, 300)] {
        let mut child = start(&folder);
        wait_for_tiles(&folder, &mut child, tiles);
        let members = children(child.id());
        assert_eq!(members.len(), 2, "{members:?}");
        let began = Instant::now();
        kill(members[victim]);
        let ended = Ended::of(child.wait_with_output().unwrap());
        assert!(began.elapsed() < Duration::from_secs(10));
        ended.refused(5, "error: a process was lost; the same command continues where it stopped");
        for member in members {
            let gone = !std::path::Path::new(&format!("/proc/{member}/fd/0")).exists();
            assert!(gone, "process {member} is still there");
        }
    }
    let summary = Ended::of(start(&folder).wait_with_output().unwrap()).json();
    let reused = summary["stages"]["gram"]["tiles_reused"].as_u64();
    assert!(reused >= Some(300), "what was stored is not done again: {reused:?}");
    let elsewhere = Folder::new();
    let whole = Ended::of(start(&elsewhere).wait_with_output().unwrap()).json();
    for fact in ["log_evidence", "sets", "curve"] {
        assert_eq!(summary[fact], whole[fact], "{fact}");
    }
}

#[test]
fn no_child_outlives_its_launcher() {
    let folder = Folder::new();
    let mut child = start(&folder);
    wait_for_tiles(&folder, &mut child, 1);
    let members = children(child.id());
    assert_eq!(members.len(), 2, "{members:?}");
    kill(child.id());
    child.wait().unwrap();
    let began = Instant::now();
    let alive = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, fields)| !fields.trim_start().starts_with(['Z', 'X']))
    };
    while members.iter().any(alive) {
        assert!(began.elapsed() < Duration::from_secs(5), "{members:?} live on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_error_that_all_processes_meet_is_said_once() {
    let folder = Folder::new();
    folder.job("");
    std::fs::remove_file(folder.path("x.npy")).unwrap();
    folder.run(&["run", "job.toml", "--processes", "3"]).refused(2, "x.npy");
}
