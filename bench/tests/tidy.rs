//! House rules, held by a test: who may import what, how long a file may be, which words are banned, what
//! may lie where. Each test lists every offender, not only the first.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at once")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 420;
const CRATES: [&str; 4] = ["storage", "pipeline", "jobs", "bench"];

/// External crates that only one of ours may name.
const OWNERS: [(&[&str], &str); 3] = [
    (&["arrow", "parquet", "object_store", "tokio"], "storage"),
    (&["timely", "timely_communication", "blas_src", "blis_src", "cblas_sys", "cblas", "blas"], "pipeline"),
    (&["clap", "indicatif"], "jobs"),
];
/// Which of our crates each may depend on.
const ARROWS: [(&str, &[&str]); 4] = [
    ("storage", &[]),
    ("pipeline", &["megagram-storage"]),
    ("jobs", &["megagram-storage", "megagram-pipeline"]),
    ("bench", &["megagram-storage", "megagram-pipeline", "megagram-jobs"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file of the repository, relative to its root; build outputs and ignored files are none.
fn files() -> Vec<String> {
    let listing = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let mut files: Vec<String> = match listing {
        Ok(listing) if listing.status.success() => {
            String::from_utf8_lossy(&listing.stdout).lines().map(str::to_owned).collect()
        }
        _ => walk(&root(), ""),
    };
    files.retain(|file| root().join(file).is_file());
    files.sort();
    assert!(files.iter().any(|f| f == "Cargo.toml"), "the files of the repository are not to be found");
    files
}

/// The same without git, from an unpacked archive.
fn walk(folder: &Path, prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    let named = entries.map(|e| (format!("{prefix}{}", e.file_name().to_string_lossy()), e.path()));
    let named = named.filter(|(name, _)| !matches!(name.as_str(), ".git" | "target" | "out"));
    named.flat_map(|(name, path)| if path.is_dir() { walk(&path, &format!("{name}/")) } else { vec![name] }).collect()
}

fn read(file: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(root().join(file)).unwrap()).into_owned()
}

fn rust_files() -> Vec<String> {
    files().into_iter().filter(|f| f.ends_with(".rs")).collect()
}

/// Whether a whole file is test code.
fn is_test_file(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs") || file.contains("/benches/")
}

/// Lines of code with their numbers: no comments, and nothing from `#[cfg(test)] mod` on.
fn code(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|w| w[0].trim() == "#[cfg(test)]" && w[1].trim().starts_with("mod "));
    let end = tests.unwrap_or(lines.len());
    let kept = lines.into_iter().take(end).enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    kept.map(|(i, line)| (i + 1, line)).collect()
}

/// Whether `line` names a path that begins with the crate `name`.
fn names_crate(line: &str, name: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let starts = !before.ends_with(inside);
        let imported = before.trim_end().ends_with("use") || before.trim_end().ends_with("extern crate");
        starts && (after.starts_with("::") || (imported && after.starts_with([';', ' '])))
    })
}

#[track_caller]
fn none(rule: &str, offenders: impl IntoIterator<Item = String>) {
    let offenders: Vec<_> = offenders.into_iter().collect();
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn crates_import_only_what_is_theirs() {
    let mut offenders = Vec::new();
    for (names, owner) in OWNERS {
        for krate in CRATES.iter().filter(|c| **c != owner) {
            let manifest = format!("{krate}/Cargo.toml");
            for line in read(&manifest).lines() {
                let key = line.split(['.', '=', ' ']).next().unwrap_or("").replace('-', "_");
                offenders.extend(names.contains(&key.as_str()).then(|| format!("{manifest}: {line}")));
            }
            let own = format!("{krate}/");
            for file in rust_files().iter().filter(|f| f.starts_with(&own) && *f != "bench/tests/tidy.rs") {
                for (number, line) in read(file).lines().enumerate() {
                    let named = !line.trim_start().starts_with("//") && names.iter().any(|n| names_crate(line, n));
                    offenders.extend(named.then(|| format!("{file}:{}: {}", number + 1, line.trim())));
                }
            }
        }
    }
    none("an import that belongs to another crate", offenders);
}

#[test]
fn arrows_never_turn_back() {
    let mut offenders = Vec::new();
    for (krate, allowed) in ARROWS {
        let manifest = format!("{krate}/Cargo.toml");
        for line in read(&manifest).lines().filter(|l| l.starts_with("megagram-")) {
            let name = line.split(['.', '=', ' ']).next().unwrap_or("");
            offenders.extend((!allowed.contains(&name)).then(|| format!("{manifest}: {line}")));
        }
    }
    none("bench -> jobs -> pipeline -> storage", offenders);
}

#[test]
fn a_file_is_one_idea() {
    let long = |file: String| {
        let lines = read(&file).lines().count();
        (lines > LINES_MAX).then(|| format!("{file}: {lines} lines"))
    };
    let sources = rust_files().into_iter().filter(|f| !is_test_file(f));
    none("a source file has at most 420 lines", sources.filter_map(long));
}

#[test]
fn names_say_what_things_are() {
    const BANNED: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];
    let mut offenders = Vec::new();
    for file in files() {
        let banned = file.split('/').any(|part| BANNED.contains(&part.split('.').next().unwrap_or(part)));
        offenders.extend(banned.then(|| file.clone()));
    }
    for file in rust_files() {
        for (number, line) in read(&file).lines().enumerate() {
            let name = line.trim().trim_start_matches("pub ").strip_prefix("mod ").unwrap_or("");
            let name = name.trim_end_matches([';', '{', ' ']);
            offenders.extend(BANNED.contains(&name).then(|| format!("{file}:{}: {}", number + 1, line.trim())));
        }
    }
    none("a banned name", offenders);
}

