//! From layers to a network: which pairs of positions it needs, and how much room.

use super::{Network, OutputKind, Plan};
use crate::kernel::layer::{Build, READ_OUTS, Signal, any_spatial, initial_mask};
use crate::kernel::level::Level;
use crate::kernel::monte_carlo::{Draft, Ensemble};
use crate::kernel::spec::{KernelSpec, Output, SpecError};
use crate::kernel::sweep::{Geometry, Pairing};
use std::sync::Arc;

/// The inputs of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// Numbers in a row.
    pub width: usize,
    /// What they are: `[H, W, C]` or `[L, C]`, the last fastest. `None`: a row has no positions.
    pub shape: Option<Vec<usize>>,
    /// A position with this value in all its channels is padding.
    pub mask: Option<f64>,
}

impl From<usize> for Inputs {
    fn from(width: usize) -> Inputs {
        Inputs { width, shape: None, mask: None }
    }
}

/// Rows without positions that go through the network together: they stay in the first-level cache, and so do
/// the layers' numbers for these rows while the columns pass.
const STRIP: usize = 128;

/// Numbers of K that a sweep holds at once, where it can choose: with Θ and a buffer they stay in the
/// second-level cache.
const STATE: usize = 1 << 14;

/// More positions than this are taken for a slip of the pen.
const POSITIONS_MAX: usize = 1 << 24;

impl Network {
    /// Compiles a network; a number stands for rows of that width.
    ///
    /// # Errors
    /// A layer that does not fit its input, named by its path; positions at the end; a shape or a mask that do
    /// not fit the rows.
    pub fn compile(spec: &KernelSpec, inputs: impl Into<Inputs>) -> Result<Network, SpecError> {
        build(spec, inputs.into(), false)
    }

    /// Compiles a network that may end with positions, for [`Network::positions`].
    ///
    /// # Errors
    /// As [`Network::compile`], but for positions at the end.
    pub fn compile_positions(spec: &KernelSpec, inputs: impl Into<Inputs>) -> Result<Network, SpecError> {
        build(spec, inputs.into(), true)
    }
}

fn build(spec: &KernelSpec, mut inputs: Inputs, open: bool) -> Result<Network, SpecError> {
    if inputs.width == 0 {
        return Err(SpecError::new("kernel", "the rows of the data have no columns"));
    }
    let flat = flatten(spec, &mut inputs)?;
    let signal = input(&inputs)?;
    let start = signal.shape;
    let channels = inputs.width / (start[0] * start[1]);
    let pixels = start[0] * start[1];
    let draft = spec.monte_carlo.map(|settings| Draft::new(settings, spec.output != Output::Nngp, pixels, channels));
    if open && draft.is_some() {
        return Err(SpecError::new("kernel.monte_carlo", "positions at the end have a limit's kernel alone"));
    }
    let mut build = Build::new(signal, draft);
    let mask = inputs.mask.map(|_| initial_mask(&mut build));
    build.layers(&spec.layers)?;
    let ends = build.signal.shape;
    if build.signal.rank > 0 && !open {
        let shape: Vec<String> = ends[..build.signal.rank].iter().map(usize::to_string).collect();
        let message = format!(
            "the network ends with positions ({}), and a Gram matrix has one number a pair of rows: end it with {READ_OUTS}",
            shape.join(" × ")
        );
        return Err(SpecError::new("kernel.layers", message));
    }
    let plan = if flat { Plan::Flat } else { plan(&build, start) };
    let outputs = match spec.output {
        Output::Nngp => vec![OutputKind::Nngp],
        Output::Ntk => vec![OutputKind::Ntk],
        Output::Both => vec![OutputKind::Nngp, OutputKind::Ntk],
    };
    let entries = match plan {
        Plan::Whole(Geometry { pairing: Pairing::Full, .. }) => build.pixels_max.saturating_mul(build.pixels_max),
        _ => build.pixels_max,
    };
    let lanes = if flat { STRIP } else { (STATE / entries / 8 * 8).clamp(8, 64) };
    // K, Θ, a sum and what attention copies; and of every level of branches the input and the sum.
    let buffers = entries.saturating_mul((6 + 4 * build.depth_max) * lanes + 1);
    let level = Level::detect();
    let ensemble = build.draft.map(|draft| Arc::new(Ensemble::new(draft, pixels, channels)));
    let (chain, slots) = (build.steps, build.slots);
    let profile = Arc::default();
    Ok(Network { inputs, channels, outputs, chain, slots, mask, plan, ends, lanes, buffers, level, ensemble, profile })
}

