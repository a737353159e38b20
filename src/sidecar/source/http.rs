//! A bundle behind an HTTP URL: conditional, long-polled, bounded in size and time.

use std::fmt::Write as _;
use std::time::Duration;

use ::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, ETAG, IF_NONE_MATCH, LOCATION, USER_AGENT,
};
use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::bundle::Digest;
use crate::sidecar::cache::Download;
use crate::sidecar::credentials::Credentials;
use crate::wire::{self, Client};

use super::conditions::{Conditions, announced};
use super::{FetchError, Fetched, Received, Wait, blocking};

/// For the head of an answer, beyond the time that the source was allowed to hold the request.
pub(super) const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// Between two pieces of the body.
const PIECE_DEADLINE: Duration = Duration::from_secs(30);
/// For a whole body.
const BODY_DEADLINE: Duration = Duration::from_mins(10);
const MAX_REDIRECTS: usize = 3;
/// Received bytes go to the file in pieces of about this size.
const WRITE_SIZE: usize = 256 * 1024;

/// See the module.
#[derive(Debug)]
pub struct HttpSource {
    pub(super) client: Client,
    pub(super) url: Uri,
    pub(super) credentials: Credentials,
    pub(super) wait: Duration,
    pub(super) poll: Duration,
    /// Whether a delta bundle may come instead of a whole one.
    pub(super) takes_deltas: bool,
    /// Sent with every request to the configured URL, and nowhere else.
    pub(super) headers: HeaderMap,
    /// For the head of an answer, beyond the time that the source may hold the request.
    pub(super) head_deadline: Duration,
}

impl HttpSource {
    pub(super) async fn fetch(
        &self,
        conditions: &Conditions,
        wait: Wait,
        download: impl FnOnce() -> Download + Send + 'static,
    ) -> Result<Fetched, FetchError> {
        let response = self.ask(conditions, wait).await?;
        let tag = header(response.headers(), &ETAG);
        match response.status() {
            StatusCode::NOT_MODIFIED => Ok(Fetched::Unchanged {
                confirms_active: conditions.confirms_active(tag.as_deref()),
            }),
            StatusCode::OK => {
                let receiving = receive(response, tag, download);
                let received = tokio::time::timeout(BODY_DEADLINE, receiving).await;
                Ok(Fetched::New(received.map_err(|_| FetchError::Stalled)??))
            }
            other => Err(FetchError::Status(other.as_u16())),
        }
    }

    /// The head of the answer, redirects followed. The token goes to the configured URL alone.
    async fn ask(
        &self,
        conditions: &Conditions,
        wait: Wait,
    ) -> Result<Response<Incoming>, FetchError> {
        let mut headers = HeaderMap::new();
        let agent = concat!("lictor/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/vnd.openpolicyagent.bundles, */*;q=0.5"),
        );
        // Tags came in as header values and go out as such.
        let tags = conditions.if_none_match().map(HeaderValue::try_from);
        if let Some(Ok(tags)) = tags {
            headers.insert(IF_NONE_MATCH, tags);
        }
        let held = if wait == Wait::Held {
            self.wait
        } else {
            Duration::ZERO
        };
        let mut prefer = "modes=snapshot".to_owned();
        if self.takes_deltas {
            prefer.push_str(",delta");
        }
        if held.as_secs() > 0 {
            let _ = write!(prefer, ";wait={}", held.as_secs());
        }
        if let Ok(prefer) = HeaderValue::try_from(prefer) {
            headers.insert("prefer", prefer);
        }
        let mut url = self.url.clone();
        let mut token = self.credentials.header().await?;
        let mut own = Some(&self.headers);
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::new(wire::empty());
            *request.uri_mut() = url.clone();
            *request.headers_mut() = headers.clone();
            if let Some(own) = own.take() {
                request.headers_mut().extend(own.clone());
            }
            if let Some(token) = token.take() {
                request.headers_mut().insert(AUTHORIZATION, token);
            }
            let response = self.client.send(request, held + self.head_deadline).await?;
            if !redirects(response.status()) {
                return Ok(response);
            }
            url = target(&url, response.headers())?;
        }
        Err(FetchError::Redirect("does so too often"))
    }
}

fn redirects(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads; never from `https` to `http`.
fn target(from: &Uri, headers: &HeaderMap) -> Result<Uri, FetchError> {
    const NOWHERE: FetchError = FetchError::Redirect("says nowhere to go");
    let location = header(headers, &LOCATION).ok_or(NOWHERE)?;
    let to: Uri = location.parse().map_err(|_| NOWHERE)?;
    if to.scheme().is_some() {
        if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
            return Err(FetchError::Redirect("leaves TLS"));
        }
        return Ok(to);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = to.into_parts().path_and_query;
    Uri::from_parts(parts).map_err(|_| NOWHERE)
}

fn header(headers: &HeaderMap, name: &::http::HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// Reads a body whose SHA-256 is known, within the time for a whole one.
pub(super) async fn receive_whole(
    response: Response<Incoming>,
    digest: Digest,
    download: impl FnOnce() -> Download + Send + 'static,
) -> Result<Fetched, FetchError> {
    let tag = Some(super::conditions::tag_of(&digest));
    let receiving = receive(response, tag, download);
    let received = tokio::time::timeout(BODY_DEADLINE, receiving).await;
    Ok(Fetched::New(received.map_err(|_| FetchError::Stalled)??))
}

/// Reads the body, a piece at a time, into the download.
async fn receive(
    response: Response<Incoming>,
    tag: Option<String>,
    download: impl FnOnce() -> Download + Send + 'static,
) -> Result<Received, FetchError> {
    let announced = tag.as_deref().and_then(announced);
    let length = header(response.headers(), &CONTENT_LENGTH).and_then(|text| text.parse().ok());
    let mut download = blocking(download).await?;
    let limit = download.limit();
    if length.is_some_and(|length: u64| length > limit) {
        return Err(FetchError::TooLarge {
            limit,
            announced,
            tag,
        });
    }
    let mut body = response.into_body();
    let mut pending = Vec::new();
    loop {
        let frame = tokio::time::timeout(PIECE_DEADLINE, body.frame()).await;
        let frame = match frame.map_err(|_| FetchError::Stalled)? {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(wire::WireError::Interrupted(error.into()).into()),
        };
        if let Some(piece) = frame.data_ref() {
            pending.extend_from_slice(piece);
        }
        if pending.len() >= WRITE_SIZE {
            let piece = std::mem::take(&mut pending);
            download = write(download, piece, announced, tag.as_deref()).await?;
        }
    }
    download = write(download, pending, announced, tag.as_deref()).await?;
    let archive = blocking(move || download.finish()).await?;
    Ok(Received {
        archive: archive
            .map_err(|error| FetchError::receiving(error, announced, tag.as_deref()))?,
        announced,
        tag,
    })
}

async fn write(
    mut download: Download,
    piece: Vec<u8>,
    announced: Option<Digest>,
    tag: Option<&str>,
) -> Result<Download, FetchError> {
    let written = blocking(move || download.write(&piece).map(|()| download)).await?;
    written.map_err(|error| FetchError::receiving(error, announced, tag))
}

#[cfg(test)]
mod tests;
