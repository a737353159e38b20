//! Storage that grows in chunks, so that what is in it never moves: growing costs no second copy, and
//! the last chunk alone can be larger than what it holds.

/// Items of one kind. A run of items that was added together lies together; an address is the
/// number of its chunk and, in the lower `BITS` bits, the place inside.
#[derive(Debug)]
pub(super) struct Arena<T, const BITS: u32> {
    chunks: Vec<Vec<T>>,
    /// The chunk that small runs go to.
    current: usize,
}

impl<T, const BITS: u32> Default for Arena<T, BITS> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            current: 0,
        }
    }
}

impl<T: Copy, const BITS: u32> Arena<T, BITS> {
    /// Items of a chunk that small runs share.
    const CHUNK: usize = 1 << BITS;

    /// Room for a run of `count` items: its address, and the chunk to which exactly as many are to be
    /// added. A run that would waste much of a shared chunk has one of its own.
    pub fn run(&mut self, count: usize) -> (usize, &mut Vec<T>) {
        if count > Self::CHUNK / 4 {
            self.chunks.push(Vec::with_capacity(count));
            return self.end_of(self.chunks.len() - 1);
        }
        let full = self
            .chunks
            .get(self.current)
            .is_none_or(|chunk| chunk.len() + count > Self::CHUNK);
        if full {
            // The first chunk grows as it must: most documents are small.
            let room = if self.chunks.is_empty() {
                0
            } else {
                Self::CHUNK
            };
            self.current = self.chunks.len();
            self.chunks.push(Vec::with_capacity(room));
        }
        self.end_of(self.current)
    }

    fn end_of(&mut self, index: usize) -> (usize, &mut Vec<T>) {
        #[expect(
            clippy::indexing_slicing,
            reason = "`run` has just found or added the chunk"
        )]
        let chunk = &mut self.chunks[index];
        ((index << BITS) | chunk.len(), chunk)
    }

    /// The items from an address to the end of its chunk.
    #[inline]
    pub fn tail(&self, at: usize) -> &[T] {
        self.chunks
            .get(at >> BITS)
            .and_then(|chunk| chunk.get(at & (Self::CHUNK - 1)..))
            .unwrap_or_default()
    }

    /// Gives back what the shared chunk has to spare.
    pub fn shrink(&mut self) {
        if let Some(chunk) = self.chunks.get_mut(self.current) {
            chunk.shrink_to_fit();
        }
        self.chunks.shrink_to_fit();
    }

    /// Bytes this keeps allocated.
    pub fn resident_bytes(&self) -> usize {
        let items: usize = self.chunks.iter().map(Vec::capacity).sum();
        items * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_every_length_stay_where_they_were_put() {
        let mut arena = Arena::<u32, 6>::default();
        let lengths = [0, 1, 15, 16, 17, 64, 65, 200, 3, 16, 16, 16, 16, 16];
        let placed: Vec<(usize, Vec<u32>)> = (0..20)
            .flat_map(|_| lengths)
            .zip(0..)
            .map(|(length, seed)| {
                let items: Vec<u32> = (seed..seed + length).collect();
                let (at, chunk) = arena.run(items.len());
                chunk.extend_from_slice(&items);
                (at, items)
            })
            .collect();
        arena.shrink();
        for (at, items) in &placed {
            assert_eq!(&arena.tail(*at)[..items.len()], items);
        }
        assert!(arena.tail(usize::MAX).is_empty());
    }
}
