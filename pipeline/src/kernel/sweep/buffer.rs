//! Numbers on whole cache lines: a vector that lies on two lines is loaded twice.

use bytemuck::{Pod, Zeroable};
use std::ops::{Deref, DerefMut};

/// A cache line, and a vector of AVX-512.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f64; Line::NUMBERS]);

// SAFETY: zeros are numbers.
unsafe impl Zeroable for Line {}

// SAFETY: eight numbers and no padding.
unsafe impl Pod for Line {}

impl Line {
    const NUMBERS: usize = 8;
}

/// A vector of numbers that begins with a cache line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Buffer {
        let mut buffer = Buffer::default();
        buffer.resize(len);
        buffer
    }

    /// Becomes that long; what it holds is arbitrary.
    pub(crate) fn resize(&mut self, len: usize) {
        let lines = len.div_ceil(Line::NUMBERS);
        if lines > self.lines.len() {
            self.lines.resize(lines, Line::zeroed());
        }
        self.len = len;
    }

    /// How many numbers there is room for.
    pub(crate) fn room(&self) -> usize {
        self.lines.len() * Line::NUMBERS
    }
}

impl Deref for Buffer {
    type Target = [f64];

    #[inline(always)]
    fn deref(&self) -> &[f64] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Buffer {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}
