//! The log of a job: `results/<job>/events.jsonl`, one JSON object a line, runs one after another.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use megagram_storage::{Error as StorageError, Key, Store};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::error::Result;
use crate::progress::Progress;

/// Hears the progress of a run, passes it on, and keeps what is worth keeping.
pub(super) struct Events {
    onward: Arc<dyn Progress>,
    lines: Mutex<Vec<Value>>,
}

impl Events {
    /// A log that passes everything on to `onward`.
    pub(super) fn new(onward: Arc<dyn Progress>) -> Self {
        Self { onward, lines: Mutex::default() }
    }

    /// Keeps an event, with the seconds since 1970 at which it was.
    pub(super) fn keep(&self, mut event: Value) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        event["time"] = json!((now * 1000.0).round() / 1000.0);
        self.lines.lock().push(event);
    }

    /// Adds what was kept since the last time to the job's log.
    pub(super) fn write(&self, store: &Store, job: &str) -> Result<()> {
        let lines = std::mem::take(&mut *self.lines.lock());
        if lines.is_empty() {
            return Ok(());
        }
        let key = Key::result(job, "events.jsonl");
        let mut text = match store.get(&key) {
            Ok(bytes) => bytes.to_vec(),
            Err(StorageError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        for line in lines {
            text.extend_from_slice(line.to_string().as_bytes());
            text.push(b'\n');
        }
        Ok(store.put(&key, text.into())?)
    }
}

impl Progress for Events {
    fn begin(&self, stage: &str, unit: &str, total: u64) {
        self.keep(json!({ "event": "begin", "stage": stage, "unit": unit, "total": total }));
        self.onward.begin(stage, unit, total);
    }

    fn advance(&self, units: u64) {
        self.onward.advance(units);
    }

    fn end(&self) {
        self.onward.end();
    }

    fn say(&self, line: &str) {
        self.keep(json!({ "event": "said", "line": line }));
        self.onward.say(line);
    }
}
