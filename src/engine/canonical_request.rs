//! The one spelling of a request that HTTP rules see, so that no two spellings of a path get two answers.
//!
//! Path: only unreserved characters are decoded, escapes in upper case, and what invites servers to disagree is
//! refused. Host: lower case, without port and trailing dot. Query: decoded once, duplicates kept.

use std::borrow::Cow;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

/// A request's target and host in canonical form: what came, where it came so, and else in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanonicalRequest<'a> {
    pub path: &'a str,
    /// Decoded name and value, in order; a name may repeat.
    pub query: &'a [(&'a str, &'a str)],
    pub host: &'a str,
}

/// What servers read differently, and is therefore refused unless allowed by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    DotSegment,
    Backslash,
    DoubleSlash,
    EncodedSlash,
    EncodedBackslash,
    EncodedNul,
    Semicolon,
}

impl Ambiguity {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::DotSegment,
        Self::Backslash,
        Self::DoubleSlash,
        Self::EncodedSlash,
        Self::EncodedBackslash,
        Self::EncodedNul,
        Self::Semicolon,
    ];

    /// The name by which configuration allows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DotSegment => "dot_segment",
            Self::Backslash => "backslash",
            Self::DoubleSlash => "double_slash",
            Self::EncodedSlash => "encoded_slash",
            Self::EncodedBackslash => "encoded_backslash",
            Self::EncodedNul => "encoded_nul",
            Self::Semicolon => "semicolon",
        }
    }
}

/// A request that has no canonical form: answer 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    #[error("the path does not start with `/`")]
    NoPath,
    #[error("the path holds a percent sign without two hexadecimal digits")]
    BadEscape,
    #[error("the path holds a character that must be escaped")]
    BadCharacter,
    #[error("the path is ambiguous: {}", .0.as_str())]
    Ambiguous(Ambiguity),
    #[error("the query is not UTF-8 when decoded, or holds a broken escape")]
    BadQuery,
    #[error("the host is malformed")]
    BadHost,
}

/// The canonical form of a request whose `target` is a path with an optional query, as sent.
///
/// # Errors
///
/// [`NotCanonical`]; ambiguities in `allowed` pass as they are.
pub fn canonical_request<'a>(
    target: &'a str,
    host: &'a str,
    allowed: &[Ambiguity],
    arena: &'a Bump,
) -> Result<CanonicalRequest<'a>, NotCanonical> {
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(CanonicalRequest {
        path: kept(canonical_path(path, allowed)?, arena),
        query: decoded_query(query, arena)?,
        host: kept(canonical_host(host)?, arena),
    })
}

/// Text that lives as long as the arena.
fn kept<'a>(text: Cow<'a, str>, arena: &'a Bump) -> &'a str {
    match text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => arena.alloc_str(&text),
    }
}

/// The canonical form of a path.
///
/// # Errors
///
/// As [`canonical_request`].
pub fn canonical_path<'p>(
    path: &'p str,
    allowed: &[Ambiguity],
) -> Result<Cow<'p, str>, NotCanonical> {
    if !path.starts_with('/') {
        return Err(NotCanonical::NoPath);
    }
    if is_plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    let refuse = |ambiguity: Ambiguity| {
        if allowed.contains(&ambiguity) {
            Ok(())
        } else {
            Err(NotCanonical::Ambiguous(ambiguity))
        }
    };
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let decoded = escape(&mut bytes).ok_or(NotCanonical::BadEscape)?;
                match decoded {
                    b'/' => refuse(Ambiguity::EncodedSlash)?,
                    b'\\' => refuse(Ambiguity::EncodedBackslash)?,
                    0 => refuse(Ambiguity::EncodedNul)?,
                    _ => {}
                }
                push_canonical(&mut out, decoded);
            }
            b'\\' => {
                refuse(Ambiguity::Backslash)?;
                out.push('\\');
            }
            b';' => {
                refuse(Ambiguity::Semicolon)?;
                out.push(';');
            }
            0..=b' ' | 0x7f => return Err(NotCanonical::BadCharacter),
            0x80.. => push_escape(&mut out, byte),
            _ => out.push(char::from(byte)),
        }
    }
    if out.contains("//") {
        refuse(Ambiguity::DoubleSlash)?;
    }
    if out.split('/').any(|segment| matches!(segment, "." | "..")) {
        refuse(Ambiguity::DotSegment)?;
    }
    Ok(Cow::Owned(out))
}

/// Whether a path is surely canonical as it is: most are. One that looks as if it had a dot segment is looked at again.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let after_slash = std::mem::replace(&mut before, byte) == b'/';
        match byte {
            b'/' | b'.' => !after_slash,
            b'%' | b'\\' | b';' => false,
            _ => matches!(byte, b'!'..=b'~'),
        }
    })
}

const fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The byte that the two digits after a percent sign stand for.
fn escape(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let high = char::from(bytes.next()?).to_digit(16)?;
    let low = char::from(bytes.next()?).to_digit(16)?;
    Some((high * 16 + low) as u8)
}

