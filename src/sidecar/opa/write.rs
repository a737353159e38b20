//! Writes of data and policies: refused in OPA's own words for what bundles own, never forwarded.

use crate::engine::RegoValue;

use super::Call;
use super::body::kind_of;
use super::error::Failure;
use super::path::DocumentPath;
use super::reply::Reply;

/// `PUT /v1/data/{path}`.
pub(super) fn put(call: &Call<'_>, path: &str) -> Result<Reply, Failure> {
    json(call)?;
    Err(refuse(call, path))
}

/// `PATCH /v1/data/{path}`.
pub(super) fn patch(call: &Call<'_>, path: &str) -> Result<Reply, Failure> {
    let operations = match json(call)? {
        RegoValue::Array(operations) => operations,
        RegoValue::Null => return Err(refuse(call, path)),
        other => {
            return Err(Failure::invalid(format!(
                "json: cannot unmarshal {} into Go value of type []types.PatchV1",
                kind_of(&other)
            )));
        }
    };
    for operation in operations.iter() {
        let name = super::body::text_of(operation, "op", "PatchV1").map_err(Failure::invalid)?;
        if !["add", "remove", "replace"].contains(&name.as_str()) {
            return Err(Failure::invalid(format!("bad patch operation: {name}")));
        }
    }
    let below = operations.iter().next().and_then(|first| {
        let below = super::body::text_of(first, "path", "PatchV1").ok()?;
        Some(format!("{path}/{below}"))
    });
    Err(refuse(call, below.as_deref().unwrap_or(path)))
}

/// `DELETE /v1/data/{path}`.
pub(super) fn delete(call: &Call<'_>, path: &str) -> Result<Reply, Failure> {
    Err(refuse(call, path))
}

/// The first value of the body, whatever its content type says.
fn json(call: &Call<'_>) -> Result<RegoValue, Failure> {
    let form = super::Form::default();
    let value = super::body::value(&call.body, form, call.depth()).map_err(Failure::invalid)?;
    value.ok_or_else(|| Failure::invalid("EOF"))
}

fn refuse(call: &Call<'_>, path: &str) -> Failure {
    match DocumentPath::read(path) {
        Ok(path) => {
            let steps: Vec<&str> = path.steps().iter().map(|step| &**step).collect();
            owned(call, Some(&steps))
        }
        Err(_) => Failure::invalid(format!("bad path: {path}")),
    }
}

/// Who owns the document at a path (None = a policy, wherever it is).
pub(super) fn owned(call: &Call<'_>, path: Option<&[&str]>) -> Failure {
    let current = call.handler.shared.reader.load();
    let bundles = current.snapshot.as_ref().map(|snapshot| &snapshot.bundles);
    for bundle in bundles.into_iter().flatten() {
        if path.is_some_and(<[&str]>::is_empty) {
            return Failure::invalid("can't write to document root with bundle roots configured");
        }
        let owns_all = bundle.roots.iter().any(String::is_empty) || bundle.roots.is_empty();
        if owns_all || path.is_none() {
            return Failure::invalid(format!("all paths owned by bundle \"{}\"", bundle.source));
        }
        let path = path.unwrap_or_default();
        let is_owned = bundle
            .roots
            .iter()
            .any(|root| root.split('/').zip(path).all(|(root, step)| root == *step));
        if is_owned {
            return Failure::invalid(format!(
                "path {} is owned by bundle \"{}\"",
                path.join("/"),
                bundle.source
            ));
        }
    }
    Failure::invalid("data and policies come from bundles alone here")
}
