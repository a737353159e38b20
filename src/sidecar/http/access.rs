//! `POST /v1/access/check`, and what it shares with AuthZEN: no policy, no decision.

use uuid::Uuid;

use crate::api::decision::{self, AccessAnswer, Envelope, Reason};
use crate::decide::Answered;
use crate::engine::AccessRequest;
use crate::model::{Access, AccessReason};
use crate::server::buffers;
use crate::sidecar::config::WhenNoPolicy;

use super::error::Failure;
use super::reply::{Rare, Reply};
use super::{Call, Handler};

pub(super) fn envelope<'a>(answered: &Answered<'a>) -> Envelope<'a> {
    Envelope {
        decision_id: answered.decision_id,
        revision: &answered.snapshot.name,
    }
}

pub(super) fn check(call: &Call<'_>) -> Result<Reply, Failure> {
    let handler = call.handler;
    let request = AccessRequest::Check(&call.body);
    let mut worker = handler.worker.borrow_mut();
    let result = worker.access(request, &call.question(), |answered, access| {
        let (allowed, reason) = verdict(handler, access);
        let answer = AccessAnswer {
            allowed,
            reason,
            required_permissions: access.required_permissions,
            missing_permissions: access.missing_permissions,
        };
        let mut out = buffers::take();
        decision::access(&mut out, &envelope(answered), &answer, access);
        out
    });
    match result {
        Ok(body) => {
            worker.record_result(&body);
            Ok(Reply::decision(body))
        }
        Err(error) => {
            let failure = Failure::from(error);
            let (id, reason) = fail_open(handler, &failure).ok_or(failure)?;
            let mut body = Vec::new();
            decision::access_failed_open(&mut body, id, reason);
            Ok(Reply::decision(body).with(Rare {
                failed_open: Some(reason),
                ..Rare::default()
            }))
        }
    }
}

/// The answer and its reason after the configuration's word on what no policy means.
pub(super) fn verdict<'a>(handler: &Handler, access: &Access<'a>) -> (bool, Reason<'a>) {
    if access.reason == AccessReason::NoPolicy
        && handler.shared.when_no_policy == WhenNoPolicy::Allow
    {
        (true, Reason::ALLOWED_WITHOUT_POLICY)
    } else {
        (access.allowed, Reason::of(&access.reason))
    }
}

/// Where the operator chose so, a yes without a decision: its id and the reason. Counted here.
pub(super) fn fail_open(handler: &Handler, failure: &Failure) -> Option<(Uuid, &'static str)> {
    let reason = failure
        .fails_open()
        .filter(|_| handler.shared.fail_open_access)?;
    handler.shared.metrics.failed_open(reason);
    Some((Uuid::now_v7(), reason))
}
