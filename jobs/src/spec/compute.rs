//! The `[compute]` section.

use megagram_pipeline::Compute;

use super::section::{Result, Section};
use crate::machine;

/// Reads the section; `sharers` processes share this machine.
pub fn read(section: &Section<'_>, sharers: usize) -> Result<Compute> {
    let sharers = sharers.max(1);
    let tile = section.find("tile").map(|f| f.count_u32(1)).transpose()?.unwrap_or(1024);
    let memory = section.find("memory").map(|f| f.size()).transpose()?;
    let memory = memory.unwrap_or_else(|| machine::memory().bytes / 2 / sharers as u64);
    let workers = section.find("workers").map(|f| f.count_u32(1)).transpose()?.map(|w| w as usize);
    let workers = workers.unwrap_or_else(|| (machine::cores() / sharers).max(1));
    if let Some(found) = section.find("dtype") {
        let dtype = found.string()?;
        if dtype != "f64" {
            return Err(found.wrong(&format!("\"{dtype}\" is not built into this version: the only dtype is \"f64\"")));
        }
    }
    let keep_gram = section.find("keep_gram").map(|f| f.flag()).transpose()?.unwrap_or(true);
    let allow_mixed_bits = section.find("allow_mixed_bits").map(|f| f.flag()).transpose()?.unwrap_or(false);
    section.end()?;
    Ok(Compute { tile, memory, workers, keep_gram, allow_mixed_bits })
}
