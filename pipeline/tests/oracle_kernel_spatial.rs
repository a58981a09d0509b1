//! Test vectors of the papers for networks with positions, and the properties that such kernels have.

#![allow(clippy::unwrap_used, clippy::panic)]

mod kernels_of;

use kernels_of::{Kernels, block, difference, kernels, network, noise, tile};
use megagram_pipeline::kernel::{Inputs, Network, OutputKind};
use megagram_pipeline::leaf;
use serde_json::{Value, json};

fn inputs(shape: &[usize], mask: Option<f64>) -> Inputs {
    Inputs { width: shape.iter().product(), shape: Some(shape.to_vec()), mask }
}

fn build(layers: Value, shape: &[usize]) -> Network {
    network(&json!({ "output": "both", "layers": layers }), inputs(shape, None))
}

/// Convolutions 3 × 3 and relu, `depth` times, and a read-out.
fn cnn(depth: usize, padding: &str, read_out: &str) -> Value {
    let conv = json!({ "type": "conv", "filter_shape": [3, 3], "padding": padding, "w_var": 2, "b_var": 0.1 });
    json!([
        { "type": "repeat", "times": depth, "layers": [conv, { "type": "relu" }] },
        { "type": read_out }, { "type": "dense", "w_var": 2, "b_var": 0.1 }
    ])
}

fn attention(more: Value, last: &str) -> Value {
    let mut layer = json!({ "type": "global_self_attention", "w_key_std": 1.0, "w_query_std": 1.2, "w_value_std": 0.9,
        "w_out_std": 1.1, "b_std": 0.3 });
    layer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([{ "type": "dense", "w_std": 1.3, "b_std": 0.2, "out_dim": 16 }, { "type": "relu" }, layer, { "type": "relu" },
        { "type": last }, { "type": "dense", "w_std": 1.0, "b_std": 0.0 }])
}

fn close(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance * want.abs(), "{got} is not {want}");
}

fn published(network: &Network, x: &[f64], nngp: [f64; 3], ntk: [f64; 3]) {
    let got = kernels(network, x, None, network.input_dim(), 2);
    for (at, (k, t)) in [0, 1, 3].into_iter().zip(nngp.into_iter().zip(ntk)) {
        close(got.nngp[at], k, 1e-9);
        close(got.ntk[at], t, 1e-8);
    }
}

#[test]
fn published_images() {
    let x: Vec<f64> = (0..96).map(|a| (0.37 * f64::from(a)).sin() + 0.2 * (1.1 * f64::from(a)).cos()).collect();
    let shape = [4, 4, 3];
    for (padding, read_out, nngp, ntk) in [
        (
            "same",
            "flatten",
            [0.810469450726, 0.606346551907, 0.809730323461],
            [2.131408351408, 1.079077667769, 2.129190970151],
        ),
        (
            "same",
            "global_avg_pool",
            [0.489213603660, 0.485625144134, 0.488716097261],
            [0.753337415760, 0.727436718622, 0.751987722139],
        ),
        (
            "circular",
            "flatten",
            [1.323142204246, 0.930982864652, 1.324998058556],
            [3.669426612318, 1.674725571373, 3.674994175668],
        ),
        (
            "circular",
            "global_avg_pool",
            [0.818887378407, 0.815836557188, 0.817994898658],
            [1.352774270353, 1.314019177511, 1.344659069056],
        ),
    ] {
        published(&build(cnn(2, padding, read_out), &shape), &x, nngp, ntk);
    }
    for (read_out, nngp) in [
        ("flatten", [1.239882261575, 0.766328206866, 1.234056708507]),
        ("global_avg_pool", [0.734169856827, 0.654308088958, 0.733052766027]),
    ] {
        let got = kernels(&build(cnn(1, "valid", read_out), &shape), &x, None, 48, 2);
        [0, 1, 3].into_iter().zip(nngp).for_each(|(at, want)| close(got.nngp[at], want, 1e-9));
    }
}

