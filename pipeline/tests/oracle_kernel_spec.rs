//! Reading a `[kernel]` section: what is accepted, what is refused and with which words, and that equal
//! questions have equal canonical JSON.

#![allow(clippy::unwrap_used, clippy::panic)]

use megagram_pipeline::kernel::{KernelSpec, Network, layer_keys, layer_types};
use serde_json::{Value, json};

fn read(kernel: Value) -> KernelSpec {
    KernelSpec::from_value(&kernel).unwrap_or_else(|e| panic!("{e}"))
}

/// The error's path, and that its message holds these words.
fn refused(kernel: Value, path: &str, words: &[&str]) {
    let error = KernelSpec::from_value(&kernel).unwrap_err();
    assert_eq!(error.path, path, "{error}");
    for word in words {
        assert!(error.message.contains(word), "{error} lacks {word}");
    }
}

#[test]
fn short_and_long_forms_are_equal() {
    let long = json!({ "output": "nngp", "layers": [
        { "type": "dense", "w_var": 2.25, "b_var": 0.0 }, { "type": "erf" },
        { "type": "dense", "w_var": 2.25, "b_var": 0 }, { "type": "erf", "a": 1, "b": 1.0, "c": 0 },
        { "type": "dense", "w_var": 2.25, "b_var": -0.0, "out_dim": 7 } ] });
    let short = json!({ "fc": { "depth": 2, "activation": "erf", "w_std": 1.5 } });
    let repeated = json!({ "layers": [
        { "type": "repeat", "times": 2, "layers": [
            { "type": "dense", "w_std": 1.5 }, { "type": "identity" }, { "type": "erf" } ] },
        { "type": "dense", "w_std": 1.5, "parameterization": "ntk" } ] });
    let want = read(long).canonical();
    assert_eq!(read(short).canonical().to_string(), want.to_string());
    assert_eq!(read(repeated).canonical().to_string(), want.to_string());
    assert_eq!(want["layers"].as_array().unwrap().len(), 5);
    // The canonical form reads back as itself.
    assert_eq!(read(want.clone()).canonical(), want);
    let through: KernelSpec = serde_json::from_value(want.clone()).unwrap();
    assert_eq!(serde_json::to_value(&through).unwrap(), want);
}

#[test]
fn what_matters_is_in_the_canonical_form() {
    let net = |dense: Value| {
        let layers = json!({ "layers": [dense, { "type": "relu" }, { "type": "dense", "w_var": 1 }] });
        read(layers).canonical().to_string()
    };
    let standard = |dense: Value| {
        let layers = json!({ "layers": [dense, { "type": "relu" },
            { "type": "dense", "w_var": 1, "parameterization": "standard" }] });
        read(layers).canonical().to_string()
    };
    let dense = |out_dim: u32| json!({ "type": "dense", "w_var": 1, "out_dim": out_dim });
    assert_eq!(net(dense(5)), net(dense(6)));
    assert_ne!(standard(dense(5)), standard(dense(6)));
    let biased = json!({ "type": "dense", "w_var": 1, "b_var": 0 });
    assert_eq!(net(dense(5)), net(biased));
    let none = json!({ "type": "dense", "w_var": 1, "parameterization": "standard" });
    let zero = json!({ "type": "dense", "w_var": 1, "b_var": 0, "parameterization": "standard" });
    assert_ne!(net(none), net(zero));
    let deg = |deg: u32| json!({ "type": "elementwise", "fn": "tanh", "deg": deg });
    let of = |layer: Value| {
        let layers = json!({ "layers": [{ "type": "dense", "w_var": 1 }, layer] });
        read(layers).canonical().to_string()
    };
    assert_eq!(of(deg(25)), of(deg(50)));
    assert_ne!(of(deg(25)), of(json!({ "type": "elementwise", "fn": "silu" })));
}

