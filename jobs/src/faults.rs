//! Interrupts and panics: each ends the process at once with one sentence and the right exit code.
//!
//! That is safe because the store is the fault tolerance: whatever was stored stays, and the same
//! command continues from there. Unwinding through a dataflow would only wait for peers that are gone.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::LOST;
use crate::output::talk;

/// Whether some other process (the launcher) says what has to be said.
static QUIET: AtomicBool = AtomicBool::new(false);
static SAID: AtomicBool = AtomicBool::new(false);
const INTERRUPTED: &[u8] = b"\ninterrupted; the same command continues where it stopped\n";

/// Leaves it to the launcher to say that a process was lost or the run interrupted.
pub fn leave_words_to_launcher() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Ends on Ctrl-C with exit code 130, and on lost peers and defects as the guide says.
pub fn install() {
    // SAFETY: the handler only calls functions that are safe in a signal handler.
    unsafe {
        let handler: extern "C" fn(libc::c_int) = on_interrupt;
        libc::signal(libc::SIGINT, handler as libc::sighandler_t);
    }
    std::panic::set_hook(Box::new(on_panic));
}

extern "C" fn on_interrupt(_: libc::c_int) {
    // SAFETY: write and _exit are async-signal-safe; the buffer is static.
    unsafe {
        if !QUIET.load(Ordering::Relaxed) {
            libc::write(libc::STDERR_FILENO, INTERRUPTED.as_ptr().cast(), INTERRUPTED.len());
        }
        libc::_exit(130)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Panic {
    /// The storage layer reads damaged Parquet pages under `catch_unwind`.
    DamagedPages,
    /// The network side of Timely: a peer is gone.
    LostPeer,
    Defect,
}

fn kind(thread: &str, file: &str) -> Panic {
    if file.contains("/parquet-") {
        return Panic::DamagedPages;
    }
    let network = thread.starts_with("timely:send") || thread.starts_with("timely:recv");
    if network || file.contains("timely_communication") { Panic::LostPeer } else { Panic::Defect }
}

fn on_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let file = info.location().map_or("", |l| l.file());
    let code = match kind(thread.name().unwrap_or(""), file) {
        Panic::DamagedPages => return,
        Panic::LostPeer => 5,
        Panic::Defect => 1,
    };
    // The first panic is the cause; those of other threads follow from it.
    if !SAID.swap(true, Ordering::SeqCst) {
        if code == 1 {
            defect(&format!("{info}"));
        } else if !QUIET.load(Ordering::Relaxed) {
            talk(format_args!("error: {LOST}"));
        }
        // SAFETY: ends the process.
        unsafe { libc::_exit(code) }
    }
    // Another thread is about to end the process: do not unwind in the meantime.
    loop {
        std::thread::park();
    }
}

/// Says that something happened that must not.
pub fn defect(what: &str) {
    let what = what.replace('\n', " ");
    talk(format_args!("error: {what}; this is a defect of megagram, please report it"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_told_apart_by_thread_and_place() {
        assert_eq!(kind("timely:recv-1", "/r/timely_communication-0.32.0/src/tcp.rs"), Panic::LostPeer);
        assert_eq!(kind("timely:work-0", "/r/timely_communication-0.32.0/src/x.rs"), Panic::LostPeer);
        assert_eq!(kind("timely:work-0", "pipeline/src/run.rs"), Panic::Defect);
        assert_eq!(kind("megagram-io", "/r/parquet-60.1.0/src/column.rs"), Panic::DamagedPages);
        assert_eq!(kind("main", "jobs/src/cli.rs"), Panic::Defect);
    }
}
