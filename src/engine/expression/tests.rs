//! Tests of the language as a whole; those of its parts lie beside them.

mod attacks;
mod differential;
mod guards;
mod language;
mod support;
mod vectors;
