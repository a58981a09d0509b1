//! A cluster's sockets: process p listens on its own address, calls every lower one, and is called by
//! every higher one. Timely would do that too, but without end, without a word about who is missing,
//! and with whoever happens to answer.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use super::hello::Hello;
use crate::exit::{Error, Result};

const PAUSE: Duration = Duration::from_millis(50);
/// How long a caller may take to introduce itself.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// The addresses of all processes, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Reads a hosts file: one `host:port` a line; empty lines and `#` comments do not count.
    ///
    /// # Errors
    /// Usage, if it cannot be read or names no, wrong or equal addresses.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::usage(format!("{name}: the hosts file cannot be read: {}", crate::spec::plain(&e))))?;
        let mut hosts = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let host = line.split('#').next().unwrap_or("").trim();
            if host.is_empty() {
                continue;
            }
            let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none_or(|p| p == 0) {
                return Err(Error::usage(format!("{name}:{}: expected host:port, found `{host}`", number + 1)));
            }
            if hosts.iter().any(|h| h == host) {
                return Err(Error::usage(format!("{name}:{}: {host} stands there twice", number + 1)));
            }
            hosts.push(host.to_owned());
        }
        if hosts.is_empty() { Err(Error::usage(format!("{name}: names no host"))) } else { Ok(Self(hosts)) }
    }

    /// Hosts from a list of addresses.
    pub fn new(addresses: Vec<String>) -> Self {
        Self(addresses)
    }

    /// Number of processes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A connected socket to each other process; waits for them at most `wait`.
///
/// # Errors
/// Lost, if one does not come; usage, if one comes that works on something else.
pub fn connect(hosts: &Hosts, hello: &Hello, wait: Duration) -> Result<Vec<Option<TcpStream>>> {
    let me = hello.process as usize;
    let mut sockets: Vec<Option<TcpStream>> = hosts.0.iter().map(|_| None).collect();
    let Some(address) = hosts.0.get(me) else {
        let count = hosts.len();
        return Err(Error::usage(format!("--process {me}: the hosts file has {count} lines, numbered from 0")));
    };
    if hosts.len() == 1 {
        return Ok(sockets);
    }
    let deadline = Instant::now() + wait;
    let listener = TcpListener::bind(address.as_str()).and_then(|l| l.set_nonblocking(true).map(|()| l));
    let listener =
        listener.map_err(|e| Error::lost(format!("cannot listen on {address} (line {me} of the hosts file): {e}")))?;
    for (other, host) in hosts.0.iter().enumerate().take(me) {
        sockets[other] = Some(call(host, other, hello, deadline, wait)?);
    }
    while let Some(missing) = sockets.iter().enumerate().position(|(p, s)| p > me && s.is_none()) {
        match listener.accept() {
            Ok((socket, from)) => {
                if let Some((other, socket)) = answer(socket, hello, &from.to_string())? {
                    match sockets.get_mut(other) {
                        Some(slot @ None) if other > me => *slot = Some(socket),
                        _ => return Err(Error::usage(format!("{from} says it is process {other}, as another does"))),
                    }
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                if Instant::now() > deadline {
                    return Err(absent(missing, &hosts.0[missing], wait, "it has not called"));
                }
                std::thread::sleep(PAUSE);
            }
            Err(e) => return Err(Error::lost(format!("cannot listen on {address}: {e}"))),
        }
    }
    Ok(sockets)
}

fn absent(process: usize, host: &str, wait: Duration, why: &str) -> Error {
    let seconds = wait.as_secs();
    Error::lost(format!(
        "process {process} ({host}) is not there after {seconds} s: {why}; start it, or mend the hosts file"
    ))
}

/// Calls process `other` until it answers.
fn call(host: &str, other: usize, hello: &Hello, deadline: Instant, wait: Duration) -> Result<TcpStream> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let why = match attempt(host, hello, left.max(PAUSE)) {
            Ok((socket, Some(theirs))) => {
                if let Some(why) = hello.refuses(&theirs) {
                    return Err(Error::usage(format!("process {other} ({host}) {why}")));
                }
                if theirs.process as usize != other {
                    let found = theirs.process;
                    return Err(Error::usage(format!(
                        "{host} is process {found}, and process {other} by the hosts file"
                    )));
                }
                prepare(&socket).map_err(|e| absent(other, host, wait, &e.to_string()))?;
                return Ok(socket);
            }
            Ok((_, None)) => "something else answers there".to_owned(),
            Err(e) => e.to_string(),
        };
        if left.is_zero() {
            return Err(absent(other, host, wait, &why));
        }
        std::thread::sleep(PAUSE);
    }
}

