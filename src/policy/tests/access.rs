//! What authors are told about access policies.

use crate::policy::Body;

use super::{EXAMPLES, report, yaml};

#[test]
fn access_rules_are_checked() {
    for (spec, expected) in [
        ("{}", "needs `rules` or `http`"),
        ("{rules: [{effect: allow}]}", "`rules` need `resources`"),
        (
            "{resources: [a], http: [{effect: allow}]}",
            "no `rules` that are about these",
        ),
        (
            "{resources: [a], rules: [{effect: allow, actions: []}]}",
            "leave the field out",
        ),
        (
            "{resources: [a], rules: [{effect: allow, condition: }]}",
            "found null",
        ),
        (
            "{resources: [a], rules: [{id: a, effect: allow}, {id: a, effect: deny}]}",
            "rules[1].id: `a` is there twice",
        ),
        (
            "{http: [{effect: allow}, {id: 'http[0]', effect: deny}]}",
            "is there twice",
        ),
        ("{http: [{effect: allow, methods: [get]}]}", "write `GET`"),
        ("{http: [{effect: allow, paths: [/a/*]}]}", "write `{name}`"),
        (
            "{http: [{effect: allow, hosts: [A.example]}]}",
            "write `a.example`",
        ),
        (
            "{http: [{effect: allow, on_deny: {status: 403}}]}",
            "on a rule of the other effect",
        ),
        (
            "{http: [{effect: deny, on_allow: {remove_query: [a]}}]}",
            "on a rule of the other effect",
        ),
        (
            "{http: [{effect: deny, on_deny: {status: 402}}]}",
            "`402` is no denial",
        ),
        (
            "{http: [{effect: deny, on_deny: {status: 500}}]}",
            "`500` is no denial",
        ),
        (
            "{http: [{effect: deny, on_deny: {status: 200}}]}",
            "`200` is",
        ),
        (
            "{http: [{effect: deny, on_deny: {status: 302}}]}",
            "needs the header `location`",
        ),
        (
            "{http: [{effect: allow, on_allow: {set_headers: {'a b': x}}}]}",
            "header's name",
        ),
        (
            "{http: [{effect: allow, on_allow: {set_headers: {X-A: x, x-a: y}}}]}",
            "there twice",
        ),
    ] {
        let text = format!(
            "apiVersion: lictor.dev/v1\nkind: AccessPolicy\nmetadata: {{name: n}}\nspec: {spec}\n"
        );
        let report = report(&text).join("\n");
        assert!(report.contains(expected), "{spec}: {report}");
    }
    let text = EXAMPLES.replace("x-account: params.id", "X-Account: params.id");
    let documents = yaml(&text);
    let Body::Access(policy) = &documents[2].body else {
        panic!("an access policy")
    };
    assert_eq!(
        policy.http[1].on_allow.as_ref().unwrap().set_headers[0].name,
        "x-account"
    );
}
