//! HTTP requests as people write them, in decision tests and on the command line.
//!
//! Beside the request they say what Envoy says of its connection: `source` and `destination`.

use bumpalo::Bump;

use crate::engine::canonical_request::canonical_request;

use super::{HttpPeer, HttpRequest};

/// `{method, path, headers, host, scheme, body, source, destination}`; the path may carry a query. Put into canonical
/// form as a request from Envoy is.
#[derive(Clone, Debug)]
pub struct WrittenRequest {
    method: String,
    scheme: String,
    path: String,
    query: Vec<(String, String)>,
    host: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    source: Option<WrittenPeer>,
    destination: Option<WrittenPeer>,
}

/// `{principal, address, port, service, labels}`
#[derive(Clone, Debug)]
struct WrittenPeer {
    principal: String,
    service: String,
    address: String,
    port: Option<u32>,
    labels: Vec<(String, String)>,
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
        let arena = Bump::new();
        let canonical = canonical_request(member("path").unwrap_or("/"), host, &[], &arena)
            .map_err(|error| error.to_string())?;
        let headers = http.get("headers").and_then(serde_json::Value::as_object);
        Ok(Self {
            method: member("method").unwrap_or("GET").to_owned(),
            scheme: member("scheme").unwrap_or("http").to_owned(),
            path: canonical.path.to_owned(),
            query: canonical
                .query
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            host: canonical.host.to_owned(),
            headers: headers
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| {
                    Some((name.to_ascii_lowercase(), value.as_str()?.to_owned()))
                })
                .collect(),
            body: http.get("body").map(ToString::to_string),
            source: http.get("source").map(WrittenPeer::read),
            destination: http.get("destination").map(WrittenPeer::read),
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

    /// Labels of both ends of the connection, for [`Self::lend`].
    #[must_use]
    pub fn labels(&self) -> [Vec<(&str, &str)>; 2] {
        [&self.source, &self.destination].map(|peer| {
            peer.as_ref()
                .map(|peer| pairs(&peer.labels))
                .unwrap_or_default()
        })
    }

    /// The request as the engine takes it.
    #[must_use]
    pub fn lend<'a>(
        &'a self,
        query: &'a [(&'a str, &'a str)],
        headers: &'a [(&'a str, &'a str)],
        [sources, destinations]: &'a [Vec<(&'a str, &'a str)>; 2],
    ) -> HttpRequest<'a> {
        HttpRequest {
            method: &self.method,
            path: &self.path,
            query,
            headers,
            host: &self.host,
            scheme: &self.scheme,
            body: self.body.as_deref().map(str::as_bytes),
            source: self.source.as_ref().map(|peer| peer.lend(sources)),
            destination: self
                .destination
                .as_ref()
                .map(|peer| peer.lend(destinations)),
            sni: None,
            extensions: &[],
            metadata: None,
            key: None,
        }
    }
}

impl WrittenPeer {
    fn read(value: &serde_json::Value) -> Self {
        let text = |name: &str| {
            let text = value.get(name).and_then(serde_json::Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let port = value.get("port").and_then(serde_json::Value::as_u64);
        let labels = value.get("labels").and_then(serde_json::Value::as_object);
        Self {
            principal: text("principal"),
            service: text("service"),
            address: text("address"),
            port: port.and_then(|port| u32::try_from(port).ok()),
            labels: labels
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
        }
    }

    fn lend<'a>(&'a self, labels: &'a [(&'a str, &'a str)]) -> HttpPeer<'a> {
        HttpPeer {
            principal: &self.principal,
            service: &self.service,
            address: &self.address,
            port: self.port,
            labels,
        }
    }
}

fn pairs(owned: &[(String, String)]) -> Vec<(&str, &str)> {
    owned
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
