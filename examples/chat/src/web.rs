//! The pages, and whether the server is well: what is answered by HTTP on the port of the WebSockets.

use crate::chat::Context;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

const PAGES: [(&str, &str, &str); 9] = [
    ("/", HTML, include_str!("pages/index.html")),
    ("/chat.js", SCRIPT, include_str!("pages/chat.js")),
    ("/chat.css", STYLE, include_str!("pages/chat.css")),
    ("/monitor", HTML, include_str!("pages/monitor.html")),
    ("/monitor.js", SCRIPT, include_str!("pages/monitor.js")),
    ("/monitor.css", STYLE, include_str!("pages/monitor.css")),
    ("/reconnect.js", SCRIPT, include_str!("pages/reconnect.js")),
    ("/common.css", STYLE, include_str!("pages/common.css")),
    ("/icon.svg", "image/svg+xml", include_str!("pages/icon.svg")),
];

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Nothing runs, and nothing is loaded or spoken to, but what is of this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SECURITY: [(&str, &str); 3] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
];

/// `None` for the addresses of WebSockets.
pub fn answer(request: &Request<()>, context: &Context) -> Option<Response<Vec<u8>>> {
    let path = request.uri().path();
    if path == "/ws" || path == "/monitor/ws" {
        return None;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        let methods = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(http::header::ALLOW, methods);
        return Some(response);
    }
    if path == "/health" {
        return Some(health(context));
    }
    let page = PAGES.iter().find(|(at, ..)| *at == path);
    Some(match page {
        Some((_, kind, text)) => respond(StatusCode::OK, kind, text),
        None => respond(StatusCode::NOT_FOUND, TEXT, "there is no such page\n"),
    })
}

/// For a load balancer: whether it may send browsers here.
fn health(context: &Context) -> Response<Vec<u8>> {
    let trouble = context.trouble();
    let status = match trouble {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let report = json!({
        "status": trouble.unwrap_or("ok"),
        "server": context.name,
        "broker": context.broker_name,
    });
    respond(status, "application/json", &format!("{report}\n"))
}

fn respond(status: StatusCode, kind: &'static str, text: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(text.as_bytes().to_vec());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    for (name, value) in SECURITY {
        let name = HeaderName::from_static(name);
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
