//! The published table of routes says what a sidecar does.

use super::{send, sidecar};

const TABLE: &str = include_str!("../../../src/sidecar/opa/table.md");

/// Method, path and what is said, of each route.
fn routes() -> Vec<(&'static str, &'static str, &'static str)> {
    let section = TABLE.split("\n## ").find(|part| part.starts_with("Routes"));
    section
        .unwrap()
        .lines()
        .filter_map(|line| {
            let (route, said) = line.strip_prefix("| `")?.split_once("` | ")?;
            let (method, path) = route.split_once(' ')?;
            Some((method, path, said.trim_end_matches(" |")))
        })
        .collect()
}

#[test]
fn every_route_does_what_the_table_says() {
    let sidecar = sidecar(&[]);
    let routes = routes();
    // As many as OPA's router has, its profiler aside.
    assert_eq!(routes.len(), 28);
    for (method, path, said) in routes {
        let asked = path
            .replace("{path}", "count")
            .replace("{id}", "main/shop/shop.rego")
            .replace("{rule}", "live");
        let query = if path == "/v1/query" { "?q=true" } else { "" };
        let body = match (method, path) {
            ("PATCH", _) => "[]",
            ("POST", "/v1/query") => r#"{"query": "true"}"#,
            _ => "{}",
        };
        let answer = send(&sidecar, method, &format!("{asked}{query}"), body);
        let expected: &[u16] = match (said.split([':', ';', ',']).next(), path) {
            (Some("not here"), path) if path.starts_with("/v1/compile") => &[501],
            (Some("not here"), _) => &[400],
            // No such documents: OPA says so, too.
            (Some("same"), "/") => &[404],
            (_, "/health/{rule}" | "/v1/status") => &[500],
            (Some("same" | "different"), _) => &[200],
            (word, _) => panic!("{method} {path}: {word:?}"),
        };
        assert!(
            expected.contains(&answer.status),
            "{method} {path} is said to be `{said}`: {} {}",
            answer.status,
            answer.text()
        );
    }
}
