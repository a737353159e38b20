//! Content that is no document of ours, and data: Rego, opaque policies, YAML made JSON.

use crate::policy::{Body, Format, parse, parse_opaque, to_json};

use super::{EXAMPLES, report, yaml};

#[test]
fn rego_and_opaque_content_are_told_apart() {
    let documents = yaml(EXAMPLES);
    let Body::Rego(rego) = &documents[4].body else {
        panic!("rego")
    };
    assert!(rego.modules["authz/rules.rego"].starts_with("package authz\n"));
    assert_eq!(
        rego.data.as_deref(),
        Some(r#"{"authz":{"admins":["alice"]}}"#)
    );
    assert_eq!(&*documents[4].metadata.name, "rego-rules");
    assert_eq!(&*documents[5].metadata.name, "p");
    assert_eq!(
        &*documents[5].json,
        r#"{"rules":[{"resource":"documents","action":"allow"}],"version":"1.0.0"}"#
    );
    let modules_of_something_else = "modules: {kernel: {loaded: true}}\n";
    assert!(matches!(
        yaml(modules_of_something_else)[0].body,
        Body::Opaque
    ));
    assert!(report("modules: {a.rego: x}\ndta: {}\n")[0].contains("did you mean `data`?"));
}

#[test]
fn what_looks_like_ours_is_never_opaque() {
    for text in [
        "{apiVersion: v1, data: 1}",
        "{kind: Policy}",
        "{spec: {}}",
        "{Kind: ValidationPolicy, metadata: {name: n}}",
        "{api_version: lictor.dev/v1}",
    ] {
        assert!(report(text)[0].contains("kind"), "{text}");
        let opaque = parse_opaque("p.yaml", text.as_bytes(), Format::Yaml, "t").unwrap();
        assert!(matches!(opaque[0].body, Body::Opaque));
    }
    let twin = "{version: 1, rules: []}";
    assert!(matches!(yaml(twin)[0].body, Body::Opaque));
}

#[test]
fn content_is_named_after_its_file_and_stands_alone() {
    assert!(report("{a: 1}\n---\n{b: 1}\n")[0].contains("one per file"));
    let named = parse("dir/limits.v1.json", b"{\"a\": 1}", Format::Json, "t").unwrap();
    assert_eq!(&*named[0].metadata.name, "limits.v1");
    assert!(parse("dir/.json", b"{}", Format::Json, "t").is_err());
}

#[test]
fn data_in_yaml_becomes_json() {
    let read = |text: &str| to_json("data.yaml", text.as_bytes(), Format::Yaml);
    let json = read("admins: [alice]\nlimit: 1.50\n").unwrap();
    assert_eq!(json, r#"{"admins":["alice"],"limit":1.50}"#);
    for text in ["", "a: 1\na: 2\n", "a: 1\n---\nb: 2\n", "["] {
        assert!(read(text).is_err(), "{text}");
    }
}
