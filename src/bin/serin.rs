//! The one binary of the controller.
fn main() {}
