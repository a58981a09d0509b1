//! Finished tiles that are laid out for products, those used last. The workers of a process share them.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::Leaf;
use super::ledger::Ledger;
use crate::error::{Error, Result};
use crate::leaf::{self, Laid};
use crate::schedule::Name;

/// Tiles laid out, by name, the last used at the end. A name must mean the same values as long as the shelf is there.
pub struct Shelf {
    side: usize,
    room: usize,
    places: Mutex<Vec<Arc<Place>>>,
}

struct Place {
    name: Name,
    laid: OnceLock<Laid>,
    /// Memory of a tile that had to go.
    spent: Mutex<Option<Laid>>,
}

/// A shelf takes at most this part of what memory is left.
const PART: u64 = 8;

impl Shelf {
    /// A shelf with room for this many tiles of one column, charged to the ledger: the first of `rows` that memory has room
    /// for. Without room, or where laying out is not worth it, tiles are multiplied as they are.
    pub fn of(ledger: &mut Ledger, side: usize, rows: &[usize], workers: usize) -> Shelf {
        // And for each worker a tile of another row, and one whose place is taken next.
        let rooms = rows.iter().map(|rows| rows + 2 * workers);
        let bytes = |room: usize| (room * Laid::bytes(side)) as u64;
        let room = rooms.filter(|_| Laid::is_worth_it()).find(|room| PART * bytes(*room) <= ledger.left()).unwrap_or(0);
        if room > 0 {
            ledger.charge("tiles laid out", bytes(room));
        }
        Shelf { side, room, places: Mutex::default() }
    }

    /// `C ← C − A·Bᵀ` of a target and the two finished tiles of its task; of one tile twice the lower triangle alone.
    ///
    /// # Errors
    /// A defect if the task has no inputs.
    pub fn update(&self, leaf: Leaf<'_>) -> Result<()> {
        let (Some(a), Some(b), Some(name_a), Some(name_b)) = (leaf.a, leaf.b, leaf.task.a, leaf.task.b) else {
            return Err(Error::Defect("an update without its inputs".into()));
        };
        match (self.room, name_a == name_b) {
            (0, true) => leaf::syrk(leaf.target, a, self.side),
            (0, false) => leaf::gemm_nt(leaf.target, a, b, self.side, self.side),
            (_, true) => leaf::syrk_laid(leaf.target, self.laid(&self.place(name_a), a)),
            (_, false) => {
                let (place_a, place_b) = (self.place(name_a), self.place(name_b));
                leaf::gemm_nt_laid(leaf.target, self.laid(&place_a, a), self.laid(&place_b, b));
            }
        }
        Ok(())
    }

    /// A tile, laid out by whoever asks first.
    fn laid<'a>(&self, place: &'a Place, values: &[f64]) -> &'a Laid {
        place.laid.get_or_init(|| {
            let mut laid = place.spent.lock().take().unwrap_or_default();
            laid.lay(values, self.side);
            laid
        })
    }

    /// The place of a tile.
    fn place(&self, name: Name) -> Arc<Place> {
        let mut places = self.places.lock();
        let place = if let Some(at) = places.iter().position(|place| place.name == name) {
            places.remove(at)
        } else {
            let idle = |place: &Arc<Place>| Arc::strong_count(place) == 1;
            let full = places.len() >= self.room;
            let spent = full.then(|| places.iter().position(idle)).flatten().map(|at| places.remove(at));
            let spent = spent.and_then(Arc::into_inner).and_then(|place| place.laid.into_inner());
            Arc::new(Place { name, laid: OnceLock::new(), spent: Mutex::new(spent) })
        };
        places.push(Arc::clone(&place));
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Op, Space, Task};

    const SIDE: usize = 40;

    fn tile(number: u32) -> (Name, Vec<f64>) {
        let values = (0..SIDE * SIDE).map(|e| libm::sin(f64::from(number) + 0.1 * e as f64)).collect();
        (Name::new(Space::Factor, number, 0), values)
    }

    #[test]
    fn what_was_put_away_is_laid_out_again_and_no_tile_is_taken_for_another() {
        for memory in [1 << 30, 0] {
            let mut ledger = Ledger::new(memory);
            let shelf = Shelf::of(&mut ledger, SIDE, &[2], 1);
            assert_eq!(ledger.spent(), (shelf.room * Laid::bytes(SIDE)) as u64);
            let tiles: Vec<_> = (0..7).map(tile).collect();
            let (mut c, mut twin) = (vec![0.0; SIDE * SIDE], vec![0.0; SIDE * SIDE]);
            for step in 0..40 {
                let ((a, x), (b, y)) = (&tiles[step % 7], &tiles[step * step % 5]);
                let task = Task::new(Op::Update, Name::new(Space::Factor, 9, 9), Some(*a), Some(*b));
                shelf.update(Leaf { task: &task, target: &mut c, a: Some(x), b: Some(y) }).unwrap();
                match a == b {
                    true => leaf::syrk(&mut twin, x, SIDE),
                    false => leaf::gemm_nt(&mut twin, x, y, SIDE, SIDE),
                }
                assert!(shelf.places.lock().len() <= shelf.room);
            }
            assert_eq!(c, twin);
        }
    }

    #[test]
    fn a_shelf_is_as_large_as_memory_bears() {
        if !Laid::is_worth_it() {
            return;
        }
        let room =
            |tiles: u64| Shelf::of(&mut Ledger::new(PART * tiles * Laid::bytes(SIDE) as u64), SIDE, &[8, 2], 1).room;
        assert_eq!([room(10), room(9), room(4), room(3)], [10, 4, 4, 0]);
    }
}
