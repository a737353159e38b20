//! AuthZEN's searches.

use crate::api::ErrorCode;
use crate::api::authzen::search::{self, Request, RequestError};
use crate::decide::Search;
use crate::model::Sought;
use crate::server::buffers;
use crate::sidecar::http::Call;
use crate::sidecar::http::access::{envelope, verdict};
use crate::sidecar::http::error::Failure;
use crate::sidecar::http::reply::Reply;

pub(in crate::sidecar::http) fn search(call: &Call<'_>, sought: Sought) -> Result<Reply, Failure> {
    let handler = call.handler;
    let request = Request::parse(&call.body, sought).map_err(|error| {
        let code = match error {
            RequestError::Json(_) => ErrorCode::InvalidJson,
            RequestError::Invalid { .. } => ErrorCode::InvalidRequest,
        };
        Failure::new(code, error.to_string())
    })?;
    let (from, token) = request.position(sought)?;
    let most = handler.shared.limits.batch_items;
    let limit = request.page.limit.map_or(most, |limit| {
        usize::try_from(limit).map_or(most, |limit| limit.min(most))
    });
    let sent: Vec<(&str, &str)> = request
        .sent
        .iter()
        .map(|(name, text)| (&**name, *text))
        .collect();
    let asked = Search {
        sought,
        kind: &request.kind,
        sent: &sent,
        subject: request.subject.as_bytes(),
        action: request.action.as_bytes(),
        resource: request.resource.as_bytes(),
        context: request.context.map(str::as_bytes),
        from,
        limit,
    };
    let mut worker = handler.worker.borrow_mut();
    let body = worker.search(
        &asked,
        &call.body,
        &call.question(),
        |access| verdict(handler, access).0,
        |answered, found| {
            let revision = &answered.snapshot.name;
            if let Some(token) = &token {
                token.check(revision)?;
            }
            let next = found.next.map(|next| request.token(sought, next, revision));
            let results = found.entities.iter().map(|found| (found.kind, found.name));
            let mut out = buffers::take();
            search::page_of(&mut out, &envelope(answered), sought, next, results);
            Ok::<_, Failure>(out)
        },
    )??;
    worker.record_result(&body);
    Ok(Reply::decision(body))
}

impl From<search::TokenError> for Failure {
    fn from(error: search::TokenError) -> Self {
        Self::new(ErrorCode::InvalidRequest, error.to_string())
    }
}
