//! `global_self_attention` in the limit of many heads (Hron et al. 2020).
//!
//! With 1/d scaling ("linear", keys and queries tied) the attention weights are deterministic,
//! G(x) = ζ(QK·Σ(x, x)), and with the values' K, Θ and OV² = (w_value·w_out)²:
//! K' = OV²·G(x)·K·G(x')ᵀ + b, Θ' = OV²·G(x)·Θ·G(x')ᵀ + b + 2(K' − b).
//! With 1/√d scaling only ζ = identity has a closed form: with s = (QK·OV)² and D = Σ K²,
//! K' = s·D·K + b, Θ' = s·(2(Σ K·Θ)·K + D·(Θ + 4K)) + b, the sums over all pairs of positions.

use super::linear_attention::{Linear, Mechanism, SCALES};
use super::position::{Encoding, Kind, Mix};
use super::{Build, LayerSpec, typed};
use crate::kernel::arguments::number;
use crate::kernel::monte_carlo::{AttentionLayer, Weighing};
use crate::kernel::precision::{PRECISION, Precision};
use crate::kernel::read::{flag, known_word, variance, whole, word};
use crate::kernel::spec::SpecError;
use crate::kernel::sweep::{At, Geometry, Parts, Pool, Slot, State, Step};
use serde_json::{Map, Value};
use std::sync::Arc;

pub(crate) const KEYS: &[&str] = &[
    "type",
    "n_heads",
    "n_chan_out",
    "n_chan_key",
    "n_chan_val",
    "n_chan_pos_emb",
    "linear_scaling",
    "attention_mechanism",
    "pos_emb_type",
    "val_pos_emb",
    "pos_emb_decay_fn",
    "pos_emb_p_norm",
    "w_key_std",
    "w_query_std",
    "w_value_std",
    "w_out_std",
    "w_pos_emb_std",
    "b_var",
    "b_std",
    PRECISION,
];

/// Every row keeps a weight for each pair of positions.
const POSITIONS_MAX: usize = 4096;

const MECHANISMS: [(&str, Mechanism); 4] = [
    ("softmax", Mechanism::Softmax),
    ("identity", Mechanism::Identity),
    ("abs", Mechanism::Abs),
    ("relu", Mechanism::Relu),
];

#[derive(Debug)]
struct Attention {
    linear: bool,
    mechanism: Mechanism,
    /// Standard deviations: key times query, value times out.
    qk: f64,
    ov: f64,
    b_var: Option<f64>,
    width: Option<u64>,
    encoding: Encoding,
    precision: Precision,
}

pub(super) fn read(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    let at = |key: &str| format!("{path}.{key}");
    let std = |key: &str| {
        table.get(key).map(number).transpose().map(|n| n.unwrap_or(1.0)).map_err(|m| SpecError::new(at(key), m))
    };
    // The limit has no use for these, but a slip is a slip.
    for key in ["n_heads", "n_chan_key", "n_chan_val"] {
        whole(table, key, path)?;
    }
    let given = word(table, "attention_mechanism", path)?.unwrap_or("softmax");
    let name = known_word(given, &MECHANISMS.map(|(name, _)| name))
        .map_err(|message| SpecError::new(at("attention_mechanism"), message))?;
    let mechanism = MECHANISMS.iter().find(|(known, _)| *known == name).map_or(Mechanism::Softmax, |(_, m)| *m);
    let linear = flag(table, "linear_scaling", path)?.unwrap_or(true);
    if !linear && mechanism != Mechanism::Identity {
        let message = format!(
            "{name:?} with 1/√d scaling has no closed form (the attention weights stay random in the limit); use \
             linear_scaling = true, or attention_mechanism = \"identity\""
        );
        return Err(SpecError::new(at("attention_mechanism"), message));
    }
    let precision = match table.get(PRECISION) {
        Some(value) => Precision::value(value).map_err(|message| SpecError::new(at(PRECISION), message))?,
        None => Precision::F64,
    };
    if !linear && precision == Precision::F32 {
        let message =
            "attention with 1/√d scaling is computed in f64 alone; leave it out, or use linear_scaling = true";
        return Err(SpecError::new(at(PRECISION), message));
    }
    let width = whole(table, "n_chan_out", path)?;
    if width == Some(0) {
        return Err(SpecError::new(at("n_chan_out"), "it must be at least 1"));
    }
    Ok(Arc::new(Attention {
        linear,
        mechanism,
        qk: std("w_key_std")? * std("w_query_std")?,
        ov: std("w_value_std")? * std("w_out_std")?,
        b_var: variance(table, "b_var", "b_std", path)?,
        width,
        encoding: Encoding::read(table, path)?,
        precision,
    }))
}

impl LayerSpec for Attention {
    fn canonical(&self, widths: bool) -> Map<String, Value> {
        let mut table = typed("global_self_attention");
        let name = MECHANISMS.iter().find(|(_, mechanism)| *mechanism == self.mechanism).map_or("", |(name, _)| name);
        table.insert("linear_scaling".into(), self.linear.into());
        table.insert("attention_mechanism".into(), (*name).into());
        // Only products matter.
        table.insert("w_key_std".into(), self.qk.into());
        table.insert("w_value_std".into(), self.ov.into());
        table.insert("b_var".into(), self.b_var.unwrap_or(0.0).into());
        if let Some(width) = self.width.filter(|_| widths) {
            table.insert("n_chan_out".into(), width.into());
        }
        if let Some(precision) = self.precision.told() {
            table.insert(PRECISION.into(), precision.into());
        }
        self.encoding.canonical(&mut table);
        table
    }

