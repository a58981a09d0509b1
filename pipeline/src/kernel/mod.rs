//! Kernels of infinitely wide networks: from the job file's layers to tiles of K and Θ.
//!
//! A network is compiled to a list of steps. Each step takes the covariance k and the tangent kernel Θ of
//! a pair of rows to those after a layer; all that it needs to know of a single row is computed once for
//! a block of rows ([`Network::rows`]). A tile is one product X·Yᵀ followed by the steps, entry by entry
//! and in pieces that stay in the first-level cache, so that an entry depends on its two rows only.
//!
//! Conventions (those of neural-tangents): the covariance of the inputs is x·x'/d; Θ is 0 before the
//! first dense layer; an angle with a zero row is π/2; correlations are clamped to [−1, 1]; rows that
//! are equal have exactly the values of the diagonal.

mod activation;
mod elementary;
mod layer;
mod level;
mod network;
mod read;
mod spec;

pub use network::{KernelOut, Network, OutputKind, RowState, Scratch};
pub use spec::{
    ActivationSpec, Dense, KernelSpec, Layer, Output, Parameterization, SpecError, layer_keys, layer_types,
};
