//! The same bits on every processor with AVX2, of whatever width its vectors are, and in every version of the program with one
//! version of our product: the numbers here were made on an AMD Zen 1 (AVX2) and on an Intel Xeon (AVX-512, VNNI).
//!
//! It catches a sum that is taken in another order on some processor, and a change of bits that is not told by the version
//! in `leaf/blas.rs`: whoever means to change bits raises that and writes the new numbers.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use support::Folder;
use support::digits::specs;

/// What is on disk must be named alike, so that resuming and mixed clusters know each other's tiles.
const MAKER: &str = "megagram 2 ";

/// A job on the digits: how rows are prepared, the network, rows, tile, and the hashes of Gram and factor.
struct Case {
    name: &'static str,
    data: &'static str,
    kernel: &'static str,
    shape: [usize; 2],
    hashes: [u64; 2],
}

const FC: &str = r#"w_var = 1.6, b_var = 0.3 }"#;

const CASES: [Case; 7] = [
    Case {
        name: "bytes",
        data: r#"prepare = "layer-norm""#,
        kernel: r#"fc = { depth = 3, activation = "relu", "#,
        shape: [400, 96],
        hashes: [0xbb67_2d9a_fae7_cbef, 0xdfa7_aea1_8448_813f],
    },
    Case {
        name: "profile",
        data: r#"prepare = "unit-norm""#,
        kernel: r#"fc = { depth = 8, activation = "relu", "#,
        shape: [400, 96],
        hashes: [0xbb5a_be26_4649_a860, 0x5eb2_a39e_3f32_861d],
    },
    Case {
        name: "any numbers",
        data: r#"prepare = "standardise""#,
        kernel: r#"fc = { depth = 3, activation = "erf", "#,
        shape: [400, 96],
        hashes: [0xc007_2a34_2bdd_0994, 0xe056_b4c0_2397_7020],
    },
    Case {
        name: "series",
        data: "",
        kernel: r#"fc = { depth = 2, activation = { type = "elementwise", fn = "tanh" }, "#,
        shape: [400, 96],
        hashes: [0xedec_d75b_d3ca_7dbe, 0x8816_1987_2654_7143],
    },
    Case {
        name: "single",
        data: "",
        kernel: r#"fc = { depth = 2, activation = { type = "relu", precision = "f32" }, "#,
        shape: [400, 96],
        hashes: [0xc8ac_aef5_f657_5dc7, 0x2311_f8ad_8e54_7f85],
    },
    Case {
        name: "positions",
        data: "shape = [8, 8, 1]",
        kernel: r#"layers = [
            { type = "conv", filter_shape = [3, 3], padding = "same", w_var = 2.0, b_var = 0.1 }, { type = "relu" },
            { type = "conv", filter_shape = [3, 3], padding = "same", w_var = 2.0, b_var = 0.1 }, { type = "gelu" },
            { type = "global_avg_pool" }, { type = "dense", w_var = 1.0 } ]"#,
        shape: [60, 32],
        hashes: [0x1943_1a8d_31eb_5c8c, 0xd254_ae2e_7320_6a7a],
    },
    Case {
        name: "attention",
        data: "shape = [8, 8]",
        kernel: r#"layers = [
            { type = "dense", w_var = 2.0, b_var = 0.1 }, { type = "relu" }, { type = "global_self_attention", linear_scaling = true },
            { type = "flatten" }, { type = "dense", w_var = 1.0 } ]"#,
        shape: [60, 32],
        hashes: [0xd3a1_1fe2_4dba_2a05, 0x5b01_a9b7_5a54_d6d3],
    },
];

/// FNV-1a over the bits.
fn hash(values: &[f64]) -> u64 {
    let bytes = values.iter().flat_map(|value| value.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[test]
fn tiles_have_the_bits_that_they_had_elsewhere() {
    let specs = specs();
    let specs = specs.display();
    let mut found = Vec::new();
    for Case { name, data, kernel, shape: [limit, tile], .. } in &CASES {
        let folder = Folder::new();
        let end = if kernel.starts_with("fc") { FC } else { "" };
        folder.write(
            "job.toml",
            &format!(
                "name = \"bits\"\n[data]\n\
                 train = {{ x = \"{specs}/digits/train-x.npy\", y = \"{specs}/digits/train-y.npy\" }}\n\
                 limit = {limit}\ntargets = \"classes\"\nclasses = 10\nscale = 0.0625\n{data}\n\
                 [kernel]\noutput = \"both\"\n{kernel}{end}\n[gp]\nkernel = \"ntk\"\nnoise_var = 0.01\n[compute]\ntile = {tile}\n"
            ),
        );
        let summary = folder.run(&["factor", "job.toml", "--json", "--store", "out"]).json();
        let maker = summary["blas"].as_str().unwrap();
        if !maker.starts_with(MAKER) {
            assert!(maker.starts_with("blis"), "{maker}: other bits are to be had from other makers alone");
            return;
        }
        let gram = folder.export("out", &["--matrix", "gram", "--output", "ntk"]);
        let factor = folder.export("out", &["--matrix", "factor"]);
        found.push((*name, [hash(&gram), hash(&factor)]));
    }
    let wanted = CASES.map(|case| (case.name, case.hashes));
    assert!(found == wanted, "found {found:#x?}");
}
