//! The megagram command.
fn main() {}
