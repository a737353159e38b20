//! Who may call from where: browsers (Origin) and names that were rebound to loopback (Host).

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

/// Why a request is refused before anybody looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("requests from this origin are not allowed: add it to `allowed_origins`")]
    Origin,
    #[error("the host is no loopback name, and this listener is on loopback")]
    Host,
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
    for origin in headers.get_all(ORIGIN) {
        if !allowed_origins
            .iter()
            .any(|allowed| origin == allowed.as_str())
        {
            return Err(Refusal::Origin);
        }
    }
    if !loopback {
        return Ok(());
    }
    if uri.host().is_some_and(|host| !is_loopback(host)) {
        return Err(Refusal::Host);
    }
    for host in headers.get_all(HOST) {
        if !host
            .to_str()
            .is_ok_and(|host| is_loopback(without_port(host)))
        {
            return Err(Refusal::Host);
        }
    }
    Ok(())
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
