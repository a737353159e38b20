//! The strings of a document by content, while it is built.

use memmap2::MmapMut;

use super::store::{Reference, Store};

/// Slots of the first table: a page of memory.
const FIRST: usize = 512;

/// Open addressing. An entry is the upper half of the hash over the reference, 0 is free (a string's
/// reference never is): growing and most comparisons do without the text.
///
/// The table is memory of its own from the system, which has it back the moment that the document is
/// built: an allocator would keep it, a quarter of what the document takes.
#[derive(Debug, Default)]
pub(super) struct Strings {
    table: Option<MmapMut>,
    count: usize,
}

impl Strings {
    /// The place of `text`, added where it is new. None where the document is too large.
    pub fn find_or_add(&mut self, store: &mut Store, text: &[u8]) -> Option<Reference> {
        if (self.count + 1) * 4 > self.slots().len() * 3 {
            self.grow()?;
        }
        let hash = store.hash(text);
        let slots = self.slots();
        let mask = slots.len() - 1;
        let mut place = slot(hash, mask);
        while let Some(entry) = occupied(slots, place) {
            if entry >> 32 == hash >> 32 {
                let found = Reference::from_word(entry as u32);
                if store.bytes(found) == text {
                    return Some(found);
                }
            }
            place = (place + 1) & mask;
        }
        let added = store.push_string(text)?;
        self.put(place, (hash >> 32 << 32) | u64::from(added.word()));
        self.count += 1;
        Some(added)
    }

    fn slots(&self) -> &[[u8; 8]] {
        self.table.as_deref().unwrap_or_default().as_chunks().0
    }

    fn put(&mut self, place: usize, entry: u64) {
        let slots = self.table.as_deref_mut().unwrap_or_default();
        if let Some(free) = slots.as_chunks_mut().0.get_mut(place) {
            *free = entry.to_ne_bytes();
        }
    }

    fn grow(&mut self) -> Option<()> {
        let size = (self.slots().len() * 2).max(FIRST);
        let fresh = MmapMut::map_anon(size.checked_mul(8)?).ok()?;
        let old = self.table.replace(fresh);
        let (entries, _) = old.as_deref().unwrap_or_default().as_chunks();
        for entry in entries.iter().map(|entry| u64::from_ne_bytes(*entry)) {
            if entry == 0 {
                continue;
            }
            let mut place = slot(entry, size - 1);
            while occupied(self.slots(), place).is_some() {
                place = (place + 1) & (size - 1);
            }
            self.put(place, entry);
        }
        Some(())
    }
}

fn occupied(slots: &[[u8; 8]], place: usize) -> Option<u64> {
    let entry = u64::from_ne_bytes(*slots.get(place)?);
    (entry != 0).then_some(entry)
}

/// Where the search for a hash begins: told by its upper half, which is what an entry keeps.
const fn slot(hash: u64, mask: usize) -> usize {
    (hash >> 32) as usize & mask
}
