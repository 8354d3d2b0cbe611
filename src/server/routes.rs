//! Handlers by path and host.

use super::Server;
use super::upgrade::Upgrade;
use crate::credentials::percent_decode;
use crate::error::{Error, Misuse};
use http::header::HOST;
use http::uri::Authority;
use http::{Request, StatusCode};
use matchit::{InsertError, Params, Router};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// What is served, and its parameters.
type Handler = Box<dyn Fn(Upgrade, Vec<String>) + Send + Sync>;

/// Which handler serves which path, and which host. What none of them serves is answered with 404.
///
/// In the pattern of a path, `{name}` stands for one segment, or the rest of one behind what it begins with,
/// and `{*name}` at the end for all that follows; `{{` and `}}` are braces. What is more exact goes first, in
/// whatever order routes are given. Paths are compared as they are sent: `/a%62c` is not `/abc`.
///
/// # Examples
///
/// ```
/// use wsync::{Routes, Server};
///
/// let routes = Routes::new()
///     .route("/rooms/{room}/users/{id}", |upgrade, (room, id): (String, u64)| {
///         if let Ok(ws) = upgrade.accept() {
///             let _ = ws.send(format!("user {id} in {room}"));
///         }
///     })?
///     .route("/time", |upgrade, ()| drop(upgrade.accept()))?
///     .host("api.example.org", Routes::new().otherwise(|upgrade| drop(upgrade.accept())))?;
/// let server = Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/rooms/kitchen/users/7", server.local_addr());
/// # let stopper = server.clone();
/// # let visitor = std::thread::spawn(move || {
/// #     let answer = wsync::connect(&url).and_then(|ws| { Ok(ws.recv()?) });
/// #     stopper.shutdown().and(answer)
/// # });
/// server.serve_routes(routes)?;
/// # assert_eq!(visitor.join().expect("it does not panic")?.as_text(), Some("user 7 in kitchen"));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Default)]
pub struct Routes {
    paths: Router<Handler>,
    hosts: HashMap<String, Routes>,
    otherwise: Option<Handler>,
}

impl Routes {
    /// Without routes: all is answered with 404.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Routes;
    ///
    /// let routes = Routes::new().route("/time", |upgrade, ()| drop(upgrade.accept()))?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn new() -> Self {
        Routes::default()
    }

    /// Serves the paths of a pattern. The handler gets its parameters in their order, percent-decoded
    /// ([`PathParams`]); a path with one that cannot be parsed, or is not UTF-8, is answered with 404.
    ///
    /// # Errors
    ///
    /// [`Misuse::Route`] for a pattern that is none, conflicts with another, or has more or fewer parameters
    /// than the handler.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Error, Misuse, Routes, Upgrade};
    ///
    /// let download = |upgrade: Upgrade, (version, file): (u32, String)| drop(upgrade.accept());
    /// let routes = Routes::new().route("/files/v{version}/{*file}", download)?;
    /// let error = routes.route("/files/{version}", download).unwrap_err();
    /// assert!(matches!(error, Error::Misuse(Misuse::Route(_))));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn route<P: PathParams>(
        mut self,
        pattern: &str,
        handler: impl Fn(Upgrade, P) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        if !pattern.starts_with('/') {
            return Err(Misuse::Route("a path begins with /").into());
        }
        if pattern.replace("{{", "").matches('{').count() != P::COUNT {
            return Err(Misuse::Route("the handler has other parameters than the path").into());
        }
        let serve = move |upgrade, values| match P::parse(values) {
            Some(params) => handler(upgrade, params),
            None => not_found(upgrade),
        };
        let inserted = self.paths.insert(pattern, Box::new(serve));
        inserted.map_err(|e| {
            Misuse::Route(match e {
                InsertError::Conflict { .. } => "the path conflicts with another",
                InsertError::InvalidParamSegment => "a segment has one parameter at most",
                InsertError::InvalidCatchAll => "{*name} is for the end of a path",
                _ => "a parameter is {name}",
            })
        })?;
        Ok(self)
    }

    /// Has routes of its own for a host: that of the Host header, without the port, in whatever case, and with
    /// a dot at its end or without (RFC 9110 section 7.2). What they do not serve is not looked for among
    /// those without a host.
    ///
    /// # Errors
    ///
    /// [`Misuse::Route`] for a host that is none or has a port, or that was given before.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Routes, Upgrade};
    ///
    /// let accept = |upgrade: Upgrade, ()| drop(upgrade.accept());
    /// let routes = Routes::new()
    ///     .host("api.example.org", Routes::new().route("/v1", accept)?)?
    ///     .host("chat.example.org", Routes::new().route("/", accept)?)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn host(mut self, host: &str, routes: Routes) -> Result<Self, Error> {
        let parsed = host.parse().ok().filter(|a: &Authority| a.host() == host);
        let Some(authority) = parsed else {
            return Err(Misuse::Route("a host is a name or an address, without a port").into());
        };
        match self.hosts.insert(name(&authority), routes) {
            None => Ok(self),
            Some(_) => Err(Misuse::Route("the host has routes already").into()),
        }
    }

    /// Serves what has no route, instead of 404.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Routes;
    ///
    /// let routes = Routes::new()
    ///     .route("/chat", |upgrade, ()| drop(upgrade.accept()))?
    ///     .otherwise(|upgrade| drop(upgrade.reject(http::StatusCode::GONE, "moved to /chat\n")));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn otherwise(mut self, handler: impl Fn(Upgrade) + Send + Sync + 'static) -> Self {
        self.otherwise = Some(Box::new(move |upgrade, _| handler(upgrade)));
        self
    }

    /// A handler for [`Server::serve_upgrades`]. Those who are refused before their request is known are
    /// left to the log.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Routes, Server};
    ///
    /// let handler = Routes::new().route("/time", |upgrade, ()| drop(upgrade.accept()))?.into_handler();
    /// let server = Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/time", server.local_addr());
    /// std::thread::spawn(move || {
    ///     server.serve_upgrades(move |upgrade| {
    ///         println!("{upgrade:?}");
    ///         handler(upgrade);
    ///     })
    /// });
    /// # wsync::connect(&url)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn into_handler(self) -> impl Fn(Result<Upgrade, Error>) + Send + Sync + 'static {
        move |upgrade| {
            if let Ok(upgrade) = upgrade {
                match self.find(upgrade.request()) {
                    Some((handler, values)) => handler(upgrade, values),
                    None => not_found(upgrade),
                }
            }
        }
    }

    fn find(&self, request: &Request<()>) -> Option<(&Handler, Vec<String>)> {
        let host = host(request).and_then(|host| self.hosts.get(&host));
        if let Some(routes) = host {
            return routes.find(request);
        }
        match self.paths.at(request.uri().path()) {
            Ok(found) => Some((found.value, decode(&found.params)?)),
            Err(_) => Some((self.otherwise.as_ref()?, Vec::new())),
        }
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Serves every client as the routes say, on a thread of its own.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    ///
    /// # Blocking
    ///
    /// As [`serve`](Self::serve).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Routes, Server};
    ///
    /// let routes = Routes::new().route("/square/{n}", |upgrade, (n,): (i64,)| {
    ///     if let Ok(ws) = upgrade.accept() {
    ///         let _ = ws.send((n * n).to_string());
    ///     }
    /// })?;
    /// let server = Server::bind("127.0.0.1:0")?;
    /// let url = format!("ws://{}/square/12", server.local_addr());
    /// std::thread::spawn(move || server.serve_routes(routes));
    /// assert_eq!(wsync::connect(&url)?.recv()?.as_text(), Some("144"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn serve_routes(&self, routes: Routes) -> Result<(), Error> {
        self.serve_upgrades(routes.into_handler())
    }
}