#[test]
fn published_sequences() {
    let x: Vec<f64> = (0..36).map(|b| (0.53 * f64::from(b)).sin() + 0.1 * f64::from(b) / 36.0).collect();
    let sum = |values: bool| {
        // The vectors have 1/(1 + d²) with d = Δ², neural-tangents' distance.
        json!({ "pos_emb_type": "sum", "pos_emb_decay_fn": { "kind": "rational", "scale": 1 }, "pos_emb_p_norm": 4,
            "w_pos_emb_std": 0.7, "val_pos_emb": values })
    };
    let identity = [[0.435938947200, 0.277060130689, 0.267811201786], [1.429929560725, 0.713194314438, 0.794739418473]];
    for (more, [nngp, ntk]) in [
        (
            json!({}),
            [[0.160259532759, 0.134159118961, 0.140936544145], [0.501947259669, 0.361142425221, 0.426554465614]],
        ),
        (json!({ "attention_mechanism": "identity" }), identity),
        (json!({ "attention_mechanism": "relu" }), identity),
        (
            json!({ "attention_mechanism": "identity", "linear_scaling": false }),
            [[0.680089150164, 0.492902797434, 0.476799046212], [3.585194957721, 2.014855825579, 2.386729733777]],
        ),
        (
            sum(false),
            [[0.159277696944, 0.136376775326, 0.141289233761], [0.487181745321, 0.368503646630, 0.417200586414]],
        ),
    ] {
        published(&build(attention(more, "global_avg_pool"), &[6, 3]), &x, nngp, ntk);
    }
    let got = kernels(&build(attention(sum(true), "global_avg_pool"), &[6, 3]), &x, None, 18, 2);
    let want = [0.237143428644, 0.213993419583, 0.219635005455];
    [0, 1, 3].into_iter().zip(want).for_each(|(at, want)| close(got.nngp[at], want, 1e-9));
}

/// Rows with their positions moved along both axes, around the edge.
fn shifted(x: &[f64], shape: [usize; 3], by: [usize; 2]) -> Vec<f64> {
    let [h, w, c] = shape;
    let mut moved = vec![0.0; x.len()];
    for (from, to) in x.chunks_exact(h * w * c).zip(moved.chunks_exact_mut(h * w * c)) {
        for p in 0..h * w {
            let q = (p / w + by[0]) % h * w + (p % w + by[1]) % w;
            to[q * c..][..c].copy_from_slice(&from[p * c..][..c]);
        }
    }
    moved
}

fn same(a: &Kernels, b: &Kernels, tolerance: f64) {
    assert!(difference(&a.nngp, &b.nngp) <= tolerance && difference(&a.ntk, &b.ntk) <= tolerance);
}

#[test]
fn circular_networks_do_not_see_shifts() {
    let shape = [4, 5, 2];
    let (x, y) = (noise(6 * 40, 1), noise(6 * 40, 2));
    let (moved_x, moved_y) = (shifted(&x, shape, [1, 3]), shifted(&y, shape, [1, 3]));
    let flat = build(cnn(3, "circular", "flatten"), &shape);
    let plain = kernels(&flat, &x, Some(&y), 40, 6);
    same(&kernels(&flat, &moved_x, Some(&moved_y), 40, 6), &plain, 1e-12);
    // Moving one side only changes what flatten sees, and nothing for a pooled network.
    assert!(difference(&kernels(&flat, &moved_x, Some(&y), 40, 6).nngp, &plain.nngp) > 1e-3);
    let pooled = build(cnn(3, "circular", "global_avg_pool"), &shape);
    let plain = kernels(&pooled, &x, Some(&y), 40, 6);
    same(&kernels(&pooled, &moved_x, Some(&y), 40, 6), &plain, 1e-12);
}

