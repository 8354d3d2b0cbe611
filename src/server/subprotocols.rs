//! Which subprotocol a server agrees on (RFC 6455 section 1.9).

use crate::handshake;
use http::Request;
use std::fmt;
use std::sync::Arc;

type Choose = dyn Fn(&Request<()>, &[&str]) -> Option<String> + Send + Sync;

/// How it is chosen.
#[derive(Clone, Default)]
pub(super) struct Subprotocols {
    /// The first of these that a client offers.
    pub(super) ours: Vec<String>,
    /// What this says, instead.
    pub(super) choose: Option<Arc<Choose>>,
}

impl Subprotocols {
    pub(super) fn choose(&self, request: &Request<()>) -> Option<String> {
        if self.ours.is_empty() && self.choose.is_none() {
            return None;
        }
        let offered = handshake::offered_subprotocols(request);
        match &self.choose {
            Some(choose) => choose(request, &offered),
            None => (self.ours.iter())
                .find(|ours| offered.contains(&ours.as_str()))
                .cloned(),
        }
    }
}

impl fmt::Debug for Subprotocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subprotocols").field(&self.ours).finish()
    }
}
