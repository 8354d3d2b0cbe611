//! The opening handshake, as far as the fuzz targets drive it.

use crate::compression::{Compression, DeflateParams};
use crate::handshake::{
    ClientHandshake, HandshakeError, RequestOptions, ServerHandshake, accept, agree,
    offered_subprotocols, render_response,
};
use crate::uri::Target;
use http::{HeaderMap, Request, Response};

/// Receives the request of a client.
#[derive(Debug)]
pub struct Serving(ServerHandshake);

impl Serving {
    /// With the limit of the head.
    pub fn new(head_limit: usize) -> Self {
        Serving(ServerHandshake::new(head_limit))
    }

    /// The request and the bytes after it; `None`: more have to come.
    ///
    /// # Errors
    ///
    /// What the server refuses.
    #[allow(clippy::type_complexity)]
    pub fn receive(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(Box<Request<()>>, Vec<u8>)>, HandshakeError> {
        let received = self.0.receive(bytes)?;
        Ok(received.map(|received| (received.request, received.rest)))
    }
}

/// The bytes with which a server answers an error.
pub fn refusal(error: &HandshakeError) -> Option<Vec<u8>> {
    error.refusal()
}

/// Accepts a request as a server does that takes the first subprotocol, and perhaps compresses: the
/// bytes of the response and what was agreed on.
pub fn answer(request: &Request<()>, ours: Option<&Compression>) -> (Vec<u8>, Answer) {
    let subprotocol = offered_subprotocols(request).first().copied();
    let agreed = ours.and_then(|ours| agree(request.headers(), ours));
    let header = agreed.as_ref().map(|(_, header)| header);
    let response = accept(request, subprotocol, header, &HeaderMap::new());
    let response = response.expect("of what was offered");
    let answer = Answer {
        subprotocol: subprotocol.map(str::to_owned),
        deflate: agreed.map(|(params, _)| params),
    };
    (render_response(&response), answer)
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One of those that were offered.
    pub subprotocol: Option<String>,
    /// How messages are compressed.
    pub deflate: Option<DeflateParams>,
}

/// A server's response that opens the connection.
#[derive(Debug)]
pub struct Opening {
    /// The 101.
    pub response: Response<()>,
    /// What it says.
    pub answer: Answer,
    /// The bytes after it.
    pub rest: Vec<u8>,
}

/// Makes a request, and receives the response.
#[derive(Debug)]
pub struct Connecting(ClientHandshake);

impl Connecting {
    /// With a key that is always the same, so that a response can answer it.
    pub fn new(
        key: &str,
        head_limit: usize,
        subprotocols: &[&str],
        compression: Option<Compression>,
    ) -> Self {
        let target = Target::parse("ws://example.com/chat").expect("an address");
        let options = RequestOptions {
            headers: HeaderMap::new(),
            origin: None,
            subprotocols: subprotocols.iter().copied().map(str::to_owned).collect(),
            user_agent: None,
            compression,
            head_limit,
        };
        Connecting(ClientHandshake::with_key(&target, &options, key).expect("tokens"))
    }

    /// The request.
    pub fn request(&self) -> Vec<u8> {
        self.0.request_bytes()
    }

    /// Takes bytes of the response; `None`: more have to come.
    ///
    /// # Errors
    ///
    /// What the client refuses.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Opening>, HandshakeError> {
        let opened = self.0.receive(bytes)?;
        Ok(opened.map(|opened| Opening {
            response: opened.response,
            answer: Answer {
                subprotocol: opened.subprotocol,
                deflate: opened.deflate,
            },
            rest: opened.rest,
        }))
    }

    /// What the refusal is whose body is on its way.
    pub fn refused_so_far(&mut self) -> Option<HandshakeError> {
        self.0.refused_so_far()
    }

    /// The connection ended.
    pub fn end(&mut self) -> HandshakeError {
        self.0.receive_eof()
    }
}
