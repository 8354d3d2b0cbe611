//! The command `wsync`.
