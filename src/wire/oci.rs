//! An OCI registry (distribution-spec 1.1), as far as one archive in one layer needs it: pull and push.
//!
//! Credentials go to the registry and to the token service that it names, never along a redirect.

mod challenge;
mod reference;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::{Body, Client, WireError, empty, full};
use challenge::Challenge;
pub use reference::{Reference, ReferenceError};

/// What OPA looks for when it pulls, and what is pushed here.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// What other tools push bundles as; taken too.
pub const OTHER_LAYER: &str = "application/vnd.opa.bundle.layer.v1+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

const DEADLINE: Duration = Duration::from_secs(30);
/// For a blob on its way up.
const UPLOAD_DEADLINE: Duration = Duration::from_mins(10);
const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;
const TOKEN_LIMIT: usize = 64 * 1024;
const MAX_REDIRECTS: usize = 3;
/// Layers beyond this are not looked at.
const MAX_LAYERS: usize = 128;

/// Why a registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the registry answered {0} with status {1}")]
    Status(&'static str, u16),
    #[error("the registry refused the credentials for {0}")]
    Unauthorized(&'static str),
    #[error("the registry's answer is no {0}")]
    Malformed(&'static str),
    #[error("no tarball descriptor found in the layers")]
    NoLayer,
    #[error("the registry redirects too often, or out of TLS")]
    Redirect,
}

/// What opens a registry.
#[derive(Clone)]
pub enum Credentials {
    Basic { username: String, password: String },
    Bearer(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credentials")
    }
}

/// A layer by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// SHA-256.
    pub digest: [u8; 32],
    pub size: u64,
}

/// One repository of a registry.
#[derive(Debug)]
pub struct Repository {
    client: Client,
    reference: Reference,
    /// A token that the registry's token service gave for these credentials.
    token: Mutex<Option<HeaderValue>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestJson {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: DescriptorJson,
    layers: Vec<DescriptorJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorJson {
    media_type: String,
    digest: String,
    size: u64,
}

#[derive(Deserialize)]
struct TokenJson {
    token: Option<String>,
    access_token: Option<String>,
}

impl Repository {
    /// The repository that a reference names.
    #[must_use]
    pub fn new(client: Client, reference: Reference) -> Self {
        Self {
            client,
            reference,
            token: Mutex::new(None),
        }
    }

    /// The layer that holds the archive under the reference's tag or digest, as it is now.
    ///
    /// # Errors
    ///
    /// [`OciError`].
    pub async fn layer(&self, credentials: Option<&Credentials>) -> Result<Layer, OciError> {
        let path = format!("manifests/{}", self.reference.version);
        let accept = |request: &mut Request<Body>| {
            let headers = request.headers_mut();
            headers.insert(ACCEPT, HeaderValue::from_static(MANIFEST));
        };
        let response = self
            .send("a manifest", Method::GET, &path, credentials, &accept)
            .await?;
        let body = super::collect(response.into_body(), MANIFEST_LIMIT);
        let body = tokio::time::timeout(DEADLINE, body)
            .await
            .map_err(|_| WireError::Deadline(DEADLINE))??;
        if let Some(expected) = self.reference.digest()
            && Sha256::digest(&body)[..] != expected
        {
            return Err(OciError::Malformed("manifest of that digest"));
        }
        let manifest: ManifestJson =
            serde_json::from_slice(&body).map_err(|_| OciError::Malformed("image manifest"))?;
        let layers = manifest.layers.iter().take(MAX_LAYERS);
        let found = [LAYER, OTHER_LAYER].iter().find_map(|kind| {
            let mut layers = layers.clone();
            layers.find(|layer| layer.media_type == *kind)
        });
        let found = found.ok_or(OciError::NoLayer)?;
        let digest = reference::digest_of(&found.digest);
        Ok(Layer {
            digest: digest.ok_or(OciError::Malformed("layer with a SHA-256"))?,
            size: found.size,
        })
    }

    /// Starts fetching a layer's bytes; whether they have its digest is the caller's to check.
    ///
    /// # Errors
    ///
    /// [`OciError`].
    pub async fn blob(
        &self,
        layer: &Layer,
        credentials: Option<&Credentials>,
    ) -> Result<Response<Incoming>, OciError> {
        let path = format!("blobs/sha256:{}", hex::encode(layer.digest));
        self.send("a blob", Method::GET, &path, credentials, &|_| {})
            .await
    }

    /// Pushes an archive as the one layer under the reference's tag. Returns the manifest's digest.
    ///
    /// # Errors
    ///
    /// [`OciError`].
    pub async fn push(
        &self,
        archive: Bytes,
        credentials: Option<&Credentials>,
    ) -> Result<String, OciError> {
        let config = Bytes::from_static(b"{}");
        let layer = self.push_blob(archive, LAYER, credentials).await?;
        let manifest = ManifestJson {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            config: self.push_blob(config, CONFIG, credentials).await?,
            layers: vec![layer],
        };
        let body = serde_json::to_vec(&manifest).map_err(|_| OciError::Malformed("manifest"))?;
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&body)));
        let body = Bytes::from(body);
        let path = format!("manifests/{}", self.reference.version);
        let write = |request: &mut Request<Body>| {
            let kind = HeaderValue::from_static(MANIFEST);
            request.headers_mut().insert(CONTENT_TYPE, kind);
            *request.body_mut() = full(body.clone());
        };
        self.send("the manifest", Method::PUT, &path, credentials, &write)
            .await?;
        Ok(digest)
    }

    async fn push_blob(
        &self,
        bytes: Bytes,
        kind: &str,
        credentials: Option<&Credentials>,
    ) -> Result<DescriptorJson, OciError> {
        let descriptor = DescriptorJson {
            media_type: kind.to_owned(),
            digest: format!("sha256:{}", hex::encode(Sha256::digest(&bytes))),
            size: bytes.len() as u64,
        };
        let path = format!("blobs/{}", descriptor.digest);
        let there = self.send("a blob", Method::HEAD, &path, credentials, &|_| {});
        match there.await {
            Ok(_) => return Ok(descriptor),
            Err(OciError::Status(_, 404)) => {}
            Err(error) => return Err(error),
        }
        let started = self
            .send(
                "an upload",
                Method::POST,
                "blobs/uploads/",
                credentials,
                &|_| {},
            )
            .await?;
        let location = started.headers().get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let location = location.ok_or(OciError::Malformed("place to upload to"))?;
        let separator = if location.contains('?') { '&' } else { '?' };
        let target = format!("{location}{separator}digest={}", descriptor.digest);
        let target = self.reference.resolve(&target).ok_or(OciError::Redirect)?;
        let write = |request: &mut Request<Body>| {
            let kind = HeaderValue::from_static("application/octet-stream");
            request.headers_mut().insert(CONTENT_TYPE, kind);
            *request.body_mut() = full(bytes.clone());
        };
        self.send_to("the upload", Method::PUT, target, credentials, &write)
            .await?;
        Ok(descriptor)
    }

    async fn send(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
        credentials: Option<&Credentials>,
        prepare: &(dyn Fn(&mut Request<Body>) + Sync),
    ) -> Result<Response<Incoming>, OciError> {
        let target = self.reference.uri(path).ok_or(OciError::Redirect)?;
        self.send_to(what, method, target, credentials, prepare)
            .await
    }

    /// Sends, once more with a token where the registry asks for one, and follows redirects of reads.
    async fn send_to(
        &self,
        what: &'static str,
        method: Method,
        target: Uri,
        credentials: Option<&Credentials>,
        prepare: &(dyn Fn(&mut Request<Body>) + Sync),
    ) -> Result<Response<Incoming>, OciError> {
        let deadline = if method == Method::PUT {
            UPLOAD_DEADLINE
        } else {
            DEADLINE
        };
        let request = |uri: &Uri| {
            let mut request = Request::new(empty());
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            prepare(&mut request);
            request
        };
        let known = self.token.lock().await.clone();
        let mut first = request(&target);
        if let Some(token) = known {
            first.headers_mut().insert(AUTHORIZATION, token);
        }
        let mut response = self.client.send(first, deadline).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let token = self.authorize(&response, what, credentials).await?;
            let mut again = request(&target);
            again.headers_mut().insert(AUTHORIZATION, token.clone());
            response = self.client.send(again, deadline).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                return Err(OciError::Unauthorized(what));
            }
            *self.token.lock().await = Some(token);
        }
        let mut at = target;
        let is_read = matches!(method, Method::GET | Method::HEAD);
        for _ in 0..MAX_REDIRECTS {
            // What is written goes to the registry, not to whom it names.
            if !is_read || !response.status().is_redirection() {
                break;
            }
            let location = response.headers().get(LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| reference::resolve(&at, location));
            at = next.ok_or(OciError::Redirect)?;
            response = self.client.send(request(&at), deadline).await?;
        }
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::FORBIDDEN => Err(OciError::Unauthorized(what)),
            status if status.is_redirection() => Err(OciError::Redirect),
            status => Err(OciError::Status(what, status.as_u16())),
        }
    }

    /// The value of `authorization` that the registry's challenge asks for.
    async fn authorize(
        &self,
        response: &Response<Incoming>,
        what: &'static str,
        credentials: Option<&Credentials>,
    ) -> Result<HeaderValue, OciError> {
        let asked = response.headers().get_all(WWW_AUTHENTICATE);
        let mut asked = asked.iter().filter_map(|value| value.to_str().ok());
        let challenge = asked.find_map(Challenge::parse);
        let challenge = challenge.ok_or(OciError::Unauthorized(what))?;
        match (challenge, credentials) {
            (Challenge::Basic, Some(Credentials::Basic { username, password })) => {
                secret(&basic(username, password))
            }
            (_, Some(Credentials::Bearer(token))) => secret(&format!("Bearer {token}")),
            (Challenge::Basic, None) => Err(OciError::Unauthorized(what)),
            (Challenge::Bearer(service), credentials) => {
                let uri = service.uri(&self.reference).ok_or(OciError::Redirect)?;
                let mut request = Request::new(empty());
                *request.uri_mut() = uri;
                if let Some(Credentials::Basic { username, password }) = credentials {
                    let value = secret(&basic(username, password))?;
                    request.headers_mut().insert(AUTHORIZATION, value);
                }
                let answer = self.client.fetch(request, DEADLINE, TOKEN_LIMIT).await?;
                if !answer.status().is_success() {
                    return Err(OciError::Unauthorized(what));
                }
                let answer: TokenJson = serde_json::from_slice(answer.body())
                    .map_err(|_| OciError::Malformed("token"))?;
                let token = answer.token.or(answer.access_token);
                let token = token.ok_or(OciError::Malformed("token"))?;
                secret(&format!("Bearer {token}"))
            }
        }
    }
}

fn basic(username: &str, password: &str) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{password}"))
    )
}

fn secret(text: &str) -> Result<HeaderValue, OciError> {
    let mut value = HeaderValue::try_from(text).map_err(|_| OciError::Malformed("token"))?;
    value.set_sensitive(true);
    Ok(value)
}
