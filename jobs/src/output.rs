//! stdout is data, stderr is talk.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use crate::exit::{Error, Result};

/// The real standard output. While one exists, whatever a library prints goes to stderr.
#[derive(Debug)]
pub struct Stdout {
    file: Option<File>,
    json: bool,
}

impl Stdout {
    /// Takes standard output for this program's data alone.
    pub fn claim(json: bool) -> Self {
        let file = std::io::stdout().as_fd().try_clone_to_owned().ok().map(File::from);
        if file.is_some() {
            // SAFETY: both are open descriptors of this process.
            unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) };
        }
        Self { file, json }
    }

    /// A second handle, for a child process.
    pub fn share(&self) -> Option<File> {
        self.file.as_ref()?.try_clone().ok()
    }

    /// Writes `value` as one JSON object, or what `text` makes of it, as the user asked.
    ///
    /// # Errors
    /// [`Error::Output`]; a broken pipe is one too, and its exit code is 0.
    pub fn show<T: serde::Serialize>(&mut self, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        let text = if self.json {
            let json = serde_json::to_string_pretty(value).map_err(|e| self.failed(e.into()))?;
            format!("{json}\n")
        } else {
            text(value)
        };
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(|e| self.failed(e))
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::Output { what: "the output".to_owned(), error }
    }
}

/// Says one line on stderr. A closed stderr is no error.
pub fn talk(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Aligns the cells of rows in columns: the first to the left, the others to the right.
pub fn columns(rows: &[Vec<String>]) -> String {
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[c] - cell.chars().count());
            match c {
                0 => line.push_str(&format!("{cell}{pad}")),
                _ => line.push_str(&format!("  {pad}{cell}")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
