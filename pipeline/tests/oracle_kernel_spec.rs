//! Reading a `[kernel]` section: what is accepted, what is refused and with which words, and that equal
//! questions have equal canonical JSON.

#![allow(clippy::unwrap_used, clippy::panic)]

use megagram_pipeline::kernel::{Inputs, KernelSpec, Network, layer_keys, layer_types};
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
    refused(second(json!({ "type": "conv" })), "kernel.layers[1].filter_shape", &["must be given"]);
    refused(second(json!({ "type": "parallel", "join": "sum" })), "kernel.layers[1].branches", &["list"]);
    refused(second(json!({ "type": "parallel", "join": "max", "branches": [[]] })), "kernel.layers[1].join", &["max"]);
    refused(
        second(
            json!({ "type": "residual", "layers": [{ "type": "relu" }, { "type": "conv", "filter_shape": [3], "w_var": 1, "padding": "zero" }] }),
        ),
        "kernel.layers[1].layers[1].padding",
        &["zero"],
    );
    refused(second(json!({ "type": "dropout", "rate": 1.5 })), "kernel.layers[1].rate", &["at most 1"]);
    refused(
        second(json!({ "type": "conv", "filter_shape": [3, 3], "strides": [2], "w_var": 1 })),
        "kernel.layers[1].strides",
        &["1 numbers", "2"],
    );
    refused(
        second(json!({ "type": "global_self_attention", "linear_scaling": false })),
        "kernel.layers[1].attention_mechanism",
        &["closed form"],
    );
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

/// Networks whose layers do not fit the data, or each other.
#[test]
fn positions_that_do_not_fit_are_named() {
    let error = |layers: Value, shape: &[usize], mask: Option<f64>| {
        let inputs = Inputs { width: 60, shape: (!shape.is_empty()).then(|| shape.to_vec()), mask };
        Network::compile(&read(json!({ "layers": layers })), inputs).unwrap_err()
    };
    let conv = json!({ "type": "conv", "filter_shape": [3, 3], "w_var": 1, "padding": "same" });
    let (flatten, dense) = (json!({ "type": "flatten" }), json!({ "type": "dense", "w_var": 1 }));
    let pool = json!({ "type": "avg_pool", "window_shape": [2, 2] });
    let image: &[usize] = &[4, 5, 3];
    for (layers, shape, path, words) in [
        (json!([conv, flatten]), &[] as &[usize], "kernel.layers[0]", "data.shape"),
        (json!([conv, flatten]), &[4, 5], "data.shape", "20 numbers"),
        (json!([conv, flatten]), &[60], "data.shape", "neither"),
        (json!([conv, flatten]), &[20, 3], "kernel.layers[0]", "axes"),
        (json!([conv]), image, "kernel.layers", "global_avg_pool"),
        (json!([conv, flatten, pool]), image, "kernel.layers[2]", "positions"),
        (json!([dense, flatten, { "type": "global_self_attention" }]), image, "kernel.layers[2]", "positions"),
        (json!([conv, flatten, { "type": "global_avg_pool" }]), image, "kernel.layers[2]", "positions"),
        (json!([conv, flatten, { "type": "relu" }]), image, "kernel.layers[2]", "Gaussian"),
        (json!([{ "type": "conv", "filter_shape": [7, 3], "w_var": 1 }, flatten]), image, "kernel.layers[0]", "7"),
        (
            json!([{ "type": "repeat", "times": 3, "layers": [conv, { "type": "conv", "filter_shape": [3, 3], "w_var": 1 }] }, flatten]),
            image,
            "kernel.layers[0].layers[1]",
            "fit",
        ),
        (json!([conv, { "type": "layer_norm", "axis": 1 }, flatten]), image, "kernel.layers[1].axis", "channels"),
        (json!([conv, { "type": "layer_norm", "axis": [0, 3] }, flatten]), image, "kernel.layers[1].axis", "batch"),
        (json!([conv, { "type": "relu" }, { "type": "layer_norm" }, flatten]), image, "kernel.layers[2]", "Gaussian"),
        (json!([{ "type": "dropout", "rate": 0.5 }, flatten]), image, "kernel.layers[0]", "inputs"),
        (
            json!([conv, { "type": "residual", "layers": [{ "type": "relu" }] }, flatten]),
            image,
            "kernel.layers[1]",
            "Gaussian",
        ),
        (json!([conv, { "type": "residual", "layers": [pool] }, flatten]), image, "kernel.layers[1]", "joined"),
        (
            json!([dense, { "type": "parallel", "join": "concat", "branches": [[dense], [dense]] }]),
            &[],
            "kernel.layers[1]",
            "out_dim",
        ),
        (
            json!([{ "type": "conv_transpose", "filter_shape": [3, 3], "w_var": 1, "padding": "same" }, { "type": "flatten" }, dense,
            { "type": "sum_pool", "window_shape": [1, 1] }]),
            image,
            "kernel.layers[3]",
            "positions",
        ),
    ] {
        let e = error(layers.clone(), shape, None);
        assert!(e.path == path && e.message.contains(words), "{layers}: {e}");
    }
    assert_eq!(error(json!([dense]), &[], Some(1.0)).path, "data.mask");
    assert_eq!(error(json!([flatten]), &[], Some(1.0)).path, "data.mask");
    // A fully connected network has no use for a shape.
    let inputs = Inputs { width: 60, shape: Some(image.to_vec()), mask: None };
    assert!(Network::compile(&read(json!({ "layers": [dense] })), inputs).unwrap().inputs().shape.is_none());
}

#[test]
fn equal_networks_with_positions_have_equal_forms() {
    let text = |layers: Value| read(json!({ "layers": layers })).canonical().to_string();
    let dense = json!({ "type": "dense", "w_var": 1 });
    assert_eq!(
        text(json!([dense, { "type": "residual", "layers": [{ "type": "relu" }, dense] }])),
        text(json!([dense, { "type": "parallel", "join": "sum", "branches": [[{ "type": "relu" }, dense], []] }]))
    );
    let conv = |more: Value| {
        let mut conv = json!({ "type": "conv", "filter_shape": [3], "w_var": 1 });
        conv.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        text(json!([conv]))
    };
    assert_eq!(conv(json!({})), conv(json!({ "strides": [1], "padding": "valid", "out_chan": 8 })));
    assert_ne!(conv(json!({})), conv(json!({ "padding": "same" })));
    let attention = |more: Value| {
        let mut layer = json!({ "type": "global_self_attention", "n_heads": 4 });
        layer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        text(json!([{ "type": "dense", "w_var": 1, "out_dim": 9 }, layer]))
    };
    assert_eq!(attention(json!({})), attention(json!({ "n_chan_key": 8, "pos_emb_type": "none", "w_pos_emb_std": 3 })));
    assert_ne!(attention(json!({})), attention(json!({ "pos_emb_type": "sum" })));
    // Where channels are concatenated widths count.
    assert!(attention(json!({ "pos_emb_type": "concat" })).contains("out_dim"));
    assert!(!attention(json!({ "pos_emb_type": "sum" })).contains("out_dim"));
}

#[test]
fn every_type_has_keys() {
    assert!(layer_types().len() > 20);
    for name in layer_types() {
        assert_eq!(layer_keys(name).unwrap()[0], "type");
    }
    assert_eq!(layer_keys("ab_relu").unwrap(), ["type", "a", "b", "precision"]);
    assert!(layer_keys("conv").unwrap().contains(&"filter_shape"));
    assert!(layer_keys("convolution").is_none());
}
