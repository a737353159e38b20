//! AuthZEN 1.0: evaluation, evaluations, searches, metadata.

mod search;

use std::time::Instant;

use crate::api::authzen::{self, Batch, Parts, Semantic};
use crate::api::{ErrorCode, json};
use crate::engine::AccessRequest;
use crate::server::buffers;

use super::access::{envelope, fail_open, verdict};
use super::error::Failure;
use super::reply::{Rare, Reply};
use super::{Call, Handler, OK};

pub(super) use search::search;

/// Items that are decided before other requests of the thread get their turn.
const ITEMS_AT_A_TIME: usize = 32;
/// How often a batch starts over because the bundle was swapped meanwhile.
const RESTARTS: usize = 3;

/// One decision of a batch.
struct Decided {
    body: Vec<u8>,
    positive: bool,
    /// The revision that decided; None where there was no decision.
    revision: Option<String>,
    failed_open: Option<&'static str>,
}

pub(super) fn metadata(handler: &Handler) -> Result<Reply, Failure> {
    let Some(base) = &handler.shared.decision_point else {
        let detail = "no metadata is configured: set `authzen.policy_decision_point`";
        return Err(Failure::new(ErrorCode::NotFound, detail));
    };
    // Which searches there are is for the bundle to say.
    let current = handler.shared.reader.load();
    let program = current.snapshot.as_ref().map(|active| &active.program);
    let body = authzen::metadata(base, |sought| {
        program.is_some_and(|program| program.searches(sought))
    });
    Ok(Reply::json(OK, body).with(Rare {
        cache_control: Some("max-age=60"),
        ..Rare::default()
    }))
}

pub(super) fn evaluation(call: &Call<'_>) -> Result<Reply, Failure> {
    let decided = decide(call, AccessRequest::Document(&call.body), false)?;
    let reply = Reply::decision(decided.body);
    Ok(match decided.failed_open {
        None => reply,
        failed_open => reply.with(Rare {
            failed_open,
            ..Rare::default()
        }),
    })
}

pub(super) async fn evaluations(call: &Call<'_>) -> Result<Reply, Failure> {
    let limits = &call.handler.shared.limits;
    let batch = Batch::parse(&call.body, limits.batch_items).map_err(|error| {
        let code = match error {
            authzen::BatchError::Json(_) => ErrorCode::InvalidJson,
            _ => ErrorCode::InvalidRequest,
        };
        Failure::new(code, error.to_string())
    })?;
    let Some(items) = batch.items.as_ref().filter(|items| !items.is_empty()) else {
        return evaluation(call);
    };
    let end = Instant::now() + limits.batch_time;
    for _ in 0..RESTARTS {
        if let Some(reply) = run(call, &batch, items, end).await? {
            return Ok(reply);
        }
    }
    Err(Failure::new(
        ErrorCode::NotReady,
        "the policy bundle changed each time while the batch was decided",
    ))
}

/// Decides the items in order. None where a swap came in between: all of a batch is answered from one revision.
async fn run(
    call: &Call<'_>,
    batch: &Batch<'_>,
    items: &[authzen::Item<'_>],
    end: Instant,
) -> Result<Option<Reply>, Failure> {
    let mut results: Vec<Vec<u8>> = Vec::with_capacity(items.len());
    let mut revision = None;
    let mut failed_open = None;
    for (index, item) in items.iter().enumerate() {
        if index % ITEMS_AT_A_TIME == ITEMS_AT_A_TIME - 1 {
            tokio::task::yield_now().await;
        }
        if Instant::now() > end {
            return Err(Failure::new(
                ErrorCode::EvaluationBudgetExceeded,
                format!(
                    "the batch was not decided within its time, {index} of {} items were",
                    items.len()
                ),
            ));
        }
        let decided = match item {
            Ok(parts) => item_decision(call, parts.or(batch.defaults))?,
            Err(message) => failure(400, message),
        };
        if decided.revision.is_some() {
            if revision.is_some() && revision != decided.revision {
                return Ok(None);
            }
            revision.clone_from(&decided.revision);
        }
        failed_open = failed_open.or(decided.failed_open);
        let stop = match batch.semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !decided.positive,
            Semantic::PermitOnFirstPermit => decided.positive,
        };
        results.push(decided.body);
        if stop {
            break;
        }
    }
    let mut body = Vec::with_capacity(results.iter().map(Vec::len).sum::<usize>() + 64);
    json::raw(&mut body, "{\"evaluations\":");
    json::list(&mut body, &results, |out, result| {
        out.extend_from_slice(result);
    });
    json::raw(&mut body, "}");
    Ok(Some(Reply::decision(body).with(Rare {
        revision,
        failed_open,
        ..Rare::default()
    })))
}

/// A bad item is a `false` with its reason; a sidecar that cannot decide at all fails the whole batch.
fn item_decision(call: &Call<'_>, parts: Parts<'_>) -> Result<Decided, Failure> {
    let (Some(subject), Some(action), Some(resource)) =
        (parts.subject, parts.action, parts.resource)
    else {
        let missing = [
            ("subject", parts.subject.is_none()),
            ("action", parts.action.is_none()),
            ("resource", parts.resource.is_none()),
        ];
        let missing: Vec<&str> = missing
            .iter()
            .filter(|(_, gone)| *gone)
            .map(|(name, _)| *name)
            .collect();
        return Ok(failure(400, &format!("missing: {}", missing.join(", "))));
    };
    let request = AccessRequest::Parts {
        subject: subject.get().as_bytes(),
        action: action.get().as_bytes(),
        resource: resource.get().as_bytes(),
        context: parts.context.map(|context| context.get().as_bytes()),
    };
    match decide(call, request, true) {
        Ok(decided) => Ok(decided),
        Err(error) => match error.problem.code {
            ErrorCode::InvalidJson | ErrorCode::InvalidRequest => {
                Ok(failure(400, &error.problem.detail))
            }
            ErrorCode::PayloadTooLarge => Ok(failure(413, &error.problem.detail)),
            ErrorCode::EvaluationBudgetExceeded => Ok(failure(503, &error.problem.detail)),
            ErrorCode::Internal => Ok(failure(500, ErrorCode::Internal.title())),
            _ => Err(error),
        },
    }
}

fn failure(status: u16, message: &str) -> Decided {
    let mut body = Vec::with_capacity(128);
    authzen::failure(&mut body, status, message);
    Decided {
        body,
        positive: false,
        revision: None,
        failed_open: None,
    }
}

/// Decides one request; `named` = the revision's name is wanted.
fn decide(call: &Call<'_>, request: AccessRequest<'_>, named: bool) -> Result<Decided, Failure> {
    let handler = call.handler;
    let mut worker = handler.worker.borrow_mut();
    let result = worker.access(request, &call.question(), |answered, access| {
        let (positive, reason) = verdict(handler, access);
        let mut body = buffers::take();
        authzen::decision(&mut body, &envelope(answered), positive, reason, access);
        Decided {
            body,
            positive,
            revision: named.then(|| answered.snapshot.name.clone()),
            failed_open: None,
        }
    });
    if let Ok(decided) = &result {
        worker.record_result(&decided.body);
    }
    result.or_else(|error| {
        let failure = Failure::from(error);
        let (id, reason) = fail_open(handler, &failure).ok_or(failure)?;
        let mut body = Vec::new();
        authzen::failed_open(&mut body, id, reason);
        Ok(Decided {
            body,
            positive: true,
            revision: None,
            failed_open: Some(reason),
        })
    })
}