#[test]
fn mistakes_are_named_by_their_place() {
    let second = |layer: Value| json!({ "layers": [{ "type": "dense", "w_var": 1.0 }, layer] });
    refused(second(json!({ "type": "dense", "w_var": -1 })), "kernel.layers[1].w_var", &["negative"]);
    refused(second(json!({ "type": "dense", "b_var": 1 })), "kernel.layers[1].w_var", &["must be given"]);
    refused(second(json!({ "type": "dense", "w_var": "1" })), "kernel.layers[1].w_var", &["number"]);
    refused(second(json!({ "type": "dense", "w_var": 1, "w_std": 1 })), "kernel.layers[1].w_std", &["both"]);
    refused(second(json!({ "type": "dense", "w_vr": 1 })), "kernel.layers[1].w_vr", &["unknown", "w_var"]);
    refused(second(json!({ "type": "relv" })), "kernel.layers[1].type", &["relv", "relu"]);
    refused(second(json!({ "type": "Dense", "w_var": 1 })), "kernel.layers[1].type", &["dense"]);
    refused(second(json!({ "type": "relu", "alpha": 1 })), "kernel.layers[1].alpha", &["unknown"]);
    refused(second(json!({ "type": "leaky_relu" })), "kernel.layers[1].alpha", &["must be given"]);
    refused(second(json!({ "type": "monomial", "degree": 1.5 })), "kernel.layers[1].degree", &["whole"]);
    refused(second(json!({ "type": "gaussian", "b": 1 })), "kernel.layers[1]", &["positive"]);
    refused(second(json!({ "type": "elementwise", "fn": "tan" })), "kernel.layers[1].fn", &["tanh"]);
    refused(second(json!({ "type": "conv" })), "kernel.layers[1].type", &["not built in this version"]);
    refused(second(json!({ "type": "parallel", "join": "sum" })), "kernel.layers[1].type", &["not built"]);
    refused(second(json!(3)), "kernel.layers[1]", &["table"]);
    refused(
        second(json!({ "type": "repeat", "times": 2, "layers": [{ "type": "dens" }] })),
        "kernel.layers[1].layers[0].type",
        &["dense"],
    );
    refused(json!({ "layers": [], "output": "nngp" }), "kernel.layers", &["list"]);
    refused(json!({ "output": "nngp" }), "kernel", &["layers"]);
    refused(json!({ "output": "kernel", "layers": [] }), "kernel.output", &["nngp"]);
    refused(json!({ "outptu": "nngp" }), "kernel.outptu", &["output"]);
    refused(json!({ "fc": { "depth": 2, "activation": "relu" } }), "kernel.fc.w_var", &["given"]);
    refused(json!({ "fc": { "depht": 2 } }), "kernel.fc.depht", &["depth"]);
    refused(json!({ "fc": { "depth": 2, "w_var": 1, "activation": "rely" } }), "kernel.fc.activation.type", &["relu"]);
    refused(
        json!({ "fc": { "depth": 2, "w_var": 1, "activation": "dense" } }),
        "kernel.fc.activation.w_var",
        &["given"],
    );
    refused(json!({ "fc": {}, "layers": [] }), "kernel", &["both"]);
}

#[test]
fn networks_that_make_no_sense_do_not_compile() {
    let error = |kernel: Value| Network::compile(&read(kernel), 4).unwrap_err();
    let e = error(json!({ "layers": [{ "type": "relu" }] }));
    assert_eq!(e.path, "kernel.layers[0]");
    let e = error(json!({ "layers": [{ "type": "dense", "w_var": 1 }, { "type": "relu" }, { "type": "erf" }] }));
    assert_eq!(e.path, "kernel.layers[2]");
    let e = error(json!({ "layers": [{ "type": "dense", "w_var": 1 }, { "type": "relu" },
        { "type": "dense", "w_var": 1, "parameterization": "standard" }] }));
    assert_eq!(e.path, "kernel.layers[2]");
    assert!(e.message.contains("out_dim"));
    let relu = read(json!({ "fc": { "depth": 1, "activation": "relu", "w_var": 1 } }));
    assert!(Network::compile(&relu, 0).is_err());
}

#[test]
fn every_type_has_keys() {
    assert!(layer_types().len() > 20);
    for name in layer_types() {
        assert_eq!(layer_keys(name).unwrap()[0], "type");
    }
    assert_eq!(layer_keys("ab_relu").unwrap(), ["type", "a", "b"]);
    assert!(layer_keys("conv").is_none());
}
