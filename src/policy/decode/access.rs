//! Decodes an AccessPolicy.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::cursor::{Cursor, Errors};
use super::super::document::{
    AccessPolicy, AccessRule, AccessSpec, Effect, HttpRule, Named, OnAllow, OnDeny, Text,
};
use super::check_unique;

pub(super) fn decode(root: &Cursor<'_>, errors: &mut Errors) -> AccessPolicy {
    let file = Arc::clone(&errors.file);
    let spec = root.at("spec");
    check_spec(&spec, errors);
    let rules = spec.at("rules");
    let http = spec.at("http");
    check_unique(&rules, "id", |rule, index| id(rule, "rules", index), errors);
    check_unique(&http, "id", |rule, index| id(rule, "http", index), errors);
    AccessPolicy {
        spec: AccessSpec {
            variables: spec.at("variables").named(&file),
            resources: spec.at("resources").texts(),
            roles: spec.at("roles").named(&file),
            rules: rules
                .items()
                .enumerate()
                .map(|(index, rule)| access_rule(&rule, index, &file))
                .collect(),
        },
        http: http
            .items()
            .enumerate()
            .map(|(index, rule)| http_rule(&rule, index, errors))
            .collect(),
    }
}

fn check_spec(spec: &Cursor<'_>, errors: &mut Errors) {
    let (rules, http) = (spec.has("rules"), spec.has("http"));
    if !rules && !http {
        errors.push(spec, "an access policy needs `rules` or `http`");
    }
    if rules && !spec.has("resources") {
        errors.push(
            spec,
            "`rules` need `resources`: the resource types they are about, or `\"*\"`",
        );
    }
    if !rules && spec.has("resources") {
        errors.push(
            &spec.at("resources"),
            "there are no `rules` that are about these",
        );
    }
}

fn id(rule: &Cursor<'_>, list: &str, index: usize) -> String {
    match rule.at("id").optional_text() {
        Some(id) => id.to_owned(),
        None => format!("{list}[{index}]"),
    }
}

fn effect(rule: &Cursor<'_>) -> Effect {
    match rule.at("effect").text() {
        "allow" => Effect::Allow,
        _ => Effect::Deny,
    }
}

fn access_rule(rule: &Cursor<'_>, index: usize, file: &Arc<str>) -> AccessRule {
    AccessRule {
        id: id(rule, "rules", index),
        effect: effect(rule),
        actions: rule.at("actions").texts(),
        roles: rule.at("roles").texts(),
        condition: rule.optional_expression("condition", file),
        reason: rule.at("reason").optional_text().map(str::to_owned),
    }
}

fn http_rule(rule: &Cursor<'_>, index: usize, errors: &mut Errors) -> HttpRule {
    let file = Arc::clone(&errors.file);
    let effect = effect(rule);
    for (field, belongs_to) in [("on_allow", Effect::Allow), ("on_deny", Effect::Deny)] {
        if rule.has(field) && effect != belongs_to {
            errors.push(
                &rule.at(field),
                format!("`{field}` does nothing on a rule of the other effect"),
            );
        }
    }
    HttpRule {
        id: id(rule, "http", index),
        effect,
        methods: rule.at("methods").texts(),
        paths: rule
            .at("paths")
            .items()
            .map(|path| Text {
                value: path.text().to_owned(),
                place: path.place(&file),
            })
            .collect(),
        hosts: rule.at("hosts").texts(),
        roles: rule.at("roles").texts(),
        condition: rule.optional_expression("condition", &file),
        reason: rule.at("reason").optional_text().map(str::to_owned),
        on_allow: rule
            .has("on_allow")
            .then(|| on_allow(&rule.at("on_allow"), errors)),
        on_deny: rule
            .has("on_deny")
            .then(|| on_deny(&rule.at("on_deny"), errors)),
    }
}

fn on_allow(action: &Cursor<'_>, errors: &mut Errors) -> OnAllow {
    let set_headers = headers(&action.at("set_headers"), errors);
    let append_headers = headers(&action.at("append_headers"), errors);
    let set_response_headers = headers(&action.at("set_response_headers"), errors);
    let file = &errors.file;
    OnAllow {
        set_headers,
        append_headers,
        remove_headers: action
            .at("remove_headers")
            .items()
            .map(|name| name.text().to_ascii_lowercase())
            .collect(),
        set_response_headers,
        set_query: action.at("set_query").named(file),
        remove_query: action.at("remove_query").texts(),
        metadata: action.at("metadata").named(file),
    }
}

fn on_deny(action: &Cursor<'_>, errors: &mut Errors) -> OnDeny {
    let headers = headers(&action.at("headers"), errors);
    let status = if action.has("status") {
        action.at("status").number()
    } else {
        403
    };
    let redirect = (300..400).contains(&status);
    if !redirect && !matches!(status, 401 | 403 | 404 | 429 | 503) {
        errors.push(
            &action.at("status"),
            format!(
                "`{status}` is no denial: expected a redirect (3xx), 401, 403, 404, 429 or 503"
            ),
        );
    }
    if redirect && !headers.iter().any(|header| header.name == "location") {
        errors.push(action, "a redirect needs the header `location`");
    }
    OnDeny {
        status,
        headers,
        body: action.optional_expression("body", &errors.file),
        metadata: action.at("metadata").named(&errors.file),
    }
}

/// Header values by name, in lower case, as headers are compared.
fn headers(map: &Cursor<'_>, errors: &mut Errors) -> Vec<Named> {
    let mut seen = HashSet::new();
    for (name, value) in map.entries() {
        if !seen.insert(name.to_ascii_lowercase()) {
            errors.push(&value, format!("the header `{name}` is there twice"));
        }
    }
    let mut headers = map.named(&errors.file);
    for header in &mut headers {
        header.name.make_ascii_lowercase();
    }
    headers
}