    fn needs_widths(&self) -> bool {
        self.encoding.kind == Kind::Concat
    }

    fn is_spatial(&self) -> bool {
        true
    }

    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError> {
        build.needs_positions("global_self_attention", path)?;
        build.facts.coupled = true;
        let pixels = build.pixels();
        if pixels > POSITIONS_MAX {
            let message =
                format!("attention over {pixels} positions is not built in this version; at most {POSITIONS_MAX}");
            return Err(SpecError::new(path, message));
        }
        build.draft(path, |draft| {
            self.precision.of_finite()?;
            if !self.linear || self.encoding.kind != Kind::None {
                let built = "monte_carlo is built for attention with linear_scaling = true and no positional encodings";
                return Err(built.into());
            }
            let weighing = match self.mechanism {
                Mechanism::Softmax => Weighing::Softmax,
                Mechanism::Identity => Weighing::Identity,
                Mechanism::Abs => Weighing::Abs,
                Mechanism::Relu => Weighing::Relu,
            };
            let b_var = self.b_var.unwrap_or(0.0);
            draft.attention(AttentionLayer { weighing, qk: self.qk, ov: self.ov, b_var });
            Ok(())
        })?;
        let mix = self.encoding.mix(build.signal.shape, build.signal.channels, path)?;
        let mask = build.signal.mask;
        let b_var = self.b_var.unwrap_or(0.0);
        let mixed = Mixed { mix, mask };
        if self.linear {
            let slot = build.slot(Slot::Numbers(pixels * pixels));
            let scales = (self.precision == Precision::F32).then(|| build.slot(Slot::Numbers(SCALES)));
            let (mechanism, qk, ov) = (self.mechanism, self.qk, self.ov * self.ov);
            build.push(Linear { mechanism, qk, ov, b_var, mixed, values: self.encoding.values, slot, scales });
        } else {
            let scale = (self.qk * self.ov).powi(2);
            build.push(Root { scale, b_var, mixed, values: self.encoding.values });
        }
        build.signal.channels = self.width;
        build.signal.gaussian = true;
        build.signal.input = false;
        build.remask();
        Ok(())
    }
}

/// Adds positional encodings to covariances, but not where there is padding.
#[derive(Debug)]
pub(super) struct Mixed {
    pub(super) mix: Option<Mix>,
    pub(super) mask: Option<usize>,
}

impl Mixed {
    /// All entries of K, and of Θ.
    pub(super) fn apply(&self, at: &At<'_>, state: &mut State) {
        let Some(mix) = &self.mix else {
            return;
        };
        let Parts { k, t, x, y, lanes } = state.parts();
        for (e, added) in mix.added.iter().enumerate() {
            for lane in 0..lanes {
                let counts = self.mask.is_none_or(|mask| {
                    let other = if at.each { lane } else { 0 };
                    at.x(mask, x[e] as usize, lanes)[lane] * at.y(mask, y[e] as usize, lanes)[other] > 0.0
                });
                let added = if counts { *added } else { 0.0 };
                let value = &mut k[e * lanes + lane];
                *value = mix.share * *value + added;
                if let Some(value) = t.get_mut(e * lanes + lane) {
                    *value = mix.share * *value + added;
                }
            }
        }
    }
}

/// 1/√d scaling with ζ = identity.
#[derive(Debug)]
struct Root {
    scale: f64,
    b_var: f64,
    mixed: Mixed,
    values: bool,
}

impl Step for Root {
    fn pairs(&self, at: &At<'_>, state: &mut State, pool: &mut Pool) {
        let lanes = state.lanes;
        let mut values = state.copy(pool);
        self.mixed.apply(at, state);
        if self.values {
            values.k.copy_from_slice(&state.k);
            values.t.copy_from_slice(&state.t);
        }
        // Σ K·K and Σ K·Θ, one factor as keys and queries see it, one as values do.
        let (mut kk, mut kt) = (vec![0.0; lanes], vec![0.0; lanes]);
        for (e, (mixed, plain)) in state.k.iter().zip(values.k.iter()).enumerate() {
            kk[e % lanes] += mixed * plain;
        }
        for (e, (mixed_t, plain_t)) in state.t.iter().zip(values.t.iter()).enumerate() {
            kt[e % lanes] += state.k[e] * plain_t + values.k[e] * mixed_t;
        }
        let State { k, t, .. } = state;
        for (e, (t, k)) in t.iter_mut().zip(k.iter()).enumerate() {
            *t = self.scale * (kt[e % lanes] * k + kk[e % lanes] * (*t + 4.0 * k)) + self.b_var;
        }
        for (e, k) in k.iter_mut().enumerate() {
            *k = self.scale * kk[e % lanes] * *k + self.b_var;
        }
        values.release(pool);
    }

    fn flops(&self, _: Geometry) -> u64 {
        16
    }
}
