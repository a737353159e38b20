//! What the language supports: nodes by the types of their operands.

/// A type of the generator. Lists and maps come in two kinds each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Ints,
    Strings,
    /// From strings to ints.
    Map,
    /// From ints to strings.
    IntMap,
    Timestamp,
    Duration,
}

impl Type {
    pub const ALL: [Self; 13] = [
        Self::Null,
        Self::Bool,
        Self::Int,
        Self::Uint,
        Self::Double,
        Self::String,
        Self::Bytes,
        Self::Ints,
        Self::Strings,
        Self::Map,
        Self::IntMap,
        Self::Timestamp,
        Self::Duration,
    ];
}

/// A node: `$` stands for an operand, `@` for the loop variable, which operands behind it may use.
#[derive(Clone, Debug)]
pub struct Row {
    pub form: &'static str,
    pub operands: Vec<Type>,
    pub result: Type,
    /// Type of the loop variable.
    pub element: Option<Type>,
}

/// Expressions without operands.
pub fn literals(of: Type) -> &'static [&'static str] {
    match of {
        Type::Null => &["null", "input.z"],
        Type::Bool => &["true", "false", "input.b"],
        Type::Int => &[
            "0",
            "1",
            "2",
            "-1",
            "5",
            "42",
            "9223372036854775807",
            "-9223372036854775808",
            "input.i",
            "input.n",
            "input.l[0]",
            "input.m.a",
        ],
        Type::Uint => &["0u", "1u", "2u", "7u", "18446744073709551615u"],
        Type::Double => &["0.0", "1.0", "-1.5", "2.5", "1e10", "1e300", "input.d"],
        Type::String => &[
            "''",
            "'a'",
            "'abc'",
            "'héllo'",
            "'12'",
            "'-3'",
            "'2.5'",
            "'true'",
            "'x y z'",
            "input.s",
            "input['s']",
            "'2009-02-13T23:31:30Z'",
            "'1h30m'",
        ],
        Type::Bytes => &["b''", "b'abc'", "b'\\xff'", "b'a'"],
        Type::Ints => &["[]", "[1]", "[1, 2, 3]", "[3, -1, 0, 2]", "input.l"],
        Type::Strings => &["['a']", "['a', 'bc', '']", "['x', 'a']", "input.t"],
        Type::Map => &["{}", "{'a': 1}", "{'a': 5, 'abc': 0}", "input.m"],
        Type::IntMap => &["{1: 'a'}", "{0: '', 5: 'x', -1: 'y'}"],
        Type::Timestamp => &[
            "timestamp('2009-02-13T23:31:30Z')",
            "timestamp('1999-12-31T23:59:59.999Z')",
            "timestamp(0)",
        ],
        Type::Duration => &[
            "duration('90s')",
            "duration('-1h')",
            "duration('1.5s')",
            "duration('0s')",
        ],
    }
}

fn row(form: &'static str, operands: &[Type], result: Type) -> Row {
    Row {
        form,
        operands: operands.to_vec(),
        result,
        element: None,
    }
}

fn looped(form: &'static str, range: Type, element: Type, body: &[Type], result: Type) -> Row {
    let mut operands = vec![range];
    operands.extend(body);
    Row {
        form,
        operands,
        result,
        element: Some(element),
    }
}

/// All rows.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    arithmetic(&mut rows);
    comparisons(&mut rows);
    logic(&mut rows);
    containers(&mut rows);
    loops(&mut rows);
    conversions(&mut rows);
    texts(&mut rows);
    times(&mut rows);
    rows
}

fn arithmetic(rows: &mut Vec<Row>) {
    use Type::{Bytes, Double, Duration, Int, Ints, String, Strings, Timestamp, Uint};
    for kind in [Int, Uint] {
        for form in ["($ + $)", "($ - $)", "($ * $)", "($ / $)", "($ % $)"] {
            rows.push(row(form, &[kind, kind], kind));
        }
    }
    for form in ["($ + $)", "($ - $)", "($ * $)", "($ / $)"] {
        rows.push(row(form, &[Double, Double], Double));
    }
    rows.push(row("(-$)", &[Int], Int));
    rows.push(row("(-$)", &[Double], Double));
    for kind in [String, Bytes, Ints, Strings] {
        rows.push(row("($ + $)", &[kind, kind], kind));
    }
    rows.push(row("($ + $)", &[Timestamp, Duration], Timestamp));
    rows.push(row("($ + $)", &[Duration, Timestamp], Timestamp));
    rows.push(row("($ + $)", &[Duration, Duration], Duration));
    rows.push(row("($ - $)", &[Timestamp, Duration], Timestamp));
    rows.push(row("($ - $)", &[Timestamp, Timestamp], Duration));
    rows.push(row("($ - $)", &[Duration, Duration], Duration));
}

