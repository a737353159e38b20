//! Expressions of objects and of truth.

use super::{Generator, Type};

impl Generator {
    pub(super) fn truth(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.pick(&["true", "false", "input.flag"]).to_owned();
        }
        let inner = depth - 1;
        match self.below(5) {
            0 => {
                self.use_of("object builtins");
                let (left, right) = (
                    self.expression(Type::Object, inner),
                    self.expression(Type::Object, inner),
                );
                format!("object.subset({left}, {right})")
            }
            1 => {
                self.use_of("semantic versions");
                "semver.is_valid(input.version)".to_owned()
            }
            2 => {
                self.use_of("comparison");
                let of = [Type::Texts, Type::TextSet, Type::Object, Type::Numbers][self.below(4)];
                let (left, right) = (self.expression(of, inner), self.expression(of, inner));
                let operator = self.pick(&["==", "!=", "<", ">="]);
                format!("({left} {operator} {right})")
            }
            3 => {
                self.use_of("membership");
                let (one, list) = (
                    self.expression(Type::Number, inner),
                    self.expression(Type::Numbers, inner),
                );
                format!("({one} in {list})")
            }
            _ => self.truth(0),
        }
    }

    pub(super) fn object(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&[
                    "input.attrs",
                    "data.base.limits",
                    "{\"k\": 1, \"l\": 2}",
                    "{}",
                    "{\"n\": input.m}",
                ])
                .to_owned();
        }
        let (inner, variable) = (depth - 1, self.variable());
        match self.below(7) {
            0 => {
                self.use_of("object comprehension");
                self.use_of("some key in");
                let object = self.expression(Type::Object, inner);
                format!(
                    "{{{variable}: ({variable}x + 1) | some {variable}, {variable}x in {object}}}"
                )
            }
            1 => {
                self.use_of("object builtins");
                let (left, right) = (
                    self.expression(Type::Object, inner),
                    self.expression(Type::Object, inner),
                );
                format!("object.union({left}, {right})")
            }
            2 => {
                self.use_of("object builtins");
                let object = self.expression(Type::Object, inner);
                self.pick(&[
                    "object.remove(O, [\"x\"])",
                    "object.filter(O, [\"x\", \"k\"])",
                ])
                .replace('O', &object)
            }
            3 => {
                self.use_of("json builtins");
                let object = self.expression(Type::Object, inner);
                self.pick(&[
                    "json.filter(O, [\"x\", \"read\"])",
                    "json.remove(O, [\"y\"])",
                    "json.unmarshal(json.marshal(O))",
                    "json.patch(O, [{\"op\": \"add\", \"path\": \"/new\", \"value\": 9}])",
                ])
                .replace('O', &object)
            }
            4 => {
                self.use_of("object.get default");
                let object = self.expression(Type::Object, inner);
                format!("{{\"got\": object.get({object}, \"x\", 0)}}")
            }
            5 => {
                self.use_of("object comprehension");
                "{name: price | some item in input.items; name := sprintf(\"%v\", [item.id]); price := item.price}"
                    .to_owned()
            }
            _ => {
                let (one, two) = (
                    self.expression(Type::Number, inner),
                    self.expression(Type::Number, inner),
                );
                format!("{{\"p\": {one}, \"q\": {two}}}")
            }
        }
    }
}
