//! `parallel` branches, joined by sum, product or concatenation, and `residual`, the sum of its layers with its
//! own input.

use super::{Build, Chain, LayerSpec, Signal, any_spatial, typed};
use crate::kernel::level::Level;
use crate::kernel::monte_carlo::Joined;
use crate::kernel::read::{known_word, layers, word};
use crate::kernel::spec::{Layer, SpecError, canonical_layers};
use crate::kernel::sweep::{At, Geometry, Kept, Pool, State, Step, run};
use serde_json::{Map, Value};
use std::sync::Arc;

pub(crate) const RESIDUAL_KEYS: &[&str] = &["type", "layers"];
pub(crate) const PARALLEL_KEYS: &[&str] = &["type", "join", "branches", "axis"];

/// How branches become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Join {
    Sum,
    Prod,
    Concat,
}

const JOINS: [(&str, Join); 3] = [("sum", Join::Sum), ("prod", Join::Prod), ("concat", Join::Concat)];

#[derive(Debug)]
struct Parallel {
    join: Join,
    branches: Vec<Vec<Layer>>,
}

pub(super) fn residual(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    let list = table.get("layers").ok_or_else(|| SpecError::new(format!("{path}.layers"), "it must be given"))?;
    let mut inner = Vec::new();
    layers(list, &format!("{path}.layers"), &mut inner)?;
    Ok(Arc::new(Parallel { join: Join::Sum, branches: vec![inner, Vec::new()] }))
}

pub(super) fn parallel(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    let at = |key: &str| format!("{path}.{key}");
    let given = word(table, "join", path)?
        .ok_or_else(|| SpecError::new(at("join"), "it must be given: \"sum\", \"prod\" or \"concat\""))?;
    let name =
        known_word(given, &JOINS.map(|(name, _)| name)).map_err(|message| SpecError::new(at("join"), message))?;
    let join = JOINS.iter().find(|(known, _)| *known == name).map_or(Join::Sum, |(_, join)| *join);
    if table.get("axis").is_some_and(|axis| axis.as_i64() != Some(-1))
        || (join != Join::Concat && table.contains_key("axis"))
    {
        let message = "only channels (−1), and only with join = \"concat\", are joined in this version";
        return Err(SpecError::new(at("axis"), message));
    }
    let lists = table
        .get("branches")
        .and_then(Value::as_array)
        .filter(|lists| !lists.is_empty())
        .ok_or_else(|| SpecError::new(at("branches"), "a list of lists of layers was expected"))?;
    let mut branches = Vec::new();
    for (index, list) in lists.iter().enumerate() {
        let mut inner = Vec::new();
        // An empty branch is the identity.
        if list.as_array().is_none_or(|list| !list.is_empty()) {
            layers(list, &format!("{path}.branches[{index}]"), &mut inner)?;
        }
        branches.push(inner);
    }
    Ok(Arc::new(Parallel { join, branches }))
}

impl LayerSpec for Parallel {
    fn canonical(&self, widths: bool) -> Map<String, Value> {
        let mut table = typed("parallel");
        let name = JOINS.iter().find(|(_, join)| *join == self.join).map_or("", |(name, _)| name);
        table.insert("join".into(), (*name).into());
        let branches: Vec<Value> = self.branches.iter().map(|branch| canonical_layers(branch, widths)).collect();
        table.insert("branches".into(), branches.into());
        table
    }

    fn needs_widths(&self) -> bool {
        let inner = self.branches.iter().flatten().any(|layer| layer.kind().needs_widths());
        inner || self.join == Join::Concat
    }

    fn is_spatial(&self) -> bool {
        self.branches.iter().any(|branch| any_spatial(branch))
    }

    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError> {
        let (mut chains, mut signals) = (Vec::new(), Vec::new());
        for branch in &self.branches {
            let (chain, signal) = build.branch(branch)?;
            chains.push(chain);
            signals.push(signal);
        }
        let (signal, shares) = self.join_signals(&signals, path)?;
        build.facts.unbanded |= signals.iter().any(|other| other.stride != signal.stride);
        build.signal = signal;
        build.draft(path, |draft| {
            let joined = match self.join {
                Join::Sum => Joined::Sum,
                Join::Prod => Joined::Product,
                Join::Concat => Joined::Concatenation(shares.clone()),
            };
            draft.join(self.branches.len(), joined)
        })?;
        build.push(Branches { join: self.join, chains, shares });
        Ok(())
    }
}

