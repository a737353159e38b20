//! What stands in bodies: statements and conditions.

use super::{Generator, TYPES, Type};

impl Generator {
    /// Statements, each on a line.
    pub(super) fn body(&mut self, most: usize) -> String {
        let count = 1 + self.below(most);
        let mut text = String::new();
        for _ in 0..count {
            let statement = self.statement();
            text.push('\t');
            text.push_str(&statement);
            text.push('\n');
        }
        text
    }

    pub(super) fn statement(&mut self) -> String {
        let variable = self.variable();
        match self.below(9) {
            0 => {
                self.use_of("some in");
                let list = self.expression(Type::Numbers, 2);
                format!("some {variable} in {list}\n\t{variable} >= 0")
            }
            1 => {
                self.use_of("some variable");
                self.use_of("iteration in a reference");
                format!("some {variable}\n\tinput.items[{variable}].price >= 0")
            }
            2 => {
                self.use_of("every");
                let list = self.expression(Type::Numbers, 2);
                let bound = self.below(12);
                if self.chance(50) {
                    format!("every {variable} in {list} {{\n\t\t{variable} < {bound}\n\t}}")
                } else {
                    format!(
                        "every {variable}, {variable}x in {list} {{\n\t\t{variable}x + {variable} < {bound} + 40\n\t}}"
                    )
                }
            }
            3 => {
                self.use_of("not");
                if self.chance(50) {
                    return self.negation(1);
                }
                self.pick(&[
                    "not input.flag",
                    "not \"admin\" in input.roles",
                    "not data.base.limits.absent",
                    "not input.user == \"bob\"",
                    "not grants[input.user]",
                ])
                .to_owned()
            }
            4 => {
                self.use_of("unification");
                let number = self.expression(Type::Number, 1);
                format!("{variable} = {number}\n\t{variable} > -1000")
            }
            5 => {
                self.use_of("destructuring");
                let (one, two) = (
                    self.expression(Type::Number, 1),
                    self.expression(Type::Text, 1),
                );
                format!(
                    "[{variable}, {variable}x] := [{one}, {two}]\n\t{variable}x != \"{variable}\""
                )
            }
            6 => {
                self.use_of("wildcard");
                let list = self.pick(&[
                    "input.items",
                    "input.tags",
                    "data.base.names",
                    "input.roles",
                ]);
                format!("_ = {list}[_]")
            }
            _ => {
                // A line that begins with `(` is read as the arguments of what ends the line before.
                let condition = self.condition(2);
                if condition.starts_with('(') {
                    format!("true; {condition}")
                } else {
                    condition
                }
            }
        }
    }

    /// A condition that is true more often than not.
    pub(super) fn condition(&mut self, depth: usize) -> String {
        match self.below(12) {
            0 | 1 => {
                self.use_of("comparison");
                let operator = self.pick(&["<", "<=", "!=", ">=", ">", "=="]);
                let (left, right) = (
                    self.expression(Type::Number, depth),
                    self.expression(Type::Number, depth),
                );
                format!("{left} {operator} {right}")
            }
            2 => {
                self.use_of("membership");
                let (one, list) = (
                    self.expression(Type::Text, depth),
                    self.expression(Type::Texts, depth),
                );
                format!("{one} in {list}")
            }
            3 => self
                .pick(&["input.flag", "input.n > -4", "count(input.roles) >= 0"])
                .to_owned(),
            4 => {
                self.use_of("string builtins");
                let text = self.expression(Type::Text, depth);
                let call = self.pick(&["startswith", "endswith", "contains"]);
                let part = self.pick(&["\"a\"", "\"\"", "\"bob\"", "\"n\""]);
                format!("{call}({text}, {part})")
            }
            5 => {
                self.use_of("types");
                let of = TYPES[self.below(TYPES.len())];
                let value = self.expression(of, depth);
                let test = self.pick(&[
                    "is_string",
                    "is_number",
                    "is_array",
                    "is_object",
                    "is_set",
                    "is_boolean",
                ]);
                format!("{test}({value})")
            }
            6 => {
                self.use_of("regular expressions");
                let text = self.expression(Type::Text, depth);
                let pattern = self.pick(&["`^[a-z]+$`", "`\\d`", "\"^a|b\"", "`.*`"]);
                format!("regex.match({pattern}, {text})")
            }
            7 => {
                self.use_of("globs");
                let pattern = self.pick(&["\"*.b\"", "\"*\"", "\"{red,green}\"", "\"x-?\""]);
                let text = self.pick(&["\"a.b\"", "\"red\"", "\"x-1\""]);
                format!("glob.match({pattern}, [\".\"], {text})")
            }
            8 => {
                self.use_of("networks");
                "net.cidr_contains(data.base.networks[_], input.address)".to_owned()
            }
            9 => {
                self.use_of("strings.any");
                let list = self.expression(Type::Texts, depth);
                format!("strings.any_prefix_match({list}, [\"a\", \"r\"])")
            }
            _ => self.expression(Type::Truth, depth),
        }
    }
}
