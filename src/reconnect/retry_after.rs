//! How long a server asks to be left alone (RFC 9110 section 10.2.3).

use crate::error::Error;
use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};
use std::time::Duration;

/// More than this is not waited for.
const MOST: Duration = Duration::from_secs(3600);

pub(super) fn of(error: &Error) -> Option<Duration> {
    let headers = error.response()?.headers();
    let value = text(headers, RETRY_AFTER)?.trim();
    let wait = match value.bytes().all(|b| b.is_ascii_digit()) {
        true => Duration::from_secs(value.parse().unwrap_or(u64::MAX)),
        // Between times of the server's, so that the clock here may be wrong.
        false => {
            let until = httpdate::parse_http_date(value).ok()?;
            let now = httpdate::parse_http_date(text(headers, DATE)?).ok()?;
            until.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(MOST))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::HandshakeError;

    fn wait(after: &str, date: Option<&str>) -> Option<u64> {
        let mut response = http::Response::builder().status(503);
        response = response.header(RETRY_AFTER, after);
        if let Some(date) = date {
            response = response.header(DATE, date);
        }
        let error = HandshakeError::Status(Box::new(response.body(Vec::new()).unwrap()));
        of(&error.into()).map(|wait| wait.as_secs())
    }

    #[test]
    fn it_is_seconds_or_a_time() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait("120", None), Some(120));
        assert_eq!(wait("0", now), Some(0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:00 GMT", now), Some(23));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(0));
    }

    #[test]
    fn what_is_neither_says_nothing_and_too_much_is_bounded() {
        for after in ["", "-5", "5 s", "soon", "1e3"] {
            assert_eq!(
                wait(after, Some("Sun, 06 Nov 1994 08:49:37 GMT")),
                None,
                "{after}"
            );
        }
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:00 GMT", None), None);
        assert_eq!(wait("99999999999999999999999", None), Some(3600));
        assert_eq!(of(&Error::eof()), None);
    }
}
