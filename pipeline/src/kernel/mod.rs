//! Kernels of infinitely wide networks: from the job file's layers to tiles of K and Θ.
//!
//! A network is compiled to a chain of steps. Each step takes the covariance k and the tangent kernel Θ of
//! some rows with one row, at pairs of positions, to those after a layer; all that it needs to know of a
//! single row is computed once for a block of rows ([`Network::rows`]). Positions are held only as far as the
//! network needs: none, pairs (p, p) before `flatten`, all pairs for pooling and attention. What goes through
//! together stays in the cache, and an entry depends on its two rows only.
//!
//! Conventions (those of neural-tangents): the covariance of the inputs is x·x'/d; Θ is 0 before the
//! first dense layer; an angle with a zero row is π/2; correlations are clamped to [−1, 1]; rows that
//! are equal have exactly the values of the diagonal.

mod activation;
mod arguments;
mod elementary;
mod layer;
pub(crate) mod level;
mod monte_carlo;
mod network;
mod precision;
mod read;
mod single;
mod spec;
mod stepped;
mod sweep;

pub use layer::{layer_keys, layer_types};
pub use monte_carlo::{Init, MonteCarlo, StandardError};
pub use network::{Inputs, KernelOut, Network, OutputKind, Positions, RowState, Scratch};
pub use single::SINGLE_ERROR;
pub use spec::{KernelSpec, Layer, Output, Parameterization, SpecError};
