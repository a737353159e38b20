//! `uri.*`: as Go's `net/url` reads addresses.

use anyhow::{Result, anyhow};
use regorus::Value;
use regorus::value::Object;

use super::text;

/// The parts of an address; those that are empty are absent.
#[derive(Debug, Default)]
struct Parts {
    scheme: String,
    host: String,
    port: String,
    path: String,
    raw_path: String,
    query: String,
    fragment: String,
}

pub(super) fn parse(arguments: &[Value]) -> Result<Value> {
    let parts = read(text(arguments, 0)?)?;
    let members = [
        ("scheme", parts.scheme),
        ("hostname", parts.host),
        ("port", parts.port),
        ("path", parts.path),
        ("raw_path", parts.raw_path),
        ("raw_query", parts.query),
        ("fragment", parts.fragment),
    ];
    let present = members.into_iter().filter(|(_, value)| !value.is_empty());
    let object: Object = present
        .map(|(name, value)| (Value::from(name), Value::from(value)))
        .collect();
    Ok(Value::from(object))
}

#[expect(clippy::unnecessary_wraps, reason = "every builtin has this signature")]
pub(super) fn is_valid(arguments: &[Value]) -> Result<Value> {
    let text = text(arguments, 0).unwrap_or_default();
    Ok(Value::from(!text.is_empty() && read(text).is_ok()))
}

fn read(whole: &str) -> Result<Parts> {
    if whole.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(anyhow!("invalid control character in URL"));
    }
    let mut parts = Parts::default();
    let (rest, fragment) = whole.split_once('#').unwrap_or((whole, ""));
    parts.fragment = unescaped(fragment, Place::Other)?;
    if rest == "*" {
        "*".clone_into(&mut parts.path);
        "*".clone_into(&mut parts.raw_path);
        return Ok(parts);
    }
    let rest = match scheme(rest)? {
        Some((scheme, rest)) => {
            parts.scheme = scheme.to_ascii_lowercase();
            rest
        }
        None => rest,
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    query.clone_into(&mut parts.query);
    if !rest.starts_with('/') {
        if !parts.scheme.is_empty() {
            // An opaque address, such as `mailto:a@b`: it has no path.
            return Ok(parts);
        }
        let first = rest.split('/').next().unwrap_or_default();
        if first.contains(':') {
            return Err(anyhow!("first path segment in URL cannot contain colon"));
        }
    }
    let mut path = rest;
    if (!parts.scheme.is_empty() || !rest.starts_with("///"))
        && let Some(authority) = rest.strip_prefix("//")
    {
        let end = authority.find('/').unwrap_or(authority.len());
        let (authority, after) = authority.split_at(end);
        path = after;
        let host = match authority.rsplit_once('@') {
            Some((user, host)) => {
                let allowed = |byte: u8| {
                    byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)
                };
                if !user.bytes().all(allowed) {
                    return Err(anyhow!("net/url: invalid userinfo"));
                }
                unescaped(user, Place::Other)?;
                host
            }
            None => authority,
        };
        (parts.host, parts.port) = host_and_port(host)?;
    }
    parts.path = unescaped(path, Place::Other)?;
    if !path.is_empty() {
        path.clone_into(&mut parts.raw_path);
        // Where the usual escaping of the path is what stands there, that is not told apart.
        if escaped(&parts.path) == path {
            parts.raw_path.clone_from(&parts.path);
        }
    }
    Ok(parts)
}

fn scheme(text: &str) -> Result<Option<(&str, &str)>> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(anyhow!("missing protocol scheme")),
            b':' => return Ok(text.get(..at).zip(text.get(at + 1..))),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn host_and_port(authority: &str) -> Result<(String, String)> {
    if let Some(inner) = authority.strip_prefix('[') {
        let (host, after) = inner
            .rsplit_once(']')
            .ok_or_else(|| anyhow!("missing ']' in host"))?;
        let port = port(after)?;
        let (address, zone) = host
            .split_once("%25")
            .map_or((host, None), |(a, z)| (a, Some(z)));
        let address = unescaped(address, Place::Host)?;
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(anyhow!("invalid host"));
        }
        let host = match zone {
            Some(zone) => format!("{address}%{}", unescaped(zone, Place::Other)?),
            None => address,
        };
        return Ok((host, port));
    }
    match authority.rfind(':') {
        Some(at) => {
            let (host, after) = authority.split_at(at);
            let port = port(after)?;
            if host.contains(':') {
                return Err(anyhow!("invalid port after host"));
            }
            Ok((unescaped(host, Place::Host)?, port))
        }
        None => Ok((unescaped(authority, Place::Host)?, String::new())),
    }
}

fn port(after: &str) -> Result<String> {
    match after.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(digits.to_owned()),
        None if after.is_empty() => Ok(String::new()),
        _ => Err(anyhow!("invalid port {after:?} after host")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Host,
    Other,
}

fn unescaped(text: &str, place: Place) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else {
                return Err(anyhow!("invalid URL escape"));
            };
            let code = high * 16 + low;
            // In a host an escape is for what is no ASCII alone.
            if place == Place::Host && code < 0x80 {
                return Err(anyhow!("invalid URL escape"));
            }
            bytes.push(code as u8);
        } else {
            let allowed = byte.is_ascii_alphanumeric()
                || byte >= 0x80
                || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte);
            if place == Place::Host && !allowed {
                return Err(anyhow!("invalid character in host name"));
            }
            bytes.push(byte);
        }
    }
    Ok(String::from_utf8(bytes)?)
}

/// A path as Go would write it.
fn escaped(path: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a `String` does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
