//! The `[gp]` section.

use megagram_pipeline::{Covariance, Curve, Error, Gp, Noise};

use super::section::{Result, Section};

/// Reads the section.
pub fn read(section: &Section<'_>) -> Result<Gp> {
    let kernel = section.find("kernel");
    let kernel = kernel.map(|f| f.word(&[("nngp", Covariance::Nngp), ("ntk", Covariance::Ntk)])).transpose()?;
    let noise = noise(section)?;
    let noise_ladder = match section.find("noise_ladder") {
        None => 10.0,
        Some(found) => match found.float()? {
            factor if factor >= 1.0 => factor,
            _ => return Err(found.wrong("the factor between two tries is at least 1 (1 means one try)")),
        },
    };
    let noise_max = section.find("noise_max").map(|f| f.non_negative()).transpose()?.unwrap_or(1e-2);
    let variance = section.find("variance").map(|f| f.flag()).transpose()?.unwrap_or(true);
    let covariance = section.find("covariance").map(|f| f.flag()).transpose()?.unwrap_or(false);
    let curve = curve(section)?;
    section.end()?;
    Ok(Gp { kernel, noise, noise_ladder, noise_max, variance, covariance, curve })
}

/// `noise_var` or `noise_relative`; a stronger source beats a weaker one, of one source never both.
fn noise(section: &Section<'_>) -> Result<Noise> {
    let (absolute, relative) = (section.find("noise_var"), section.find("noise_relative"));
    match (absolute, relative) {
        (None, None) => Ok(Noise::Absolute(1e-10)),
        (Some(a), Some(r)) if a.rank == r.rank => {
            Err(Error::Usage(format!("{} and {}: give one of them, never both", a.at, r.at)))
        }
        (Some(a), r) if r.as_ref().is_none_or(|r| a.rank > r.rank) => Ok(Noise::Absolute(a.non_negative()?)),
        (_, Some(r)) => Ok(Noise::Relative(r.non_negative()?)),
        (Some(a), None) => Ok(Noise::Absolute(a.non_negative()?)),
    }
}

fn curve(section: &Section<'_>) -> Result<Curve> {
    let Some(found) = section.find("curve") else { return Ok(Curve::None) };
    if !found.is_list() {
        return match found.string() {
            Ok(word) if word == "octaves" => Ok(Curve::Octaves),
            _ => Err(found.wrong("expected a list of sizes or \"octaves\"")),
        };
    }
    let mut sizes = found.items()?.iter().map(|f| f.count(1)).collect::<Result<Vec<_>>>()?;
    sizes.sort_unstable();
    sizes.dedup();
    Ok(if sizes.is_empty() { Curve::None } else { Curve::Sizes(sizes) })
}
