//! Hash tables for keys that policies choose: filled when a bundle is loaded, only looked up by requests, so that no
//! request can make keys collide, and a fast hash does.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

/// A map whose keys come from policies.
pub(super) type Table<K, V> = HashMap<K, V, FixedState>;

/// A set whose members come from policies.
pub(super) type TableSet<K> = HashSet<K, FixedState>;
