//! cargo run -p chat

fn main() {}
