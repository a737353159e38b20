//! What may be undefined, negated, assigned and collected.

use super::Generator;

impl Generator {
    /// An expression that now and then has no value.
    pub(super) fn maybe(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&[
                    "input.absent",
                    "input.user",
                    "input.n",
                    "input.flag",
                    "input[\"user\"]",
                    "input.attrs.x",
                    "input.roles[0]",
                    "input.items[1].price",
                    "data.base.limits.read",
                    "data.base.limits.absent",
                    "bounds",
                    "grants",
                    "input",
                    "3",
                    "\"ann\"",
                ])
                .to_owned();
        }
        let inner = depth - 1;
        match self.below(14) {
            0 => {
                let index = self.maybe(inner);
                let document =
                    self.pick(&["grants", "bounds", "input.attrs", "input", "data.base"]);
                format!("{document}[{index}]")
            }
            1 => {
                let value = self.maybe(inner);
                let call = self.pick(&["kind", "constant", "known", "grade", "sized", "is_string"]);
                format!("{call}({value})")
            }
            2 => {
                let (one, two) = (self.maybe(inner), self.maybe(inner));
                format!("[{one}, {two}]")
            }
            3 => {
                let value = self.maybe(inner);
                format!("{{\"k\": {value}}}")
            }
            4 => {
                let value = self.maybe(inner);
                format!("{{{value}}}")
            }
            5 => {
                let value = self.maybe(inner);
                format!("object.get(input.attrs, {value}, {value})")
            }
            6 => {
                let (one, two) = (self.maybe(0), self.maybe(0));
                let operator = self.pick(&["==", "!=", "<", ">="]);
                format!("({one} {operator} {two})")
            }
            7 => {
                let statement = self.negation(0);
                let value = self.maybe(0);
                format!("[{value} | {statement}]")
            }
            8 => {
                self.use_of("membership of the undefined");
                let (one, two) = (self.maybe(0), self.maybe(inner));
                format!("({one} in {two})")
            }
            9 => {
                self.use_of("membership with a key");
                let (key, one, two) = (self.maybe(0), self.maybe(0), self.maybe(inner));
                format!("({key}, {one} in {two})")
            }
            10 => {
                let helpers: Vec<String> =
                    self.helpers.iter().map(|(name, _)| name.clone()).collect();
                if helpers.is_empty() {
                    return self.maybe(0);
                }
                helpers[self.below(helpers.len())].clone()
            }
            11 => self
                .pick(&["[input.n, 2][input.m]", "{\"x\": input.n}.x", "[1, 2][_]"])
                .to_owned(),
            _ => self.maybe(0),
        }
    }

    /// A negated statement, with what it needs on lines before.
    pub(super) fn negation(&mut self, depth: usize) -> String {
        self.use_of("negation of the undefined");
        let (one, two) = (self.bound(depth), self.bound(depth));
        match self.below(12) {
            0 | 1 => format!("not {}", self.bound(depth + 1)),
            2 | 3 => {
                let operator = self.pick(&["==", "!=", "<", ">=", "="]);
                format!("not {one} {operator} {two}")
            }
            4 => format!("not {one} in {two}"),
            5 => {
                let key = self.bound(0);
                format!("not {key}, {one} in {two}")
            }
            6 => {
                let call = self.pick(&["constant", "is_string", "is_number", "known", "fits"]);
                format!("not {call}({one})")
            }
            7 => {
                self.use_of("negation of an iteration");
                self.pick(&[
                    "not kind(constant(input.items[_].price)) == 1",
                    "not constant(input.roles[_] == \"admin\") == 2",
                    "not is_string(upper(input.tags[_]))",
                    "not count([1 | input.roles[_] == \"admin\"]) > 0",
                ])
                .to_owned()
            }
            8 => {
                self.use_of("negation of a local");
                let variable = self.variable();
                format!(
                    "some {variable}; input.items[{variable}].id > 1; not input.items[{variable}].price > {one}"
                )
            }
            9 => {
                self.use_of("negation with a result");
                self.pick(&[
                    "not kind(input.n, \"number\")",
                    "not constant(input.absent, 1)",
                    "not upper(input.user, \"ANN\")",
                    "not grade(input.n, input.user)",
                ])
                .to_owned()
            }
            10 if depth > 0 => {
                self.use_of("negation with input");
                let (value, other) = (self.bound(0), self.bound(0));
                if self.chance(50) {
                    format!("not {one} == {two} with input.n as {value}")
                } else {
                    format!("not {one} != {two} with input.n as {value} with input.user as {other}")
                }
            }
            _ => {
                self.use_of("nested negation");
                let (inner, variable) = (self.bound(0), self.variable());
                format!("not [{variable} | {variable} := {one}; not {variable} == {inner}] == []")
            }
        }
    }

    /// What may be undefined, without an iteration.
    fn bound(&mut self, depth: usize) -> String {
        loop {
            let expression = self.maybe(depth);
            if !expression.contains("[_]") {
                return expression;
            }
        }
    }

    /// A statement that has something undefined where it does not show.
    pub(super) fn blank(&mut self) -> String {
        self.use_of("assignment of the undefined");
        let variable = self.variable();
        let value = self.maybe(2);
        match self.below(7) {
            0 | 1 => format!("{variable} := {value}"),
            2 => format!("_ := {value}"),
            3 => format!("{variable} = {value}"),
            4 => format!("_ = {value}"),
            5 => {
                self.use_of("membership with a key");
                let (key, one) = (self.maybe(0), self.maybe(0));
                format!("{key}, {one} in {value}")
            }
            _ => {
                self.use_of("some in with input");
                let other = self.bound(0);
                format!(
                    "some {variable} in input.roles with input.roles as [{other}, {value}]\n\t{variable} != input.user"
                )
            }
        }
    }
}
