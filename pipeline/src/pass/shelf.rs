//! Finished tiles that are laid out for products, those used last. The workers of a process share them.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::ledger::Ledger;
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
    /// A shelf for steps that read `rows` tiles of one column together, charged to the ledger. `None` where laying out is
    /// not worth it, or memory too small.
    pub fn of(ledger: &mut Ledger, side: usize, rows: usize, workers: usize) -> Option<Shelf> {
        // Those rows; and for each worker a tile of another row, and one whose place is taken next.
        let room = rows + 2 * workers;
        let bytes = (room * Laid::bytes(side)) as u64;
        if !Laid::is_worth_it() || PART * bytes > ledger.left() {
            return None;
        }
        ledger.charge("tiles laid out", bytes);
        Some(Shelf { side, room, places: Mutex::default() })
    }

    /// `C ← C − A·Bᵀ` of a tile and two finished ones.
    pub fn gemm_nt(&self, c: &mut [f64], a: (Name, &[f64]), b: (Name, &[f64])) {
        let (place_a, place_b) = (self.place(a.0), self.place(b.0));
        leaf::gemm_nt_laid(c, self.laid(&place_a, a.1), self.laid(&place_b, b.1));
    }

    /// Lower triangle of `C ← C − A·Aᵀ` of a tile and a finished one.
    pub fn syrk(&self, c: &mut [f64], a: (Name, &[f64])) {
        let place = self.place(a.0);
        leaf::syrk_laid(c, self.laid(&place, a.1));
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
    use crate::schedule::Space;

    const SIDE: usize = 40;

    fn tile(number: u32) -> (Name, Vec<f64>) {
        let values = (0..SIDE * SIDE).map(|e| libm::sin(f64::from(number) + 0.1 * e as f64)).collect();
        (Name::new(Space::Factor, number, 0), values)
    }

    #[test]
    fn what_was_put_away_is_laid_out_again_and_no_tile_is_taken_for_another() {
        let mut ledger = Ledger::new(1 << 30);
        let Some(shelf) = Shelf::of(&mut ledger, SIDE, 2, 1) else { return };
        assert_eq!(ledger.spent(), (4 * Laid::bytes(SIDE)) as u64);
        let tiles: Vec<_> = (0..7).map(tile).collect();
        let (mut c, mut twin) = (vec![0.0; SIDE * SIDE], vec![0.0; SIDE * SIDE]);
        for step in 0..40 {
            let ((a, x), (b, y)) = (&tiles[step % 7], &tiles[step * step % 5]);
            shelf.gemm_nt(&mut c, (*a, x), (*b, y));
            leaf::gemm_nt(&mut twin, x, y, SIDE, SIDE);
            shelf.syrk(&mut c, (*b, y));
            leaf::syrk(&mut twin, y, SIDE);
            assert!(shelf.places.lock().len() <= shelf.room);
        }
        assert_eq!(c, twin);
    }

    #[test]
    fn little_memory_has_no_shelf() {
        let mut ledger = Ledger::new((PART * 4 * Laid::bytes(SIDE) as u64) - 1);
        assert!(Shelf::of(&mut ledger, SIDE, 2, 1).is_none());
        assert_eq!(ledger.spent(), 0);
    }
}
