//! The state of a block of pairs between two layers, and the buffers it lives in.

use super::buffer::Buffer;
use super::geometry::Geometry;
use std::ops::Range;

/// K and Θ of `lanes` pairs of rows at every pair of positions: `k[entry · lanes + lane]`. `t` is empty
/// without an NTK.
#[derive(Debug, Default)]
pub(crate) struct State {
    geometry: Option<Geometry>,
    pub(crate) lanes: usize,
    pub(crate) k: Buffer,
    pub(crate) t: Buffer,
    places: Places,
}

/// The positions of x and of y of every entry of a geometry.
#[derive(Debug, Clone, Default)]
struct Places {
    of: Option<Geometry>,
    x: Vec<u32>,
    y: Vec<u32>,
}

/// A state taken apart: its numbers, and where each entry is.
pub(crate) struct Parts<'a> {
    pub(crate) k: &'a mut [f64],
    pub(crate) t: &'a mut [f64],
    /// The position of x of every entry.
    pub(crate) x: &'a [u32],
    /// The position of y of every entry.
    pub(crate) y: &'a [u32],
    pub(crate) lanes: usize,
}

impl Parts<'_> {
    /// Some of the entries.
    pub(crate) fn part(&mut self, entries: Range<usize>) -> Parts<'_> {
        let numbers = entries.start * self.lanes..entries.end * self.lanes;
        let t = if self.t.is_empty() { &mut [] } else { &mut self.t[numbers.clone()] };
        let (x, y) = (&self.x[entries.clone()], &self.y[entries]);
        Parts { k: &mut self.k[numbers], t, x, y, lanes: self.lanes }
    }
}

impl State {
    /// A state with buffers for `lanes` pairs; what they hold is arbitrary.
    pub(crate) fn new(geometry: Geometry, lanes: usize, ntk: bool, pool: &mut Pool) -> State {
        let len = geometry.entries() * lanes;
        let k = pool.take(len);
        let t = pool.take(if ntk { len } else { 0 });
        State { geometry: Some(geometry), lanes, k, t, places: pool.places(geometry) }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry.unwrap_or(Geometry::POINT)
    }

    pub(crate) fn set_geometry(&mut self, geometry: Geometry) {
        self.geometry = Some(geometry);
    }

    pub(crate) fn has_ntk(&self) -> bool {
        !self.t.is_empty()
    }

    /// The numbers with the positions of every entry.
    pub(crate) fn parts(&mut self) -> Parts<'_> {
        let geometry = self.geometry();
        let Places { of, x, y } = &mut self.places;
        if *of != Some(geometry) {
            geometry.locate(x, y);
            *of = Some(geometry);
        }
        Parts { k: &mut self.k, t: &mut self.t, x, y, lanes: self.lanes }
    }

    /// Another state with the same numbers.
    pub(crate) fn copy(&self, pool: &mut Pool) -> State {
        let mut copy = State::new(self.geometry(), self.lanes, self.has_ntk(), pool);
        copy.k.copy_from_slice(&self.k);
        copy.t.copy_from_slice(&self.t);
        copy
    }

    /// Gives the buffers back.
    pub(crate) fn release(self, pool: &mut Pool) {
        pool.give(self.k);
        pool.give(self.t);
        if self.places.of.is_some() {
            pool.places.push(self.places);
        }
    }
}

/// Buffers that are used again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    free: Vec<Buffer>,
    places: Vec<Places>,
}

impl Pool {
    /// A buffer of this length; what it holds is arbitrary.
    pub(crate) fn take(&mut self, len: usize) -> Buffer {
        if len == 0 {
            return Buffer::default();
        }
        let fits = self.free.iter().rposition(|free| free.room() >= len);
        let mut buffer = match fits {
            Some(at) => self.free.swap_remove(at),
            None => self.free.pop().unwrap_or_default(),
        };
        buffer.resize(len);
        buffer
    }

    /// Those of the geometry, if there are; or others to write over.
    fn places(&mut self, geometry: Geometry) -> Places {
        match self.places.iter().rposition(|places| places.of == Some(geometry)) {
            Some(at) => self.places.swap_remove(at),
            None => self.places.pop().unwrap_or_default(),
        }
    }

    /// Gives a buffer back.
    pub(crate) fn give(&mut self, buffer: Buffer) {
        if buffer.room() > 0 {
            self.free.push(buffer);
        }
    }
}
