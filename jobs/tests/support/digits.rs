//! Jobs on the digits that ship with the program.

use std::path::{Path, PathBuf};

use super::{Ended, Folder};

/// A job on the digits: `job.toml` in a folder, with the store `out` beside it.
#[derive(Debug, Clone, Copy)]
pub struct Digits<'a> {
    /// Training rows.
    pub limit: usize,
    /// Test rows.
    pub test: usize,
    /// Tile side.
    pub tile: usize,
    /// The kernel's output.
    pub output: &'a str,
    /// More lines of `[gp]`.
    pub gp: &'a str,
    /// More lines of `[compute]`.
    pub compute: &'a str,
}

impl Default for Digits<'_> {
    fn default() -> Self {
        Self { limit: 700, test: 200, tile: 64, output: "nngp", gp: "noise_var = 1e-10", compute: "" }
    }
}

impl Digits<'_> {
    /// Writes the job and its test rows.
    pub fn write<'f>(&self, folder: &'f Folder) -> &'f Folder {
        let specs = specs().join("digits");
        for name in ["test-x.npy", "test-y.npy"] {
            let part = first_rows(&std::fs::read(specs.join(name)).unwrap(), self.test);
            std::fs::write(folder.path(name), part).unwrap();
        }
        let Self { limit, tile, output, gp, compute, .. } = self;
        let specs = specs.display();
        folder.write(
            "job.toml",
            &format!(
                "name = \"digits\"\nstore = \"out\"\n\
                 [data]\ntrain = {{ x = \"{specs}/train-x.npy\", y = \"{specs}/train-y.npy\" }}\n\
                 test = [{{ name = \"test\", x = \"test-x.npy\", y = \"test-y.npy\" }}]\n\
                 limit = {limit}\ntargets = \"classes\"\nclasses = 10\nscale = 0.0625\nprepare = \"layer-norm\"\n\
                 [kernel]\noutput = \"{output}\"\nfc = {{ depth = 3, activation = \"relu\", w_var = 1.6, b_var = 0.3 }}\n\
                 [gp]\nkernel = \"nngp\"\n{gp}\n[compute]\ntile = {tile}\n{compute}\n"
            ),
        )
    }

    /// Writes the job, runs it into the store `to` and tells what it said.
    pub fn run(&self, folder: &Folder, to: &str, flags: &[&str]) -> Ended {
        self.write(folder).run(&[&["run", "job.toml", "--json", "--store", to], flags].concat())
    }
}

/// The folder of the job files that ship with the program.
pub fn specs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("specs")
}

/// The first `count` rows of a .npy file of bytes.
fn first_rows(file: &[u8], count: usize) -> Vec<u8> {
    let start = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    let header = std::str::from_utf8(&file[10..start]).unwrap();
    let (before, shape) = header.split_once("'shape': (").unwrap();
    let (shape, _) = shape.split_once(')').unwrap();
    let (rows, width) = shape.split_once(',').unwrap();
    let rows: usize = rows.trim().parse().unwrap();
    assert!(count <= rows && before.contains("'|u1'"), "{header}");
    let size = (file.len() - start) / rows;
    let mut text = format!("{before}'shape': ({count},{width}), }}");
    text = format!("{text:<width$}\n", width = start - 11);
    [&file[..10], text.as_bytes(), &file[start..start + count * size]].concat()
}
