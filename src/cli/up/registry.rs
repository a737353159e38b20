//! The first policies, published by the calls that any user of the registry would make.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response};
use serde_json::{Value, json};

use crate::policy::{self, Body, Document, Format};
use crate::wire::{self, Client};

/// What a fresh installation starts with.
const SEED: &str = include_str!("../../control_plane/seed.yaml");
/// The version that the documents are published as.
const VERSION: &str = "1.0.0";
const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// The documents of the seed file, checked.
pub(super) fn documents(tenant: &str) -> anyhow::Result<Vec<Document>> {
    policy::parse("seed.yaml", SEED.as_bytes(), Format::Yaml, tenant)
        .context("the first policies are not in order")
}

/// The name of the access policy among them.
pub(super) fn access_policy(documents: &[Document]) -> anyhow::Result<&str> {
    documents
        .iter()
        .find(|document| matches!(document.body, Body::Access(_)))
        .map(|document| &*document.metadata.name)
        .context("the first policies hold no access policy")
}

/// The registry, as its users reach it.
pub(super) struct Registry<'c> {
    pub(super) client: &'c Client,
    pub(super) address: SocketAddr,
    pub(super) token: &'c str,
}

impl Registry<'_> {
    /// Creates and activates what is not there yet. Gives the number of the revision that holds it
    /// all; None where nothing was to do.
    pub(super) async fn publish(&self, documents: &[Document]) -> anyhow::Result<Option<u64>> {
        let there = self.call(Method::GET, "/api/v1/policies/", None).await?;
        let there: Vec<Value> = serde_json::from_slice(there.body())
            .context("the registry's list of policies is no JSON array")?;
        let mut number = None;
        for document in documents {
            let name = &*document.metadata.name;
            let known = there.iter().find(|policy| policy["name"] == name);
            if known.is_none() {
                self.create(document).await?;
            }
            // A run that was killed in between left a policy that was never activated.
            if known.is_none_or(|policy| policy["status"] == "draft") {
                number = self.activate(name).await?.or(number);
            }
        }
        Ok(number)
    }

    async fn create(&self, document: &Document) -> anyhow::Result<()> {
        // The document's own text: its numbers are what its content hash covers.
        let name = json!(&*document.metadata.name);
        let body = format!("{{\"name\":{name},\"content\":{}}}", document.json);
        self.call(Method::POST, "/api/v1/policies/", Some(body))
            .await?;
        Ok(())
    }

    async fn activate(&self, name: &str) -> anyhow::Result<Option<u64>> {
        let path = format!("/api/v1/policies/{name}/activate?version={VERSION}");
        let answer = self.call(Method::PUT, &path, None).await?;
        let number = answer
            .headers()
            .get("x-lictor-revision")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok());
        Ok(number)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<Response<bytes::Bytes>> {
        let what = format!("{method} {path}");
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(body.map_or_else(wire::empty, wire::full))?;
        let answer = self
            .client
            .fetch(request, PATIENCE, ANSWER_LIMIT)
            .await
            .with_context(|| format!("the registry did not answer `{what}`"))?;
        if !answer.status().is_success() {
            bail!(
                "the registry answered `{what}` with {}: {}",
                answer.status(),
                String::from_utf8_lossy(answer.body())
            );
        }
        Ok(answer)
    }
}
