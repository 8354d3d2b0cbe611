//! What puts the messages of all servers into one order, and tells each server of the people on the others.
//!
//! A message goes from the server that got it to the broker, and from there to all servers, the first one too: it is
//! shown nowhere before it has come back. So everybody sees the same order. What a broker delivers it may deliver
//! again; the history enters each nonce once.

pub mod in_process;
#[cfg(feature = "nats")]
pub mod nats;
pub mod redis;

use crate::protocol::{Draft, Id, Said};
use crossbeam_channel::Sender;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How long a message may take to be accepted.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// One server's side of a broker. Dropping it ends it.
pub trait Broker: Send + Sync {
    /// Hands a message over, and returns when the broker has accepted it: then it will be delivered to all servers.
    ///
    /// # Errors
    ///
    /// When the broker did not say in time that it has accepted it. It may have nevertheless: say it again with the
    /// same nonce.
    ///
    /// # Blocking
    ///
    /// For [`PATIENCE`] at most, and not at all while the broker is away.
    fn say(&self, draft: Draft) -> Result<(), Away>;

    /// Tells the other servers who is here, if that can be done at once. It is said again every second.
    fn beat(&self, beat: Beat);

    /// Whether it can be spoken to and heard.
    fn is_up(&self) -> bool;
}

/// What a broker delivers, in this order to all servers.
#[derive(Debug)]
pub enum Delivery {
    Said(Said),
    Here(Beat),
}

/// Who is on one server, by room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Of all servers that there ever were, this one.
    pub server: String,
    pub rooms: BTreeMap<String, Vec<String>>,
}

/// The broker is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away;

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("messages cannot be accepted right now")
    }
}

/// Which broker.
#[derive(Clone)]
pub enum Choice {
    /// None but this process: one server, or several of a test that share it.
    InProcess(Arc<in_process::Exchange>),
    Redis(String),
    #[cfg(feature = "nats")]
    Nats(String),
}

impl Choice {
    /// Begins to deliver what was said after `last`, and everything that is said from now on.
    pub fn connect(
        &self,
        last: Id,
        deliveries: Sender<Delivery>,
    ) -> Result<Arc<dyn Broker>, Box<dyn Error + Send + Sync>> {
        Ok(match self {
            Choice::InProcess(exchange) => exchange.join(last, deliveries),
            Choice::Redis(url) => redis::connect(url, last, deliveries)?,
            #[cfg(feature = "nats")]
            Choice::Nats(url) => nats::connect(url, last, deliveries)?,
        })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Choice::InProcess(_) => "in-process",
            Choice::Redis(_) => "redis",
            #[cfg(feature = "nats")]
            Choice::Nats(_) => "nats",
        }
    }

    /// Whether a browser may have got messages from another server that this one has yet to hear of.
    pub fn is_shared(&self) -> bool {
        !matches!(self, Choice::InProcess(_))
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://").map(|(scheme, _)| scheme) {
            None if text == "in-process" => Ok(Choice::InProcess(Arc::default())),
            Some("redis") => Ok(Choice::Redis(text.into())),
            #[cfg(feature = "nats")]
            Some("nats") => Ok(Choice::Nats(text.into())),
            #[cfg(not(feature = "nats"))]
            Some("nats") => Err("for NATS build with --features nats".into()),
            _ => Err("in-process, redis://HOST:PORT or nats://HOST:PORT".into()),
        }
    }
}

/// From one attempt to connect to the next, until one succeeds.
pub fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(100 << attempt.min(5))
}