/// The parameters of a path: `()` for none, or a tuple of one to four types that can be parsed
/// ([`FromStr`]).
///
/// # Examples
///
/// ```
/// use wsync::{Routes, Upgrade};
///
/// let room = |_: Upgrade, (name, seat): (String, u16)| println!("seat {seat} in {name}");
/// let routes = Routes::new().route("/rooms/{name}/{seat}", room)?;
/// # Ok::<(), wsync::Error>(())
/// ```
pub trait PathParams: Sized {
    /// How many they are.
    const COUNT: usize;

    /// Parses so many values, which are percent-decoded. `None` if one of them cannot be.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::PathParams;
    ///
    /// let values = ["kitchen", "4"].map(String::from).to_vec();
    /// let params: Option<(String, u16)> = PathParams::parse(values);
    /// assert_eq!(params, Some(("kitchen".into(), 4)));
    /// ```
    fn parse(values: Vec<String>) -> Option<Self>;
}

macro_rules! path_params {
    ($count:literal, $($param:ident)*) => {
        impl<$($param: FromStr),*> PathParams for ($($param,)*) {
            const COUNT: usize = $count;

            fn parse(values: Vec<String>) -> Option<Self> {
                let mut _values = values.iter();
                Some(($(_values.next()?.parse::<$param>().ok()?,)*))
            }
        }
    };
}

path_params!(0,);
path_params!(1, A);
path_params!(2, A B);
path_params!(3, A B C);
path_params!(4, A B C D);

fn decode(params: &Params<'_, '_>) -> Option<Vec<String>> {
    let decode = |value| String::from_utf8(percent_decode(value).ok()?).ok();
    params.iter().map(|(_, value)| decode(value)).collect()
}

/// The host that a request is for.
fn host(request: &Request<()>) -> Option<String> {
    let host = request.headers().get(HOST)?.to_str().ok()?;
    host.parse().ok().as_ref().map(name)
}

/// A host in the form in which two of them are compared.
fn name(authority: &Authority) -> String {
    let host = authority.host();
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn not_found(upgrade: Upgrade) {
    // Whether the client reads it is its own affair.
    let _ = upgrade.reject(StatusCode::NOT_FOUND, "nothing is here\n");
}
