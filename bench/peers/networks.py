"""The networks whose kernels are timed, in the words of a job file; the peers read the same as JSON."""

import dataclasses

# Milliseconds an NTK entry, CPU with more than 56 cores: Novak et al., "Neural Tangents: Fast and Easy Infinite Neural
# Networks in Python", ICLR 2020, https://github.com/google/neural-tangents, README, "Performance", version 0.2.1.
SOURCE = "Novak et al., ICLR 2020, 'Neural Tangents', README: version 0.2.1, a CPU of more than 56 cores"
PUBLISHED = {
    "flatten": {"fp64": 0.3414, "fp32": 0.12013},
    "global_avg_pool": {"fp64": 258.55, "fp32": 112.90},
}


@dataclasses.dataclass
class Timed:
    """A network, the shape of a row, and the sizes: ours, theirs, the batches they may choose from, our tile."""

    layers: list
    shape: list
    n: int
    peer_n: int
    batches: list
    tile: int
    # Without neural-tangents beside it: what it published for its README's network.
    published: dict | None = None
    note: str | None = None
    # The ratio that is aimed at.
    wanted: str | None = None


def fc(activation, depth=3):
    dense = {"type": "dense", "w_var": 1.6, "b_var": 0.3}
    return [*[dense, activation if isinstance(activation, dict) else {"type": activation}] * depth, dense]


def cnn(depth, read_out):
    conv = {"type": "conv", "filter_shape": [3, 3], "padding": "same", "w_var": 2.0, "b_var": 0.1}
    dense = {"type": "dense", "w_var": 2.0, "b_var": 0.1}
    return [{"type": "repeat", "times": depth, "layers": [conv, {"type": "relu"}]}, {"type": read_out}, dense]


def attention():
    dense = {"type": "dense", "w_var": 1.7, "b_var": 0.04}
    stds = {"w_key_std": 1.0, "w_query_std": 1.2, "w_value_std": 0.9, "w_out_std": 1.1, "b_var": 0.09}
    attend = {"type": "global_self_attention", "linear_scaling": True, "attention_mechanism": "softmax"} | stds
    return [dense, {"type": "relu"}, attend, {"type": "relu"}, {"type": "global_avg_pool"}, dense]


def single(layers):
    """The same network with its relus and attention in f32; None if it has neither."""

    def of(layer):
        if layer["type"] == "repeat":
            return layer | {"layers": [of(inner) for inner in layer["layers"]]}
        return layer | {"precision": "f32"} if layer["type"] in ("relu", "global_self_attention") else layer

    changed = [of(layer) for layer in layers]
    return changed if changed != layers else None


RELU_FC, ERF_FC = fc("relu"), fc("erf")
TANH = {"type": "elementwise", "fn": "tanh"}
TANH_NOTE = (
    "neural-tangents has no closed form for tanh; its best is a Gauss-Hermite rule of 25 × 25 points, "
    "and the larger difference below is that rule's error"
)


def timed(quick):
    """By name. Sizes make a round last seconds on two cores; a peer's rows are the first of ours."""
    image, small = ([8, 8, 3], [4, 4, 3]) if quick else ([32, 32, 3], [16, 16, 3])
    networks = {
        "fc-relu": Timed(RELU_FC, [784], 4000, 4000, [1000, 4000], 512),
        "fc-tanh": Timed(fc(TANH), [784], 4000, 200, [25, 50, 100], 256, note=TANH_NOTE),
        "cnn3-flatten": Timed(cnn(3, "flatten"), image, 400, 100, [10, 25, 50], 32, wanted="≥ 15"),
        "cnn21-flatten": Timed(cnn(21, "flatten"), image, 128, 40, [20], 16, PUBLISHED["flatten"]),
        "cnn3-pool16": Timed(cnn(3, "global_avg_pool"), small, 96, 8, [4, 8], 32, wanted="≥ 15"),
        "cnn3-pool32": Timed(cnn(3, "global_avg_pool"), image, 24, 4, [2], 8, wanted="≥ 15"),
        "cnn21-pool32": Timed(cnn(21, "global_avg_pool"), image, 24, 0, [], 8, PUBLISHED["global_avg_pool"]),
        "attention50": Timed(attention(), [50, 16], 160, 40, [5, 10, 20], 16, wanted="≥ 8"),
    }
    if quick:
        for network in networks.values():
            network.n, network.peer_n = min(network.n, 8), min(network.peer_n, 4)
            network.batches, network.tile = [2, 4], 2
    return networks
