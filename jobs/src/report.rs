//! The summary of a run, for people.

use std::collections::BTreeMap;

use megagram_pipeline::kernel::StandardError;
use megagram_pipeline::{SetScores, StageReport, Summary};

use crate::output::columns;
use crate::spec::size;

/// The summary as text.
pub fn summary(s: &Summary) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<14}{value}\n"));
    line("job", format!("{}: {} training rows, tile {}", s.name, s.n, s.tile));
    line("ran on", format!("{} × {} workers, {}", plural(s.processes, "process", "processes"), s.workers, s.blas));
    if let Some(sampled) = &s.monte_carlo {
        let error = |(output, error): (&String, &StandardError)| format!(", {output} ±{:.2} %", 100.0 * error.relative);
        let errors: String = sampled.standard_error.iter().map(error).collect();
        line("monte carlo", format!("{} networks of width {}{errors}", sampled.samples, sampled.width));
    }
    if let Some(rounded) = &s.f32_layers {
        let errors: Vec<_> = rounded.error.iter().map(|(output, error)| format!("{output} ±{error:.1e}")).collect();
        let borne = rounded.borne.map(|borne| format!(", of which the noise bears {borne:.1e}")).unwrap_or_default();
        line("f32 layers", format!("{}{borne}", errors.join(", ")));
    }
    if let Some(noise) = s.noise_var {
        let tried = if s.noise_tried.len() > 1 { format!(" (try {})", s.noise_tried.len()) } else { String::new() };
        line("noise_var", format!("{noise:e}{tried}"));
    }
    if let Some(pivot) = s.smallest_pivot {
        line("least pivot", format!("{:.3e} at row {}", pivot.value, pivot.row));
    }
    if let Some(evidence) = &s.log_evidence {
        line("log evidence", total(evidence));
    }
    for (name, scores) in &s.sets {
        line(&format!("set {name}"), format!("{} rows{}", scores.n, joined(scores)));
    }
    if s.repaired > 0 {
        line("repaired", format!("{} tiles", s.repaired));
    }
    if !s.curve.is_empty() {
        text.push_str(&format!("\n{}", curve(s)));
    }
    if !s.stages.is_empty() {
        text.push_str(&format!("\n{}", stages(&s.stages)));
    }
    text.push('\n');
    for warning in &s.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text.push_str(&format!("store {}\n", s.store));
    for (what, id) in &s.ids {
        text.push_str(&format!("  {what:<12}{id}\n"));
    }
    for file in &s.files {
        text.push_str(&format!("  {file}\n"));
    }
    text
}

fn plural(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// The sum over target columns, and the columns if they are few.
fn total(evidence: &[f64]) -> String {
    let sum: f64 = evidence.iter().sum();
    match evidence.len() {
        1 => format!("{sum:.3}"),
        n if n <= 4 => {
            let each: Vec<_> = evidence.iter().map(|e| format!("{e:.3}")).collect();
            format!("{sum:.3} = {}", each.join(" + "))
        }
        n => format!("{sum:.3} over {n} target columns"),
    }
}

/// The scores that there are, with their names.
fn scores(scores: &SetScores) -> Vec<(&'static str, String)> {
    let accuracy = scores.accuracy.map(|v| ("accuracy", format!("{v:.4}")));
    let mse = scores.mse.map(|v| ("mse", format!("{v:.6}")));
    let nll = scores.nll.map(|v| ("nll", format!("{v:.4}")));
    [accuracy, mse, nll].into_iter().flatten().collect()
}

fn joined(set: &SetScores) -> String {
    scores(set).into_iter().map(|(name, value)| format!(", {name} {value}")).collect()
}

fn curve(s: &Summary) -> String {
    let mut header = vec!["n".to_owned(), "log evidence".to_owned()];
    for (set, scored) in s.curve.iter().flat_map(|p| &p.sets).take(s.curve.first().map_or(0, |p| p.sets.len())) {
        header.extend(scores(scored).into_iter().map(|(name, _)| format!("{set} {name}")));
    }
    let mut rows = vec![header];
    for point in &s.curve {
        let mut row = vec![point.n.to_string(), format!("{:.3}", point.log_evidence.iter().sum::<f64>())];
        row.extend(point.sets.values().flat_map(scores).map(|(_, value)| value));
        rows.push(row);
    }
    columns(&rows)
}

fn stages(stages: &BTreeMap<String, StageReport>) -> String {
    let header =
        ["stage", "seconds", "GF/s", "done", "reused", "read", "planned", "written", "planned", "gets", "puts", "peak"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    // In the order in which they run, whatever the order of their names.
    let mut order: Vec<_> = stages.iter().collect();
    order.sort_by_key(|(name, _)| ["gram", "factor", "solve", "border"].iter().position(|n| n == name));
    for (name, r) in order {
        rows.push(vec![
            name.clone(),
            format!("{:.2}", r.seconds),
            format!("{:.1}", r.gflops),
            r.tiles_done.to_string(),
            r.tiles_reused.to_string(),
            size::show(r.traffic.bytes_read),
            size::show(r.predicted_bytes_read),
            size::show(r.traffic.bytes_written),
            size::show(r.predicted_bytes_written),
            r.traffic.gets.to_string(),
            r.traffic.puts.to_string(),
            size::show(r.peak_rss_bytes),
        ]);
    }
    columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use megagram_pipeline::CurvePoint;

    #[test]
    fn a_summary_tells_what_the_reader_asked() {
        let set = SetScores { n: 620, mse: Some(0.0123), accuracy: Some(0.985), nll: None };
        let sets = BTreeMap::from([("test".to_owned(), set)]);
        let s = Summary {
            name: "digits".into(),
            store: "out".into(),
            n: 5000,
            tile: 512,
            blas: "blis".into(),
            processes: 1,
            workers: 2,
            noise_var: Some(1e-4),
            noise_tried: vec![1e-5, 1e-4],
            log_evidence: Some(vec![1.5; 10]),
            sets: sets.clone(),
            curve: vec![CurvePoint { n: 100, log_evidence: vec![1.0], sets }],
            stages: BTreeMap::from([
                ("gram".into(), StageReport::default()),
                ("border".into(), StageReport::default()),
            ]),
            files: vec!["results/digits/summary.json".into()],
            ..Summary::default()
        };
        let text = summary(&s);
        for wanted in [
            "1 process × 2 workers",
            "1e-4 (try 2)",
            "15.000 over 10 target columns",
            "620 rows, accuracy 0.9850, mse 0.012300",
            "test accuracy",
            "results/digits/summary.json",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        assert!(text.find("gram ") < text.find("border "), "{text}");
    }
}