fn comparisons(rows: &mut Vec<Row>) {
    use Type::{Bool, Bytes, Double, Duration, Int, String, Timestamp, Uint};
    for left in Type::ALL {
        for right in Type::ALL {
            rows.push(row("($ == $)", &[left, right], Bool));
            rows.push(row("($ != $)", &[left, right], Bool));
        }
    }
    for form in ["($ < $)", "($ <= $)", "($ > $)", "($ >= $)"] {
        for kind in [Bool, String, Bytes, Timestamp, Duration] {
            rows.push(row(form, &[kind, kind], Bool));
        }
        for left in [Int, Uint, Double] {
            for right in [Int, Uint, Double] {
                rows.push(row(form, &[left, right], Bool));
            }
        }
    }
}

fn logic(rows: &mut Vec<Row>) {
    use Type::Bool;
    rows.push(row("($ && $)", &[Bool, Bool], Bool));
    rows.push(row("($ || $)", &[Bool, Bool], Bool));
    rows.push(row("(!$)", &[Bool], Bool));
    for kind in Type::ALL {
        rows.push(row("($ ? $ : $)", &[Bool, kind, kind], kind));
    }
}

fn containers(rows: &mut Vec<Row>) {
    use Type::{Bool, Bytes, Int, IntMap, Ints, Map, String, Strings, Uint};
    rows.push(row("($ in $)", &[Int, Ints], Bool));
    rows.push(row("($ in $)", &[Uint, Ints], Bool));
    rows.push(row("($ in $)", &[String, Strings], Bool));
    rows.push(row("($ in $)", &[String, Map], Bool));
    rows.push(row("($ in $)", &[Int, IntMap], Bool));
    rows.push(row("($ in [1, 2, 5])", &[Int], Bool));
    rows.push(row(
        "($ in ['a', 'abc', '', 'x', 'y', 'z', '12'])",
        &[String],
        Bool,
    ));
    rows.push(row("$[$]", &[Ints, Int], Int));
    rows.push(row("$[$]", &[Strings, Int], String));
    rows.push(row("$[$]", &[Map, String], Int));
    rows.push(row("$[$]", &[IntMap, Int], String));
    rows.push(row("$.a", &[Map], Int));
    rows.push(row("has($.a)", &[Map], Bool));
    rows.push(row("[$, $]", &[Int, Int], Ints));
    rows.push(row("[$, $, $]", &[String, String, String], Strings));
    rows.push(row("{'k': $, 'a': $}", &[Int, Int], Map));
    rows.push(row("{$: $}", &[String, Int], Map));
    rows.push(row("{$: $, 3: $}", &[Int, String, String], IntMap));
    for kind in [String, Bytes, Ints, Strings, Map, IntMap] {
        rows.push(row("size($)", &[kind], Int));
    }
    for kind in [String, Bytes, Ints, Map] {
        rows.push(row("$.size()", &[kind], Int));
    }
}

fn loops(rows: &mut Vec<Row>) {
    use Type::{Bool, Int, IntMap, Ints, Map, String, Strings};
    for form in ["$.all(@, $)", "$.exists(@, $)", "$.exists_one(@, $)"] {
        rows.push(looped(form, Ints, Int, &[Bool], Bool));
        rows.push(looped(form, Strings, String, &[Bool], Bool));
        rows.push(looped(form, Map, String, &[Bool], Bool));
        rows.push(looped(form, IntMap, Int, &[Bool], Bool));
    }
    rows.push(looped("$.filter(@, $)", Ints, Int, &[Bool], Ints));
    rows.push(looped("$.filter(@, $)", Strings, String, &[Bool], Strings));
    rows.push(looped("$.map(@, $)", Ints, Int, &[Int], Ints));
    rows.push(looped("$.map(@, $)", Ints, Int, &[String], Strings));
    rows.push(looped("$.map(@, $)", Strings, String, &[Int], Ints));
    rows.push(looped("$.map(@, $, $)", Ints, Int, &[Bool, Int], Ints));
    rows.push(looped(
        "$.map(@, $, $)",
        Strings,
        String,
        &[Bool, String],
        Strings,
    ));
}

