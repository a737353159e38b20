//! The keyring file: `version: 1`, `threshold`, `keys`, in YAML or JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::bundle::key::parse_public_key;
use crate::model::{TenantId, Timestamp};
use crate::policy::{self, Format};

use super::{Key, Keyring};

const MAX_BYTES: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default = "one")]
    threshold: usize,
    keys: Vec<KeyJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyJson {
    kid: String,
    #[serde(rename = "use")]
    usage: String,
    algorithm: String,
    public_key: String,
    tenants: TenantsJson,
    not_before: Option<String>,
    not_after: Option<String>,
    #[serde(default)]
    revoked: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of tenants or `*`")]
enum TenantsJson {
    All(String),
    Some(Vec<String>),
}

const fn one() -> usize {
    1
}

pub(super) fn parse(text: &[u8]) -> Result<Keyring, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes"));
    }
    // JSON is read as what it is: YAML knows none of its tabs and some of its escapes.
    let json = text.trim_ascii_start().starts_with(b"{");
    let format = if json { Format::Json } else { Format::Yaml };
    let json = policy::to_json("keyring", text, format).map_err(|errors| errors.to_string())?;
    let file: File = serde_json::from_str(&json).map_err(|error| explain(&error))?;
    if file.version != 1 {
        return Err(format!("`version` is {}, this build knows 1", file.version));
    }
    let keys = file
        .keys
        .into_iter()
        .map(parse_key)
        .collect::<Result<Vec<_>, _>>()?;
    let kids: BTreeSet<&str> = keys.iter().map(|key| key.kid.as_str()).collect();
    if kids.len() < keys.len() {
        return Err("a `kid` is there twice".to_owned());
    }
    let usable: BTreeSet<&[u8; 32]> = keys
        .iter()
        .filter(|key| !key.revoked)
        .map(|key| &key.public_key)
        .collect();
    if file.threshold == 0 || file.threshold > usable.len() {
        return Err(format!(
            "`threshold` is {} with {} distinct keys that are not revoked",
            file.threshold,
            usable.len()
        ));
    }
    Ok(Keyring {
        threshold: file.threshold,
        keys,
    })
}

fn parse_key(json: KeyJson) -> Result<Key, String> {
    let kid = json.kid;
    if kid.is_empty() || kid.len() > 200 || kid.chars().any(char::is_control) {
        return Err("a `kid` is not 1 to 200 printable bytes".to_owned());
    }
    if json.usage != "bundle" {
        return Err(format!(
            "key `{kid}`: `use` is `{}`, expected `bundle`",
            json.usage
        ));
    }
    if json.algorithm != "Ed25519" {
        return Err(format!(
            "key `{kid}`: `algorithm` is `{}`, expected `Ed25519`",
            json.algorithm
        ));
    }
    let moment = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => Timestamp::parse(&text)
            .map(Some)
            .ok_or_else(|| format!("key `{kid}`: `{text}` is no RFC 3339 time")),
    };
    let tenants = match json.tenants {
        TenantsJson::All(all) if all == "*" => None,
        TenantsJson::All(other) => {
            return Err(format!(
                "key `{kid}`: `tenants` is `{other}`, expected a list or `*`"
            ));
        }
        TenantsJson::Some(tenants) => Some(
            tenants
                .iter()
                .map(|tenant| tenant.parse::<TenantId>())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| format!("key `{kid}`: {error}"))?,
        ),
    };
    Ok(Key {
        public_key: parse_public_key(&json.public_key)
            .map_err(|error| format!("key `{kid}`: {error}"))?,
        not_before: moment(json.not_before)?,
        not_after: moment(json.not_after)?,
        revoked: json.revoked,
        tenants,
        kid,
    })
}

/// The error without the position, which is one in the JSON made of the file, and with a suggestion.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(text, _)| text);
    let mut quoted = text.split('`').skip(1).step_by(2);
    let suggestion = quoted
        .next()
        .filter(|_| text.starts_with("unknown field"))
        .and_then(|unknown| quoted.min_by_key(|known| distance(unknown, known)));
    match suggestion {
        Some(known) => format!("{text}; did you mean `{known}`?"),
        None => text.to_owned(),
    }
}

/// How many characters to insert, delete or replace to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, left) in from.chars().enumerate() {
        let mut diagonal = line;
        let mut last = line + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(to.chars()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            last = replaced.min(diagonal + 1).min(last + 1);
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

pub(super) fn render(keyring: &Keyring) -> String {
    let mut out = format!("version: 1\nthreshold: {}\nkeys:\n", keyring.threshold);
    for key in &keyring.keys {
        render_key(key, &mut out);
    }
    out
}

/// Strings are written as JSON, which YAML reads. Writing to a `String` cannot fail.
fn render_key(key: &Key, out: &mut String) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let tenants = key.tenants.as_ref().map_or_else(
        || quoted("*"),
        |tenants| {
            let all: Vec<_> = tenants
                .iter()
                .map(|tenant| quoted(tenant.as_str()))
                .collect();
            format!("[{}]", all.join(", "))
        },
    );
    let _ = write!(
        out,
        "  - kid: {}\n    use: bundle\n    algorithm: Ed25519\n    public_key: {}\n    tenants: {tenants}\n",
        quoted(&key.kid),
        quoted(&STANDARD.encode(key.public_key)),
    );
    for (name, moment) in [("not_before", key.not_before), ("not_after", key.not_after)] {
        if let Some(moment) = moment {
            let _ = writeln!(out, "    {name}: \"{moment}\"");
        }
    }
    let _ = writeln!(out, "    revoked: {}", key.revoked);
}