/// Whether the network sees its rows flat; a shape that does not matter is dropped. A network without any
/// layer that knows positions is fully connected, whatever the shape.
fn flatten(spec: &KernelSpec, inputs: &mut Inputs) -> Result<bool, SpecError> {
    if !any_spatial(&spec.layers) {
        inputs.shape = None;
        if inputs.mask.is_some() {
            let message =
                "a mask needs a network with positions (conv, pooling, attention, flatten); this one has none";
            return Err(SpecError::new("data.mask", message));
        }
        return Ok(true);
    }
    if inputs.shape.is_some() && inputs.mask.is_none() && spec.layers.first().is_some_and(|l| l.kind().is_flatten()) {
        inputs.shape = None;
    }
    if inputs.shape.is_none() && inputs.mask.is_some() {
        let message = "a mask needs data.shape ([H, W, C] or [L, C]): it marks positions";
        return Err(SpecError::new("data.mask", message));
    }
    Ok(inputs.shape.is_none())
}

/// The signal that enters.
fn input(inputs: &Inputs) -> Result<Signal, SpecError> {
    let width = inputs.width;
    let told = |message: String| SpecError::new("data.shape", message);
    let (shape, rank, channels) = match inputs.shape.as_deref() {
        None => ([1, 1], 0, width),
        Some([l, c]) => ([*l, 1], 1, *c),
        Some([h, w, c]) => ([*h, *w], 2, *c),
        Some(other) => return Err(told(format!("{other:?} is neither [H, W, C] nor [L, C]"))),
    };
    let product = shape[0].saturating_mul(shape[1]).saturating_mul(channels);
    if shape[0].saturating_mul(shape[1]) > POSITIONS_MAX {
        return Err(told(format!("{} × {} positions are more than {POSITIONS_MAX}", shape[0], shape[1])));
    }
    if product != width {
        let given = inputs.shape.as_deref().unwrap_or_default();
        return Err(told(format!("{given:?} has {product} numbers, but the rows of the data have {width}")));
    }
    Ok(Signal {
        shape,
        rank,
        channels: Some(channels as u64),
        gaussian: false,
        input: true,
        mask: None,
        stride: [1, 1],
    })
}

/// The pairs of positions that are needed: (p, p) if the network ends in `flatten` and nothing couples other
/// positions; band after band for convolutions before global pooling; all at once otherwise.
fn plan(build: &Build, start: [usize; 2]) -> Plan {
    let facts = &build.facts;
    let full = Plan::Whole(Geometry { shape: start, pairing: Pairing::Full });
    if facts.coupled || build.signal.rank > 0 {
        return full;
    }
    if facts.globals == 0 {
        return Plan::Whole(Geometry { shape: start, pairing: Pairing::DIAGONAL });
    }
    // With circular padding a band wraps around; without, it does not; mixed, it falls apart.
    let pure = !facts.unbanded && !(facts.circular && (facts.open || facts.strided));
    match (&build.global, facts.globals, facts.flattens) {
        (Some((split, pool, before)), 1, 0) if pure => Plan::Bands {
            start,
            split: *split,
            pool: *pool,
            shape: before.shape,
            stride: before.stride,
            wrapped: !facts.open,
        },
        _ => full,
    }
}