#[test]
fn tokens_may_be_permuted_without_encodings() {
    let (tokens, c) = (5, 3);
    let x = noise(4 * tokens * c, 3);
    let mut permuted = x.clone();
    for (p, q) in [2, 4, 0, 1, 3].into_iter().enumerate() {
        permuted[p * c..][..c].copy_from_slice(&x[q * c..][..c]);
    }
    let d = tokens * c;
    let plain = build(attention(json!({}), "global_avg_pool"), &[tokens, c]);
    same(&kernels(&plain, &permuted, None, d, 4), &kernels(&plain, &x, None, d, 4), 1e-12);
    let encoded = json!({ "pos_emb_type": "sum", "pos_emb_decay_fn": { "kind": "exp", "scale": 0.5 } });
    let encoded = build(attention(encoded, "global_avg_pool"), &[tokens, c]);
    let change = difference(&kernels(&encoded, &permuted, None, d, 4).nngp, &kernels(&encoded, &x, None, d, 4).nngp);
    assert!(change > 1e-6);
}

#[test]
fn padding_changes_nothing() {
    let (tokens, c, rows, mask) = (5, 3, 4, 100.0);
    let x = noise(rows * tokens * c, 4);
    let mut longer = Vec::new();
    for row in x.chunks_exact(tokens * c) {
        longer.extend_from_slice(row);
        longer.resize(longer.len() + 3 * c, mask);
    }
    let cosine = json!([{ "type": "dense", "w_var": 1.2, "b_var": 0.3 }, { "type": "cos" }, { "type": "dense", "w_var": 1.1 },
        { "type": "layer_norm", "axis": [1, 2] }, { "type": "relu" }, { "type": "global_avg_pool" }]);
    let conv = json!([{ "type": "conv", "filter_shape": [3], "padding": "same", "w_var": 1.7, "b_var": 0.2 }, { "type": "relu" },
        { "type": "conv", "filter_shape": [3], "padding": "same", "w_var": 1.7, "b_var": 0.2 }, { "type": "relu" },
        { "type": "global_sum_pool" }]);
    let mut networks = vec![cosine, conv];
    for mechanism in ["softmax", "identity", "abs", "relu"] {
        for encoding in ["none", "sum", "concat"] {
            let more = json!({ "attention_mechanism": mechanism, "pos_emb_type": encoding, "val_pos_emb": true,
                "pos_emb_decay_fn": { "kind": "exp", "scale": 0.3 } });
            networks.push(attention(more, "global_avg_pool"));
        }
    }
    let root = json!({ "attention_mechanism": "identity", "linear_scaling": false, "pos_emb_type": "sum" });
    networks.push(attention(root, "global_avg_pool"));
    for layers in networks {
        let kernel = json!({ "output": "both", "layers": layers });
        let short = kernels(&build(layers, &[tokens, c]), &x, None, tokens * c, 4);
        let long = network(&kernel, inputs(&[tokens + 3, c], Some(mask)));
        same(&kernels(&long, &longer, None, (tokens + 3) * c, 4), &short, 1e-12);
    }
    // A row of nothing but padding has no kernel that is not a number.
    let long = network(
        &json!({ "output": "both", "layers": attention(json!({}), "global_avg_pool") }),
        inputs(&[tokens, c], Some(mask)),
    );
    let mut x = x;
    x[..tokens * c].fill(mask);
    let got = kernels(&long, &x, None, tokens * c, 4);
    assert!(got.nngp.iter().chain(&got.ntk).all(|value| value.is_finite()));
}

