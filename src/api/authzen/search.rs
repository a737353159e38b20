//! AuthZEN's searches: requests taken apart and checked, pages written, tokens of pages.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::api::decision::{self, Envelope};
use crate::api::json;
use crate::model::Sought;

/// A search, with its parts as JSON texts.
#[derive(Debug)]
pub struct Request<'a> {
    /// The type that is searched; for actions that of the resource.
    pub kind: Cow<'a, str>,
    /// Properties sent with the sought entity: names and JSON texts.
    pub sent: Vec<(Cow<'a, str>, &'a str)>,
    /// Empty for what is sought.
    pub subject: &'a str,
    pub action: &'a str,
    pub resource: &'a str,
    pub context: Option<&'a str>,
    pub page: Page<'a>,
}

/// What is asked of the page.
#[derive(Debug, Default, Deserialize)]
pub struct Page<'a> {
    /// None or empty: the first page.
    #[serde(borrow, default)]
    pub token: Option<Cow<'a, str>>,
    #[serde(default)]
    pub limit: Option<u64>,
}

/// Why a body is no search.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("`{pointer}`: {message}")]
    Invalid {
        pointer: String,
        message: &'static str,
    },
}

/// Where the next page of a search begins. Good for one revision and one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub position: u32,
    question: [u8; 8],
    revision: [u8; 8],
}

/// Why a token does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("`/page/token` is none that was given out here")]
    Unknown,
    #[error("`/page/token` belongs to another search: with a token, only the page may change")]
    OtherQuestion,
    #[error("`/page/token` is of another policy revision: begin again without it")]
    OtherRevision,
}

#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    subject: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    #[serde(borrow)]
    page: Option<&'a RawValue>,
}

/// The members of an entity that are looked at.
#[derive(Debug, Deserialize)]
struct Entity<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

/// The members of an object, as JSON texts.
struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Request<'a> {
    /// Reads a search for `sought`.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub fn parse(text: &'a [u8], sought: Sought) -> Result<Self, RequestError> {
        // Else it would be read like an object's members in order.
        if text.trim_ascii_start().first() == Some(&b'[') {
            return Err(invalid(String::new(), OBJECT));
        }
        let body: Body<'a> = serde_json::from_slice(text)?;
        let mut request = Self {
            kind: Cow::Borrowed(""),
            sent: Vec::new(),
            subject: "",
            action: "",
            resource: "",
            context: match body.context.map(RawValue::get) {
                Some(context) if !context.starts_with('{') => {
                    return Err(invalid("/context".to_owned(), OBJECT));
                }
                context => context,
            },
            page: page(body.page)?,
        };
        for part in Sought::ALL {
            let text = match part {
                Sought::Subject => body.subject,
                Sought::Action => body.action,
                Sought::Resource => body.resource,
            };
            // What it is called is the question itself.
            if part == Sought::Action && part == sought {
                continue;
            }
            let entity = entity(part, text)?;
            let of = |member: &str| format!("/{}/{member}", part.as_str());
            if part == Sought::Action {
                string(entity.name, of("name"))?;
            } else {
                let kind = string(entity.kind, of("type"))?;
                if part == sought || (part == Sought::Resource && sought == Sought::Action) {
                    request.kind = kind;
                }
                if part != sought {
                    string(entity.id, of("id"))?;
                }
            }
            let properties = entity.properties.map(RawValue::get);
            if properties.is_some_and(|properties| !properties.starts_with('{')) {
                return Err(invalid(of("properties"), OBJECT));
            }
            let whole = text.map_or("", RawValue::get);
            match part {
                _ if part == sought => {
                    if let Some(properties) = properties {
                        request.sent = serde_json::from_str::<Members<'a>>(properties)?.0;
                    }
                }
                Sought::Subject => request.subject = whole,
                Sought::Action => request.action = whole,
                Sought::Resource => request.resource = whole,
            }
        }
        Ok(request)
    }

    /// The token of the page that begins at `position`.
    #[must_use]
    pub fn token(&self, sought: Sought, position: usize, revision: &str) -> Token {
        Token {
            position: u32::try_from(position).unwrap_or(u32::MAX),
            question: self.digest(sought),
            revision: short(Sha256::new_with_prefix(revision)),
        }
    }

    /// The position at which the page begins that is asked for, and its token where there is one.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; of which revision it is, [`Token::check`] tells.
    pub fn position(&self, sought: Sought) -> Result<(usize, Option<Token>), TokenError> {
        let Some(text) = self.page.token.as_deref().filter(|text| !text.is_empty()) else {
            return Ok((0, None));
        };
        let token = Token::parse(text).ok_or(TokenError::Unknown)?;
        if token.question != self.digest(sought) {
            return Err(TokenError::OtherQuestion);
        }
        Ok((token.position as usize, Some(token)))
    }

    /// What the question is, the page aside.
    fn digest(&self, sought: Sought) -> [u8; 8] {
        let mut digest = Sha256::new();
        let parts = [sought.as_str(), &self.kind, self.subject, self.action];
        let more = [self.resource, self.context.unwrap_or("")];
        let sent = self.sent.iter().flat_map(|(name, text)| [&**name, text]);
        for part in parts.into_iter().chain(more).chain(sent) {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        short(digest)
    }
}

