//! Keeps docs/COMPARE.md true.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "compare/tungstenite.rs"]
mod tungstenite;
