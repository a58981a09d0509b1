//! Tiles laid out once for many products. In a sweep a tile is an operand some hundred times, and laying it out for each
//! costs a twentieth of the products.

#[cfg(target_arch = "x86_64")]
use super::blas::{Maker, maker};
#[cfg(target_arch = "x86_64")]
use super::product::{Into, Operand, Part};
use super::{gemm_nt, syrk};
use crate::pages;

/// Numbers of a line of the cache.
pub(super) const LINE: usize = 8;

/// A line of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [f64; LINE]);

/// Makes room for so many, on large pages if it is new.
pub(super) fn grow(lines: &mut Vec<Line>, len: usize) {
    if lines.capacity() < len {
        *lines = Vec::with_capacity(len);
        pages::large(lines);
    }
    if lines.len() < len {
        lines.resize(len, Line([0.0; LINE]));
    }
}

/// A tile as the kernel of our own product reads it; where the BLAS makes the products, as it is.
#[derive(Debug, Clone, Default)]
pub struct Laid {
    side: usize,
    lines: Vec<Line>,
}

impl Laid {
    /// Whether products of tiles that are laid out are the faster ones.
    pub fn is_worth_it() -> bool {
        #[cfg(target_arch = "x86_64")]
        return matches!(maker(), Maker::Panels(_));
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Bytes of a tile that is laid out.
    pub fn bytes(side: usize) -> usize {
        size_of::<Line>() * Laid::lines(side)
    }

    fn lines(side: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        if let Maker::Panels(vectors) = maker() {
            return vectors.lines_of(side, side);
        }
        (side * side).div_ceil(LINE)
    }

    /// Lays a tile out: side × side, column-major.
    pub fn lay(&mut self, tile: &[f64], side: usize) {
        assert_eq!(tile.len(), side * side);
        self.side = side;
        grow(&mut self.lines, Laid::lines(side));
        #[cfg(target_arch = "x86_64")]
        if let Maker::Panels(vectors) = maker() {
            let tile = Operand::columns(tile.as_ptr(), side);
            // SAFETY: the lengths are those of the shape; the processor has the instructions.
            unsafe { vectors.lay(tile, [side, side], self.lines.as_mut_ptr()) }
            return;
        }
        for (line, eight) in self.lines.iter_mut().zip(tile.chunks(LINE)) {
            line.0[..eight.len()].copy_from_slice(eight);
        }
    }

    /// The tile, where it is kept as it is.
    fn tile(&self) -> &[f64] {
        // SAFETY: a line is eight numbers without padding, as its size tells.
        const { assert!(size_of::<Line>() == LINE * size_of::<f64>()) }
        let all = unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * LINE) };
        &all[..self.side * self.side]
    }
}

/// [`gemm_nt`] of tiles that are laid out, with the same bits.
pub fn gemm_nt_laid(c: &mut [f64], a: &Laid, b: &Laid) {
    let side = a.side;
    assert!(b.side == side && c.len() == side * side);
    #[cfg(target_arch = "x86_64")]
    if let Maker::Panels(vectors) = maker() {
        let operands = [a, b].map(|laid| laid.lines.as_ptr());
        // SAFETY: all three are tiles of this side; the processor has the instructions.
        unsafe { vectors.make_laid(operands, (c.as_mut_ptr(), side), [side; 3], (Into::Less, Part::All)) }
        return;
    }
    gemm_nt(c, a.tile(), b.tile(), side, side);
}

/// [`syrk`] of a tile that is laid out, with the same bits.
pub fn syrk_laid(c: &mut [f64], a: &Laid) {
    let side = a.side;
    assert_eq!(c.len(), side * side);
    #[cfg(target_arch = "x86_64")]
    if let Maker::Panels(vectors) = maker() {
        let operands = [a.lines.as_ptr(); 2];
        // SAFETY: both are tiles of this side; the processor has the instructions.
        unsafe { vectors.make_laid(operands, (c.as_mut_ptr(), side), [side; 3], (Into::Less, Part::Lower)) }
        return;
    }
    syrk(c, a.tile(), side);
}
