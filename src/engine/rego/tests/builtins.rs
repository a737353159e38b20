//! Builtins, each on both engines.

use super::*;

/// The same question to the register machine and to the interpreter: `with` keeps a rule off the machine.
fn both(expression: &str, version: RegoVersion) -> [Option<String>; 2] {
    let text = match version {
        RegoVersion::V1 => format!(
            "package a\nx := value if {{\n  value := {expression}\n}}\ny := value if {{\n  value := {expression} with input as 1\n}}\n"
        ),
        RegoVersion::V0 => format!(
            "package a\nx = value {{\n  value := {expression}\n}}\ny = value {{\n  value := {expression} with input as 1\n}}\n"
        ),
    };
    let data = data("{}");
    let module = RegoModule {
        version,
        ..module(&text)
    };
    let rego = compile(vec![module], &data, false).unwrap_or_else(|errors| panic!("{errors:?}"));
    let engines: Vec<_> = rego.rules().map(|(_, engine)| engine.clone()).collect();
    assert_eq!(engines[0], RegoEngine::Machine, "{expression}");
    assert_ne!(engines[1], RegoEngine::Machine, "{expression}");
    let mut bench = Bench {
        rego,
        data,
        limits: Limits::default(),
        machine: RegoMachine::default(),
    };
    ["a/x", "a/y"].map(|path| bench.get(path, ""))
}

const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhIjoiXHUwMDNjeFx1MDAzZSIsImIiOjF9.RJAkdvfuLhbnkCqHGekMoKDUfjpFqeH6PJXywOwqFnQ";
const SECRET: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

