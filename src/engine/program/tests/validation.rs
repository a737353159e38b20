//! ValidationPolicies: match, errors, order, explanation, variants of values.

use super::*;

const HTTPS: &str = r#"
apiVersion: lictor.dev/v1
kind: ValidationPolicy
metadata: {name: https-only}
spec:
  type: SECURITY
  severity: critical
  match:
    - has(input.environment) && input.environment == "production"
  variables:
    https: input.endpoint.url.lowerAscii().startsWith("https://")
  validations:
    - expression: vars.https
      field: endpoint.url
      message: Production services must use HTTPS endpoints
      remediation: Update endpoint URL to use HTTPS
      expected: https://...
      actual: input.endpoint.url
tests:
  - name: plain http is refused
    input: {environment: production, endpoint: {url: "http://a"}}
    expect: {compliant: false, violations: [{field: endpoint.url}]}
  - name: elsewhere it does not apply
    input: {environment: staging}
    expect: {compliant: true}
"#;

#[test]
fn a_policy_validates() {
    let program = program(HTTPS);
    assert_eq!(program.active_policies(), 1);
    assert_eq!(
        violations(
            &program,
            r#"{"environment":"production","endpoint":{"url":"http://a"}}"#
        ),
        ["endpoint.url|http://a|https://..."]
    );
    assert_eq!(
        violations(
            &program,
            r#"{"environment":"production","endpoint":{"url":"HTTPS://a"}}"#
        ),
        [""; 0]
    );
    assert_eq!(
        violations(&program, r#"{"environment":"staging"}"#),
        [""; 0]
    );
    assert_eq!(violations(&program, "{}"), [""; 0]);
    // The URL is missing: an error fails, and `actual` is left out.
    assert_eq!(
        violations(&program, r#"{"environment":"production"}"#),
        ["endpoint.url|-|https://..."]
    );
}

#[test]
fn errors_are_reported_with_their_place() {
    let program = program(HTTPS);
    let scratch = Scratch::default();
    let input = br#"{"environment":"production"}"#;
    let answer = program.validate(input, &context(), &scratch).unwrap();
    let places: Vec<_> = answer.errors.iter().map(|issue| issue.place).collect();
    assert_eq!(
        places,
        [
            "spec.validations[0].expression",
            "spec.validations[0].actual"
        ]
    );
    assert_eq!(answer.errors[0].policy, "https-only");
    assert!(!answer.errors[0].message.is_empty());
}

#[test]
fn numbers_say_what_was_evaluated_whatever_the_index_skipped() {
    let two = format!("{HTTPS}\n---\n{}", HTTPS.replace("https-only", "second"));
    let program = program(&two);
    let scratch = Scratch::default();
    let answer = program.validate(b"{}", &context(), &scratch).unwrap();
    assert_eq!((answer.evaluated, answer.failed), (2, 0));
    let input = br#"{"environment":"production","endpoint":{"url":"http://a"}}"#;
    let answer = program.validate(input, &context(), &scratch).unwrap();
    assert_eq!((answer.evaluated, answer.failed), (2, 2));
    let names: Vec<_> = answer.violations.iter().map(|v| v.policy_name).collect();
    assert_eq!(names, ["https-only", "second"]);
}

#[test]
fn a_false_item_of_match_wins_over_an_error() {
    let policy = |items: &str| {
        program(&format!(
            "
apiVersion: lictor.dev/v1
kind: ValidationPolicy
metadata: {{name: p}}
spec:
  type: X
  severity: low
  match: {items}
  validations: [{{expression: 'false', field: f, message: m}}]
"
        ))
    };
    let input = r#"{"b":1}"#;
    assert_eq!(
        violations(&policy("['input.a == 1', 'input.b == 2']"), input),
        [""; 0]
    );
    assert_eq!(
        violations(&policy("['input.b == 2', 'input.a == 1']"), input),
        [""; 0]
    );
    // No false item, but an error: the policy failed, and says so.
    assert_eq!(
        violations(&policy("['input.a == 1', 'input.b == 1']"), input),
        ["|-|-"]
    );
    assert_eq!(violations(&policy("['input.b == 1']"), input), ["f|-|-"]);
}

#[test]
fn warns_of_a_match_that_fails_without_its_field() {
    let unguarded = HTTPS.replace("has(input.environment) && ", "");
    let warnings = |yaml: &str| program(yaml).warnings().len();
    assert_eq!(warnings(HTTPS), 0);
    assert_eq!(warnings(&unguarded), 1);
}

#[test]
fn own_tests_run_against_the_document_alone() {
    let strict = HTTPS.replace("https-only", "strict").replace(
        "has(input.environment) && input.environment == \"production\"",
        "'true'",
    );
    let (strict, _) = strict.split_once("tests:").unwrap();
    let both = program(&format!("{HTTPS}\n---\n{strict}"));
    let now = Timestamp::from_unix_seconds(NOW);
    assert_eq!(both.self_test(now, Limits::default()).unwrap().passed, 2);
    let wrong = program(&HTTPS.replace(
        "violations: [{field: endpoint.url}]",
        "violations: [{field: x}]",
    ));
    let failures = wrong.self_test(now, Limits::default()).unwrap_err();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].policy, "https-only");
    assert_eq!(failures[0].test, "plain http is refused");
    let surprised = program(&HTTPS.replace("compliant: true", "compliant: false"));
    assert_eq!(
        surprised
            .self_test(now, Limits::default())
            .unwrap_err()
            .len(),
        1
    );
}

