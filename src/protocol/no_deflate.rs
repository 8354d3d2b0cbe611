//! In the place of `deflate.rs` without the feature. `Config::check` sees to it that nothing here is
//! ever called.

use super::{DeflateSettings, Part};
use crate::error::ProtocolError;

pub(super) const TAIL: &[u8] = &[];

#[derive(Debug)]
pub(crate) struct Deflater;

impl Deflater {
    pub(crate) fn new(_: DeflateSettings) -> Self {
        Deflater
    }

    pub(crate) fn deflate(&mut self, _: &[u8], _: Part, _: &mut Vec<u8>) {}

    pub(crate) fn reset(&mut self) {}
}

#[derive(Debug)]
pub(super) struct Inflater;

impl Inflater {
    pub(super) fn new() -> Self {
        Inflater
    }

    pub(super) fn inflate(&mut self, _: &[u8]) -> Result<usize, ProtocolError> {
        Err(ProtocolError::Deflate)
    }

    pub(super) fn is_full(&self) -> bool {
        false
    }

    pub(super) fn take(&mut self) -> &[u8] {
        &[]
    }

    pub(super) fn shrink(&mut self) {}

    pub(super) fn is_large(&self) -> bool {
        false
    }
}
