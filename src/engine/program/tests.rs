//! Programs as a whole.
