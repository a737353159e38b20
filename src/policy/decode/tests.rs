//! Decodes `tests:`, the decision tests of a document.

use std::collections::BTreeMap;

use super::super::cursor::{Cursor, Errors};
use super::super::document::{DecisionTest, Expectation, Question, ServicePolicyType};
use super::{check_unique, string_map};

/// Decodes the tests of a document; `question` reads what a test of its kind asks.
pub(super) fn decode(
    root: &Cursor<'_>,
    errors: &mut Errors,
    question: impl Fn(&Cursor<'_>, &mut Errors) -> Question,
) -> Vec<DecisionTest> {
    let tests = root.at("tests");
    check_unique(
        &tests,
        "name",
        |test, _| test.at("name").text().to_owned(),
        errors,
    );
    tests
        .items()
        .map(|test| {
            let expect = test.at("expect");
            if test.has("expect") && expect.entries().next().is_none() {
                errors.push(&expect, "the test expects nothing and could not fail");
            }
            DecisionTest {
                name: test.at("name").text().to_owned(),
                question: question(&test, errors),
                expect: expectation(&expect),
                place: test.place(&errors.file),
            }
        })
        .collect()
}

pub(super) fn validation(test: &Cursor<'_>, _errors: &mut Errors) -> Question {
    Question::Validate {
        input: test.at("input").node().to_json(),
    }
}

/// Tests of access control ask for an access, those of every other rule for a validation.
pub(super) fn service(kind: ServicePolicyType) -> impl Fn(&Cursor<'_>, &mut Errors) -> Question {
    move |test, errors| {
        let access = kind == ServicePolicyType::AccessControl;
        let expect = test.at("expect");
        let foreign: &[&str] = if access {
            &["compliant", "violations"]
        } else {
            &["allowed"]
        };
        for field in foreign.iter().filter(|field| expect.has(field)) {
            let message = if access {
                format!("access control does not answer `{field}`: expect `allowed`")
            } else {
                format!("this rule does not answer `{field}`: expect `compliant`")
            };
            errors.push(&expect.at(field), message);
        }
        let input = test.at("input").node().to_json();
        if access {
            Question::Access { input }
        } else {
            Question::Validate { input }
        }
    }
}

pub(super) fn access(test: &Cursor<'_>, errors: &mut Errors) -> Question {
    let (input, http) = (test.has("input"), test.has("http"));
    if input == http {
        errors.push(test, "a test asks one thing: `input` or `http`");
    }
    let expect = test.at("expect");
    if http {
        return Question::Http {
            http: test.at("http").node().to_json(),
            jwt: test.has("jwt").then(|| test.at("jwt").node().to_json()),
        };
    }
    if test.has("jwt") {
        errors.push(&test.at("jwt"), "`jwt` goes with `http`");
    }
    for field in ["status", "headers"] {
        if expect.has(field) {
            errors.push(&expect.at(field), format!("`{field}` goes with `http`"));
        }
    }
    Question::Access {
        input: test.at("input").node().to_json(),
    }
}

pub(super) fn experiment(test: &Cursor<'_>, _errors: &mut Errors) -> Question {
    Question::Variant {
        key: test.at("key").text().to_owned(),
        context: test
            .has("context")
            .then(|| test.at("context").node().to_json()),
    }
}

fn expectation(expect: &Cursor<'_>) -> Expectation {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in string_map(&expect.at("headers")) {
        headers.insert(name.to_ascii_lowercase(), value);
    }
    Expectation {
        compliant: expect.at("compliant").flag(),
        violations: expect.has("violations").then(|| {
            expect
                .at("violations")
                .items()
                .map(|item| string_map(&item))
                .collect()
        }),
        allowed: expect.at("allowed").flag(),
        rule: expect.at("rule").optional_text().map(str::to_owned),
        status: expect.has("status").then(|| expect.at("status").number()),
        headers,
        variant: expect
            .has("variant")
            .then(|| expect.at("variant").optional_text().map(str::to_owned)),
    }
}
