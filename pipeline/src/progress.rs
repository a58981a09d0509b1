//! How a run says where it is.

/// Listens to a run. Calls come from any thread and must be quick.
pub trait Progress: Send + Sync {
    /// A stage begins: `total` units of `unit` ("tiles", "rows") are to be done.
    fn begin(&self, stage: &str, unit: &str, total: u64);
    /// `units` more are done.
    fn advance(&self, units: u64);
    /// The stage has ended.
    fn end(&self);
    /// Something worth a line: a warning, a noise try, a repair.
    fn say(&self, line: &str);
}

/// Says nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn say(&self, _: &str) {}
}
