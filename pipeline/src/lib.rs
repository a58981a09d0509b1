//! Numbers.
extern crate blas_src;
extern crate blis_src;
