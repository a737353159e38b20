//! The language beyond the vectors: extensions, names, memory of the request.

use super::support::{World, answer, value};

/// Expression and its value as JSON.
#[track_caller]
fn all(cases: &[(&str, &str)]) {
    for (expression, wanted) in cases {
        assert_eq!(value(expression), *wanted, "{expression}");
    }
}

#[test]
fn strings() {
    all(&[
        ("'tacocat'.charAt(3)", "\"o\""),
        ("'tacocat'.charAt(7)", "\"\""),
        ("'tacocat'.charAt(8)", "error: index out of range"),
        ("'©αT'.charAt(1)", "\"α\""),
        ("'tacocat'.indexOf('ac')", "1"),
        ("'tacocat'.indexOf('none')", "-1"),
        ("'tacocat'.indexOf('a', 3)", "5"),
        ("'ta©o©αT'.indexOf('©', 3)", "4"),
        ("'tacocat'.indexOf('', 3)", "3"),
        ("'tacocat'.lastIndexOf('at')", "5"),
        ("'tacocat'.lastIndexOf('a', 4)", "1"),
        ("'ta©o©αT'.lastIndexOf('©', 3)", "2"),
        ("'tacocat'.lastIndexOf('')", "7"),
        ("['x', 'y'].join()", "\"xy\""),
        ("['x', 'y'].join(', ')", "\"x, y\""),
        ("[].join('-')", "\"\""),
        ("['x', 1].join()", "error: no such overload"),
        ("strings.quote('a\"b\\n')", r#""\"a\\\"b\\n\"""#),
        (
            "'12 days 12 hours'.replace('{0}', '2')",
            "\"12 days 12 hours\"",
        ),
        (
            "'12 days 12 hours'.replace('12', '2')",
            "\"2 days 2 hours\"",
        ),
        ("'hello hello'.replace('he', 'we', 1)", "\"wello hello\""),
        ("'ab'.replace('', '-')", "\"-a-b-\""),
        (
            "'hello hello hello'.split(' ')",
            r#"["hello","hello","hello"]"#,
        ),
        (
            "'hello hello hello'.split(' ', 2)",
            r#"["hello","hello hello"]"#,
        ),
        ("'hello'.split(' ', 0)", "[]"),
        ("'héy'.split('')", r#"["h","é","y"]"#),
        ("'tacocat'.substring(4)", "\"cat\""),
        ("'tacocat'.substring(0, 4)", "\"taco\""),
        ("'ta©o©αT'.substring(2, 6)", "\"©o©α\""),
        ("'tacocat'.substring(3, 2)", "error: index out of range"),
        ("' \\n a '.trim()", "\"a\""),
        ("'TacoÉ'.lowerAscii()", "\"tacoÉ\""),
        ("'TacoÆt'.upperAscii()", "\"TACOÆT\""),
        ("'gums'.reverse()", "\"smug\""),
    ]);
}

#[test]
fn formats() {
    all(&[
        ("'no substitution'.format([])", "\"no substitution\""),
        ("'%s and %d%%'.format(['a', 7])", "\"a and 7%\""),
        ("'%.3f|%f'.format([1.2345, 2])", "\"1.234|2.000000\""),
        ("'%e'.format([1052.032911275])", "\"1.052033e+03\""),
        ("'%b %b'.format([5, true])", "\"101 1\""),
        (
            "'%x %X %o %x'.format([30, 30, 15, 'hi'])",
            "\"1e 1E 17 6869\"",
        ),
        ("'%d'.format([-5])", "\"-5\""),
        (
            "'%s'.format([['abc', 3.14, null, duration('5s')]])",
            "\"[abc, 3.14, null, 5s]\"",
        ),
        ("'%s'.format([{'b': 2, 'a': [1]}])", "\"{a: [1], b: 2}\""),
        ("'%s'.format([1.0/0.0])", "\"Infinity\""),
        (
            "'%s'.format([])",
            "error: fewer arguments than the format names",
        ),
        ("'%'.format(['a'])", "error: the format ends after `%`"),
        ("'%z'.format(['a'])", "error: unknown verb in a format"),
        ("'%d'.format(['a'])", "error: no such overload"),
    ]);
}

#[test]
fn math() {
    all(&[
        ("math.greatest(1, 2.5, 2u)", "2.5"),
        ("math.greatest([1, 5, 3])", "5"),
        ("math.least(-1, 0)", "-1"),
        ("math.least([])", "error: an empty list has no extreme"),
        ("math.greatest('a')", "error: no such overload"),
        ("math.ceil(1.2)", "2.0"),
        ("math.floor(-1.2)", "-2.0"),
        ("math.round(-1.5)", "-2.0"),
        ("math.trunc(-1.9)", "-1.0"),
        ("math.abs(-5)", "5"),
        (
            "math.abs(-9223372036854775808)",
            "error: number out of range",
        ),
        ("math.sign(-2)", "-1"),
        ("math.isNaN(0.0/0.0)", "true"),
        ("math.isInf(1.0/0.0)", "true"),
        ("math.isFinite(1.0)", "true"),
        ("math.bitAnd(3, 5)", "1"),
        ("math.bitOr(1u, 2u)", "3"),
        ("math.bitXor(3, 5)", "6"),
        ("math.bitNot(1)", "-2"),
        ("math.bitShiftLeft(1, 2)", "4"),
        ("math.bitShiftLeft(1, 64)", "0"),
        ("math.bitShiftRight(-1024, 3)", "2305843009213693824"),
        ("math.bitShiftRight(1, -1)", "error: negative shift"),
        ("math.sqrt(81)", "9.0"),
    ]);
}

#[test]
fn optionals() {
    all(&[
        ("optional.of(1).value()", "1"),
        ("optional.none().hasValue()", "false"),
        (
            "optional.none().value()",
            "error: the optional has no value",
        ),
        ("optional.ofNonZeroValue('').hasValue()", "false"),
        ("optional.none().or(optional.of(2)).value()", "2"),
        ("optional.none().orValue(3)", "3"),
        ("optional.of(1).orValue(1/0)", "1"),
        ("{'a': {'b': 1}}.?a.?b.orValue(0)", "1"),
        ("{'a': {'b': 1}}.?a.c.orValue(0)", "0"),
        ("{'a': 1}[?'x'].orValue(0)", "0"),
        ("[1, 2][?1].value()", "2"),
        ("[1, 2][?5].hasValue()", "false"),
        ("has({'a': {'b': 1}}.?a.b)", "true"),
        ("optional.of(2).optMap(x, x * 2).value()", "4"),
        ("optional.none().optMap(x, x * 2).hasValue()", "false"),
        ("optional.of({'a': 1}).optFlatMap(m, m.?a).value()", "1"),
        ("[1, ?optional.none(), ?optional.of(2)]", "[1,2]"),
        (
            "{?'a': optional.none(), ?'b': optional.of(1)}",
            r#"{"b":1}"#,
        ),
        ("[?1]", "error: no such overload"),
        ("optional.of(1) == optional.of(1u)", "true"),
        ("type(optional.none()) == optional_type", "true"),
    ]);
}

#[test]
fn comprehensions_with_two_variables_and_bindings() {
    all(&[
        ("[3, 4].all(i, v, v == i + 3)", "true"),
        ("{'a': 1, 'b': 2}.exists(k, v, k == 'b' && v == 2)", "true"),
        ("[1, 1].existsOne(i, v, v == 1)", "false"),
        ("[1, 1].exists_one(i, v, i == 1)", "true"),
        ("[1, 2, 3].transformList(i, v, i * v)", "[0,2,6]"),
        ("[1, 2, 3].transformList(i, v, i > 0, v)", "[2,3]"),
        ("{'a': 1}.transformMap(k, v, v + 1)", r#"{"a":2}"#),
        (
            "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, k)",
            r#"{"b":"b"}"#,
        ),
        ("{'a': 'x'}.transformMapEntry(k, v, {v: k})", r#"{"x":"a"}"#),
        (
            "[1, 1].transformMapEntry(i, v, {v: i})",
            "error: duplicate key in a map",
        ),
        ("cel.bind(x, 2 + 3, x * x)", "25"),
        ("cel.bind(x, 1, cel.bind(x, x + 1, x))", "2"),
        ("[1, 2].map(x, [x].map(y, x + y))", "[[2],[4]]"),
        ("[1, 2, 3].filter(x, x > 1).map(x, x * 2)", "[4,6]"),
        ("[1, 2, 3].map(x, x > 1, x * 2)", "[4,6]"),
        ("[[1, 2], [3]].exists(x, x.exists(x, x == 3))", "true"),
        ("[1, 2].all(x, x / 0 == 1 || x < 3)", "true"),
        ("[1, 2].exists(x, x / (x - 1) > 0)", "true"),
        ("[0, 1].all(x, 1 / x > 0)", "error: division by zero"),
        ("{'a': 1}.map(k, k)", r#"["a"]"#),
    ]);
}

#[test]
fn what_is_not_known_is_refused() {
    for (expression, part) in [
        ("inputs.a", "`inputs` is no variable"),
        ("subject.id", "`subject` does not exist here"),
        ("vars.missing", "`vars.missing` is not defined"),
        ("vars", "`vars` is used as"),
        ("input.a.startWith('x')", "`startWith` is no function"),
        ("size()", "`size` takes 1 arguments, not 0"),
        (
            "'a'.substring()",
            "`substring` takes 1 to 2 arguments, not 0",
        ),
        ("startsWith('a', 'b')", "called on a value"),
        ("'a'.int()", "called as `int(x)`"),
        ("math.sine(1.0)", "`math.sine` is no function"),
        ("cel.block(1)", "`cel.block` is no function"),
        ("input.a.matches('(')", "invalid pattern"),
        (
            "matches(input.a, '((a{100}){100}){100}')",
            "the pattern needs more than",
        ),
        ("Message{a: 1}", "protobuf messages"),
        ("1 +", "syntax error"),
        ("", "syntax error"),
        ("[1].all(1, true)", "must be a simple name"),
        ("[1].all(x, x, true)", "must differ"),
        ("[1].all(.x, y, true)", "must be a simple name"),
    ] {
        let got = value(expression);
        assert!(
            got.starts_with("refused: ") && got.contains(part),
            "{expression} gave {got}"
        );
    }
}

#[test]
fn errors_have_their_place() {
    use super::support::{compile_with, text};
    use crate::engine::input::{Layout, Root};
    let place = |expression: &str| {
        let error = compile_with(
            expression,
            &[("input", Root::Input)],
            &mut Layout::default(),
        )
        .unwrap_err();
        (error.place.line, error.place.column)
    };
    assert_eq!(place("input.a == nope"), (1, 12));
    assert_eq!(place("input.a ==\n  nope"), (2, 3));
    assert_eq!(place("true && )"), (1, 9));
    assert_eq!(text("x").place.line, 1);
}

#[test]
fn the_request_and_the_data_are_read() {
    let world = || World {
        input: r#"{"a": {"b": [1, 2.5, "x"], "c": {"d": null}}, "n": 18446744073709551615, "s": "caf\u00e9"}"#,
        data: r#"{"limits": {"gold": 10, "free": 1}, "list": [{"id": 1}, {"id": 2}]}"#,
        variables: vec![
            ("twice", "input.a.b[0] * 2"),
            ("both", "vars.twice + data.limits.gold"),
        ],
    };
    for (expression, wanted) in [
        ("input.a.b[1]", "2.5"),
        ("input['a'].b[2]", "\"x\""),
        ("input.a.c.d == null", "true"),
        (
            "input.a == {'b': [1.0, 2.5, 'x'], 'c': {'d': null}}",
            "true",
        ),
        ("has(input.a.b) && !has(input.a.x)", "true"),
        ("has(input.x.y)", "error: no such key: input.x.y"),
        ("input.x", "error: no such key: input.x"),
        ("input.a.b.c", "error: no such key: input.a.b.c"),
        ("input.?a.?c.?e.orValue('none')", "\"none\""),
        ("input.?x.y.orValue('none')", "\"none\""),
        ("input.a.?b[0].value()", "1"),
        ("type(input.n) == uint && input.n > 1", "true"),
        ("input.s.size()", "4"),
        ("data.limits.gold", "10"),
        ("data.limits[input.a.b[2] == 'x' ? 'gold' : 'free']", "10"),
        ("data.limits.silver", "error: no such key: silver"),
        ("has(data.limits.silver)", "false"),
        ("data.list.filter(e, e.id > 1)", r#"[{"id":2}]"#),
        ("data.list.map(e, e.id) == [1, 2]", "true"),
        ("'gold' in data.limits", "true"),
        ("size(data) + size(data.list)", "4"),
        ("vars.both", "12"),
        ("vars.both + vars.both", "24"),
        ("now == timestamp('2026-02-03T04:05:06Z')", "true"),
        ("input.a.b[0] in [1u, 2u]", "true"),
        ("input.a.b[1] in [2.5]", "true"),
        ("input.a.c.d in ['x', null]", "true"),
        ("input.a.b in [1, 2]", "false"),
        ("string(input.n)", "\"18446744073709551615\""),
    ] {
        assert_eq!(answer(expression, &world()), wanted, "{expression}");
    }
}