/// Networks of every plan: (p, p) only, bands that wrap or not, all pairs.
fn networks() -> Vec<(Value, Network)> {
    let shape = [4, 5, 2];
    let conv = json!({ "type": "conv", "filter_shape": [3, 3], "padding": "same", "w_var": 1.8, "b_var": 0.1 });
    let strided = json!({ "type": "conv", "filter_shape": [3, 2], "strides": [2, 1], "padding": "same", "w_var": 1.8 });
    let dense = json!({ "type": "dense", "w_var": 1.5, "b_var": 0.1, "out_dim": 7 });
    let relu = json!({ "type": "relu" });
    let deep = |read_out: &str| {
        json!([conv, { "type": "layer_norm" }, relu, strided,
            { "type": "residual", "layers": [{ "type": "erf" }, conv] }, relu, { "type": read_out }, dense])
    };
    let pooled = json!([conv, relu, { "type": "avg_pool", "window_shape": [2, 2], "strides": [2, 2], "padding": "same",
        "normalize_edges": true }, conv, { "type": "elementwise", "fn": "tanh" }, { "type": "flatten" }, dense]);
    let attended = json!([conv, relu, { "type": "global_self_attention", "n_chan_out": 7, "b_var": 0.1 }, relu,
        { "type": "global_sum_pool" }, dense]);
    let flat = json!([dense, { "type": "residual", "layers": [{ "type": "layer_norm" }, relu, dense] }, relu, dense]);
    [cnn(2, "circular", "global_avg_pool"), deep("flatten"), deep("global_avg_pool"), pooled, attended, flat]
        .into_iter()
        .map(|layers| (layers.clone(), build(layers, &shape)))
        .collect()
}

#[test]
fn tiles_are_exact_symmetric_and_depend_on_their_rows_only() {
    let (side, d) = (21, 40);
    let mut x = noise(side * d, 5);
    x.copy_within(0..d, 20 * d);
    x[7 * d..8 * d].fill(0.0);
    let y = noise(side * d, 6);
    for (layers, network) in networks() {
        let (diagonal, state) = tile(&network, &x, &x, side, true);
        let (general, _) = tile(&network, &x, &x, side, false);
        let (other, _) = tile(&network, &x, &y, side, false);
        for (k, g, on) in
            [(&diagonal.nngp, &general.nngp, OutputKind::Nngp), (&diagonal.ntk, &general.ntk, OutputKind::Ntk)]
        {
            let exact = state.diagonal(on);
            for j in 0..side {
                assert_eq!(k[j + j * side].to_bits(), exact[j].to_bits());
                assert_eq!(g[j + j * side].to_bits(), exact[j].to_bits(), "{layers}");
                for i in j + 1..side {
                    assert_eq!(k[i + j * side].to_bits(), k[j + i * side].to_bits());
                    assert_eq!(k[i + j * side].to_bits(), g[i + j * side].to_bits());
                }
            }
            // Rows 0 and 20 are equal.
            assert_eq!(g[20].to_bits(), exact[0].to_bits(), "{layers}");
            assert!(difference(g, k) < 1e-9, "{layers}");
        }
        for n in [1, 8, 17] {
            let (a, b) = (block(&x[..n * d], d, 0, n), block(&y[..n * d], d, 0, n));
            let (part, _) = tile(&network, &a, &b, n, false);
            let (padded, _) =
                tile(&network, &block(&x[..n * d], d, 0, side), &block(&y[..n * d], d, 0, side), side, false);
            for e in 0..n * n {
                let at = e % n + e / n * side;
                assert_eq!(padded.nngp[at].to_bits(), other.nngp[at].to_bits(), "{layers}");
                assert_eq!(padded.ntk[at].to_bits(), other.ntk[at].to_bits(), "{layers}");
                if network.inputs().shape.is_some() {
                    assert_eq!(part.nngp[e].to_bits(), other.nngp[at].to_bits(), "{layers}");
                    assert_eq!(part.ntk[e].to_bits(), other.ntk[at].to_bits(), "{layers}");
                }
                // Without positions the scalar products are the BLAS's, and another tile side may round otherwise.
                close(part.nngp[e], other.nngp[at], 1e-12);
            }
        }
        for mut k in [diagonal.nngp, diagonal.ntk] {
            let largest = (0..side).map(|i| k[i + i * side]).fold(0.0, f64::max);
            (0..side).for_each(|i| k[i + i * side] += 1e-8 * largest);
            leaf::potrf(&mut k, side, side).unwrap_or_else(|e| panic!("{layers}: {e}"));
        }
    }
}

