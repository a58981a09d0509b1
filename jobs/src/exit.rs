//! How a command ends: one error type, one rule for exit codes (docs/guide/command-line.md).

/// Why a command did not simply succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job, the data, the store or the numbers.
    #[error(transparent)]
    Pipeline(#[from] megagram_pipeline::Error),
    /// The command did what it was asked to, and a check failed.
    #[error("{0}")]
    Check(String),
    /// What was to be written for the user cannot be written.
    #[error("cannot write {what}: {error}")]
    Output {
        /// The file, or "the output".
        what: String,
        /// Why not.
        error: std::io::Error,
    },
    /// A process of the run has already said why; only its exit code is left to pass on.
    #[error("the run has ended with exit code {0}")]
    Said(u8),
}

/// A result of a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<megagram_storage::Error> for Error {
    fn from(error: megagram_storage::Error) -> Self {
        Error::Pipeline(error.into())
    }
}

/// What is said, once, when a process of a run is gone.
pub const LOST: &str = "a process was lost; the same command continues where it stopped";

impl Error {
    /// Wrong usage.
    pub fn usage(text: impl Into<String>) -> Self {
        Error::Pipeline(megagram_pipeline::Error::Usage(text.into()))
    }

    /// A process was lost.
    pub fn lost(text: impl Into<String>) -> Self {
        Error::Pipeline(megagram_pipeline::Error::Lost(text.into()))
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Error::Pipeline(e) => e.exit_code(),
            Error::Check(_) => 1,
            Error::Output { error, .. } if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
            Error::Output { .. } => 2,
            Error::Said(code) => *code,
        }
    }

    /// Whether there is something left to say.
    pub fn is_silent(&self) -> bool {
        self.code() == 0 || matches!(self, Error::Said(_))
    }
}
