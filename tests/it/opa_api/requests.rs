//! Requests that a real OPA and a sidecar must answer alike, and those whose answers differ, with the reason.

/// Method, path, headers, body.
pub type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const YAML: &[(&str, &str)] = &[("content-type", "application/yaml")];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const GZIP: &[(&str, &str)] = &[("accept-encoding", "gzip")];
const PACKED: &[(&str, &str)] = &[("content-encoding", "gzip")];
const NONE: &[(&str, &str)] = &[];

/// What must be answered alike.
pub const SAME: &[Row] = &[
    // Documents.
    (
        "POST",
        "/v1/data/shop/allow",
        JSON,
        r#"{"input": {"user": "alice"}}"#,
    ),
    (
        "POST",
        "/v1/data/shop/allow",
        NONE,
        r#"{"input": {"user": "bob"}}"#,
    ),
    (
        "POST",
        "/v1/data/shop/role",
        NONE,
        r#"{"input": {"user": "bob"}}"#,
    ),
    (
        "POST",
        "/v1/data/shop/role",
        NONE,
        r#"{"input": {"user": "carol"}}"#,
    ),
    ("POST", "/v1/data/shop/missing", NONE, r#"{"input": {}}"#),
    ("POST", "/v1/data/nowhere/at/all", NONE, r#"{"input": {}}"#),
    ("POST", "/v1/data/shop/numbers", NONE, r#"{"input": {}}"#),
    ("POST", "/v1/data/shop/escaped", NONE, r#"{"input": {}}"#),
    ("POST", "/v1/data/shop/mixed", NONE, r#"{"input": {}}"#),
    ("POST", "/v1/data/shop/nothing", NONE, r#"{"input": {}}"#),
    ("POST", "/v1/data/shop/empty", NONE, r#"{"input": {}}"#),
    (
        "POST",
        "/v1/data/shop",
        NONE,
        r#"{"input": {"user": "alice", "divisor": 4}}"#,
    ),
    (
        "POST",
        "/v1/data",
        NONE,
        r#"{"input": {"user": "alice", "divisor": 4}}"#,
    ),
    ("POST", "/v1/data/shop/mixed/a", NONE, r#"{"input": 1}"#),
    ("POST", "/v1/data/shop/echo", NONE, r#"{"input": "text"}"#),
    ("POST", "/v1/data/shop/echo", NONE, r#"{"input": false}"#),
    (
        "POST",
        "/v1/data/shop/echo",
        NONE,
        r#"{"input": [1, "\ud83d\ude00 \ud800 <", {"b": null, "a": 0}]}"#,
    ),
    (
        "POST",
        "/v1/data/shop/echo",
        NONE,
        r#"{"input": {"a": {"b": [[]]}}}"#,
    ),
    (
        "POST",
        "/v1/data/shop/echo",
        NONE,
        r#"{"input": 9007199254740993}"#,
    ),
    (
        "POST",
        "/v1/data/shop/echo",
        NONE,
        r#"{"input": 123456789012345678901234567890}"#,
    ),
    ("POST", "/v1/data/shop/echo", NONE, r#"{"input": -1}"#),
    ("POST", "/v1/data/shop/echo", NONE, r#"{"input": 1.25}"#),
    // What is no input.
    ("POST", "/v1/data/shop/allow", NONE, ""),
    ("POST", "/v1/data/shop/allow", NONE, "  \n"),
    ("POST", "/v1/data/shop/allow", NONE, "{}"),
    ("POST", "/v1/data/shop/allow", NONE, "null"),
    ("POST", "/v1/data/shop/allow", NONE, r#"{"input": null}"#),
    ("POST", "/v1/data/shop/allow", NONE, r#"{"other": 1}"#),
    ("POST", "/v1/data/shop/missing", NONE, "{}"),
    // What follows the first value, a member's case, doubled members.
    (
        "POST",
        "/v1/data/shop/echo",
        NONE,
        r#"{"input": 1} trailing"#,
    ),
    ("POST", "/v1/data/shop/echo", NONE, r#"{"INPUT": 1}"#),
    (
        "POST",
        "/v1/data/shop/echo",
        NONE,
        r#"{"input": 1, "input": 2}"#,
    ),
    // What is no request.
    ("POST", "/v1/data/shop/allow", NONE, "x"),
    ("POST", "/v1/data/shop/allow", NONE, "{"),
    ("POST", "/v1/data/shop/allow", NONE, r#"{"input": "#),
    ("POST", "/v1/data/shop/allow", NONE, r#"{"input": 1,}"#),
    ("POST", "/v1/data/shop/allow", NONE, r#"{"input": tru}"#),
    ("POST", "/v1/data/shop/allow", NONE, r#"{"input": 01}"#),
    ("POST", "/v1/data/shop/allow", NONE, r#"{"input": "\x"}"#),
    ("POST", "/v1/data/shop/allow", NONE, "[1]"),
    ("POST", "/v1/data/shop/allow", NONE, "\"a\""),
    ("POST", "/v1/data/shop/allow", NONE, "1"),
    ("POST", "/v1/data/shop/allow", NONE, "true"),
    ("POST", "/v1/data/a%22b", NONE, "{}"),
    ("GET", "/v1/data/a%22b", NONE, ""),
    ("POST", "/v0/data/a%22b", NONE, "{}"),
    // By GET.
    (
        "GET",
        "/v1/data/shop/role?input=%7B%22user%22:%22bob%22%7D",
        NONE,
        "",
    ),
    ("GET", "/v1/data/shop/echo?input=1&input=%222%22", NONE, ""),
    ("GET", "/v1/data/shop/echo?input=%222+3%22", NONE, ""),
    ("GET", "/v1/data/shop/echo", NONE, ""),
    ("GET", "/v1/data/shop/echo?input=x", NONE, ""),
    ("GET", "/v1/data/shop/echo?input=", NONE, ""),
    ("GET", "/v1/data/shop/echo?input=1+2", NONE, ""),
    ("GET", "/v1/data/shop/echo?input=%7B", NONE, ""),
    ("GET", "/v1/data/shop/echo?input=null", NONE, ""),
    // Base data.
    ("GET", "/v1/data/count", NONE, ""),
    ("GET", "/v1/data/list/1/k", NONE, ""),
    ("GET", "/v1/data/list/7", NONE, ""),
    ("GET", "/v1/data/list/-1", NONE, ""),
    ("GET", "/v1/data/list/k", NONE, ""),
    ("GET", "/v1/data/object/0", NONE, ""),
    ("GET", "/v1/data/object/a%20b", NONE, ""),
    ("GET", "/v1/data/object/q%2Fr/deep", NONE, ""),
    ("GET", "/v1/data/text", NONE, ""),
    ("GET", "/v1/data", NONE, ""),
    ("GET", "/v1/data/roles", NONE, ""),
    // Parameters.
    ("GET", "/v1/data/list?pretty", NONE, ""),
    ("GET", "/v1/data/list?pretty=1", NONE, ""),
    ("GET", "/v1/data/list?pretty=TRUE", NONE, ""),
    ("GET", "/v1/data/list?pretty;", NONE, ""),
    ("POST", "/v1/data/shop/allow?pretty=true", NONE, "{}"),
    (
        "POST",
        "/v1/data/shop/allow?metrics",
        NONE,
        r#"{"input": 1}"#,
    ),
    ("GET", "/v1/data/count?instrument", NONE, ""),
    (
        "POST",
        "/v1/data/shop/allow?provenance",
        NONE,
        r#"{"input": 1}"#,
    ),
    (
        "POST",
        "/v1/data/shop/allow?explain=full",
        NONE,
        r#"{"input": 1}"#,
    ),
    (
        "POST",
        "/v1/data/shop/missing?explain=notes",
        NONE,
        r#"{"input": 1}"#,
    ),
    (
        "POST",
        "/v1/data/shop/missing?explain=full",
        NONE,
        r#"{"input": 1}"#,
    ),
    (
        "POST",
        "/v1/data/shop/allow?explain=FULL",
        NONE,
        r#"{"input": 1}"#,
    ),
    // Errors of evaluation.
    (
        "POST",
        "/v1/data/shop/quotient",
        NONE,
        r#"{"input": {"divisor": 0}}"#,
    ),
    (
        "POST",
        "/v1/data/shop/quotient",
        NONE,
        r#"{"input": {"divisor": 5}}"#,
    ),
    // Version 0 and the default decision.
    ("POST", "/v0/data/shop/echo", NONE, r#"{"user": "alice"}"#),
    ("POST", "/v0/data/shop/echo", NONE, ""),
    (
        "POST",
        "/v0/data/shop/allow?pretty",
        NONE,
        r#"{"user": "alice"}"#,
    ),
    (
        "POST",
        "/v0/data/shop/mixed?pretty",
        NONE,
        r#"{"user": "alice"}"#,
    ),
    ("POST", "/v0/data/shop/role", NONE, r#"{"user": "carol"}"#),
    ("POST", "/v0/data/shop/nobody", NONE, ""),
    ("POST", "/v0/data/no%20where/0", NONE, ""),
    ("POST", "/v0/data/shop/echo", NONE, "{"),
    ("POST", "/v0/data/shop/echo", NONE, "1 2"),
    ("POST", "/v0/data", NONE, "1"),
    ("POST", "/", NONE, "{}"),
    ("POST", "/", NONE, "{"),
    // YAML.
    (
        "POST",
        "/v1/data/shop/echo",
        YAML,
        "input: {user: [1, two, no, ~]}\n",
    ),
    (
        "POST",
        "/v1/data/shop/echo",
        YAML,
        "input:\n  a: 1\n  b:\n  - true\n",
    ),
    ("POST", "/v1/data/shop/echo", YAML, ""),
    ("POST", "/v1/data/shop/echo", YAML, "- 1\n"),
    (
        "POST",
        "/v1/data/shop/echo",
        &[("content-type", "text/x-yaml; charset=utf-8")],
        "input: 1",
    ),
    ("POST", "/v0/data/shop/echo", YAML, "a: 1"),
    // Queries.
    ("GET", "/v1/query?q=x%3D1", NONE, ""),
    ("GET", "/v1/query?q=1%3D%3D1", NONE, ""),
    ("GET", "/v1/query?q=data.list%5Bi%5D%3D1&pretty", NONE, ""),
    ("GET", "/v1/query", NONE, ""),
    (
        "POST",
        "/v1/query",
        NONE,
        r#"{"query": "x := input.a", "input": {"a": [1]}}"#,
    ),
    (
        "POST",
        "/v1/query",
        NONE,
        r#"{"query": "data.shop.allow", "input": {"user": "alice"}}"#,
    ),
    (
        "POST",
        "/v1/query",
        NONE,
        r#"{"query": "data.shop.allow = x", "input": {"user": "bob"}}"#,
    ),
    ("POST", "/v1/query", NONE, r#"{"query": 1}"#),
    ("POST", "/v1/query", NONE, "{"),
    ("POST", "/v1/query", NONE, ""),
    ("POST", "/v1/query", NONE, "[]"),
    // Writes.
    ("PUT", "/v1/data/roles", NONE, "{}"),
    ("PUT", "/v1/data/new/place", NONE, "1"),
    ("PUT", "/v1/data", NONE, "{}"),
    ("PUT", "/v1/data/roles", NONE, "x"),
    ("PUT", "/v1/data/roles", NONE, ""),
    (
        "PATCH",
        "/v1/data/roles",
        NONE,
        r#"[{"op": "add", "path": "/x", "value": 1}]"#,
    ),
    (
        "PATCH",
        "/v1/data",
        NONE,
        r#"[{"op": "remove", "path": "/roles"}]"#,
    ),
    (
        "PATCH",
        "/v1/data/roles",
        NONE,
        r#"[{"op": "move", "path": "/x"}]"#,
    ),
    ("PATCH", "/v1/data/roles", NONE, "{}"),
    ("PATCH", "/v1/data/roles", NONE, "["),
    ("DELETE", "/v1/data/roles", NONE, ""),
    ("DELETE", "/v1/data/nobody", NONE, ""),
    ("PUT", "/v1/policies/new.rego", NONE, "package a"),
    (
        "PUT",
        "/v1/policies/main/shop/shop.rego",
        NONE,
        "package shop",
    ),
    ("DELETE", "/v1/policies/nobody", NONE, ""),
    ("DELETE", "/v1/policies/main/shop/shop.rego", NONE, ""),
    ("GET", "/v1/policies/nobody", NONE, ""),
    // Methods and places.
    ("DELETE", "/v1/data", NONE, ""),
    ("OPTIONS", "/v1/data/shop", NONE, ""),
    ("HEAD", "/v1/data/shop", NONE, ""),
    ("GET", "/v0/data/shop", NONE, ""),
    ("PUT", "/v1/query", NONE, ""),
    ("POST", "/v1/query/x", NONE, ""),
    ("POST", "/v1/policies", NONE, ""),
    ("PATCH", "/v1/policies/x", NONE, ""),
    ("PUT", "/v1/config", NONE, ""),
    ("POST", "/v1/status", NONE, ""),
    ("POST", "/health", NONE, ""),
    ("POST", "/health/live", NONE, ""),
    ("POST", "/metrics", NONE, ""),
    ("PUT", "/", NONE, ""),
    ("GET", "/v1/config/x", NONE, ""),
    ("GET", "/v1/status/x", NONE, ""),
    // State.
    ("GET", "/health", NONE, ""),
    ("GET", "/health?bundles", NONE, ""),
    ("GET", "/health?bundle=true&plugins", NONE, ""),
    ("GET", "/health?plugins&exclude-plugin=bundle", NONE, ""),
    ("GET", "/health/live", NONE, ""),
    ("GET", "/health/a/b%20c", NONE, ""),
    ("HEAD", "/health", NONE, ""),
    ("GET", "/v1/status", NONE, ""),
    ("GET", "/v1/status?pretty", NONE, ""),
    // Compression.
    ("GET", "/v1/data/list", GZIP, ""),
    ("POST", "/v1/data/shop/echo", GZIP, LONG),
    ("POST", "/v0/data/shop/echo", GZIP, LONG),
    (
        "POST",
        "/v1/data/shop/echo",
        &[("accept-encoding", "gzip;q=0")],
        LONG,
    ),
    (
        "POST",
        "/v1/data/shop/echo",
        &[("accept-encoding", "deflate, gzip;q=0.5")],
        LONG,
    ),
    (
        "POST",
        "/v1/data/shop/echo",
        &[("accept-encoding", "*/*")],
        LONG,
    ),
    (
        "POST",
        "/v1/data/shop/echo",
        &[("accept-encoding", "xgzip")],
        LONG,
    ),
];

/// A body whose echo is worth compressing.
const LONG: &str = concat!(
    r#"{"input": ""#,
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    r#""}"#
);

/// What is answered otherwise, and why. The test fails for a row that no longer differs.
pub const DIFFERENT: &[(Row, &str)] = &[
    (
        ("POST", "/v1/data/shop/allow/", NONE, "{}"),
        "OPA redirects to the path without the slash, which makes a GET of it; here it is answered",
    ),
    (
        ("POST", "/v1/data/shop/allow/below", NONE, "{}"),
        "OPA's types refuse the path with 500; here nothing is there, which is undefined",
    ),
    (
        ("GET", "/v1/query?q=1%3D%3D2", NONE, ""),
        "OPA takes a comparison alone that is false for a result; here it does not hold",
    ),
    (
        (
            "GET",
            "/v1/query?q=data.roles%5Bx%5D%5B_%5D%3D%3D%22admin%22",
            NONE,
            "",
        ),
        "only variables that the query declares or unifies are told",
    ),
    (
        ("POST", "/v1/data/shop/echo", PACKED, "no gzip"),
        "OPA breaks the connection off; here it is 400",
    ),
    (
        (
            "POST",
            "/v1/data//shop/allow",
            NONE,
            r#"{"input": {"user": "alice"}}"#,
        ),
        "OPA's router redirects to the path without the empty step; here it is answered",
    ),
    (
        (
            "POST",
            "/v1/data/shop/conflict",
            NONE,
            r#"{"input": {"conflict": true}}"#,
        ),
        "the status, the codes and the place are the same; the sentence does not name both values",
    ),
    (
        (
            "POST",
            "/v1/data/shop/quotient?strict-builtin-errors",
            NONE,
            r#"{"input": {"divisor": 0}}"#,
        ),
        "the status and the codes are the same; the sentence is the engine's",
    ),
    (
        ("POST", "/v1/data/shop/echo", NONE, r#"{"input": 1.50}"#),
        "a fraction is written without zeros at its end",
    ),
    (
        ("POST", "/v1/data/shop/echo", YAML, "a: &x 1\ninput: *x\n"),
        "anchors and aliases in YAML are refused",
    ),
    (
        ("POST", "/v1/data/shop/echo", YAML, "input: {user: [}"),
        "the sentence is of another YAML parser",
    ),
    (
        (
            "POST",
            "/v1/compile",
            NONE,
            r#"{"query": "data.shop.allow"}"#,
        ),
        "partial evaluation is not served: 501",
    ),
    (
        ("PUT", "/v1/policies/new.rego", NONE, "pack a"),
        "a policy that is refused anyhow is not parsed first",
    ),
    (("GET", "/v1/policies", NONE, ""), "`ast` is null"),
    (
        ("GET", "/v1/policies/main/shop/shop.rego", NONE, ""),
        "`ast` is null",
    ),
    (("GET", "/", NONE, ""), "the page names this program"),
    (
        ("GET", "/v1/query?q=x%3D", NONE, ""),
        "the sentence is of another parser",
    ),
    (
        ("GET", "/nowhere", NONE, ""),
        "a path that is none of OPA's is answered with a problem document",
    ),
];