impl Token {
    /// Bytes of a token: position, question, revision.
    const LENGTH: usize = 4 + 8 + 8;

    fn parse(text: &str) -> Option<Self> {
        // More would be decoded for nothing.
        if text.len() > 4 * Self::LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (position, rest) = bytes.split_first_chunk()?;
        let (question, revision) = rest.split_first_chunk()?;
        Some(Self {
            position: u32::from_be_bytes(*position),
            question: *question,
            revision: revision.try_into().ok()?,
        })
    }

    /// Checks that it was given out by this revision.
    ///
    /// # Errors
    ///
    /// [`TokenError::OtherRevision`].
    pub fn check(&self, revision: &str) -> Result<(), TokenError> {
        if self.revision == short(Sha256::new_with_prefix(revision)) {
            Ok(())
        } else {
            Err(TokenError::OtherRevision)
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend_from_slice(&self.position.to_be_bytes());
        bytes.extend_from_slice(&self.question);
        bytes.extend_from_slice(&self.revision);
        formatter.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// `{"page": {..}, "context": {..}, "results": [..]}`; results are type and id, or name.
pub fn page_of<'r>(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    sought: Sought,
    next: Option<Token>,
    results: impl ExactSizeIterator<Item = (&'r str, &'r str)>,
) {
    json::raw(out, "{\"page\":{\"next_token\":\"");
    if let Some(token) = next {
        json::raw(out, &token.to_string());
    }
    json::raw(out, "\",\"count\":");
    json::integer(out, results.len());
    json::raw(out, "},\"context\":{\"search\":");
    json::string(out, sought.as_str());
    decision::tail(out, envelope);
    json::raw(out, "},\"results\":[");
    for (index, (kind, name)) in results.enumerate() {
        json::raw(out, if index > 0 { ",{" } else { "{" });
        if sought == Sought::Action {
            json::raw(out, "\"name\":");
        } else {
            json::raw(out, "\"type\":");
            json::string(out, kind);
            json::raw(out, ",\"id\":");
        }
        json::string(out, name);
        json::raw(out, "}");
    }
    json::raw(out, "]}");
}

const OBJECT: &str = "must be an object";

const fn invalid(pointer: String, message: &'static str) -> RequestError {
    RequestError::Invalid { pointer, message }
}

fn entity(part: Sought, text: Option<&RawValue>) -> Result<Entity<'_>, RequestError> {
    let pointer = || format!("/{}", part.as_str());
    match text.map(RawValue::get) {
        None => Err(invalid(pointer(), "is required")),
        Some(text) if text.starts_with('{') => Ok(serde_json::from_str(text)?),
        Some(_) => Err(invalid(pointer(), OBJECT)),
    }
}

fn string(text: Option<&RawValue>, pointer: String) -> Result<Cow<'_, str>, RequestError> {
    match text.map(RawValue::get) {
        None => Err(invalid(pointer, "is required")),
        Some(text) if text.starts_with('"') => Ok(serde_json::from_str(text)?),
        Some(_) => Err(invalid(pointer, "must be a string")),
    }
}

