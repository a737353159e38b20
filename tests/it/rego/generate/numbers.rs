//! Expressions of numbers and of lists of them.

use super::{Generator, Type};

impl Generator {
    #[expect(
        clippy::too_many_lines,
        reason = "an arm for each construct of the language"
    )]
    pub(super) fn number(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.below(4) {
                0 => (self.below(20) as i64 - 4).to_string(),
                1 => {
                    self.use_of("reference into input");
                    self.pick(&[
                        "input.n",
                        "input.m",
                        "input.attrs.x",
                        "input.attrs[\"z-1\"]",
                    ])
                    .to_owned()
                }
                2 => {
                    self.use_of("reference into data");
                    self.pick(&[
                        "data.base.limits.read",
                        "bounds.write",
                        "data.base.matrix[1][2]",
                    ])
                    .to_owned()
                }
                _ => self.pick(&["0", "1", "2.5", "7", "100"]).to_owned(),
            };
        }
        let inner = depth - 1;
        match self.below(12) {
            0 | 1 => {
                self.use_of("arithmetic");
                let operator = self.pick(&["+", "-", "*"]);
                let (left, right) = (
                    self.expression(Type::Number, inner),
                    self.expression(Type::Number, inner),
                );
                format!("({left} {operator} {right})")
            }
            2 => {
                self.use_of("arithmetic");
                let left = self.pick(&["input.m", "17", "data.base.limits.read"]);
                let right = self.pick(&["2", "3", "5"]);
                let operator = self.pick(&["%", "/"]);
                if operator == "/" {
                    format!("(({left} * {right}) / {right})")
                } else {
                    format!("({left} % {right})")
                }
            }
            3 => {
                self.use_of("aggregates");
                let of = [
                    Type::Numbers,
                    Type::Texts,
                    Type::TextSet,
                    Type::Object,
                    Type::Text,
                ][self.below(5)];
                let value = self.expression(of, inner);
                format!("count({value})")
            }
            4 => {
                self.use_of("aggregates");
                let call = self.pick(&["sum", "product", "max", "min"]);
                let list = self.expression(Type::Numbers, inner);
                format!("{call}({list})")
            }
            5 => {
                self.use_of("number builtins");
                let call = self.pick(&["abs", "round", "ceil", "floor"]);
                let number = self.expression(Type::Number, inner);
                format!("{call}({number})")
            }
            6 => {
                self.use_of("bits");
                let call = self.pick(&["and", "or", "xor"]);
                let number = self.pick(&["input.m", "12", "255"]);
                format!(
                    "bits.{call}({number}, 6) + bits.lsh({number}, 2) - bits.rsh({number}, 1) + bits.negate({number})"
                )
            }
            7 => {
                self.use_of("string builtins");
                let text = self.expression(Type::Text, inner);
                let part = self.pick(&["\"a\"", "\"b\"", "\"zz\""]);
                format!("indexof({text}, {part})")
            }
            8 => {
                self.use_of("function");
                self.use_of("function with patterns");
                let number = self.expression(Type::Number, inner);
                format!("sign({number})")
            }
            9 => match self.below(4) {
                0 => {
                    self.use_of("semantic versions");
                    "semver.compare(input.version, \"1.5.0\")".to_owned()
                }
                1 => {
                    self.use_of("time");
                    self.pick(&[
                        "time.parse_rfc3339_ns(\"2026-11-28T12:34:56Z\")",
                        "time.parse_duration_ns(\"1h30m\")",
                        "time.clock(1700000000000000000)[1]",
                        "time.date(1700000000000000000)[0]",
                        "time.add_date(1700000000000000000, 1, 2, 3)",
                    ])
                    .to_owned()
                }
                2 => {
                    self.use_of("units");
                    self.pick(&[
                        "units.parse_bytes(\"2KB\")",
                        "units.parse(\"3k\")",
                        "units.parse_bytes(\"1Mi\")",
                    ])
                    .to_owned()
                }
                _ => {
                    self.use_of("walk");
                    self.pick(&[
                        "count([p | walk(data.base.tree, [p, _])])",
                        "count([v | walk(input.items, [_, v]); is_number(v)])",
                    ])
                    .to_owned()
                }
            },
            _ => self.number(0),
        }
    }

    pub(super) fn numbers(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&[
                    "[3, 1, 2]",
                    "data.base.matrix[0]",
                    "[]",
                    "[input.m, input.m]",
                    "[x | some x in [5, 6]]",
                ])
                .to_owned();
        }
        let (inner, variable) = (depth - 1, self.variable());
        match self.below(8) {
            0 => {
                self.use_of("array comprehension");
                let list = self.expression(Type::Numbers, inner);
                let number = self.number(0);
                format!("[({variable} * 2) | some {variable} in {list}; {variable} > {number}]")
            }
            1 => {
                self.use_of("nested comprehension");
                format!(
                    "[sum([{variable} | some {variable} in row]) | some row in data.base.matrix]"
                )
            }
            2 => {
                self.use_of("array builtins");
                let (left, right) = (
                    self.expression(Type::Numbers, inner),
                    self.expression(Type::Numbers, inner),
                );
                format!("array.concat({left}, {right})")
            }
            3 => {
                self.use_of("array builtins");
                let list = self.expression(Type::Numbers, inner);
                self.pick(&["array.slice(L, 0, 2)", "array.reverse(L)", "sort(L)"])
                    .replace('L', &list)
            }
            4 => {
                self.use_of("number builtins");
                "numbers.range(input.m, 3)".to_owned()
            }
            5 => {
                self.use_of("iteration in a reference");
                self.pick(&[
                    "[x | x := input.items[_].price]",
                    "[x | x := input.attrs[_]]",
                    "[i | input.items[i]]",
                ])
                .to_owned()
            }
            6 => {
                self.use_of("object builtins");
                let object = self.expression(Type::Object, inner);
                format!("[{variable} | some {variable} in {object}]")
            }
            _ => {
                let (one, two) = (
                    self.expression(Type::Number, inner),
                    self.expression(Type::Number, inner),
                );
                format!("[{one}, {two}]")
            }
        }
    }
}