fn conversions(rows: &mut Vec<Row>) {
    use Type::{Bool, Bytes, Double, Duration, Int, String, Timestamp, Uint};
    for from in [Int, Uint, Double, String, Timestamp] {
        rows.push(row("int($)", &[from], Int));
    }
    for from in [Int, Uint, Double, String] {
        rows.push(row("uint($)", &[from], Uint));
        rows.push(row("double($)", &[from], Double));
    }
    for from in [Bool, Int, Uint, Double, String, Bytes, Timestamp, Duration] {
        rows.push(row("string($)", &[from], String));
    }
    for from in [String, Bytes] {
        rows.push(row("bytes($)", &[from], Bytes));
    }
    for from in [Bool, String] {
        rows.push(row("bool($)", &[from], Bool));
    }
    for from in [String, Timestamp, Int] {
        rows.push(row("timestamp($)", &[from], Timestamp));
    }
    for from in [String, Duration] {
        rows.push(row("duration($)", &[from], Duration));
    }
    for kind in Type::ALL {
        rows.push(row("dyn($)", &[kind], kind));
        rows.push(row("(type($) == int)", &[kind], Bool));
        rows.push(row("(type($) == type($))", &[kind, kind], Bool));
    }
}

fn texts(rows: &mut Vec<Row>) {
    use Type::{Bool, Int, String, Strings};
    for form in ["$.contains($)", "$.startsWith($)", "$.endsWith($)"] {
        rows.push(row(form, &[String, String], Bool));
    }
    rows.push(row(
        "$.matches('^[a-z]*$')".replace("$'", "\\\\z'").leak(),
        &[String],
        Bool,
    ));
    rows.push(row("$.matches('b|l+')", &[String], Bool));
    rows.push(row("$.charAt($)", &[String, Int], String));
    rows.push(row("$.indexOf($)", &[String, String], Int));
    rows.push(row("$.indexOf($, $)", &[String, String, Int], Int));
    rows.push(row("$.lastIndexOf($)", &[String, String], Int));
    rows.push(row("$.join()", &[Strings], String));
    rows.push(row("$.join($)", &[Strings, String], String));
    rows.push(row("$.lowerAscii()", &[String], String));
    rows.push(row("$.upperAscii()", &[String], String));
    rows.push(row("$.replace($, $)", &[String, String, String], String));
    rows.push(row(
        "$.replace($, $, $)",
        &[String, String, String, Int],
        String,
    ));
    rows.push(row("$.split($)", &[String, String], Strings));
    rows.push(row("$.split($, $)", &[String, String, Int], Strings));
    rows.push(row("$.substring($)", &[String, Int], String));
    rows.push(row("$.substring($, $)", &[String, Int, Int], String));
    rows.push(row("$.trim()", &[String], String));
    rows.push(row("$.reverse()", &[String], String));
}

fn times(rows: &mut Vec<Row>) {
    use Type::{Duration, Int, Timestamp};
    for form in [
        "$.getFullYear()",
        "$.getMonth()",
        "$.getDayOfYear()",
        "$.getDayOfMonth()",
        "$.getDate()",
        "$.getDayOfWeek()",
        "$.getHours()",
        "$.getMinutes()",
        "$.getSeconds()",
        "$.getMilliseconds()",
        "$.getHours('+02:30')",
        "$.getDate('-11:00')",
        "$.getHours('Europe/Berlin')",
        "$.getFullYear('Asia/Tokyo')",
    ] {
        rows.push(row(form, &[Timestamp], Int));
    }
    for form in [
        "$.getHours()",
        "$.getMinutes()",
        "$.getSeconds()",
        "$.getMilliseconds()",
    ] {
        rows.push(row(form, &[Duration], Int));
    }
    use Type::{Bool, Double, Uint};
    for kind in [Int, Double] {
        rows.push(row("math.greatest($, $)", &[kind, kind], kind));
        rows.push(row("math.least($, $, $)", &[kind, kind, kind], kind));
        rows.push(row("math.abs($)", &[kind], kind));
        rows.push(row("math.sign($)", &[kind], kind));
    }
    for form in [
        "math.ceil($)",
        "math.floor($)",
        "math.round($)",
        "math.trunc($)",
        "math.sqrt($)",
    ] {
        rows.push(row(form, &[Double], Double));
    }
    for form in ["math.isNaN($)", "math.isInf($)", "math.isFinite($)"] {
        rows.push(row(form, &[Double], Bool));
    }
    for kind in [Int, Uint] {
        for form in ["math.bitAnd($, $)", "math.bitOr($, $)", "math.bitXor($, $)"] {
            rows.push(row(form, &[kind, kind], kind));
        }
        rows.push(row("math.bitNot($)", &[kind], kind));
        rows.push(row("math.bitShiftLeft($, $)", &[kind, Int], kind));
        rows.push(row("math.bitShiftRight($, $)", &[kind, Int], kind));
    }
}
