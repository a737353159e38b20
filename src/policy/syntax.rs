//! What text in a field must look like, one checker per syntax.

use core::net::IpAddr;

use uuid::Uuid;

/// The syntax of a text field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Any,
    NonEmpty,
    /// A policy's name: 1 to 255 characters, none a control character, no blanks around it.
    Name,
    /// A token of RFC 9110: names of headers.
    Token,
    /// A CEL identifier.
    Identifier,
    Version,
    Uuid,
    Cidr,
    /// An HTTP method, in upper case.
    Method,
    PathTemplate,
    /// A host name in lower case, without port and trailing dot.
    Host,
    /// The path of a Rego module.
    RegoPath,
}

/// Characters of a policy's name.
const MAX_NAME: usize = 255;

/// Words that CEL keeps for itself.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

impl Syntax {
    /// Checks `text`; the message says what is wrong and what to do.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Any => Ok(()),
            Self::NonEmpty => ensure(!text.is_empty(), || "must not be empty".to_owned()),
            Self::Name => check_name(text),
            Self::Token => check_token(text),
            Self::Identifier => check_identifier(text),
            Self::Version => semver::Version::parse(text).map(|_| ()).map_err(|error| {
                format!("`{text}` is no semantic version such as `1.0.0`: {error}")
            }),
            Self::Uuid => ensure(Uuid::try_parse(text).is_ok(), || {
                format!("`{text}` is no UUID")
            }),
            Self::Cidr => check_cidr(text),
            Self::Method => check_method(text),
            Self::PathTemplate => check_path_template(text),
            Self::Host => check_host(text),
            Self::RegoPath => check_rego_path(text),
        }
    }

    /// The pattern and the format of the syntax in JSON Schema, where it has one. A pattern may accept
    /// more than [`Self::check`], never less.
    pub const fn schema(self) -> (Option<&'static str>, Option<&'static str>) {
        match self {
            Self::Any => (None, None),
            Self::NonEmpty => (Some("."), None),
            Self::Name => (Some("^.{1,255}$"), None),
            Self::Token => (Some("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"), None),
            Self::Identifier => (Some("^[A-Za-z_][A-Za-z0-9_]*$"), None),
            Self::Version => (Some("^[0-9]+\\.[0-9]+\\.[0-9]+([-+].+)?$"), None),
            Self::Uuid => (None, Some("uuid")),
            Self::Cidr => (Some("^[0-9A-Fa-f.:]+/[0-9]{1,3}$"), None),
            Self::Method => (Some("^[A-Z0-9!#$%&'*+.^_`|~-]+$"), None),
            Self::PathTemplate => (Some("^/"), None),
            Self::Host => (Some("^[a-z0-9._:\\[\\]-]+$"), None),
            Self::RegoPath => (Some("\\.rego$"), None),
        }
    }
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

fn check_name(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    ensure((1..=MAX_NAME).contains(&length), || {
        format!("a name has 1 to {MAX_NAME} characters, not {length}")
    })?;
    ensure(
        !text.chars().any(char::is_control) && text.trim() == text,
        || "a name has no control characters and no blanks around it".to_owned(),
    )
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn check_token(text: &str) -> Result<(), String> {
    ensure(is_token(text) && text.len() <= 200, || {
        format!(
            "`{text}` cannot stand in a header's name: use at most 200 letters, digits and \
             `-_.!#$%&'*+^|~`"
        )
    })
}

fn check_identifier(text: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good = text.bytes().all(plain) && text.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    ensure(good && !RESERVED.contains(&text), || {
        format!(
            "`{text}` is no identifier: letters, digits and `_`, no digit first, no word of CEL"
        )
    })
}

fn check_cidr(text: &str) -> Result<(), String> {
    let parsed = text.split_once('/').and_then(|(address, bits)| {
        let address: IpAddr = address.parse().ok()?;
        let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits: u8 = digits.then(|| bits.parse().ok())??;
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(())
    });
    ensure(parsed.is_some(), || {
        format!("`{text}` is no CIDR range such as `10.0.0.0/8` or `2001:db8::/32`")
    })
}

fn check_method(text: &str) -> Result<(), String> {
    ensure(is_token(text), || format!("`{text}` is no HTTP method"))?;
    let upper = text.to_ascii_uppercase();
    ensure(upper == text, || {
        format!("methods are told apart by case: write `{upper}`")
    })
}

fn check_host(text: &str) -> Result<(), String> {
    ensure(!text.bytes().any(|byte| byte.is_ascii_uppercase()), || {
        format!(
            "hosts are compared in lower case: write `{}`",
            text.to_ascii_lowercase()
        )
    })?;
    let name = |host: &str| {
        host.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            && !host.starts_with('.')
            && !host.ends_with('.')
    };
    let literal = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let good = literal.is_some_and(|ip| ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()));
    ensure(good || (!text.is_empty() && name(text)), || {
        format!("`{text}` is no host: write it without scheme, port and trailing dot")
    })
}

/// Whether a module's path has Rego's extension, which OPA compares as it is written.
pub(super) fn is_rego_path(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "rego")
}

fn check_rego_path(text: &str) -> Result<(), String> {
    let segments_fit = text
        .split('/')
        .all(|segment| !matches!(segment, "" | "." | ".."));
    ensure(
        is_rego_path(text) && segments_fit && !text.contains(['\\', '\0']),
        || format!("`{text}` is no path of a Rego module such as `authz/rules.rego`"),
    )
}

