//! `dropout`: every unit is kept with probability `rate` and divided by it, independently for each row: the
//! variance of a position grows by 1/rate, covariances of different rows or positions stay.

use super::{Build, LayerSpec, typed};
use crate::kernel::arguments::number;
use crate::kernel::spec::SpecError;
use crate::kernel::sweep::{At, Geometry, Pool, State, Step};
use serde_json::{Map, Value};
use std::sync::Arc;

pub(crate) const KEYS: &[&str] = &["type", "rate"];

#[derive(Debug)]
struct Dropout {
    rate: f64,
}

pub(super) fn read(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    let at = format!("{path}.rate");
    let value = table.get("rate").ok_or_else(|| SpecError::new(at.clone(), "it must be given"))?;
    let rate = number(value).map_err(|message| SpecError::new(at.clone(), message))?;
    if rate <= 0.0 || rate > 1.0 {
        let message = format!("it is {rate}; the share of units that are kept is above 0 and at most 1");
        return Err(SpecError::new(at, message));
    }
    Ok(Arc::new(Dropout { rate }))
}

impl LayerSpec for Dropout {
    fn canonical(&self, _: bool) -> Map<String, Value> {
        let mut table = typed("dropout");
        table.insert("rate".into(), self.rate.into());
        table
    }

    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError> {
        if build.signal.input {
            return Err(SpecError::new(path, "\"dropout\" cannot be applied to the inputs"));
        }
        build.signal.gaussian = false;
        build.push(Dropped { factor: 1.0 / self.rate });
        Ok(())
    }
}

#[derive(Debug)]
struct Dropped {
    factor: f64,
}

impl Step for Dropped {
    fn pairs(&self, at: &At<'_>, state: &mut State, _: &mut Pool) {
        if !at.each {
            return;
        }
        let (geometry, lanes) = (state.geometry(), state.lanes);
        for entry in (0..geometry.pixels()).filter_map(|pixel| geometry.diagonal(pixel)) {
            state.k[entry * lanes..][..lanes].iter_mut().for_each(|k| *k *= self.factor);
            state.t.iter_mut().skip(entry * lanes).take(lanes).for_each(|t| *t *= self.factor);
        }
    }

    fn flops(&self, _: Geometry) -> u64 {
        0
    }
}
