//! Tests of the client against servers of this process.
