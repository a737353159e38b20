//! What a Rego document decides: a boolean, or an object as OPA's Envoy plugin reads it.

use serde_json::{Map, Value};

use super::native::is_token;

/// A decision of a Rego document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegoDecision {
    pub allowed: bool,
    /// Whether it is an object, which may say more than yes or no.
    pub is_object: bool,
    /// To the upstream where it allows, to the client where it denies.
    pub headers: Vec<(String, String)>,
    pub response_headers: Vec<(String, String)>,
    pub remove_headers: Vec<String>,
    pub set_query: Vec<(String, String)>,
    pub remove_query: Vec<String>,
    pub body: String,
    /// Of a denial.
    pub status: u16,
    pub metadata: Map<String, Value>,
}

/// A result that is no decision, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    #[error("{name}: type assertion error, expected '{expected}' but got '{found}'")]
    Type {
        name: &'static str,
        expected: &'static str,
        found: &'static str,
    },
    #[error("unable to determine evaluation result due to missing \"allowed\" key")]
    NoAllowed,
    #[error("http_status: {0} is not a valid HTTP status")]
    Status(String),
    #[error("{name}: `{found}` cannot be sent in a header")]
    Unsendable { name: &'static str, found: String },
}

impl RegoDecision {
    /// A plain yes or no.
    #[must_use]
    pub fn plain(allowed: bool) -> Self {
        Self {
            allowed,
            status: 403,
            ..Self::default()
        }
    }

    /// Reads a defined document.
    ///
    /// # Errors
    ///
    /// `ResultError`.
    pub fn read(value: Value) -> Result<Self, ResultError> {
        let mut object = match value {
            Value::Bool(allowed) => return Ok(Self::plain(allowed)),
            Value::Object(object) => object,
            other => return Err(wrong("decision", "boolean or object", &other)),
        };
        let allowed = match object.get("allowed") {
            None => return Err(ResultError::NoAllowed),
            Some(Value::Bool(allowed)) => *allowed,
            Some(other) => return Err(wrong("allowed", "boolean", other)),
        };
        let mut decision = Self {
            is_object: true,
            headers: headers(&object, "headers")?,
            ..Self::plain(allowed)
        };
        if let Some(metadata) = object.remove("dynamic_metadata") {
            let Value::Object(metadata) = metadata else {
                return Err(wrong("dynamic_metadata", "object", &metadata));
            };
            decision.metadata = metadata;
        }
        if allowed {
            decision.response_headers = headers(&object, "response_headers_to_add")?;
            decision.remove_headers = texts(&object, "request_headers_to_remove")?;
            decision.set_query = query(&object)?;
            decision.remove_query = texts(&object, "query_parameters_to_remove")?;
        } else {
            match object.remove("body") {
                None => {}
                Some(Value::String(body)) => decision.body = body,
                Some(other) => return Err(wrong("body", "string", &other)),
            }
            if let Some(status) = object.get("http_status") {
                decision.status = known_status(status)?;
            }
        }
        Ok(decision)
    }
}

fn wrong(name: &'static str, expected: &'static str, found: &Value) -> ResultError {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    ResultError::Type {
        name,
        expected,
        found,
    }
}

/// A status that Envoy and the plugin's HTTP library both know.
fn known_status(value: &Value) -> Result<u16, ResultError> {
    let Value::Number(number) = value else {
        return Err(wrong("http_status", "int", value));
    };
    let status = number
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    match status {
        Some(
            status @ (100
            | 200..=208
            | 226
            | 300..=305
            | 307
            | 308
            | 400..=417
            | 421..=424
            | 426
            | 428
            | 429
            | 431
            | 500..=508
            | 510
            | 511),
        ) => Ok(status),
        _ => Err(ResultError::Status(number.to_string())),
    }
}

/// An object from name to text or list of texts, or a list of such objects.
fn headers(
    object: &Map<String, Value>,
    name: &'static str,
) -> Result<Vec<(String, String)>, ResultError> {
    let mut out = Vec::new();
    match object.get(name) {
        None => {}
        Some(Value::Object(headers)) => pairs(name, headers, &mut out)?,
        Some(Value::Array(items)) => {
            for item in items {
                match item {
                    Value::Object(headers) => pairs(name, headers, &mut out)?,
                    other => return Err(wrong(name, "object", other)),
                }
            }
        }
        Some(other) => return Err(wrong(name, "object", other)),
    }
    for (header, value) in &out {
        let header_name = header.strip_prefix(':').unwrap_or(header);
        if !is_token(header_name) || value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(ResultError::Unsendable {
                name,
                found: header.escape_default().to_string(),
            });
        }
    }
    Ok(out)
}

fn pairs(
    name: &'static str,
    object: &Map<String, Value>,
    out: &mut Vec<(String, String)>,
) -> Result<(), ResultError> {
    for (key, value) in object {
        match value {
            Value::String(text) => out.push((key.clone(), text.clone())),
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::String(text) => out.push((key.clone(), text.clone())),
                        other => return Err(wrong(name, "string", other)),
                    }
                }
            }
            other => return Err(wrong(name, "string or array", other)),
        }
    }
    Ok(())
}

fn query(object: &Map<String, Value>) -> Result<Vec<(String, String)>, ResultError> {
    const NAME: &str = "query_parameters_to_set";
    let mut out = Vec::new();
    match object.get(NAME) {
        None => {}
        Some(Value::Object(parameters)) => pairs(NAME, parameters, &mut out)?,
        Some(other) => return Err(wrong(NAME, "object", other)),
    }
    Ok(out)
}

fn texts(object: &Map<String, Value>, name: &'static str) -> Result<Vec<String>, ResultError> {
    let items = match object.get(name) {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(wrong(name, "array", other)),
    };
    items
        .iter()
        .map(|item| match item {
            Value::String(text) => Ok(text.clone()),
            other => Err(wrong(name, "string", other)),
        })
        .collect()
}
