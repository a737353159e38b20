//! `GET /api/v1/policies/{id}/content`: answered from the snapshot where it can, else by the control plane.

use http::{Request, Response};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::api::ErrorCode;
use crate::model::PolicyId;
use crate::server::body::Body;

use super::asked::{self, Asked};
use super::error::Failure;
use super::reply::Reply;
use super::route::Route;
use super::{Handler, OK, revision};

pub(super) async fn answer(
    handler: &Handler,
    route: Route,
    policy: PolicyId,
    request: Request<Incoming>,
) -> Response<Body> {
    let found = match prepare(handler, &request).await {
        Ok(()) => look_up(handler, policy, client(request.uri().query()).as_deref()),
        Err(failure) => Err(failure),
    };
    match found {
        Ok(Some(reply)) => {
            let (head, _) = request.into_parts();
            let request_id = asked::request_id(&head.headers);
            handler.reply(route, head, request_id, Ok(reply))
        }
        Ok(None) if handler.shared.forwarder.is_some() => handler.forward(route, request).await,
        Ok(None) => {
            let detail = "no content of this policy is loaded for this client";
            handler.refuse(
                route,
                request,
                Failure::new(ErrorCode::NotFound, detail),
                None,
            )
        }
        Err(failure) => handler.refuse(route, request, failure, None),
    }
}

async fn prepare(handler: &Handler, request: &Request<Incoming>) -> Result<(), Failure> {
    let asked = Asked::read(request.headers())?;
    let now = handler.shared.clock.now();
    handler.callers.identify(asked.credentials(), now).await?;
    match asked.wanted_revision()? {
        Some(wanted) => revision::reach(&handler.shared, wanted).await,
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
        content.map(|content| Reply {
            decision_id: Some(answered.decision_id),
            revision: Some(answered.snapshot.name.clone()),
            etag: Some(format!("\"{}\"", content.content_hash)),
            ..Reply::decision(content.json.as_bytes().to_vec())
        })
    });
    match found {
        Ok(reply) => Ok(reply.map(|reply| Reply {
            status: OK,
            ..reply
        })),
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