fn page(text: Option<&RawValue>) -> Result<Page<'_>, RequestError> {
    match text.map(RawValue::get) {
        None => Ok(Page::default()),
        Some(text) if text.starts_with('{') => Ok(serde_json::from_str(text)?),
        Some(_) => Err(invalid("/page".to_owned(), OBJECT)),
    }
}

fn short(digest: Sha256) -> [u8; 8] {
    let mut start = [0; 8];
    start.copy_from_slice(&digest.finalize()[..8]);
    start
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    members.push((name, map.next_value::<&RawValue>()?.get()));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"subject":{"type":"user","id":"a\u00e9","properties":{"x":[1],"y":null}},
        "action":{"name":"read"},"resource":{"type":"record","id":"7"},"context":{"c":1},"page":{"limit":3},"new":1}"#;

    #[test]
    fn what_is_sought_needs_no_name() {
        let request = Request::parse(BODY.as_bytes(), Sought::Subject).unwrap();
        assert_eq!((&*request.kind, request.subject), ("user", ""));
        assert_eq!(request.action, r#"{"name":"read"}"#);
        assert_eq!(request.page.limit, Some(3));
        let sent: Vec<_> = request.sent.iter().map(|(k, v)| (&**k, *v)).collect();
        assert_eq!(sent, [("x", "[1]"), ("y", "null")]);
        let actions =
            r#"{"subject":{"type":"user","id":"a"},"resource":{"type":"record","id":"7"}}"#;
        let request = Request::parse(actions.as_bytes(), Sought::Action).unwrap();
        assert_eq!((&*request.kind, request.action), ("record", ""));
        assert!(Request::parse(actions.as_bytes(), Sought::Resource).is_err());
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_named() {
        for (body, sought, error) in [
            ("[]", Sought::Subject, "``: must be an object"),
            ("{}", Sought::Subject, "`/subject`: is required"),
            (
                r#"{"subject":"a"}"#,
                Sought::Action,
                "`/subject`: must be an object",
            ),
            (
                r#"{"subject":{"type":"u"}}"#,
                Sought::Resource,
                "`/subject/id`: is required",
            ),
            (
                r#"{"subject":{"type":1}}"#,
                Sought::Subject,
                "`/subject/type`: must be a string",
            ),
            (
                r#"{"subject":{"type":"u","properties":[]}}"#,
                Sought::Subject,
                "`/subject/properties`: must be an object",
            ),
            (
                r#"{"context":1}"#,
                Sought::Subject,
                "`/context`: must be an object",
            ),
            (
                r#"{"page":[null,1]}"#,
                Sought::Subject,
                "`/page`: must be an object",
            ),
        ] {
            let found = Request::parse(body.as_bytes(), sought).unwrap_err();
            assert_eq!(found.to_string(), error, "{body}");
        }
        for body in [
            "",
            "{",
            "nonsense",
            r#"{"page":{"limit":-1}}"#,
            r#"{"page":{"token":7}}"#,
        ] {
            let found = Request::parse(body.as_bytes(), Sought::Subject).unwrap_err();
            assert!(matches!(found, RequestError::Json(_)), "{body}");
        }
    }

    #[test]
    fn a_token_is_good_for_its_question_and_revision() {
        let mut request = Request::parse(BODY.as_bytes(), Sought::Subject).unwrap();
        let token = request.token(Sought::Subject, 40, "1-abc");
        request.page.token = Some(token.to_string().into());
        assert_eq!(request.position(Sought::Subject), Ok((40, Some(token))));
        assert_eq!(
            request.position(Sought::Resource),
            Err(TokenError::OtherQuestion)
        );
        assert_eq!(token.check("1-abc"), Ok(()));
        assert_eq!(token.check("2-abc"), Err(TokenError::OtherRevision));
        request.context = None;
        assert_eq!(
            request.position(Sought::Subject),
            Err(TokenError::OtherQuestion)
        );
        for text in ["x", "AAAA", "====", &"A".repeat(1000)] {
            request.page.token = Some(text.to_owned().into());
            assert_eq!(request.position(Sought::Subject), Err(TokenError::Unknown));
        }
        request.page.token = Some("".into());
        assert_eq!(request.position(Sought::Subject), Ok((0, None)));
    }
}
