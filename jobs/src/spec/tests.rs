//! Job files as text: defaults, sources of values, and what is refused.

use std::path::Path;

use megagram_pipeline::{Curve, Noise};
use megagram_storage::dataset::{Columns, Prepare, Targets};

use super::{Loaded, Overrides, Result, parse};

const SMALL: &str = r#"name = "t"
store = "out"
[data]
train = { x = "x.npy", y = "/abs/y.npy" }
targets = "classes"
[kernel]
fc = { depth = 3, activation = "relu", w_var = 2, b_var = 0.5 }
"#;

fn read(text: &str) -> Result<Loaded> {
    parse("job.toml", text, Path::new("dir"), &Overrides::default(), 1)
}

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

/// `SMALL` with one line after the line that begins with `after`.
fn with(after: &str, line: &str) -> String {
    let lines = SMALL.lines().flat_map(|l| [Some(l), l.starts_with(after).then_some(line)].into_iter().flatten());
    lines.map(|l| format!("{l}\n")).collect()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let job = read(SMALL).unwrap().job;
    assert_eq!((job.name.as_str(), job.store.as_str()), ("t", "dir/out"));
    assert_eq!(job.data.train.x.location, "dir/x.npy");
    assert_eq!(job.data.train.y.unwrap().location, "/abs/y.npy");
    assert_eq!((job.data.targets, job.data.prepare, job.data.scale), (Targets::Classes, Prepare::None, 1.0));
    assert_eq!((job.gp.noise, job.gp.noise_ladder, job.gp.noise_max), (Noise::Absolute(1e-10), 10.0, 1e-2));
    assert_eq!((job.gp.variance, job.gp.covariance, job.gp.curve), (true, false, Curve::None));
    assert_eq!((job.compute.tile, job.compute.keep_gram, job.compute.allow_mixed_bits), (1024, true, false));
    assert_eq!(job.compute.workers, crate::machine::cores());
    assert_eq!(job.compute.memory, crate::machine::memory().bytes / 2);
    assert_eq!(job.kernel["fc"]["w_var"], 2);
}

#[test]
fn defaults_are_split_among_processes_of_one_machine() {
    let job = parse("j", SMALL, Path::new(""), &Overrides::default(), 1000).unwrap().job;
    assert_eq!((job.compute.workers, job.compute.memory), (1, crate::machine::memory().bytes / 2000));
}

#[test]
fn a_flag_beats_the_environment_and_that_the_file() {
    let mut text = SMALL.to_owned();
    text.push_str(
        "[gp]\nnoise_relative = 1e-6\n[compute]\ntile = 1\nworkers = 1\nmemory = \"1KiB\"\nkeep_gram = true\n",
    );
    let environment =
        [("tile", "2"), ("workers", "2"), ("noise_var", "1e-3"), ("keep_gram", "false"), ("curve", "8, 4")];
    let overrides = Overrides {
        flags: [("tile", "3".to_owned()), ("store", "here".to_owned())].into(),
        environment: environment.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
    };
    let job = parse("job.toml", &text, Path::new("dir"), &overrides, 1).unwrap().job;
    assert_eq!((job.compute.tile, job.compute.workers, job.compute.memory), (3, 2, 1024));
    assert_eq!((job.gp.noise, job.gp.curve), (Noise::Absolute(1e-3), Curve::Sizes(vec![4, 8])));
    assert!(!job.compute.keep_gram);
    assert_eq!(job.store, "here", "a flag's path is relative to the current folder");
}

#[test]
fn a_meaningless_variable_is_said() {
    let overrides = Overrides { environment: [("memroy".to_owned(), "1GiB".to_owned())].into(), ..Default::default() };
    let warnings = parse("job.toml", SMALL, Path::new(""), &overrides, 1).unwrap().warnings;
    assert_eq!(warnings, ["the variable MEGAGRAM_MEMROY has no meaning; did you mean `memory`?"]);
}

#[test]
fn tables_name_their_columns() {
    let text = with("targets", "test = [{ name = \"a\", path = \"d.parquet\", y = \"label\" }]");
    let test = &read(&text).unwrap().job.data.test[0];
    assert_eq!(test.rows.x.columns, Columns::AllBut(vec!["label".into()]));
    assert_eq!(test.rows.y.as_ref().unwrap().columns, Columns::Named(vec!["label".into()]));
    assert_eq!(test.rows.x.location, "dir/d.parquet");
    let text =
        with("targets", "test = [{ name = \"a\", path = \"d.npz\", x = \"X\" }, { name = \"b\", x = \"u.csv\" }]");
    let sets = &read(&text).unwrap().job.data.test;
    assert_eq!(sets[0].rows.x.columns, Columns::Named(vec!["X".into()]));
    assert!(sets[0].rows.y.is_none());
    assert_eq!((sets[1].rows.x.columns.clone(), sets[1].rows.x.header), (Columns::All, false));
}

