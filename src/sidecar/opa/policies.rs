//! Policies as they were loaded: `/v1/policies`.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;

use crate::api::json::raw;
use crate::api::opa::{Code, string};
use crate::engine::RegoModule;
use crate::snapshot::Snapshot;

use super::Call;
use super::data::Members;
use super::error::Failure;
use super::parameters::unescape;
use super::reply::Reply;
use super::write;

/// `GET /v1/policies`.
pub(super) fn list(call: &Call<'_>) -> Reply {
    let mut out = b"{\"result\":[".to_vec();
    if let Some(snapshot) = active(call) {
        let mut modules: Vec<_> = modules(&snapshot).collect();
        modules.sort_by(|left, right| left.0.cmp(&right.0));
        for (index, (id, module)) in modules.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            policy(&mut out, id, module);
        }
    }
    raw(&mut out, "]}");
    Reply::json(StatusCode::OK, out, call.parameters.pretty)
}

/// `GET /v1/policies/{id}`.
pub(super) fn get(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    let id = decoded(id);
    let snapshot = active(call);
    let found = snapshot
        .as_ref()
        .and_then(|snapshot| modules(snapshot).find(|(known, _)| *known == id));
    let (_, module) = found.ok_or_else(|| unknown(&id))?;
    let mut out = b"{\"result\":".to_vec();
    policy(&mut out, &id, module);
    out.push(b'}');
    Ok(Reply::json(StatusCode::OK, out, call.parameters.pretty))
}

/// `DELETE /v1/policies/{id}`: never.
pub(super) fn delete(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    let id = decoded(id);
    let snapshot = active(call);
    let is_known = snapshot
        .as_ref()
        .is_some_and(|snapshot| modules(snapshot).any(|(known, _)| known == id));
    Err(if is_known {
        write::owned(call, None)
    } else {
        unknown(&id)
    })
}

fn decoded(id: &str) -> Cow<'_, str> {
    unescape(id, false).unwrap_or(Cow::Borrowed(id))
}

fn active(call: &Call<'_>) -> Option<Arc<Snapshot>> {
    call.handler.shared.reader.load().snapshot.clone()
}

/// Modules by their id: the bundle's name and the path in it, which the paths of OPA's own bundles begin with already.
fn modules(snapshot: &Snapshot) -> impl Iterator<Item = (String, &RegoModule)> {
    let own = snapshot
        .bundles
        .iter()
        .find(|bundle| bundle.signed.is_some());
    snapshot.program.rego().modules().iter().map(move |module| {
        let path = module.path.trim_start_matches('/');
        let id = own.map_or_else(
            || path.to_owned(),
            |bundle| format!("{}/{path}", bundle.source),
        );
        (id, module)
    })
}

fn policy(out: &mut Vec<u8>, id: &str, module: &RegoModule) {
    let mut object = Members::new(out);
    string(object.member("id"), id);
    string(object.member("raw"), &module.text);
    raw(object.member("ast"), "null");
    object.end();
}

fn unknown(id: &str) -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        Code::ResourceNotFound,
        format!("storage_not_found_error: policy id \"{id}\""),
    )
}
