//! Answers to a request other than a WebSocket.

use super::refusing::refuse;
use super::upgrade::Upgrade;
use crate::error::{Error, Misuse};
use crate::handshake;
use http::{HeaderMap, Response, StatusCode};

impl Upgrade {
    /// Answers with a status other than 101, and a body in plain text.
    ///
    /// # Errors
    ///
    /// [`Misuse::Response`] for a status that is no answer: the client gets a 500 then.
    ///
    /// # Blocking
    ///
    /// Until the client has read it, at most a second.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// upgrade.reject(http::StatusCode::NOT_FOUND, "no such room\n")?;
    /// # let error = client.join().expect("it does not panic").unwrap_err();
    /// # assert_eq!(error.response().map(|response| response.status().as_u16()), Some(404));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn reject(self, status: StatusCode, body: impl AsRef<[u8]>) -> Result<(), Error> {
        self.answer_with(status, &HeaderMap::new(), body.as_ref())
    }

    /// Answers with any response but a 1xx: a redirect, a demand for credentials, a page. Headers that
    /// would contradict the length of its body are left out, and the connection ends with it.
    ///
    /// # Errors
    ///
    /// As [`reject`](Self::reject).
    ///
    /// # Blocking
    ///
    /// As [`reject`](Self::reject).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// let response = http::Response::builder()
    ///     .status(308)
    ///     .header("Location", "wss://example.org/new")
    ///     .body("")?;
    /// upgrade.respond(response)?;
    /// # let error = client.join().expect("it does not panic").unwrap_err();
    /// # assert_eq!(error.response().map(|response| response.status().as_u16()), Some(308));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn respond(self, response: Response<impl AsRef<[u8]>>) -> Result<(), Error> {
        let (head, body) = response.into_parts();
        self.answer_with(head.status, &head.headers, body.as_ref())
    }

    fn answer_with(
        mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), Error> {
        if status.is_informational() {
            self.refuse(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), b"");
            return Err(Misuse::Response.into());
        }
        self.refuse(status, headers, body);
        Ok(())
    }

    pub(super) fn refuse(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        if let Some(mut pending) = self.pending.take() {
            log::debug!("answered a client with {status}");
            refuse(
                &mut pending.link,
                &handshake::refusal(status, headers, body),
            );
        }
    }
}