#[test]
fn the_identity_knows_the_question_and_not_the_circumstances() {
    let one = read(SMALL).unwrap().identity;
    let moved = SMALL.replace("\"out\"", "\"elsewhere\"") + "[compute]\nworkers = 7\nmemory = \"1GiB\"\n";
    let other = parse("j", &moved, Path::new("there"), &Overrides::default(), 1).unwrap().identity;
    assert_eq!(one, other);
    assert_ne!(one, read(&with("targets", "limit = 10")).unwrap().identity);
}

#[test]
fn what_is_refused_says_where_and_why() {
    let compute = |line: &str| format!("{SMALL}[compute]\n{line}\n");
    let gp = |line: &str| format!("{SMALL}[gp]\n{line}\n");
    let data = |line: &str| with("targets", line);
    let set = |body: &str| data(&format!("test = [{body}]"));
    let cases = [
        (compute("memroy = 1"), "job.toml:9: unknown key `compute.memroy`; did you mean `memory`?"),
        (compute("zzz = 1"), "unknown key `compute.zzz`; known here: allow_mixed_bits, dtype, keep_gram, memory, tile"),
        (with("name", "stroe = 1"), "job.toml:2: unknown key `stroe`; did you mean `store`?"),
        (format!("{SMALL}[dynamics]\n"), "unknown section `[dynamics]`; known here: compute, data, gp, kernel"),
        (compute("tile = 0"), "job.toml:9: compute.tile: expected a whole number, at least 1, found 0"),
        (compute("tile = 1.5"), "found 1.5"),
        (compute("workers = 0"), "compute.workers: expected a whole number, at least 1, found 0"),
        (compute("memory = \"4 Gib2\""), "compute.memory: expected a size such as \"256MiB\""),
        (compute("dtype = \"f32\""), "the only dtype is \"f64\""),
        (compute("keep_gram = 1"), "compute.keep_gram: expected true or false, found 1"),
        (gp("noise_var = -1"), "gp.noise_var: expected a number that is not negative, found -1"),
        (gp("noise_var = nan"), "expected a finite number, found nan"),
        (
            gp("noise_var = 1\nnoise_relative = 1"),
            "job.toml:9: gp.noise_var and job.toml:10: gp.noise_relative: give one",
        ),
        (gp("noise_ladder = 0.5"), "gp.noise_ladder: the factor between two tries is at least 1"),
        (gp("curve = [10, 0]"), "gp.curve[1]: expected a whole number, at least 1, found 0"),
        (gp("curve = \"octave\""), "gp.curve: expected a list of sizes or \"octaves\""),
        (gp("kernel = \"ngp\""), "did you mean `nngp`?"),
        (data("limit = 0"), "data.limit: expected a whole number, at least 1, found 0"),
        (data("classes = 0"), "data.classes: expected a whole number, at least 1"),
        (data("prepare = \"layernorm\""), "did you mean `layer-norm`?"),
        (data("shape = [28]"), "data.shape: expected [H, W, C]"),
        (set("{ x = \"a\" }"), "`data.test[0].name` is missing"),
        (set("{ name = \"a/b\", x = \"a\" }"), "data.test[0].name: \"a/b\" becomes a file name"),
        (set("{ name = \"a\", x = \"a\" }, { name = \"A\", x = \"a\" }"), "data.test[1].name: there are two test sets"),
        (set("{ name = \"a\", z = \"a\", x = \"b\" }"), "unknown key `data.test[0].z`"),
        (set("{ name = \"a\" }"), "data.test[0]: `x` is missing"),
        (SMALL.replace("targets = \"classes\"", ""), "data: `targets` is missing"),
        (SMALL.replace("\"classes\"", "\"values\"\nclasses = 3"), "data.classes: a number of classes has no meaning"),
        (SMALL.replace("name = \"t\"", ""), "job.toml: `name` is missing"),
        (SMALL.replace("\"t\"", "\"../t\""), "name: \"../t\" becomes a file name"),
        (SMALL.replace("store = \"out\"", ""), "`store` is missing"),
        (SMALL.split("[kernel]").next().unwrap().to_owned(), "the section `[kernel]` is missing"),
        (SMALL.replace("[data]", "[data"), "job.toml:3: not TOML"),
    ];
    for (text, wanted) in cases {
        let said = refusal(&text);
        assert!(said.contains(wanted), "\n  said:   {said}\n  wanted: {wanted}\n{text}");
    }
}
