//! Texts from a table of ratings to an answer: the recipe `jobs/specs/text/make_text.py`, sequences with padding, attention.
//!
//! It catches a recipe that no longer fits its job, and masks or shapes lost on the way. The sentences are made up and easy;
//! `jobs/specs/text/README.md` has figures of real ones.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::process::Command;

use support::Folder;
use support::digits::specs;

/// Rated sentences of one to a dozen words: most are told by one word, and half of those by its stem.
fn table() -> String {
    let good = ["wonderful", "charming", "brilliant", "touching", "wonderfully", "charmingly", "brilliantly"];
    let bad = ["tedious", "clumsy", "dreadful", "boring", "tediously", "clumsily", "dreadfully"];
    let things =
        ["the plot", "this film, of all films,", "its cast", "\"\"the\"\" ending", "a very long and rather loud score"];
    let mut rows = String::from("source,id,mean_sentiment,text\nother,0,3.0,wonderful\nmovie,0,0.0,neither\n");
    for at in 0..140 {
        let (words, rating) = if at % 2 == 0 { (good, 1.5) } else { (bad, -2.25) };
        let (word, thing) = (words[at / 2 % 7], things[at / 14 % 5]);
        let after = if at % 3 == 0 { "is" } else { "seems to be" };
        rows += &format!("movie,{at},{rating},\"{thing} {after} {word}!\"\n");
    }
    rows
}

#[test]
fn texts_become_sequences_and_answers() {
    let folder = Folder::new();
    folder.write("rated.csv", &table());
    std::fs::create_dir(folder.path("text")).unwrap();
    std::fs::copy(specs().join("text.toml"), folder.path("text.toml")).unwrap();
    let made = Command::new("python3")
        .arg(specs().join("text/make_text.py"))
        .arg(folder.path("rated.csv"))
        .args(["--train", "48", "--test", "20", "--to"])
        .arg(folder.path("text"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(String::from_utf8_lossy(&made.stdout).starts_with("train: 48 texts, "), "{made:?}");
    let files = ["train-x", "train-y", "test-x", "test-y"].map(|name| folder.path(&format!("text/{name}.npy")));
    let sizes = files.map(|file| std::fs::metadata(file).unwrap().len());
    assert_eq!(sizes, [48 * 24 * 256 * 4 + 128, 48 + 128, 20 * 24 * 256 * 4 + 128, 20 + 128]);

    // So few and so plain sentences need less noise than real ones.
    let flags = ["--json", "--store", "out", "--tile", "16", "--noise-var", "1e-4"];
    let run = |job: &str| folder.run(&[&["run", job], &flags[..]].concat()).json();
    let summary = run("text.toml");
    let accuracy = summary["sets"]["test"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.85, "{summary:#}");
    // Without the mask padding is words like any other, and the answers are others.
    let job = std::fs::read_to_string(folder.path("text.toml")).unwrap();
    folder.write(
        "unmasked.toml",
        &job.replace("mask    = 100.0", "").replace("name  = \"text\"", "name  = \"unmasked\""),
    );
    let unmasked = run("unmasked.toml");
    assert_ne!(unmasked["ids"]["gram"], summary["ids"]["gram"]);
    assert_ne!(unmasked["sets"]["test"]["mse"], summary["sets"]["test"]["mse"]);
}