/// `/a/{id}/{rest*}`: literal segments as they stand in a canonical path, captures of a whole segment,
/// and as the last one a capture of the rest.
fn check_path_template(text: &str) -> Result<(), String> {
    let Some(path) = text.strip_prefix('/') else {
        return Err(format!("the path `{text}` must begin with `/`"));
    };
    let mut captures = Vec::new();
    let count = path.split('/').count();
    for (index, segment) in path.split('/').enumerate() {
        let last = index + 1 == count;
        if segment.is_empty() {
            ensure(last, || "a canonical path has no `//`".to_owned())?;
        } else if segment.contains(['{', '}']) {
            let inner = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
                .filter(|inner| !inner.contains(['{', '}']))
                .ok_or_else(|| {
                    format!("`{segment}`: a capture is a whole segment, such as `{{id}}`")
                })?;
            let name = inner.strip_suffix('*');
            ensure(name.is_none() || last, || {
                format!("`{segment}`: only the last segment can capture the rest")
            })?;
            let name = name.unwrap_or(inner);
            check_identifier(name)?;
            ensure(!captures.contains(&name), || {
                format!("`{name}` is captured twice")
            })?;
            captures.push(name);
        } else {
            check_literal_segment(segment)?;
        }
    }
    Ok(())
}

fn check_literal_segment(segment: &str) -> Result<(), String> {
    if segment.contains('*') {
        return Err(format!(
            "`{segment}` matches nothing but itself: write `{{name}}` for any segment, `{{rest*}}` for the rest"
        ));
    }
    ensure(!matches!(segment, "." | ".."), || {
        format!("a canonical path has no `{segment}` segment")
    })?;
    let bytes = segment.as_bytes();
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        index += 1;
        if *byte == b'%' {
            let escape = bytes.get(index..index + 2).unwrap_or_default();
            let canonical = std::str::from_utf8(escape).ok().filter(|digits| {
                let upper = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
                let code = u8::from_str_radix(digits, 16).unwrap_or(b'a');
                let unreserved = code.is_ascii_alphanumeric() || b"-._~".contains(&code);
                digits.len() == 2 && digits.bytes().all(upper) && !unreserved
            });
            ensure(canonical.is_some(), || {
                format!(
                    "`{segment}` is not canonical: hexadecimal digits in upper case, letters, digits \
                     and `-._~` not encoded"
                )
            })?;
            index += 2;
        } else {
            let allowed = byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@".contains(byte);
            ensure(allowed, || {
                format!("`{segment}` holds a character that a path has only in its `%XX` form")
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn agrees(syntax: Syntax, good: &[&str], bad: &[&str]) {
        let pattern = syntax
            .schema()
            .0
            .map(|text| regex::Regex::new(text).unwrap());
        for text in good {
            assert_eq!(syntax.check(text), Ok(()), "{text}");
            assert!(
                pattern
                    .as_ref()
                    .is_none_or(|pattern| pattern.is_match(text)),
                "{text}"
            );
        }
        for text in bad {
            assert!(syntax.check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_tokens() {
        let long = "ü".repeat(255);
        let longer = "ü".repeat(256);
        agrees(
            Syntax::Name,
            &["a", "Größe 1", &long],
            &["", " a", "a\n", &longer],
        );
        agrees(
            Syntax::Token,
            &["x-account", "checkout_1.2"],
            &["", "a b", "é", "a:b", ":authority"],
        );
        agrees(
            Syntax::Identifier,
            &["a", "_b1"],
            &["", "1a", "a-b", "true", "in"],
        );
        agrees(Syntax::NonEmpty, &["a", " "], &[""]);
        agrees(Syntax::Any, &["", "\n"], &[]);
    }

    #[test]
    fn versions_and_ids() {
        agrees(
            Syntax::Version,
            &["1.0.0", "1.2.3-rc.1+b"],
            &["1", "1.0", "v1.0.0", "01.0.0"],
        );
        agrees(
            Syntax::Uuid,
            &["6ba7b811-9dad-11d1-80b4-00c04fd430c8"],
            &["", "6ba7b811", "x"],
        );
    }

    #[test]
    fn networks() {
        agrees(
            Syntax::Cidr,
            &["10.0.0.0/8", "10.1.2.3/32", "::/0", "2001:db8::/128"],
            &[
                "10.0.0.0",
                "10.0.0.0/33",
                "10.0.0/8",
                "::/129",
                "10.0.0.0/+8",
                "/8",
                "a/8",
            ],
        );
        agrees(
            Syntax::Host,
            &["example.com", "localhost", "[::1]", "10.0.0.1"],
            &[
                "",
                "Example.com",
                "a:80",
                "a.",
                "https://a",
                "[::1",
                "*.example.com",
            ],
        );
    }

    #[test]
    fn requests() {
        agrees(Syntax::Method, &["GET", "M-SEARCH"], &["get", "", "G T"]);
        agrees(
            Syntax::PathTemplate,
            &[
                "/",
                "/healthz",
                "/a/{id}",
                "/a/{id}/{rest*}",
                "/a/",
                "/{any*}",
                "/a%20b",
                "/a:b",
            ],
            &[
                "",
                "a",
                "//",
                "/a//b",
                "/a/*",
                "/a/x{id}",
                "/{id}x",
                "/{rest*}/b",
                "/{id}/{id}",
                "/{}",
                "/{*}",
                "/a/../b",
                "/.",
                "/a%2f",
                "/%41",
                "/%zz",
                "/%2",
                "/a b",
                "/a?b",
                "/é",
                "/{1a}",
                "/{a{b}}",
            ],
        );
        agrees(
            Syntax::RegoPath,
            &["a.rego", "authz/rules.rego"],
            &["a.txt", "/a.rego", "../a.rego", "a//b.rego", "a\\b.rego"],
        );
    }
}