fn attempt(host: &str, hello: &Hello, left: Duration) -> std::io::Result<(TcpStream, Option<Hello>)> {
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left) {
            Ok(mut socket) => {
                // It answers when it has reached its own lower ones.
                socket.set_read_timeout(Some(left))?;
                hello.send(&mut socket)?;
                let theirs = Hello::receive(&mut socket)?;
                return Ok((socket, theirs));
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Answers a caller; `None` for a stranger, who is no concern of the run.
fn answer(mut socket: TcpStream, hello: &Hello, from: &str) -> Result<Option<(usize, TcpStream)>> {
    let mut exchange = || -> std::io::Result<Option<Hello>> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(INTRODUCTION))?;
        let theirs = Hello::receive(&mut socket)?;
        if theirs.is_some() {
            hello.send(&mut socket)?;
        }
        Ok(theirs)
    };
    let Ok(Some(theirs)) = exchange() else { return Ok(None) };
    if let Some(why) = hello.refuses(&theirs) {
        return Err(Error::usage(format!("process {} ({from}) {why}", theirs.process)));
    }
    match prepare(&socket) {
        Ok(()) => Ok(Some((theirs.process as usize, socket))),
        Err(_) => Ok(None),
    }
}

/// Small messages at once, and a peer whose machine is gone is noticed.
fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_read_timeout(None)?;
    socket.set_nodelay(true)?;
    set(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    #[cfg(target_os = "linux")]
    {
        set(socket, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 3)?;
        set(socket, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 2)?;
        set(socket, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3)?;
        set(socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 8_000)?;
    }
    Ok(())
}

fn set(socket: &TcpStream, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> std::io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open and the value is an int of the length given.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::local::free_addresses;
    use std::io::{Read, Write};

    fn hello(process: usize, processes: usize, digest: &str) -> Hello {
        Hello::new(process as u32, processes as u32, 1, 1, digest)
    }

    #[test]
    fn three_processes_find_each_other_whatever_the_order() {
        let hosts = Hosts::new(free_addresses(3).unwrap());
        let threads: Vec<_> = [2usize, 0, 1]
            .map(|p| {
                let hosts = hosts.clone();
                std::thread::sleep(Duration::from_millis(100));
                std::thread::spawn(move || (p, connect(&hosts, &hello(p, 3, "d"), Duration::from_secs(20)).unwrap()))
            })
            .into_iter()
            .collect();
        let mut all: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        all.sort_by_key(|(p, _)| *p);
        for (p, sockets) in &mut all {
            for (q, socket) in sockets.iter_mut().enumerate() {
                assert_eq!(socket.is_none(), *p == q);
                if let Some(socket) = socket {
                    socket.write_all(&[*p as u8, q as u8]).unwrap();
                }
            }
        }
        for (p, sockets) in &mut all {
            for (q, socket) in sockets.iter_mut().enumerate() {
                if let Some(socket) = socket {
                    let mut bytes = [0; 2];
                    socket.read_exact(&mut bytes).unwrap();
                    assert_eq!(bytes, [q as u8, *p as u8]);
                }
            }
        }
    }

    #[test]
    fn a_missing_process_is_named_in_time() {
        let hosts = Hosts::new(free_addresses(2).unwrap());
        for me in [0, 1] {
            let began = Instant::now();
            let error = connect(&hosts, &hello(me, 2, "d"), Duration::from_secs(1)).unwrap_err();
            assert!(began.elapsed() < Duration::from_secs(5));
            assert_eq!(error.code(), 5);
            let text = error.to_string();
            assert!(
                text.contains(&format!("process {} ({}) is not there after 1 s", 1 - me, hosts.0[1 - me])),
                "{text}"
            );
        }
    }

    #[test]
    fn another_job_and_strangers_are_not_taken_for_peers() {
        let hosts = Hosts::new(free_addresses(2).unwrap());
        let other = hosts.clone();
        let thread =
            std::thread::spawn(move || connect(&other, &hello(0, 2, "one"), Duration::from_secs(20)).unwrap_err());
        std::thread::sleep(Duration::from_millis(200));
        TcpStream::connect(&hosts.0[0]).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let error = connect(&hosts, &hello(1, 2, "two"), Duration::from_secs(20)).unwrap_err();
        for error in [error, thread.join().unwrap()] {
            assert!(error.to_string().contains("works on another job"), "{error}");
            assert_eq!(error.code(), 2);
        }
    }

    #[test]
    fn a_hosts_file_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Hosts::read(&path).map_err(|e| e.to_string())
        };
        assert_eq!(read("a:1\n\n# note\n b:2 # second\n").unwrap(), Hosts::new(vec!["a:1".into(), "b:2".into()]));
        assert!(read("a:1\nb\n").unwrap_err().contains("hosts:2: expected host:port, found `b`"));
        assert!(read("a:1\na:1\n").unwrap_err().contains("hosts:2: a:1 stands there twice"));
        assert!(read("# nobody\n").unwrap_err().contains("names no host"));
    }
}
