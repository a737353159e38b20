//! Which of OPA's calls a method and a path are.

use http::Method;

/// The label `handler` of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    V0Data,
    V1Data,
    V1Query,
    V1Policies,
    V1Compile,
    V1Config,
    V1Status,
    Index,
    Catchall,
    Health,
    Authz,
}

impl Label {
    /// Every label.
    pub(super) const ALL: [Self; 11] = [
        Self::V0Data,
        Self::V1Data,
        Self::V1Query,
        Self::V1Policies,
        Self::V1Compile,
        Self::V1Config,
        Self::V1Status,
        Self::Index,
        Self::Catchall,
        Self::Health,
        Self::Authz,
    ];

    /// OPA's word.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::V0Data => "v0/data",
            Self::V1Data => "v1/data",
            Self::V1Query => "v1/query",
            Self::V1Policies => "v1/policies",
            Self::V1Compile => "v1/compile",
            Self::V1Config => "v1/config",
            Self::V1Status => "v1/status",
            Self::Index => "index",
            Self::Catchall => "catchall",
            Self::Health => "health",
            Self::Authz => "authz",
        }
    }
}

/// A call. Paths are what comes after the route, not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'p> {
    Page,
    DefaultDecision,
    Health,
    HealthRule(&'p str),
    Metrics,
    AllocBytes,
    V0Data(&'p str),
    DataGet(&'p str),
    DataPost(&'p str),
    DataPut(&'p str),
    DataPatch(&'p str),
    DataDelete(&'p str),
    Policies,
    PolicyGet(&'p str),
    PolicyPut(&'p str),
    PolicyDelete(&'p str),
    QueryGet,
    QueryPost,
    Compile,
    Config,
    Status,
    /// 405 without a body.
    NotAllowed,
    /// 405 as Go's router says it, with the methods that are allowed.
    Refused(&'static str),
    Nowhere,
}

impl Route<'_> {
    pub(super) const fn takes_body(self) -> bool {
        matches!(
            self,
            Self::DefaultDecision
                | Self::V0Data(_)
                | Self::DataPost(_)
                | Self::DataPut(_)
                | Self::DataPatch(_)
                | Self::QueryPost
        )
    }

    /// Whether it may want to be answered from a revision on.
    pub(super) const fn is_decision(self) -> bool {
        self.takes_body() || matches!(self, Self::DataGet(_) | Self::QueryGet)
    }

    /// What its metrics are labelled with; none for the metrics page.
    pub(super) const fn label(self) -> Option<Label> {
        Some(match self {
            Self::Page | Self::DefaultDecision => Label::Index,
            Self::Health | Self::HealthRule(_) => Label::Health,
            Self::V0Data(_) => Label::V0Data,
            Self::DataGet(_)
            | Self::DataPost(_)
            | Self::DataPut(_)
            | Self::DataPatch(_)
            | Self::DataDelete(_) => Label::V1Data,
            Self::Policies | Self::PolicyGet(_) | Self::PolicyPut(_) | Self::PolicyDelete(_) => {
                Label::V1Policies
            }
            Self::QueryGet | Self::QueryPost => Label::V1Query,
            Self::Compile => Label::V1Compile,
            Self::Config => Label::V1Config,
            Self::Status => Label::V1Status,
            Self::NotAllowed => Label::Catchall,
            Self::Metrics | Self::AllocBytes | Self::Refused(_) | Self::Nowhere => return None,
        })
    }
}

/// The places that belong to OPA's clients, each with all that lies below it.
const OWNED: [&str; 9] = [
    "/v1/data",
    "/v0/data",
    "/v1/policies",
    "/v1/query",
    "/v1/compile",
    "/v1/config",
    "/v1/status",
    "/health",
    "/metrics",
];

/// Whether a path belongs to OPA's clients.
pub(super) fn owns(path: &str) -> bool {
    path == "/" || OWNED.iter().any(|place| below(path, place).is_some())
}

/// What comes after `place` and a slash; empty at the place itself.
#[inline]
fn below<'p>(path: &'p str, place: &str) -> Option<&'p str> {
    // Tells most places apart without comparing them.
    if !matches!(path.as_bytes().get(place.len()), None | Some(b'/')) {
        return None;
    }
    let rest = path.strip_prefix(place)?;
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix('/')
    }
}

/// Finds the call.
pub(super) fn route<'p>(method: &Method, path: &'p str) -> Route<'p> {
    // OPA's own handlers refuse it, although its router would take it for GET.
    if *method == Method::HEAD && !path.starts_with("/metrics") {
        return Route::NotAllowed;
    }
    if let Some(rest) = below(path, "/v1/data") {
        return match *method {
            Method::POST => Route::DataPost(rest),
            Method::GET => Route::DataGet(rest),
            Method::PUT => Route::DataPut(rest),
            Method::PATCH => Route::DataPatch(rest),
            Method::DELETE if path != "/v1/data" => Route::DataDelete(rest),
            _ => Route::NotAllowed,
        };
    }
    if let Some(rest) = below(path, "/v0/data") {
        return match *method {
            Method::POST => Route::V0Data(rest),
            _ => Route::NotAllowed,
        };
    }
    if let Some(rest) = below(path, "/v1/policies") {
        return match *method {
            Method::GET if path == "/v1/policies" => Route::Policies,
            Method::GET => Route::PolicyGet(rest),
            Method::PUT if path != "/v1/policies" => Route::PolicyPut(rest),
            Method::DELETE if path != "/v1/policies" => Route::PolicyDelete(rest),
            _ => Route::NotAllowed,
        };
    }
    if below(path, "/v1/query").is_some() {
        return match *method {
            Method::GET if path == "/v1/query" => Route::QueryGet,
            Method::POST if path == "/v1/query" => Route::QueryPost,
            _ => Route::NotAllowed,
        };
    }
    elsewhere(method, path)
}

/// Routes where Go's router answers for methods that are not there.
fn elsewhere<'p>(method: &Method, path: &'p str) -> Route<'p> {
    let is_read = *method == Method::GET || *method == Method::HEAD;
    let read = |route| {
        if is_read {
            route
        } else {
            Route::Refused("GET, HEAD")
        }
    };
    match path {
        "/" => match *method {
            Method::POST => Route::DefaultDecision,
            _ if is_read => Route::Page,
            _ => Route::Refused("GET, HEAD, POST"),
        },
        "/health" => read(Route::Health),
        "/metrics" => read(Route::Metrics),
        "/metrics/alloc_bytes" => read(Route::AllocBytes),
        "/v1/config" => read(Route::Config),
        "/v1/status" => read(Route::Status),
        "/v1/compile" if *method == Method::POST => Route::Compile,
        "/v1/compile" => Route::Refused("POST"),
        _ => {
            if let Some(rule) = below(path, "/health") {
                read(Route::HealthRule(rule))
            } else if below(path, "/v1/compile").is_some() {
                if is_read || *method == Method::POST {
                    Route::Compile
                } else {
                    Route::Refused("GET, HEAD, POST")
                }
            } else {
                Route::Nowhere
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_method_and_path() {
        for (method, path, expected) in [
            (Method::POST, "/", Route::DefaultDecision),
            (Method::GET, "/", Route::Page),
            (Method::PUT, "/", Route::Refused("GET, HEAD, POST")),
            (Method::GET, "/health", Route::Health),
            (Method::GET, "/health/live/x", Route::HealthRule("live/x")),
            (Method::POST, "/health", Route::Refused("GET, HEAD")),
            (Method::POST, "/v1/data/a/b", Route::DataPost("a/b")),
            (Method::POST, "/v1/data", Route::DataPost("")),
            (Method::HEAD, "/v1/data", Route::NotAllowed),
            (Method::DELETE, "/v1/data", Route::NotAllowed),
            (Method::DELETE, "/v1/data/x", Route::DataDelete("x")),
            (Method::GET, "/v0/data/x", Route::NotAllowed),
            (Method::GET, "/v1/policies", Route::Policies),
            (
                Method::GET,
                "/v1/policies/a/b.rego",
                Route::PolicyGet("a/b.rego"),
            ),
            (Method::PUT, "/v1/policies", Route::NotAllowed),
            (Method::POST, "/v1/query/x", Route::NotAllowed),
            (Method::POST, "/v1/compile/a/b", Route::Compile),
            (Method::GET, "/v1/compile", Route::Refused("POST")),
            (Method::PUT, "/v1/status", Route::Refused("GET, HEAD")),
            (Method::HEAD, "/v1/config", Route::NotAllowed),
            (Method::HEAD, "/metrics", Route::Metrics),
            (Method::GET, "/v1/config/x", Route::Nowhere),
            (Method::GET, "/metrics/alloc_bytes", Route::AllocBytes),
        ] {
            assert_eq!(route(&method, path), expected, "{method} {path}");
            assert!(owns(path), "{path}");
        }
        for path in [
            "/v1/database",
            "/v1/validate",
            "/healthz",
            "/api/v1/policies",
            "/v0",
        ] {
            assert!(!owns(path), "{path}");
        }
    }

    #[test]
    fn labels_stand_at_their_number() {
        for (index, label) in Label::ALL.into_iter().enumerate() {
            assert_eq!(label as usize, index);
        }
    }
}
