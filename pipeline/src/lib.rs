//! Numbers.
// The link to BLAS: without a mention in the crate root the library is not linked.
#[allow(unused_extern_crates)]
extern crate blas_src;
#[allow(unused_extern_crates)]
extern crate blis_src;

pub mod kernel;
pub mod leaf;
