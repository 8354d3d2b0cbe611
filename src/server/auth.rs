//! Basic credentials of clients (RFC 7617).

use super::upgrade::Upgrade;
use crate::credentials::Credentials;
use crate::error::{Error, Misuse};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use subtle::ConstantTimeEq;

impl Upgrade {
    /// Whether the client has sent this user name and this password. The time it takes to compare them does
    /// not depend on how much of them is right.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Upgrade;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let client = wsync::ClientBuilder::new(format!("ws://{}/", server.local_addr()));
    /// # let client = client.basic_auth("admin", "secret");
    /// # let client = std::thread::spawn(move || client.connect()?.recv().map_err(wsync::Error::from));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// fn admit(upgrade: Upgrade) -> Result<(), wsync::Error> {
    ///     if !upgrade.has_basic_auth("admin", "secret") {
    ///         return upgrade.demand_basic_auth("machine room");
    ///     }
    ///     upgrade.accept()?.send("welcome")?;
    ///     Ok(())
    /// }
    /// # admit(upgrade)?;
    /// # assert_eq!(client.join().expect("it does not panic")?.as_text(), Some("welcome"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn has_basic_auth(&self, user: &str, password: &str) -> bool {
        let given = self.request().headers().get(AUTHORIZATION);
        let given = given.and_then(|value| Credentials::from_basic(value.as_bytes()));
        given.is_some_and(|given| {
            let user = given.user().ct_eq(user.as_bytes());
            let password = given.password().ct_eq(password.as_bytes());
            (user & password).into()
        })
    }

    /// Answers with 401, and asks for credentials for this realm (RFC 7617 section 2).
    ///
    /// # Errors
    ///
    /// [`Misuse::Header`] for a realm that no header can have.
    ///
    /// # Blocking
    ///
    /// As [`reject`](Self::reject).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// upgrade.demand_basic_auth("machine room")?;
    /// # let error = client.join().expect("it does not panic").unwrap_err();
    /// # assert_eq!(error.response().map(|response| response.status().as_u16()), Some(401));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn demand_basic_auth(self, realm: &str) -> Result<(), Error> {
        let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        let challenge = HeaderValue::try_from(challenge).map_err(|_| Misuse::Header)?;
        let mut response = Response::new(b"credentials, please\n");
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        self.respond(response)
    }
}
