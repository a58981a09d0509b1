//! Progress: a bar on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use megagram_pipeline::{Progress, Silent};

use crate::output::talk;

const EVERY: Duration = Duration::from_secs(10);

/// The progress of process `process`: only the first one speaks.
pub fn of(process: usize) -> Arc<dyn Progress> {
    if process > 0 {
        Arc::new(Silent)
    } else if std::io::stderr().is_terminal() {
        Arc::new(Bar::default())
    } else {
        Arc::new(Lines::default())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Bar(Mutex<Option<ProgressBar>>);

impl Progress for Bar {
    fn begin(&self, stage: &str, unit: &str, total: u64) {
        let template = format!("{{prefix:>8}} {{wide_bar}} {{pos}}/{{len}} {unit}, {{elapsed}}, {{eta}} left");
        let bar = ProgressBar::new(total).with_prefix(stage.to_owned());
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        *locked(&self.0) = Some(bar);
    }

    fn advance(&self, units: u64) {
        if let Some(bar) = &*locked(&self.0) {
            bar.inc(units);
        }
    }

    fn end(&self) {
        if let Some(bar) = locked(&self.0).take() {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        match &*locked(&self.0) {
            Some(bar) => bar.suspend(|| talk(line)),
            None => talk(line),
        }
    }
}

#[derive(Debug, Default)]
struct Lines(Mutex<Option<Line>>);

#[derive(Debug)]
struct Line {
    stage: String,
    unit: String,
    done: u64,
    total: u64,
    began: Instant,
    spoke: Instant,
}

impl Progress for Lines {
    fn begin(&self, stage: &str, unit: &str, total: u64) {
        let now = Instant::now();
        let line = Line { stage: stage.to_owned(), unit: unit.to_owned(), done: 0, total, began: now, spoke: now };
        talk(format_args!("{stage}: {total} {unit}"));
        *locked(&self.0) = Some(line);
    }

    fn advance(&self, units: u64) {
        let mut line = locked(&self.0);
        let Some(line) = &mut *line else { return };
        line.done += units;
        if line.spoke.elapsed() >= EVERY {
            line.spoke = Instant::now();
            let seconds = line.began.elapsed().as_secs();
            talk(format_args!("{}: {} of {} {}, {seconds} s", line.stage, line.done, line.total, line.unit));
        }
    }

    fn end(&self) {
        if let Some(line) = locked(&self.0).take() {
            let seconds = line.began.elapsed().as_secs_f64();
            talk(format_args!("{}: {} {} in {seconds:.1} s", line.stage, line.done, line.unit));
        }
    }

    fn say(&self, line: &str) {
        talk(line);
    }
}
