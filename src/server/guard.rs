//! Who may call from where: browsers (Origin) and names that were rebound to loopback (Host).

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri};

/// Why a request is refused before anybody looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("requests from this origin are not allowed: add it to `allowed_origins`")]
    Origin,
    #[error("the host is no loopback name, and this listener is on loopback")]
    Host,
}

/// What a listener asks of its callers.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// A TCP listener on loopback: names must be loopback names.
    pub loopback: bool,
    pub allowed_origins: &'a [String],
}

impl Guard<'_> {
    /// The `Origin` of a request must be allowed.
    ///
    /// # Errors
    ///
    /// [`Refusal::Origin`].
    pub fn origin(&self, origin: &HeaderValue) -> Result<(), Refusal> {
        let mut allowed = self.allowed_origins.iter();
        if allowed.any(|allowed| origin == allowed.as_str()) {
            Ok(())
        } else {
            Err(Refusal::Origin)
        }
    }

    /// Each `Host` must fit the listener.
    ///
    /// # Errors
    ///
    /// [`Refusal::Host`].
    pub fn host(&self, host: &HeaderValue) -> Result<(), Refusal> {
        if !self.loopback || is_common(host.as_bytes()) {
            return Ok(());
        }
        let host = host.to_str();
        if host.is_ok_and(|host| is_loopback(without_port(host))) {
            Ok(())
        } else {
            Err(Refusal::Host)
        }
    }

    /// So must the host of an absolute target.
    ///
    /// # Errors
    ///
    /// [`Refusal::Host`].
    pub fn target(&self, uri: &Uri) -> Result<(), Refusal> {
        match uri.host() {
            Some(host) if self.loopback && !is_loopback(host) => Err(Refusal::Host),
            _ => Ok(()),
        }
    }
}

/// Refuses a request with an `Origin` that is not allowed and, on a TCP listener on loopback, one whose `Host` is no
/// loopback name.
///
/// # Errors
///
/// [`Refusal`].
pub fn check(
    headers: &HeaderMap,
    uri: &Uri,
    loopback: bool,
    allowed_origins: &[String],
) -> Result<(), Refusal> {
    let guard = Guard {
        loopback,
        allowed_origins,
    };
    for origin in headers.get_all(ORIGIN) {
        guard.origin(origin)?;
    }
    guard.target(uri)?;
    for host in headers.get_all(HOST) {
        guard.host(host)?;
    }
    Ok(())
}

/// The names that nearly everybody uses, told without parsing.
fn is_common(host: &[u8]) -> bool {
    let port = |rest: &[u8]| match rest {
        [] => true,
        [b':', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    [&b"localhost"[..], b"127.0.0.1"]
        .iter()
        .any(|name| host.strip_prefix(*name).is_some_and(port))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => {
            host.eq_ignore_ascii_case("localhost")
                || host.to_ascii_lowercase().ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(
        request: &http::request::Parts,
        loopback: bool,
        origins: &[String],
    ) -> Result<(), Refusal> {
        check(&request.headers, &request.uri, loopback, origins)
    }

    fn request(headers: &[(&str, &str)]) -> http::request::Parts {
        let mut builder = http::Request::builder().uri("/v1/validate");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_loopback_names_reach_a_loopback_listener() {
        for host in [
            "127.0.0.1:8181",
            "127.8.8.8",
            "localhost",
            "LOCALHOST:1",
            "[::1]:8181",
            "a.localhost",
        ] {
            assert_eq!(
                allows(&request(&[("host", host)]), true, &[]),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "evil.example:8181",
            "10.0.0.1",
            "localhost.evil.example",
            "",
            "[::2]",
        ] {
            let request = request(&[("host", host)]);
            assert_eq!(allows(&request, true, &[]), Err(Refusal::Host), "{host}");
            assert_eq!(allows(&request, false, &[]), Ok(()), "{host}");
        }
    }

    #[test]
    fn browsers_need_an_allowed_origin() {
        let allowed = ["https://console.example".to_owned()];
        let from = |origin| request(&[("host", "localhost"), ("origin", origin)]);
        assert_eq!(
            allows(&from("https://console.example"), true, &allowed),
            Ok(())
        );
        assert_eq!(
            allows(&from("https://evil.example"), true, &allowed),
            Err(Refusal::Origin)
        );
        assert_eq!(allows(&from("null"), false, &[]), Err(Refusal::Origin));
    }
}