/// The bands of a pooled network sum up to what all pairs of positions at once give, and the diagonal to what
/// flatten sees.
#[test]
fn plans_agree() {
    let shape = [4, 5, 2];
    let (x, y) = (noise(3 * 40, 8), noise(3 * 40, 9));
    for padding in ["same", "circular"] {
        let Value::Array(body) = cnn(2, padding, "flatten") else { panic!() };
        let head = json!({ "output": "both", "layers": [body[0]] });
        let spec = megagram_pipeline::kernel::KernelSpec::from_value(&head).unwrap();
        let open = Network::compile_positions(&spec, inputs(&shape, None)).unwrap();
        let pooled = build(json!([body[0], { "type": "global_avg_pool" }]), &shape);
        let flat = build(json!([body[0], { "type": "flatten" }]), &shape);
        let (by_bands, by_diagonal) = (kernels(&pooled, &x, Some(&y), 40, 3), kernels(&flat, &x, Some(&y), 40, 3));
        for (e, (a, b)) in (0..9).map(|e| (&x[e / 3 * 40..][..40], &y[e % 3 * 40..][..40])).enumerate() {
            let pair = open.positions(a, b);
            close(by_bands.nngp[e], pair.nngp.iter().sum::<f64>() / 400.0, 1e-13);
            close(by_bands.ntk[e], pair.ntk.iter().sum::<f64>() / 400.0, 1e-13);
            close(by_diagonal.nngp[e], (0..20).map(|p| pair.nngp[p * 21]).sum::<f64>() / 20.0, 1e-13);
            close(by_diagonal.ntk[e], (0..20).map(|p| pair.ntk[p * 21]).sum::<f64>() / 20.0, 1e-13);
        }
    }
}

/// Nanoseconds that this thread was on a processor: other programs do not count.
fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Time of an entry: `cargo test --release --test oracle_kernel_spatial -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let time = |name: &str, layers: Value, shape: &[usize], side: usize| {
        let network = build(layers, shape);
        let d = network.input_dim();
        let (x, y) = (noise(side * d, 1), noise(side * d, 2));
        let clock = busy();
        let (xs, ys) = (network.rows(&x, side), network.rows(&y, side));
        let rows = (busy() - clock) / 2e6 / side as f64;
        let (mut k, mut t) = (vec![0.0; side * side], vec![0.0; side * side]);
        let mut best = f64::INFINITY;
        let mut scratch = megagram_pipeline::kernel::Scratch::default();
        for _ in 0..3 {
            let clock = busy();
            let mut out = megagram_pipeline::kernel::KernelOut { nngp: Some(&mut k), ntk: Some(&mut t) };
            network.tile(&x, &xs, &y, &ys, side, false, &mut out, &mut scratch);
            best = best.min((busy() - clock) / 1e6 / (side * side) as f64);
        }
        eprintln!("{name}: {best:.4} ms an entry, {rows:.2} ms and {} bytes a row", network.row_bytes(side) / side);
    };
    let image = [32, 32, 3];
    time("flatten, depth 3", cnn(3, "same", "flatten"), &image, 64);
    time("flatten, depth 21", cnn(21, "same", "flatten"), &image, 32);
    time("global pooling 16 × 16, depth 3", cnn(3, "same", "global_avg_pool"), &[16, 16, 3], 16);
    time("global pooling 16 × 16 circular, depth 3", cnn(3, "circular", "global_avg_pool"), &[16, 16, 3], 16);
    time("global pooling 32 × 32, depth 3", cnn(3, "same", "global_avg_pool"), &image, 8);
    time("attention on 50 tokens", attention(json!({}), "global_avg_pool"), &[50, 16], 32);
}
