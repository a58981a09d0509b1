//! What layers keep of a block of rows for the pairs to come.

use super::Buffer;
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
            Slot::Numbers(count) => count * rows.next_multiple_of(lanes) * size_of::<f64>(),
        }
    }
}

/// What all layers keep of a block of rows, by slot. Rows that go through the network together lie together, number
/// by number: a stride of all rows would put the numbers of a row into a few sets of the cache.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    lanes: usize,
    terms: Vec<Terms>,
    numbers: Vec<Numbers>,
}

/// The numbers of a slot, and how many a row has.
#[derive(Debug, Clone)]
struct Numbers {
    count: usize,
    values: Buffer,
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
            numbers.push(Numbers { count, values: Buffer::zeros(count * rows.next_multiple_of(lanes)) });
        }
        Kept { lanes, terms, numbers }
    }

    pub(crate) fn terms(&self, slot: usize) -> &Terms {
        &self.terms[slot]
    }

    pub(crate) fn terms_mut(&mut self, slot: usize) -> &mut Terms {
        &mut self.terms[slot]
    }

    /// How many rows go through the network together.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// One number of the rows `first`..`first + len`, which go through the network together.
    #[inline(always)]
    pub(crate) fn numbers(&self, slot: usize, number: usize, first: usize, len: usize) -> &[f64] {
        let (values, place) = (&self.numbers[slot].values, self.place(slot, number, first));
        &values[place..][..len]
    }

    /// The first `count` numbers of these rows, and how far apart two numbers of a row are.
    #[inline(always)]
    pub(crate) fn all(&self, slot: usize, count: usize, first: usize, len: usize) -> (&[f64], usize) {
        let (values, place) = (&self.numbers[slot].values, self.place(slot, 0, first));
        (&values[place..][..(count.max(1) - 1) * self.lanes + len], self.lanes)
    }

    pub(crate) fn numbers_mut(&mut self, slot: usize, number: usize, first: usize, len: usize) -> &mut [f64] {
        let place = self.place(slot, number, first);
        &mut self.numbers[slot].values[place..][..len]
    }

    #[inline(always)]
    fn place(&self, slot: usize, number: usize, row: usize) -> usize {
        let (group, lane) = (row / self.lanes, row % self.lanes);
        (group * self.numbers[slot].count + number) * self.lanes + lane
    }
}
