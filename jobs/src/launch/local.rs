//! The launcher: starts N processes of this program on this machine, and watches them.
//!
//! It never restarts one. From the first start to the last exit the loss of one ends all: the others
//! are asked to end, then made to. What was stored stays, and the same command continues from there.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::exit::{Error, LOST, Result};
use crate::output::{Stdout, talk};

const PAUSE: Duration = Duration::from_millis(20);
/// How long the others have to end by themselves after the first failure.
const GRACE: Duration = Duration::from_secs(2);
/// How long they have between being asked and being made to.
const PATIENCE: Duration = Duration::from_secs(2);
const LINES_KEPT: usize = 50;

/// Runs this very command in `count` processes on this machine.
///
/// # Errors
/// The exit code of the process that failed, or [`LOST`] if one was lost.
pub fn run(count: usize, out: &Stdout) -> Result<()> {
    let cannot = |e: std::io::Error| Error::usage(format!("cannot start {count} processes: {e}"));
    let addresses = free_addresses(count).map_err(cannot)?.join(",");
    let mut group = Group::default();
    for process in 0..count {
        group.start(&addresses, process, out).map_err(cannot)?;
    }
    group.watch()
}

/// `count` addresses of this machine that nobody listens on. They lie below the ports that systems
/// hand out by themselves, so that no other program's connection takes one in the meantime.
pub fn free_addresses(count: usize) -> std::io::Result<Vec<String>> {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    let seed = clock ^ std::process::id().wrapping_mul(2_654_435_761);
    let candidates = (0..16_000).map(|i| 16_000 + ((seed.wrapping_add(i * 7)) % 16_000) as u16);
    let mut held = Vec::with_capacity(count);
    for port in candidates {
        if held.len() == count {
            break;
        }
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    if held.len() < count {
        return Err(std::io::Error::other("there are not enough free ports on 127.0.0.1"));
    }
    held.iter().map(|l| l.local_addr().map(|a| a.to_string())).collect()
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Code(u8),
    /// By a signal or a panic of the runtime.
    Lost,
    /// Because the launcher told it to.
    Told,
}

impl End {
    fn of(status: ExitStatus, told: bool) -> Self {
        match status.code().map(u8::try_from) {
            // An interrupt that only one of them got is a loss too: the launcher itself got none.
            Some(Ok(5 | 101 | 130)) => End::Lost,
            Some(Ok(code)) => End::Code(code),
            _ if told && status.signal().is_some() => End::Told,
            _ => End::Lost,
        }
    }
}

/// What the ends of all processes mean: `None` for success, else who is to blame and the exit code.
fn verdict(ends: &[End]) -> Option<(Option<usize>, u8)> {
    let failed = |(process, end): (usize, &End)| match end {
        End::Code(0) | End::Lost | End::Told => None,
        End::Code(code) => Some((Some(process), *code)),
    };
    // Whoever knew why it ended is the cause; that the others then lost it follows.
    let known = ends.iter().enumerate().find_map(failed);
    known.or_else(|| ends.iter().any(|e| *e != End::Code(0)).then_some((None, 5)))
}

#[derive(Debug)]
struct Member {
    child: Child,
    end: Option<End>,
    told: bool,
    /// The last lines it said; nothing for process 0, which speaks for itself.
    words: Arc<Mutex<VecDeque<String>>>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Group(Vec<Member>);

impl Group {
    fn start(&mut self, addresses: &str, process: usize, out: &Stdout) -> std::io::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(std::env::args_os().skip(1));
        command.args(["--launched", addresses, "--process", &process.to_string()]).stdin(Stdio::null());
        match out.share() {
            Some(file) if process == 0 => command.stdout(file),
            _ => command.stdout(Stdio::null()),
        };
        command.stderr(if process == 0 { Stdio::inherit() } else { Stdio::piped() });
        die_with_parent(&mut command);
        let mut child = command.spawn()?;
        let words = Arc::new(Mutex::new(VecDeque::new()));
        let listener = child.stderr.take().map(|stderr| {
            let words = Arc::clone(&words);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(std::result::Result::ok) {
                    let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
                    if words.len() == LINES_KEPT {
                        words.pop_front();
                    }
                    words.push_back(line);
                }
            })
        });
        self.0.push(Member { child, end: None, told: false, words, listener });
        Ok(())
    }

    fn watch(mut self) -> Result<()> {
        let mut failed: Option<Instant> = None;
        while self.0.iter().any(|m| m.end.is_none()) {
            for member in self.0.iter_mut().filter(|m| m.end.is_none()) {
                // A child whose status is unknown is as good as lost.
                let end = member.child.try_wait().map_or(Some(End::Lost), |s| s.map(|s| End::of(s, member.told)));
                if end.is_some_and(|end| end != End::Code(0)) {
                    failed.get_or_insert_with(Instant::now);
                }
                member.end = end;
            }
            let late = failed.map_or(Duration::ZERO, |since| since.elapsed());
            for member in self.0.iter_mut().filter(|m| m.end.is_none() && late > GRACE) {
                let signal = if late > GRACE + PATIENCE { libc::SIGKILL } else { libc::SIGTERM };
                member.told = true;
                // SAFETY: the child has not been waited for, so its number is still its own.
                unsafe { libc::kill(member.child.id() as libc::pid_t, signal) };
            }
            std::thread::sleep(PAUSE);
        }
        let ends: Vec<_> = self.0.iter().filter_map(|m| m.end).collect();
        match verdict(&ends) {
            None => Ok(()),
            Some((Some(process), code)) => {
                self.quote(process);
                Err(Error::Said(code))
            }
            Some((None, _)) => Err(Error::lost(LOST)),
        }
    }

    /// Repeats what a process said that does not speak for itself.
    fn quote(&mut self, process: usize) {
        let Some(member) = self.0.get_mut(process) else { return };
        if let Some(listener) = member.listener.take() {
            let _ = listener.join();
        }
        for line in member.words.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            talk(format_args!("process {process}: {line}"));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for member in self.0.iter_mut().filter(|m| m.end.is_none()) {
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

/// Makes the child end when this process does, however that happens.
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if std::os::unix::process::parent_id() == parent { Ok(()) } else { libc::_exit(5) }
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: &mut Command) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_know_why_is_to_blame() {
        use End::{Code, Lost, Told};
        assert_eq!(verdict(&[Code(0), Code(0)]), None);
        assert_eq!(verdict(&[Code(3), Code(3)]), Some((Some(0), 3)));
        assert_eq!(verdict(&[Lost, Code(2), Told]), Some((Some(1), 2)));
        assert_eq!(verdict(&[Code(0), Lost]), Some((None, 5)));
        assert_eq!(verdict(&[Told, Lost]), Some((None, 5)));
    }

    #[test]
    fn ends_are_told_apart() {
        let status = ExitStatus::from_raw;
        assert_eq!(End::of(status(0), false), End::Code(0));
        assert_eq!(End::of(status(2 << 8), true), End::Code(2));
        assert_eq!(End::of(status(5 << 8), false), End::Lost);
        assert_eq!(End::of(status(libc::SIGKILL), false), End::Lost);
        assert_eq!(End::of(status(libc::SIGTERM), true), End::Told);
    }

    #[test]
    fn addresses_are_free_and_different() {
        let addresses = free_addresses(4).unwrap();
        let mut distinct = addresses.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 4);
        for address in addresses {
            TcpListener::bind(address).unwrap();
        }
    }
}
