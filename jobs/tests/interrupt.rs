//! Ctrl-C, given to the real program while it waits for a peer.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use support::{Ended, Folder};

#[test]
fn an_interrupt_is_exit_130_with_one_sentence() {
    let folder = Folder::new();
    folder.job("").write("hosts", "127.0.0.1:15881\n127.0.0.1:15882\n");
    let mut command = folder.command(&["run", "job.toml", "--hosts", "hosts", "--process", "0"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A stranger's call tells that it listens: from then on it waits.
    let began = Instant::now();
    while std::net::TcpStream::connect("127.0.0.1:15881").is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    // SAFETY: a child of this process that has not been waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
    let ended = Ended::of(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stdout.as_str()), (130, ""));
    assert_eq!(ended.stderr.trim(), "interrupted; the same command continues where it stopped");
}