impl Parallel {
    /// The signal behind the join, and the share of each branch in the channels.
    fn join_signals(&self, signals: &[Signal], path: &str) -> Result<(Signal, Vec<f64>), SpecError> {
        let told = |message: String| SpecError::new(path, message);
        let first = signals.first().ok_or_else(|| told("there are no branches".into()))?;
        for (index, other) in signals.iter().enumerate() {
            if (other.shape, other.rank) != (first.shape, first.rank) {
                return Err(told(format!(
                    "branch {index} ends with positions {:?}, branch 0 with {:?}: they cannot be joined",
                    &other.shape[..other.rank],
                    &first.shape[..first.rank]
                )));
            }
            if other.mask != first.mask {
                return Err(told("branches that move the mask are not built in this version".into()));
            }
            let widths = (self.join != Join::Concat).then_some(()).and(other.channels.zip(first.channels));
            if let Some((width, of_first)) = widths.filter(|(width, of_first)| width != of_first) {
                return Err(told(format!(
                    "branch {index} has {width} channels, branch 0 has {of_first}: they must be as wide"
                )));
            }
            if self.join == Join::Sum && signals.len() > 1 && !other.gaussian {
                return Err(told(format!(
                    "branch {index} is not Gaussian: a sum is known only of branches that end with a dense, convolutional \
                     or attention layer (and have one before a residual)"
                )));
            }
        }
        let mut joined = first.clone();
        joined.input = signals.iter().all(|signal| signal.input);
        let mut shares = Vec::new();
        if self.join == Join::Concat {
            let widths: Option<Vec<u64>> = signals.iter().map(|signal| signal.channels).collect();
            let widths = widths.ok_or_else(|| {
                told("join = \"concat\" needs the widths of all branches: give their last layers an out_dim".into())
            })?;
            let total: u64 = widths.iter().fold(0, |sum, width| sum.saturating_add(*width));
            shares = widths.iter().map(|width| *width as f64 / total.max(1) as f64).collect();
            joined.channels = Some(total);
        } else {
            joined.channels = signals.iter().find_map(|signal| signal.channels);
        }
        joined.gaussian = match self.join {
            Join::Sum => signals.iter().all(|signal| signal.gaussian),
            Join::Prod => signals.len() == 1 && first.gaussian,
            Join::Concat => false,
        };
        Ok((joined, shares))
    }
}

#[derive(Debug)]
struct Branches {
    join: Join,
    chains: Vec<Chain>,
    shares: Vec<f64>,
}

impl Branches {
    /// Runs every branch on a copy and joins them.
    fn run(&self, state: &mut State, pool: &mut Pool, mut chain: impl FnMut(&Chain, &mut State, &mut Pool)) {
        let mut joined: Option<State> = None;
        for (index, steps) in self.chains.iter().enumerate() {
            let mut branch = state.copy(pool);
            chain(steps, &mut branch, pool);
            let share = self.shares.get(index).copied().unwrap_or(1.0);
            if share != 1.0 {
                branch.k.iter_mut().chain(branch.t.iter_mut()).for_each(|value| *value *= share);
            }
            joined = Some(match joined {
                None => branch,
                Some(mut joined) => {
                    join(self.join, &mut joined, &branch);
                    branch.release(pool);
                    joined
                }
            });
        }
        if let Some(joined) = joined {
            std::mem::replace(state, joined).release(pool);
        }
    }
}

fn join(join: Join, to: &mut State, from: &State) {
    match join {
        Join::Sum | Join::Concat => {
            to.k.iter_mut().zip(from.k.iter()).for_each(|(to, from)| *to += from);
            to.t.iter_mut().zip(from.t.iter()).for_each(|(to, from)| *to += from);
        }
        Join::Prod => {
            for ((t, from_t), (k, from_k)) in to.t.iter_mut().zip(from.t.iter()).zip(to.k.iter().zip(from.k.iter())) {
                *t = *t * from_k + k * from_t;
            }
            to.k.iter_mut().zip(from.k.iter()).for_each(|(to, from)| *to *= from);
        }
    }
}

impl Step for Branches {
    fn pairs(&self, at: &At<'_>, state: &mut State, pool: &mut Pool) {
        self.run(state, pool, |chain, state, pool| run(chain, at, state, pool));
    }

    fn rows(&self, level: Level, kept: &mut Kept, first: usize, state: &mut State, pool: &mut Pool) {
        self.run(state, pool, |chain, state, pool| {
            chain.iter().for_each(|step| step.rows(level, kept, first, state, pool));
        });
    }

    fn flops(&self, geometry: Geometry) -> u64 {
        let chain = |chain: &Chain| {
            let mut geometry = geometry;
            let mut sum = 0;
            for step in chain {
                sum += step.flops(geometry);
                geometry = step.output(geometry);
            }
            sum
        };
        self.chains.iter().map(|steps| chain(steps) + 2).sum()
    }

    fn output(&self, geometry: Geometry) -> Geometry {
        self.chains
            .first()
            .map_or(geometry, |chain| chain.iter().fold(geometry, |geometry, step| step.output(geometry)))
    }
}
