//! Tests of the whole program, one module a theme.

mod layering;
