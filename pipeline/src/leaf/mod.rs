//! The leaf operations on column-major tiles of `f64`: a product each, or a few and small blocks. The products are our
//! own with AVX-512 and AVX2, the BLAS's elsewhere ([`Blas`] tells which).
//!
//! Every call has one shape and one leading dimension (the number of rows of the operand), α and β are
//! fixed, and nothing is split or merged. So an entry of a result depends only on the numbers that it
//! mathematically depends on, and not on what else is in the tile: the leading part of a tile that is
//! padded with zeros and a unit diagonal has the same bits as the leading part of a full one.
//!
//! The slow twins are in [`mod@reference`].

mod blas;
mod bytes;
mod gemm;
mod laid;
#[cfg(target_arch = "x86_64")]
mod panels;
mod potrf;
mod product;
pub mod reference;
mod solve;
mod syrk;
mod trsm;
#[cfg(target_arch = "x86_64")]
mod twelve;
mod vector;

pub use blas::{Blas, blas, pack_bytes_at};
pub use bytes::{Bytes, Side as ByteSide, TERMS_MAX as BYTE_TERMS_MAX, byte_products};
pub use gemm::{gemm_acc, gemm_nn, gemm_nt, rows_gram, rows_gram_lower, rows_products};
pub use laid::{Laid, gemm_nt_laid, syrk_laid};
pub use potrf::{BadPivot, Pivots, potrf};
pub use syrk::syrk;
pub use trsm::{trsm, trsm_back};
