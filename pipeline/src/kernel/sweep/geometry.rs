//! Which pairs of positions a sweep holds.

/// Height and width of the positions of a layer; sequences have width 1, rows without positions 1 × 1.
pub(crate) type Shape = [usize; 2];

/// The pairs of positions (p of x, p' of y) that are computed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// p' = p + offset on each axis, modulo the length if `wrapped`, else where both exist. A convolution
    /// with shared weights takes a band to a band, so that the full covariance is a sum of bands.
    Band { offset: [isize; 2], wrapped: bool },
    /// All pairs.
    Full,
}

impl Pairing {
    /// p' = p: all that a network needs that ends in `flatten` and couples no other positions.
    pub(crate) const DIAGONAL: Pairing = Pairing::Band { offset: [0, 0], wrapped: false };
}

/// A shape and its pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) shape: Shape,
    pub(crate) pairing: Pairing,
}

/// One axis of a band: the pairs (first + e, first + e + offset) for e < len.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Band {
    pub(crate) first: usize,
    pub(crate) len: usize,
    offset: isize,
    wrap: Option<usize>,
}

impl Band {
    fn new(n: usize, offset: isize, wrapped: bool) -> Band {
        if wrapped {
            return Band { first: 0, len: n, offset: offset.rem_euclid(n.max(1) as isize), wrap: Some(n) };
        }
        let first = if offset < 0 { offset.unsigned_abs() } else { 0 };
        Band { first: first.min(n), len: n.saturating_sub(offset.unsigned_abs()), offset, wrap: None }
    }

    /// The positions (of x, of y) of an element.
    pub(crate) fn pair(&self, e: usize) -> (usize, usize) {
        let x = self.first + e;
        let y = x.wrapping_add_signed(self.offset);
        (x, self.wrap.map_or(y, |n| y % n))
    }
}

impl Geometry {
    /// A row without positions.
    pub(crate) const POINT: Geometry = Geometry { shape: [1, 1], pairing: Pairing::DIAGONAL };

    /// Positions of one row.
    pub(crate) fn pixels(&self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// The two axes of a band; `None` for all pairs.
    pub(crate) fn bands(&self) -> Option<[Band; 2]> {
        match self.pairing {
            Pairing::Band { offset, wrapped } => {
                Some([0, 1].map(|axis| Band::new(self.shape[axis], offset[axis], wrapped)))
            }
            Pairing::Full => None,
        }
    }

    /// How many pairs.
    pub(crate) fn entries(&self) -> usize {
        match self.bands() {
            Some([h, w]) => h.len * w.len,
            None => self.pixels().saturating_mul(self.pixels()),
        }
    }

    /// Whether the pairs are (p, p) for all p in order.
    pub(crate) fn is_diagonal(&self) -> bool {
        matches!(self.pairing, Pairing::Band { offset: [0, 0], .. })
    }

    /// The entry of the pair (p, p), if it is one of the pairs.
    pub(crate) fn diagonal(&self, pixel: usize) -> Option<usize> {
        match self.pairing {
            Pairing::Full => Some(pixel * (self.pixels() + 1)),
            Pairing::Band { .. } => self.is_diagonal().then_some(pixel),
        }
    }

    /// The positions of x and of y of every entry, in order: rows of the band one after the other; of all
    /// pairs p is the faster.
    pub(crate) fn locate(&self, x: &mut Vec<u32>, y: &mut Vec<u32>) {
        x.clear();
        y.clear();
        let width = self.shape[1];
        match self.bands() {
            Some([h, w]) => {
                for i in 0..h.len {
                    let (xh, yh) = h.pair(i);
                    for j in 0..w.len {
                        let (xw, yw) = w.pair(j);
                        x.push((xh * width + xw) as u32);
                        y.push((yh * width + yw) as u32);
                    }
                }
            }
            None => {
                let pixels = self.pixels() as u32;
                for q in 0..pixels {
                    x.extend(0..pixels);
                    y.resize(x.len(), q);
                }
            }
        }
    }
}
