//! Bad input, given to the real program: one clear error on stderr, nothing on stdout, the right exit code.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;
use support::Folder;

#[test]
fn the_job_file_is_named_with_line_and_key() {
    let folder = Folder::new();
    for (more, text) in [
        ("[compute]\nmemroy = \"1GiB\"\n", "job.toml:9: unknown key `compute.memroy`; did you mean `memory`?"),
        ("[compute]\ntile = 0\n", "job.toml:9: compute.tile: expected a whole number, at least 1, found 0"),
        ("[compute]\nworkers = 0\n", "compute.workers: expected a whole number, at least 1, found 0"),
        ("[compute]\nmemory = \"lots\"\n", "compute.memory: expected a size such as \"256MiB\""),
        ("[gp]\nnoise_var = -1e-3\n", "gp.noise_var: expected a number that is not negative, found -1e-3"),
        ("[gp]\nnoise_var = 1\nnoise_relative = 1\n", "give one of them, never both"),
        ("[dynamics]\nsteps = 3\n", "job.toml:8: unknown section `[dynamics]`; known here: compute, data, gp, kernel"),
        ("[compute]\ndtype = \"f16\"\n", "the only dtype is \"f64\""),
        ("name = ", "job.toml:8: not TOML"),
    ] {
        folder.job(more).run(&["run", "job.toml"]).refused(2, text);
    }
    folder.run(&["run", "nowhere.toml"]).refused(2, "nowhere.toml: the job file cannot be read: no such file");
}

#[test]
fn flags_are_checked_as_the_file_is() {
    let folder = Folder::new();
    folder.job("");
    let run = |flags: &[&str]| folder.run(&[&["run", "job.toml"], flags].concat());
    run(&["--tile", "0"]).refused(2, "--tile: expected a whole number, at least 1, found `0`");
    run(&["--noise-var", "-1"]).refused(2, "--noise-var: expected a number that is not negative, found `-1`");
    run(&["--noise-var", "1", "--noise-relative", "1"])
        .refused(2, "--noise-var and --noise-relative: give one of them");
    run(&["--limit", "0"]).refused(2, "--limit: expected a whole number, at least 1, found `0`");
    run(&["--memory", "4 X"]).refused(2, "--memory: expected a size");
    let mut command = folder.command(&["run", "job.toml"]);
    let ended = support::Ended::of(command.env("MEGAGRAM_WORKERS", "none").output().unwrap());
    ended.refused(2, "MEGAGRAM_WORKERS: expected a whole number, at least 1, found `none`");
}

#[test]
fn the_command_line_is_checked() {
    let folder = Folder::new();
    folder.job("").write("hosts", "127.0.0.1:20001\n");
    folder.run(&["run"]).refused(2, "<JOB.toml>");
    folder.run(&["plann", "job.toml"]).refused(2, "similar subcommand");
    folder.run(&["run", "job.toml", "--process", "0"]).refused(2, "--process needs --hosts");
    folder.run(&["run", "job.toml", "--hosts", "hosts"]).refused(2, "--process <P>");
    folder.run(&["run", "job.toml", "--processes", "0"]).refused(2, "0 is not in 1..");
    let both = ["run", "job.toml", "--processes", "2", "--hosts", "hosts", "--process", "0"];
    folder.run(&both).refused(2, "give one of them");
    folder.run(&["run", "job.toml", "--hosts", "nowhere", "--process", "0"]).refused(2, "hosts file cannot be read");
    folder.run(&["run", "job.toml", "--hosts", "hosts", "--process", "1"]).refused(2, "has 1 lines, numbered from 0");
    folder.run(&["run", "job.toml", "--store", "memory://", "--processes", "2"]).refused(2, "memory:// store");
    let help = folder.run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
}

#[test]
fn a_store_that_cannot_be_is_exit_4() {
    let folder = Folder::new();
    folder.job("").write("file", "in the way");
    folder.run(&["run", "job.toml", "--store", "file/store"]).refused(4, "store file/store: cannot make the folder");
    folder.run(&["status", "nowhere"]).refused(4, "store nowhere: there is no such folder");
    folder.run(&["verify", "nowhere"]).refused(4, "store nowhere: there is no such folder");
    folder.run(&["status", "ftp://host/x"]).refused(4, "store ftp://host/x");
    folder.run(&["doctor", "--store", "file/store"]).refused(4, "store file/store");
    assert!(!folder.path("nowhere").exists(), "looking at a store must not make one");
}

#[test]
fn a_taken_name_is_exit_2_unless_overwritten() {
    use megagram_storage::{Key, Store};
    let folder = Folder::new();
    folder.job("");
    let store = Store::open(folder.path("out").to_str().unwrap()).unwrap();
    store.put(&Key::result("t", "job.json"), b"{\"name\": \"t\", \"tile\": 7}".to_vec().into()).unwrap();
    store.put(&Key::result("t", "summary.json"), b"{}".to_vec().into()).unwrap();
    folder.run(&["run", "job.toml"]).refused(2, "the name \"t\" is taken by another job (it differs in data, gp");
    assert!(store.has(&Key::result("t", "summary.json")).unwrap(), "nothing is lost");
}

#[test]
fn a_peer_that_never_comes_is_exit_5_and_named() {
    let folder = Folder::new();
    folder.job("").write("hosts", "127.0.0.1:15871\n127.0.0.1:15872\n");
    let ended = folder.run(&["run", "job.toml", "--hosts", "hosts", "--process", "0", "--wait", "1"]);
    ended.refused(5, "process 1 (127.0.0.1:15872) is not there after 1 s");
}
