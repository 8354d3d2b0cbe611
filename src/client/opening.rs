//! The opening handshake over a link that leads to the server.

use super::ClientBuilder;
use super::course::Course;
use crate::connection::Opened;
use crate::error::Error;
use crate::handle::{Head, Heads};
use crate::handshake::{self, ClientHandshake, RequestOptions};
use crate::net::link::Link;
use crate::protocol::Role;
use crate::websocket::WebSocket;
use std::sync::Arc;
use std::time::Instant;

impl ClientBuilder {
    pub(super) fn open(
        &self,
        mut link: Link,
        course: &mut Course,
        deadline: Option<Instant>,
    ) -> Result<WebSocket, Error> {
        let headers = course.headers()?;
        let target = course.target();
        let mut handshake = ClientHandshake::new(
            target,
            &RequestOptions {
                headers,
                origin: self.origin.clone(),
                subprotocols: self.subprotocols.clone(),
                user_agent: self.user_agent.clone(),
                compression: self.config.compression,
                head_limit: self.config.limits.head,
            },
        )?;
        if target.is_secure() {
            link.start_tls_client(&self.tls, target.host(), deadline)?;
        }
        link.write_all(&handshake.request_bytes(), deadline)?;
        let answer = exchange(&mut link, &mut handshake, deadline);
        #[cfg(feature = "cookies")]
        course.hear(match &answer {
            Ok(agreed) => Some(agreed.response.headers()),
            Err(error) => error.response().map(http::Response::headers),
        });
        let mut agreed = answer?;
        let parts = link.into_parts();
        agreed.rest.extend_from_slice(&parts.pending);
        log::debug!("connected to {}:{}", target.host(), target.port());
        let mut opened = Opened {
            role: Role::Client,
            config: Arc::new(self.config.clone()),
            transport: parts.transport,
            tls: parts.tls,
            ended: parts.ended,
            rest: agreed.rest,
            deflate: agreed.deflate,
            outlet: self.delivery.outlet(),
            on_pong: self.on_pong.clone(),
            place: None,
        };
        let heads = Heads {
            request: Box::new(handshake.request().clone()),
            response: Head::parsed(Box::new(agreed.response)),
        };
        let (ws, reader) = WebSocket::new(&mut opened, heads, agreed.subprotocol);
        reader.start(ws.sender())?;
        Ok(ws)
    }
}

fn exchange(
    link: &mut Link,
    handshake: &mut ClientHandshake,
    deadline: Option<Instant>,
) -> Result<handshake::Opened, Error> {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = match link.read(&mut bytes, deadline) {
            // A refusal that is cut off tells more than that it was.
            Err(error) => return Err(handshake.refused_so_far().map_or(error, Error::from)),
            Ok(read) => read,
        };
        if read == 0 {
            return Err(handshake.receive_eof().into());
        }
        if let Some(opened) = handshake.receive(&bytes)? {
            return Ok(opened);
        }
    }
}