/// Expected values are what OPA answers.
#[test]
fn supplied_builtins_answer_as_opa_does_on_both_engines() {
    let decoded = format!("io.jwt.decode(\"{TOKEN}\")");
    let signed = format!(
        r#"io.jwt.encode_sign({{"typ": "JWT", "alg": "HS256"}}, {{"b": 1, "a": "<x>"}}, {{"kty": "oct", "k": "{SECRET}"}})"#
    );
    let quoted = format!("\"{TOKEN}\"");
    for (expression, expected) in [
        (
            r#"crypto.md5("a")"#,
            Some(r#""0cc175b9c0f1b6a831c399e269772661""#),
        ),
        (
            r#"crypto.sha1("a")"#,
            Some(r#""86f7e437faa5a7fce15d1ddcb9eaeaea377667b8""#),
        ),
        (
            r#"crypto.sha256("a")"#,
            Some(r#""ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb""#),
        ),
        (
            r#"crypto.hmac.md5("a", "k")"#,
            Some(r#""ddcf3d210049e7135f61affae73731cd""#),
        ),
        (r#"crypto.hmac.equal("a", "a")"#, Some("true")),
        ("crypto.md5(1)", None),
        (
            &decoded,
            Some(
                r#"[{"alg":"HS256","typ":"JWT"},{"a":"\u003cx\u003e","b":1},"44902476f7ee2e16e7902a8719e90ca0a0d47e3a45a9e1fa3c95f2c0ec2a1674"]"#,
            ),
        ),
        (&signed, Some(&quoted)),
        (
            r#"net.cidr_merge(["192.0.128.0/24", "192.0.129.0/24"])"#,
            Some(r#"["192.0.128.0/23"]"#),
        ),
        (
            r#"net.cidr_intersects("10.0.0.0/8", "10.1.2.3/32")"#,
            Some("true"),
        ),
        (r#"net.cidr_intersects("10.0.0.0/8", "10.1.2.3")"#, None),
        (
            r#"net.cidr_contains_matches({"a": "10.0.0.0/8"}, ["10.1.2.3", "11.0.0.0/8"])"#,
            Some(r#"[["a",0]]"#),
        ),
        (r#"strings.split_n("a,b,c", ",", 2)"#, Some(r#"["a","b"]"#)),
        (r#"strings.split_n("a,b,c", ",", -2)"#, Some(r#"["b","c"]"#)),
        (r#"strings.split_n("abc", "", 2)"#, Some(r#"["a","b"]"#)),
        ("array.flatten([1, [2, [3]]])", Some("[1,2,[3]]")),
        ("time.now_ns()", Some("1700000000000000000")),
        ("numbers.range(3, 1)", Some("[3,2,1]")),
        ("numbers.range_step(1, 7, 3)", Some("[1,4,7]")),
        (r#"sprintf("%d-%s", [1, "a"])"#, Some(r#""1-a""#)),
        (r#"regex.match("^a+$", "aaa")"#, Some("true")),
        ("bits.lsh(1, 3)", Some("8")),
        (
            r#"json.patch({"a": 1}, [{"op": "add", "path": "/b", "value": 2}])"#,
            Some(r#"{"a":1,"b":2}"#),
        ),
    ] {
        let [machine, interpreter] = both(expression, RegoVersion::V1);
        assert_eq!(machine.as_deref(), expected, "machine: {expression}");
        assert_eq!(
            interpreter.as_deref(),
            expected,
            "interpreter: {expression}"
        );
    }
}

#[test]
fn builtins_of_rego_v0_are_there_for_it_alone() {
    for (expression, expected) in [
        ("any([false, true])", "true"),
        ("all([true, false])", "false"),
        (r#"re_match("^a", "ab")"#, "true"),
        ("cast_set([1, 1])", "[1]"),
    ] {
        let found = both(expression, RegoVersion::V0);
        assert_eq!(
            found,
            [Some(expected.to_owned()), Some(expected.to_owned())]
        );
    }
    let errors = compile(
        vec![module("package a\nx := any([true])\n")],
        &data("{}"),
        false,
    );
    let errors = errors.unwrap_err();
    assert_eq!(errors[0].kind, RegoErrorKind::Unsupported);
    assert_eq!(
        errors[0].to_string().split(' ').next(),
        Some("test.rego:2:6:")
    );
}

/// `io.jwt.decode(token, [_, payload, _])` is how most policies say it.
#[test]
fn a_last_argument_takes_what_a_supplied_builtin_answers() {
    let text = format!(
        "package a\nx := payload.b if {{\n  io.jwt.decode(\"{TOKEN}\", [_, payload, _])\n}}\ny := out if {{\n  crypto.md5(\n    \"a\",\n    out)\n  true with input as 1\n}}\n"
    );
    let mut bench = Bench::new(&[&text], "{}");
    assert_eq!(bench.get("a/x", "").as_deref(), Some("1"));
    assert!(bench.get("a/y", "").is_some());
}

/// What is asked for comes from the request: none of it may take the process down or hold it for long.
#[test]
fn what_would_take_too_much_is_cut_off() {
    let text = r#"
package a
range := numbers.range(1, input.n)
step := numbers.range_step(1, input.n, 1)
shift := bits.lsh(1, input.n)
expand := net.cidr_expand(input.net)
format := sprintf(input.format, [1])
paths := graph.reachable_paths(input.graph, ["0"])
match if regex.match(input.pattern, input.text)
squares := count([1 | some x in input.list; some y in input.list; some z in input.list; x + y == z])
deep := count([p | walk(input, [p, _]); some q in input.list; q == p; some r in input.list; r == p])
"#;
    let mut bench = Bench::new(&[text], "{}");
    bench.limits.rego_time = Duration::from_millis(300);
    let graph: Vec<String> = (0..40)
        .map(|layer| {
            format!(
                "\"{layer}\": [\"{}\", \"{}x\"], \"{layer}x\": [\"{}\", \"{}x\"]",
                layer + 1,
                layer + 1,
                layer + 1,
                layer + 1
            )
        })
        .collect();
    let list: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    let input = format!(
        r#"{{"n": 4000000000, "net": "10.0.0.0/8", "format": "%2000000000d", "graph": {{{}}}, "pattern": "(a{{500}}b?){{50}}$", "text": "{}", "list": [{}]}}"#,
        graph.join(","),
        "a".repeat(300_000),
        list.join(",")
    );
    for path in [
        "range", "step", "shift", "expand", "format", "paths", "match", "squares", "deep",
    ] {
        let started = std::time::Instant::now();
        let found = bench.ask(&format!("a/{path}"), &input);
        assert_eq!(
            found.as_ref().map_err(|error| error.kind),
            Err(RegoErrorKind::Cancelled),
            "{path}"
        );
        assert!(started.elapsed() < Duration::from_secs(3), "{path}");
    }
    assert_eq!(
        bench.get("a/range", r#"{"n": 2}"#).as_deref(),
        Some("[1,2]")
    );
}

#[test]
fn the_table_of_builtins_is_the_truth() {
    let source = |name: &str| match name {
        "print" => true,
        _ => super::super::builtins::is_there(name, RegoVersion::V0),
    };
    for builtin in rego_builtins() {
        if builtin.note == "an operator of the language" || builtin.name == "internal.print" {
            continue;
        }
        assert_eq!(
            source(builtin.name),
            builtin.here != "no",
            "{}",
            builtin.name
        );
        assert!(["same", "different", "no"].contains(&builtin.here));
        assert!(builtin.here != "different" || !builtin.note.is_empty());
    }
}