#[test]
fn nothing_is_left_for_later() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let macros = [concat!("db", "g!("), concat!("to", "do!("), concat!("unimpl", "emented!(")];
    let mut offenders = Vec::new();
    for file in files().iter().filter(|f| !f.ends_with(".lock") && !f.starts_with("LICENSE")) {
        for (number, line) in read(file).lines().enumerate() {
            let word = line.split(|c: char| !c.is_alphanumeric()).any(|w| words.contains(&w));
            let call = file.ends_with(".rs") && macros.iter().any(|m| line.contains(m));
            offenders.extend((word || call).then(|| format!("{file}:{}: {}", number + 1, line.trim())));
        }
    }
    none("something left for later", offenders);
}

#[test]
fn errors_are_values_outside_tests() {
    const BANNED: [&str; 5] = [".unwrap()", ".expect(\"", ".expect(&", "panic!(", "unreachable!("];
    let mut offenders = Vec::new();
    for file in rust_files().iter().filter(|f| !is_test_file(f)) {
        for (number, line) in code(&read(file)) {
            let found = BANNED.iter().any(|b| line.contains(b));
            offenders.extend(found.then(|| format!("{file}:{number}: {}", line.trim())));
        }
    }
    none("a panic outside tests", offenders);
}

#[test]
fn job_files_speak_of_variances() {
    const BANNED: [&str; 5] = ["w_std", "b_std", "noise_std", "sigma", "σ"];
    let mut offenders = Vec::new();
    for file in files().iter().filter(|f| f.starts_with("jobs/specs/") && f.ends_with(".toml")) {
        for (number, line) in read(file).lines().enumerate() {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            let found = words.any(|w| BANNED.contains(&w));
            offenders.extend(found.then(|| format!("{file}:{}: {}", number + 1, line.trim())));
        }
    }
    none("a job file that speaks of standard deviations", offenders);
}

#[test]
fn decisions_are_numbered() {
    let mut numbers = BTreeSet::new();
    let mut offenders = Vec::new();
    for file in files() {
        let Some(name) = file.strip_prefix("docs/decisions/") else { continue };
        let number = name.split('-').next().unwrap_or("");
        let numbered = number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()) && name.ends_with(".md");
        let fresh = numbers.insert(number.to_owned());
        offenders.extend((!numbered || !fresh).then(|| file.clone()));
    }
    none("a decision is docs/decisions/NNN-words.md, each number once", offenders);
}

#[test]
fn the_top_level_is_as_agreed() {
    const AGREED: [&str; 13] = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "rustfmt.toml",
        "pipeline",
        "storage",
        "jobs",
        "bench",
        "docs",
    ];
    let tops: BTreeSet<_> = files().iter().filter_map(|f| f.split('/').next().map(str::to_owned)).collect();
    none("not at the top level", tops.into_iter().filter(|t| !t.starts_with('.') && !AGREED.contains(&t.as_str())));
}

#[test]
fn the_repository_stands_alone() {
    let foreign = [concat!("/wo", "rk/"), concat!("../sha", "red")];
    let mut offenders = Vec::new();
    for file in files() {
        for (number, line) in read(&file).lines().enumerate() {
            let found = foreign.iter().any(|f| line.contains(f));
            offenders.extend(found.then(|| format!("{file}:{}: {}", number + 1, line.trim())));
        }
    }
    none("a place outside the repository", offenders);
}

#[test]
fn the_rules_see_what_they_should() {
    assert!(names_crate("use arrow::array::Array;", "arrow"));
    assert!(names_crate("let x = tokio::spawn(y);", "tokio"));
    assert!(names_crate("extern crate blas_src;", "blas_src"));
    assert!(names_crate("pub use timely;", "timely"));
    for line in
        ["use crate::dataset::parquet::open;", "mod arrow;", "let s = \"timely:work\";", "x.clap", "sparrow::fly()"]
    {
        assert!(!["arrow", "parquet", "timely", "clap"].iter().any(|n| names_crate(line, n)), "{line}");
    }
    let text = "a\n// b.unwrap()\n#[cfg(test)]\nmod tests {\n";
    assert_eq!(code(text), [(1, "a")]);
}
