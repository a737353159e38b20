//! Which call a method and a path are.

use http::Method;

use crate::api::authzen::{
    EVALUATION, EVALUATIONS, SEARCH_ACTION, SEARCH_RESOURCE, SEARCH_SUBJECT, WELL_KNOWN,
};
use crate::api::ofrep::FLAGS;
use crate::model::PolicyId;
use crate::sidecar::metrics::Route;

use super::{ext_authz, facade};

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routed {
    To(Route),
    /// [`Route::Content`] of this policy.
    Content(PolicyId),
    /// The path is known and the method is not; these are allowed.
    Elsehow(&'static str),
    Nowhere,
}

impl Route {
    /// Whether errors take AuthZEN's shape.
    pub(super) const fn is_authzen(self) -> bool {
        matches!(
            self,
            Self::Evaluation
                | Self::Evaluations
                | Self::SearchSubject
                | Self::SearchAction
                | Self::SearchResource
                | Self::Metadata
        )
    }

    /// The name of the protocol, as records of decisions say it.
    pub(super) const fn door(self) -> &'static str {
        if self.is_authzen() {
            "authzen"
        } else if self.is_ofrep() {
            "ofrep"
        } else {
            "http"
        }
    }

    /// Whether it is asked with a JSON body. OFREP's clients may send nothing at all, which is an empty context.
    pub(super) const fn has_body(self) -> bool {
        !matches!(
            self,
            Self::Metadata | Self::EngineAccess | Self::EnginePolicies | Self::EngineHealth
        ) && !self.is_ofrep()
    }

    /// Whether errors take OFREP's shape.
    pub(super) const fn is_ofrep(self) -> bool {
        matches!(self, Self::Flag | Self::Flags)
    }
}

/// Finds the call. What is below `/api/v1/` and not answered here is the control plane's.
pub(super) fn route(method: &Method, path: &str) -> Routed {
    let (route, wanted, allow) = match path {
        "/v1/validate" => (Route::Validate, Method::POST, "POST"),
        "/v1/access/check" => (Route::AccessCheck, Method::POST, "POST"),
        "/v1/consumption/validate" => (Route::Consumption, Method::POST, "POST"),
        "/v1/variant" => (Route::Variant, Method::POST, "POST"),
        EVALUATION => (Route::Evaluation, Method::POST, "POST"),
        EVALUATIONS => (Route::Evaluations, Method::POST, "POST"),
        SEARCH_SUBJECT => (Route::SearchSubject, Method::POST, "POST"),
        SEARCH_ACTION => (Route::SearchAction, Method::POST, "POST"),
        SEARCH_RESOURCE => (Route::SearchResource, Method::POST, "POST"),
        WELL_KNOWN => (Route::Metadata, Method::GET, "GET"),
        _ if is_check(path) => return Routed::To(Route::ExtAuthz),
        _ => match path.strip_prefix(FLAGS) {
            Some("" | "/") => (Route::Flags, Method::POST, "POST"),
            Some(key) if key.starts_with('/') => (Route::Flag, Method::POST, "POST"),
            _ => match engine(path) {
                Some(found) => found,
                None => return below_api(method, path),
            },
        },
    };
    if method == wanted {
        Routed::To(route)
    } else {
        Routed::Elsehow(allow)
    }
}

/// A call of the policy engine's clients. Below a base of their own they have the engine's list of policies and health,
/// whose paths are the registry's and OPA's otherwise.
fn engine(path: &str) -> Option<(Route, Method, &'static str)> {
    let own = path.strip_prefix(facade::BASE);
    Some(match own.unwrap_or(path) {
        "/api/v1/validate/consumption" => (Route::EngineConsumption, Method::POST, "POST"),
        "/api/v1/access/check" => (Route::EngineAccess, Method::GET, "GET"),
        "/api/v1/compliance/data-residency" => (Route::EngineResidency, Method::POST, "POST"),
        "/api/v1/violations/report" => (Route::EngineReport, Method::POST, "POST"),
        "/api/v1/policies" | "/api/v1/policies/" if own.is_some() => {
            (Route::EnginePolicies, Method::GET, "GET")
        }
        "/health" if own.is_some() => (Route::EngineHealth, Method::GET, "GET"),
        _ => return None,
    })
}

/// A request that Envoy holds back, whatever its method.
fn is_check(path: &str) -> bool {
    path.strip_prefix(ext_authz::PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn below_api(method: &Method, path: &str) -> Routed {
    let Some(rest) = path.strip_prefix("/api/v1/") else {
        return Routed::Nowhere;
    };
    if method == Method::GET
        && let Some(id) = rest
            .strip_prefix("policies/")
            .and_then(|rest| rest.strip_suffix("/content"))
        && let Ok(id) = id.parse()
    {
        return Routed::Content(id);
    }
    Routed::To(Route::Forward)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_method_and_path() {
        let id = "7f3b1c1e-4a5b-4c6d-8e7f-0123456789ab";
        let content = format!("/api/v1/policies/{id}/content");
        for (method, path, expected) in [
            (Method::POST, "/v1/validate", Routed::To(Route::Validate)),
            (Method::GET, "/v1/validate", Routed::Elsehow("POST")),
            (Method::POST, WELL_KNOWN, Routed::Elsehow("GET")),
            (Method::GET, &content, Routed::Content(id.parse().unwrap())),
            (
                Method::POST,
                "/ofrep/v1/evaluate/flags",
                Routed::To(Route::Flags),
            ),
            (
                Method::POST,
                "/ofrep/v1/evaluate/flags/",
                Routed::To(Route::Flags),
            ),
            (
                Method::POST,
                "/ofrep/v1/evaluate/flags/a/b",
                Routed::To(Route::Flag),
            ),
            (
                Method::GET,
                "/ofrep/v1/evaluate/flags/a",
                Routed::Elsehow("POST"),
            ),
            (Method::POST, "/ofrep/v1/evaluate/flagship", Routed::Nowhere),
            (Method::HEAD, &content, Routed::To(Route::Forward)),
            (
                Method::GET,
                "/api/v1/policies/no-uuid/content",
                Routed::To(Route::Forward),
            ),
            (
                Method::DELETE,
                "/api/v1/anything/at/all",
                Routed::To(Route::Forward),
            ),
            (
                Method::POST,
                "/api/v1/violations/report",
                Routed::To(Route::EngineReport),
            ),
            (
                Method::POST,
                "/engine/api/v1/violations/report",
                Routed::To(Route::EngineReport),
            ),
            (
                Method::GET,
                "/engine/api/v1/policies",
                Routed::To(Route::EnginePolicies),
            ),
            (
                Method::DELETE,
                "/engine/api/v1/policies/",
                Routed::Elsehow("GET"),
            ),
            (
                Method::GET,
                "/engine/health",
                Routed::To(Route::EngineHealth),
            ),
            (Method::GET, "/engine/api/v1/policies/1", Routed::Nowhere),
            (Method::GET, "/api/v1/policies", Routed::To(Route::Forward)),
            (Method::GET, "/api/v2/policies", Routed::Nowhere),
            (Method::GET, "/api/v1", Routed::Nowhere),
            (Method::POST, "/v1/validate/", Routed::Nowhere),
        ] {
            assert_eq!(route(&method, path), expected, "{method} {path}");
        }
    }
}
