//! HTTP requests as people write them, in decision tests and on the command line.

use crate::engine::canonical_request::canonical_request;

use super::HttpRequest;

/// `{method, path, headers, host, scheme, body}`; the path may carry a query. Put into canonical form as a
/// request from Envoy is.
#[derive(Clone, Debug)]
pub struct WrittenRequest {
    method: String,
    scheme: String,
    path: String,
    query: Vec<(String, String)>,
    host: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl WrittenRequest {
    /// Reads JSON text.
    ///
    /// # Errors
    ///
    /// Text that is no JSON, and requests without a canonical form, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let http: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let member = |name: &str| http.get(name).and_then(serde_json::Value::as_str);
        let host = member("host").unwrap_or_default();
        let canonical = canonical_request(member("path").unwrap_or("/"), host, &[])
            .map_err(|error| error.to_string())?;
        let headers = http.get("headers").and_then(serde_json::Value::as_object);
        Ok(Self {
            method: member("method").unwrap_or("GET").to_owned(),
            scheme: member("scheme").unwrap_or("http").to_owned(),
            path: canonical.path,
            query: canonical.query,
            host: canonical.host,
            headers: headers
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| {
                    Some((name.to_ascii_lowercase(), value.as_str()?.to_owned()))
                })
                .collect(),
            body: http.get("body").map(ToString::to_string),
        })
    }

    /// Query parameters, for [`Self::lend`].
    #[must_use]
    pub fn query(&self) -> Vec<(&str, &str)> {
        pairs(&self.query)
    }

    /// Headers, for [`Self::lend`].
    #[must_use]
    pub fn headers(&self) -> Vec<(&str, &str)> {
        pairs(&self.headers)
    }

    /// The request as the engine takes it.
    #[must_use]
    pub fn lend<'a>(
        &'a self,
        query: &'a [(&'a str, &'a str)],
        headers: &'a [(&'a str, &'a str)],
    ) -> HttpRequest<'a> {
        HttpRequest {
            method: &self.method,
            path: &self.path,
            query,
            headers,
            host: &self.host,
            scheme: &self.scheme,
            body: self.body.as_deref().map(str::as_bytes),
            source: None,
            destination: None,
            sni: None,
            extensions: &[],
            metadata: None,
            key: None,
        }
    }
}

fn pairs(owned: &[(String, String)]) -> Vec<(&str, &str)> {
    owned
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
