//! Positional encodings: their covariance between positions.

use crate::kernel::arguments::number;
use crate::kernel::read::{known_keys, known_word, table, word};
use crate::kernel::spec::SpecError;
use crate::kernel::sweep::Shape;
use serde_json::{Map, Value, json};

/// How encodings enter the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    Sum,
    Concat,
}

const KINDS: [(&str, Kind); 3] = [("none", Kind::None), ("sum", Kind::Sum), ("concat", Kind::Concat)];

/// How the covariance falls with the distance d.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Decay {
    /// Only equal positions.
    Equal,
    /// exp(−scale·d).
    Exp(f64),
    /// 1/(1 + scale·d).
    Rational(f64),
}

/// The arguments of positional encodings.
#[derive(Debug, Clone)]
pub(super) struct Encoding {
    pub(super) kind: Kind,
    decay: Decay,
    /// d = |Δh|^p + |Δw|^p.
    norm: f64,
    /// Standard deviation of the encodings.
    std: f64,
    /// Whether values see them, or only keys and queries.
    pub(super) values: bool,
    /// Channels of the encodings; by default as many as the input has.
    pub(super) channels: Option<u64>,
}

impl Encoding {
    pub(super) fn read(layer: &Map<String, Value>, path: &str) -> Result<Encoding, SpecError> {
        let at = |key: &str| format!("{path}.{key}");
        let given = word(layer, "pos_emb_type", path)?.unwrap_or("none");
        let name =
            known_word(given, &KINDS.map(|(name, _)| name)).map_err(|m| SpecError::new(at("pos_emb_type"), m))?;
        let kind = KINDS.iter().find(|(known, _)| *known == name).map_or(Kind::None, |(_, kind)| *kind);
        let of = |key: &str, default: f64| {
            layer.get(key).map(number).transpose().map(|n| n.unwrap_or(default)).map_err(|m| SpecError::new(at(key), m))
        };
        let norm = of("pos_emb_p_norm", 2.0)?;
        if norm <= 0.0 {
            return Err(SpecError::new(at("pos_emb_p_norm"), "it must be positive"));
        }
        let channels = crate::kernel::read::whole(layer, "n_chan_pos_emb", path)?;
        if channels == Some(0) {
            return Err(SpecError::new(at("n_chan_pos_emb"), "it must be at least 1"));
        }
        let decay = match layer.get("pos_emb_decay_fn") {
            None | Some(Value::Null) => Decay::Equal,
            Some(value) => read_decay(value, &at("pos_emb_decay_fn"))?,
        };
        let values = crate::kernel::read::flag(layer, "val_pos_emb", path)?.unwrap_or(false);
        Ok(Encoding { kind, decay, norm, std: of("w_pos_emb_std", 1.0)?, values, channels })
    }

    pub(super) fn canonical(&self, layer: &mut Map<String, Value>) {
        if self.kind == Kind::None {
            return;
        }
        let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        layer.insert("pos_emb_type".into(), (*name).into());
        match self.decay {
            Decay::Equal => {}
            Decay::Exp(scale) => {
                drop(layer.insert("pos_emb_decay_fn".into(), json!({ "kind": "exp", "scale": scale })))
            }
            Decay::Rational(scale) => {
                layer.insert("pos_emb_decay_fn".into(), json!({ "kind": "rational", "scale": scale }));
            }
        }
        if self.decay != Decay::Equal {
            layer.insert("pos_emb_p_norm".into(), self.norm.into());
        }
        layer.insert("w_pos_emb_std".into(), self.std.into());
        layer.insert("val_pos_emb".into(), self.values.into());
        if let (Kind::Concat, Some(channels)) = (self.kind, self.channels) {
            layer.insert("n_chan_pos_emb".into(), channels.into());
        }
    }

    /// The covariance of the encodings of each pair of positions.
    fn covariance(&self, shape: Shape) -> Vec<f64> {
        let pixels = shape[0] * shape[1];
        let mut covariance = Vec::with_capacity(pixels * pixels);
        for q in 0..pixels {
            for p in 0..pixels {
                let along = |a: usize, b: usize| libm::pow(a.abs_diff(b) as f64, self.norm);
                let d = along(p / shape[1], q / shape[1]) + along(p % shape[1], q % shape[1]);
                covariance.push(match self.decay {
                    Decay::Equal if p == q => 1.0,
                    Decay::Equal => 0.0,
                    Decay::Exp(scale) => libm::exp(-scale * d),
                    Decay::Rational(scale) => 1.0 / (1.0 + scale * d),
                });
            }
        }
        covariance
    }

    /// What keys and queries see: a share of the input's covariance plus the encodings' (entry by entry).
    pub(super) fn mix(&self, shape: Shape, channels: Option<u64>, path: &str) -> Result<Option<Mix>, SpecError> {
        let variance = self.std * self.std;
        let (input, encoding) = match self.kind {
            Kind::None => return Ok(None),
            Kind::Sum => {
                if self.channels.is_some_and(|given| channels.is_some_and(|has| given != has)) {
                    let message = "a sum needs as many channels as the input has; leave it out";
                    return Err(SpecError::new(format!("{path}.n_chan_pos_emb"), message));
                }
                (1.0, variance)
            }
            Kind::Concat => {
                let input = channels.ok_or_else(|| {
                    let message = "pos_emb_type = \"concat\" needs the width of the input: give the layer before this one \
                                   its out_dim (out_chan, n_chan_out)";
                    SpecError::new(path, message)
                })? as f64;
                let own = self.channels.map_or(input, |own| own as f64);
                (input / (input + own), variance * own / (input + own))
            }
        };
        let added = self.covariance(shape).into_iter().map(|r| r * encoding).collect();
        Ok(Some(Mix { share: input, added }))
    }
}

fn read_decay(value: &Value, path: &str) -> Result<Decay, SpecError> {
    let fields = table(value, path)?;
    known_keys(fields, &["kind", "scale"], path)?;
    let scale = fields.get("scale").map(number).transpose();
    let scale = scale.map_err(|message| SpecError::new(format!("{path}.scale"), message))?.unwrap_or(1.0);
    if scale < 0.0 {
        return Err(SpecError::new(format!("{path}.scale"), "it must not be negative"));
    }
    let kind = word(fields, "kind", path)?.unwrap_or_default();
    match known_word(kind, &["exp", "rational"]).map_err(|m| SpecError::new(format!("{path}.kind"), m))? {
        "exp" => Ok(Decay::Exp(scale)),
        _ => Ok(Decay::Rational(scale)),
    }
}

/// A ← share·A + added.
#[derive(Debug, Clone)]
pub(super) struct Mix {
    pub(super) share: f64,
    /// For each pair of positions, p fastest.
    pub(super) added: Vec<f64>,
}