#[test]
fn explains_policies_that_the_index_skips() {
    let program = program(HTTPS);
    let scratch = Scratch::default();
    let mut context = context();
    context.explain = true;
    let answer = program
        .validate(br#"{"environment":"x"}"#, &context, &scratch)
        .unwrap();
    let [considered] = answer.considered else {
        panic!("{:?}", answer.considered);
    };
    assert_eq!(considered.place, "spec.match[0]");
    assert!(!considered.matched);
    assert_eq!(considered.value, "false");
    assert!(considered.condition.contains("production"));
}

#[test]
fn inputs_must_be_objects() {
    let program = program(HTTPS);
    for input in ["[]", "1", "null", "\"{}\""] {
        assert_eq!(
            violations(&program, input),
            [": must be an object"],
            "{input}"
        );
    }
    for input in ["", "{", "{\"a\":}", "{}x", "\u{0}", "{'a':1}"] {
        let found = violations(&program, input);
        assert!(found[0].starts_with("invalid JSON"), "{input}: {found:?}");
    }
}

#[test]
fn claims_are_read_wherever_a_validation_can_look_at_them_and_nowhere_else() {
    let asks = |spec: &str| {
        format!(
            "apiVersion: lictor.dev/v1\nkind: ValidationPolicy\nmetadata: {{name: asks}}\nspec: {{type: X, severity: low, {spec}}}\n"
        )
    };
    let rule = |expression: &str| {
        format!("validations: [{{expression: {expression}, field: f, message: m}}]")
    };
    let decided = |yaml: &str, claims: &'static str| {
        let program = program(yaml);
        let scratch = Scratch::default();
        let mut context = context();
        context.claims = Some(claims.as_bytes());
        let answer = program.validate(b"{}", &context, &scratch);
        answer.map(|answer| answer.violations.len())
    };
    let experiment = "apiVersion: lictor.dev/v1\nkind: Experiment\nmetadata: {name: trial}\nspec:\n  key: jwt.sub\n  audience: jwt.sub == \"seven\"\n  variants: [{name: A, weight: 1}, {name: B, weight: 0}]\n  policies: {asks: {A: 1.1.0, B: 1.0.0}}\n";
    let routed = |version: &str, status: &str, expression: &str| {
        asks(&rule(expression)).replace(
            "name: asks",
            &format!("name: asks, version: {version}, status: {status}"),
        )
    };
    for yaml in [
        asks(&rule("'jwt.sub != \"seven\"'")),
        asks(&format!(
            "match: ['jwt.sub == \"seven\"'], {}",
            rule("'false'")
        )),
        asks(&format!(
            "variables: {{who: jwt.sub}}, {}",
            rule("vars.who != \"seven\"")
        )),
        [
            experiment,
            &routed("1.1.0", "testing", "'false'"),
            &routed("1.0.0", "active", "'true'"),
        ]
        .join("---\n"),
        // A second policy that does not look changes nothing.
        [
            asks(&rule("'jwt.sub != \"seven\"'")),
            asks(&rule("'true'")).replace("name: asks", "name: other"),
        ]
        .join("---\n"),
    ] {
        assert_eq!(decided(&yaml, r#"{"sub":"seven"}"#), Ok(1), "{yaml}");
        assert_eq!(decided(&yaml, r#"{"sub":"eight"}"#), Ok(0), "{yaml}");
        assert!(decided(&yaml, "no JSON").is_err(), "{yaml}");
    }
    // Access rules have slots for roles in every program: those alone read nothing.
    assert_eq!(decided(&asks(&rule("'false'")), "no JSON"), Ok(1));
}
