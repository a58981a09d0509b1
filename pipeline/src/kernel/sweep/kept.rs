//! What layers keep of a block of rows for the pairs to come.

use crate::kernel::activation::Terms;

/// What a layer will keep of each row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Slot {
    /// The terms of an activation with this many planes, at each position.
    Terms { pixels: usize, planes: usize },
    /// Some numbers.
    Numbers(usize),
}

impl Slot {
    /// Bytes for `rows` rows, `lanes` of which go through the network together.
    pub(crate) fn bytes(self, rows: usize, lanes: usize) -> usize {
        match self {
            Slot::Terms { pixels, planes } => Terms::bytes(pixels, rows, lanes, planes),
            Slot::Numbers(count) => count * rows * size_of::<f64>(),
        }
    }
}

/// What all layers keep of a block of rows, by slot. A number of a row is at `number · rows + row`.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    rows: usize,
    terms: Vec<Terms>,
    numbers: Vec<Vec<f64>>,
}

impl Kept {
    /// Room for `rows` rows, `lanes` of which go through the network together.
    pub(crate) fn new(slots: &[Slot], rows: usize, lanes: usize) -> Kept {
        let (mut terms, mut numbers) = (Vec::new(), Vec::new());
        for slot in slots {
            let (pixels, planes, count) = match *slot {
                Slot::Terms { pixels, planes } => (pixels, planes, 0),
                Slot::Numbers(count) => (0, 0, count),
            };
            terms.push(Terms::empty(pixels, rows, lanes, planes));
            numbers.push(vec![0.0; count * rows]);
        }
        Kept { rows, terms, numbers }
    }

    pub(crate) fn terms(&self, slot: usize) -> &Terms {
        &self.terms[slot]
    }

    pub(crate) fn terms_mut(&mut self, slot: usize) -> &mut Terms {
        &mut self.terms[slot]
    }

    /// One number of the rows `first`..`first + len`.
    #[inline(always)]
    pub(crate) fn numbers(&self, slot: usize, number: usize, first: usize, len: usize) -> &[f64] {
        &self.numbers[slot][number * self.rows + first..][..len]
    }

    pub(crate) fn numbers_mut(&mut self, slot: usize, number: usize, first: usize, len: usize) -> &mut [f64] {
        &mut self.numbers[slot][number * self.rows + first..][..len]
    }
}
