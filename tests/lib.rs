//! Whole-system scenarios: each file beside this one is a test of several crates together.
