//! The loomdb command.
fn main() {}
