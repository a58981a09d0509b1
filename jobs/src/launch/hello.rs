//! What two processes tell each other before they trust each other with a run.

use std::io::{Read, Write};

use crate::spec::size;

const MAGIC: &[u8; 8] = b"megagram";
const VERSION_BYTES: usize = 16;
const DIGEST_BYTES: usize = 16;
const LEN: usize = 8 + 4 * 4 + 8 + VERSION_BYTES + DIGEST_BYTES;
/// Changes when the messages between processes change.
const PROTOCOL: u32 = 1;

/// One process, as it introduces itself. All but `process` must be the same in all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its number.
    pub process: u32,
    /// How many processes it expects.
    pub processes: u32,
    /// Its workers.
    pub workers: u32,
    /// Its memory in bytes: the schedule follows from it.
    pub memory: u64,
    /// The id of what is asked.
    pub digest: String,
    protocol: u32,
    version: String,
}

impl Hello {
    /// This process's introduction.
    pub fn new(process: u32, processes: u32, workers: u32, memory: u64, digest: &str) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { process, processes, workers, memory, digest: digest.to_owned(), protocol: PROTOCOL, version }
    }

    /// Sends the introduction.
    pub fn send(&self, to: &mut impl Write) -> std::io::Result<()> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend_from_slice(MAGIC);
        for number in [self.protocol, self.process, self.processes, self.workers] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.memory.to_le_bytes());
        for (text, width) in [(&self.version, VERSION_BYTES), (&self.digest, DIGEST_BYTES)] {
            let mut field = vec![0; width];
            let kept = text.len().min(width);
            field[..kept].copy_from_slice(&text.as_bytes()[..kept]);
            bytes.extend_from_slice(&field);
        }
        to.write_all(&bytes)?;
        to.flush()
    }

    /// Receives an introduction; `None` if whoever is there does not speak like a megagram.
    pub fn receive(from: &mut impl Read) -> std::io::Result<Option<Self>> {
        let mut bytes = [0; LEN];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        from.read_exact(magic)?;
        if magic != MAGIC {
            return Ok(None);
        }
        from.read_exact(rest)?;
        let number = |i: usize| u32::from_le_bytes([rest[4 * i], rest[4 * i + 1], rest[4 * i + 2], rest[4 * i + 3]]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
        let (low, high) = (u64::from(number(4)), u64::from(number(5)));
        Ok(Some(Self {
            protocol: number(0),
            process: number(1),
            processes: number(2),
            workers: number(3),
            memory: low | high << 32,
            version: text(&rest[24..24 + VERSION_BYTES]),
            digest: text(&rest[24 + VERSION_BYTES..]),
        }))
    }

    /// Why this process and `other` cannot work on one run, if so.
    pub fn refuses(&self, other: &Hello) -> Option<String> {
        let differ = |what: &str, theirs: String, ours: String, next: &str| {
            Some(format!("has {what} {theirs}, this process has {ours}; {next}"))
        };
        if (self.protocol, &self.version) != (other.protocol, &other.version) {
            let (theirs, ours) = (other.version.clone(), self.version.clone());
            return differ("version", theirs, ours, "run the same megagram everywhere");
        }
        if self.digest != other.digest {
            return Some("works on another job (or with other flags); start the same command everywhere".to_owned());
        }
        if self.processes != other.processes {
            let (theirs, ours) = (other.processes.to_string(), self.processes.to_string());
            return differ("a hosts file of length", theirs, ours, "give the same file everywhere");
        }
        if self.workers != other.workers {
            let (theirs, ours) = (other.workers.to_string(), self.workers.to_string());
            return differ("workers =", theirs, ours, "give --workers everywhere");
        }
        if self.memory != other.memory {
            let (theirs, ours) = (size::show(other.memory), size::show(self.memory));
            return differ("memory =", theirs, ours, "give --memory everywhere");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_comes_back_and_strangers_are_told_apart() {
        let hello = Hello::new(1, 3, 2, 5 << 33, "0123456789abcdef");
        let mut bytes = Vec::new();
        hello.send(&mut bytes).unwrap();
        assert_eq!(bytes.len(), LEN);
        assert_eq!(Hello::receive(&mut bytes.as_slice()).unwrap(), Some(hello.clone()));
        assert_eq!(Hello::receive(&mut b"GET / HTTP/1.1".as_slice()).unwrap(), None);
        assert!(Hello::receive(&mut &bytes[..30]).is_err());
    }

    #[test]
    fn each_difference_is_named() {
        let mine = Hello::new(0, 2, 2, 1 << 30, "a");
        assert_eq!(mine.refuses(&Hello::new(1, 2, 2, 1 << 30, "a")), None);
        for (other, said) in [
            (Hello::new(1, 2, 2, 1 << 30, "b"), "another job"),
            (Hello::new(1, 3, 2, 1 << 30, "a"), "a hosts file of length 3, this process has 2"),
            (Hello::new(1, 2, 4, 1 << 30, "a"), "workers = 4, this process has 2; give --workers"),
            (Hello::new(1, 2, 2, 1 << 31, "a"), "memory = 2 GiB, this process has 1 GiB; give --memory"),
        ] {
            let text = mine.refuses(&other).unwrap();
            assert!(text.contains(said), "{text}");
        }
    }
}
