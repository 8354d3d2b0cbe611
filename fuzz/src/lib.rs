//! What the fuzz targets share: an input taken apart, a stream cut into reads, and a reader that
//! checks the decoder at each step.

mod input;
mod opening;
mod outgoing;
mod reader;

pub use input::{Cuts, Input};
pub use opening::{Served, compression, judged, serve};
pub use outgoing::Outgoing;
pub use reader::{Failure, Outcome, Reader, Setting, limits};

/// The key of RFC 6455 section 1.3, and what answers it.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
