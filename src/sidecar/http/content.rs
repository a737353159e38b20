//! `GET /api/v1/policies/{id}/content`: answered from the snapshot where it can, else by the control plane.

use http::Response;
use http::request::Parts;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::api::ErrorCode;
use crate::model::PolicyId;
use crate::server::Door;
use crate::server::body::Body;

use super::Handler;
use super::asked::Asked;
use super::error::Failure;
use super::reply::{Rare, Reply};
use crate::sidecar::metrics::Route;
use crate::sidecar::revision;

pub(super) async fn answer(
    handler: &Handler,
    policy: PolicyId,
    head: Parts,
    incoming: Incoming,
    door: &Door,
) -> Response<Body> {
    let route = Route::Content;
    let found = match prepare(handler, &head, door).await {
        Ok(()) => look_up(handler, policy, client(head.uri.query()).as_deref()),
        Err(failure) => Err(failure),
    };
    match found {
        Ok(Some(reply)) => handler.finish(route, head, Ok(reply)),
        Ok(None) if handler.shared.forwarder.is_some() => {
            handler.forward(route, head, incoming, door).await
        }
        Ok(None) => {
            let detail = "no content of this policy is loaded for this client";
            handler.finish(route, head, Err(Failure::new(ErrorCode::NotFound, detail)))
        }
        Err(failure) => handler.finish(route, head, Err(failure)),
    }
}

async fn prepare(handler: &Handler, head: &Parts, door: &Door) -> Result<(), Failure> {
    let asked = Asked::read(&head.headers, &handler.guard(door));
    handler.admit(head, &asked, door)?;
    asked.check_once()?;
    let now = handler.shared.clock.now();
    handler.callers.identify(asked.credentials(), now).await?;
    match asked.wanted_revision()? {
        Some(wanted) => Ok(revision::reach(&handler.shared, wanted).await?),
        None => Ok(()),
    }
}

/// None where the snapshot cannot answer.
fn look_up(
    handler: &Handler,
    policy: PolicyId,
    client: Option<&str>,
) -> Result<Option<Reply>, Failure> {
    let now = handler.shared.clock.now();
    let mut worker = handler.worker.borrow_mut();
    let found = worker.content(policy, client, now, |answered, content| {
        content.map(|content| {
            Reply::decision(content.json.as_bytes().to_vec()).with(Rare {
                decision_id: Some(answered.decision_id),
                revision: Some(answered.snapshot.name.clone()),
                etag: Some(format!("\"{}\"", content.content_hash)),
                ..Rare::default()
            })
        })
    });
    match found {
        Ok(reply) => Ok(reply),
        // The control plane may know what this sidecar cannot say now.
        Err(_) if handler.shared.forwarder.is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `client_id` of the query, decoded; empty = none.
fn client(query: Option<&str>) -> Option<String> {
    query?
        .split('&')
        .find_map(|pair| pair.strip_prefix("client_id="))
        .map(|value| {
            let spaced = value.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        })
        .filter(|client| !client.is_empty())
}

#[cfg(test)]
mod tests {
    use super::client;

    #[test]
    fn the_client_is_decoded() {
        assert_eq!(
            client(Some("a=b&client_id=x%2Fy+z")).as_deref(),
            Some("x/y z")
        );
        assert_eq!(client(Some("client_id=")), None);
        assert_eq!(client(Some("client_ids=1")), None);
        assert_eq!(client(None), None);
    }
}