fn push_canonical(out: &mut String, byte: u8) {
    if unreserved(byte) {
        out.push(char::from(byte));
    } else {
        push_escape(out, byte);
    }
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    out.push('%');
    for digit in [byte >> 4, byte & 15] {
        out.extend(DIGITS.get(usize::from(digit)));
    }
}

fn decoded_query<'a>(
    query: &'a str,
    arena: &'a Bump,
) -> Result<&'a [(&'a str, &'a str)], NotCanonical> {
    let mut pairs = BumpVec::new_in(arena);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((kept(decoded(name)?, arena), kept(decoded(value)?, arena)));
    }
    Ok(pairs.into_bump_slice())
}

/// Form decoding: `+` is a blank, escapes are bytes, the whole must be UTF-8.
fn decoded(text: &str) -> Result<Cow<'_, str>, NotCanonical> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => escape(&mut bytes).ok_or(NotCanonical::BadQuery)?,
            other => other,
        });
    }
    let text = String::from_utf8(out).map_err(|_| NotCanonical::BadQuery)?;
    Ok(Cow::Owned(text))
}

fn canonical_host(host: &str) -> Result<Cow<'_, str>, NotCanonical> {
    let name = match host.strip_prefix('[') {
        // An IPv6 literal: the colons inside the brackets are no port.
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(NotCanonical::BadHost)?;
            if !is_port(after) || address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(NotCanonical::BadHost);
            }
            return Ok(format!("[{}]", address.to_ascii_lowercase()).into());
        }
        None => host.split(':').next().unwrap_or_default(),
    };
    if !is_port(host.get(name.len()..).unwrap_or_default()) {
        return Err(NotCanonical::BadHost);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let plain = |byte: u8| unreserved(byte);
    if !name.bytes().all(plain) || name.ends_with('.') {
        return Err(NotCanonical::BadHost);
    }
    Ok(if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    })
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.strip_prefix(':').map_or(text.is_empty(), |port| {
        port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<Cow<'_, str>, NotCanonical> {
        canonical_path(text, &[])
    }

    #[test]
    fn only_unreserved_characters_are_decoded() {
        assert_eq!(path("/a%2db%7E%41").unwrap(), "/a-b~A");
        assert_eq!(path("/a%3ab%c3%a9").unwrap(), "/a%3Ab%C3%A9");
        assert_eq!(path("/é").unwrap(), "/%C3%A9");
        assert_eq!(path("/a/").unwrap(), "/a/");
        assert_eq!(path("/%2525").unwrap(), "/%2525");
    }

    #[test]
    fn ambiguities_are_refused_unless_allowed() {
        for (text, ambiguity) in [
            ("/a/../b", Ambiguity::DotSegment),
            ("/a/%2e%2E/b", Ambiguity::DotSegment),
            ("/a/.", Ambiguity::DotSegment),
            ("/a\\b", Ambiguity::Backslash),
            ("//a", Ambiguity::DoubleSlash),
            ("/a%2Fb", Ambiguity::EncodedSlash),
            ("/a%2fb", Ambiguity::EncodedSlash),
            ("/a%5cb", Ambiguity::EncodedBackslash),
            ("/a%00b", Ambiguity::EncodedNul),
            ("/a;b", Ambiguity::Semicolon),
        ] {
            assert_eq!(
                path(text),
                Err(NotCanonical::Ambiguous(ambiguity)),
                "{text}"
            );
            assert!(canonical_path(text, &[ambiguity]).is_ok(), "{text}");
        }
        assert_eq!(path("/a/..b/c...").unwrap(), "/a/..b/c...");
    }

    #[test]
    fn garbage_is_refused() {
        for text in ["", "a", "*", "/%", "/%4", "/%zz", "/a b", "/\u{7f}", "/\n"] {
            assert!(path(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn query_is_decoded_once() {
        let arena = Bump::new();
        let ask = |target| canonical_request(target, "h", &[], &arena);
        assert_eq!(
            ask("/p?a=1&a=2&b=%252F&c+d=+&e").unwrap().query,
            [
                ("a", "1"),
                ("a", "2"),
                ("b", "%2F"),
                ("c d", " "),
                ("e", "")
            ]
        );
        assert_eq!(ask("/p?a=%ff"), Err(NotCanonical::BadQuery));
        assert_eq!(ask("/p?a=%2"), Err(NotCanonical::BadQuery));
    }

    #[test]
    fn host_loses_port_dot_and_case() {
        let host = canonical_host;
        assert_eq!(host("Example.COM.:8443").unwrap(), "example.com");
        assert_eq!(host("[2001:DB8::1]:80").unwrap(), "[2001:db8::1]");
        assert_eq!(host("").unwrap(), "");
        for text in ["a..", "a:b", "a:1:2", "a/b", "a b", "[::1", "[x]", "a@b"] {
            assert_eq!(host(text), Err(NotCanonical::BadHost), "{text}");
        }
    }
}
