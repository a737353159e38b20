//! Expressions of texts, and of lists and sets of them.

use super::{Generator, TYPES, Type};

impl Generator {
    #[expect(
        clippy::too_many_lines,
        reason = "an arm for each construct of the language"
    )]
    pub(super) fn text(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.below(3) {
                0 => {
                    self.use_of("reference into input");
                    self.pick(&["input.user", "input.address", "input.version"])
                        .to_owned()
                }
                1 => {
                    self.use_of("raw string");
                    self.pick(&["`raw\\n`", "`a b`", "`<&>`"]).to_owned()
                }
                _ => self
                    .pick(&[
                        "\"ann\"",
                        "\"\"",
                        "\"Bob Ö\"",
                        "\"a,b,c\"",
                        "\" x \"",
                        "\"red\"",
                        "\"tab\\t\"",
                    ])
                    .to_owned(),
            };
        }
        let inner = depth - 1;
        match self.below(13) {
            0 | 1 => {
                self.use_of("string builtins");
                let call = self.pick(&["upper", "lower", "trim_space", "strings.reverse"]);
                let text = self.expression(Type::Text, inner);
                format!("{call}({text})")
            }
            2 => {
                self.use_of("string builtins");
                let list = self.expression(Type::Texts, inner);
                format!("concat(\"-\", {list})")
            }
            3 => {
                self.use_of("sprintf");
                let (text, number) = (
                    self.expression(Type::Text, inner),
                    self.expression(Type::Number, inner),
                );
                format!("sprintf(\"%s=%v|%d\", [{text}, {number}, input.m])")
            }
            4 => {
                self.use_of("string builtins");
                let text = self.expression(Type::Text, inner);
                let call = self.pick(&[
                    "trim",
                    "trim_left",
                    "trim_right",
                    "trim_prefix",
                    "trim_suffix",
                ]);
                format!("{call}({text}, \"a\")")
            }
            5 => {
                self.use_of("string builtins");
                let text = self.expression(Type::Text, inner);
                self.pick(&[
                    "replace(T, \"a\", \"<>\")",
                    "substring(T, 0, 3)",
                    "replace(T, \"\", \"\")",
                ])
                .replace('T', &text)
            }
            6 => {
                self.use_of("encodings");
                let text = self.expression(Type::Text, inner);
                self.pick(&[
                    "base64.encode(T)",
                    "base64.decode(base64.encode(T))",
                    "base64url.encode_no_pad(T)",
                    "hex.encode(T)",
                    "urlquery.encode(T)",
                    "json.marshal(T)",
                ])
                .replace('T', &text)
            }
            7 => {
                self.use_of("types");
                let of = TYPES[self.below(TYPES.len())];
                let value = self.expression(of, inner);
                format!("type_name({value})")
            }
            8 => {
                self.use_of("digests");
                let text = self.expression(Type::Text, inner);
                let call = self.pick(&["crypto.sha256", "crypto.md5", "crypto.sha1"]);
                format!("{call}({text})")
            }
            9 => {
                self.use_of("json builtins");
                let of = [Type::Numbers, Type::Texts, Type::TextSet, Type::Object][self.below(4)];
                let value = self.expression(of, inner);
                format!("json.marshal({value})")
            }
            10 => {
                self.use_of("uris");
                let text = self.expression(Type::Text, inner);
                format!(
                    "uri.parse(sprintf(\"https://ann@example.com:80/a/%s?x=1#f\", [urlquery.encode({text})])).path"
                )
            }
            11 => {
                self.use_of("yaml");
                let text = self.expression(Type::Text, inner);
                format!("yaml.unmarshal(yaml.marshal({{\"a\": [{text}]}})).a[0]")
            }
            _ => {
                self.use_of("regular expressions");
                let text = self.expression(Type::Text, inner);
                format!("regex.replace({text}, `[aeiou]`, \"_\")")
            }
        }
    }

    pub(super) fn texts(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&[
                    "input.roles",
                    "input.tags",
                    "data.base.names",
                    "[\"a\", \"b\"]",
                    "grants.editor",
                ])
                .to_owned();
        }
        let (inner, variable) = (depth - 1, self.variable());
        match self.below(7) {
            0 => {
                self.use_of("array comprehension");
                let list = self.expression(Type::Texts, inner);
                format!("[upper({variable}) | some {variable} in {list}]")
            }
            1 => {
                self.use_of("string builtins");
                let text = self.expression(Type::Text, inner);
                format!("split({text}, \",\")")
            }
            2 => {
                self.use_of("graph");
                "sort(graph.reachable(data.base.edges, {\"a\"}))".to_owned()
            }
            3 => {
                self.use_of("iteration in a reference");
                "[perm | perm := grants[input.roles[_]][_]]".to_owned()
            }
            4 => {
                self.use_of("object builtins");
                let object = self.expression(Type::Object, inner);
                format!("sort(object.keys({object}))")
            }
            5 => {
                self.use_of("regular expressions");
                let text = self.expression(Type::Text, inner);
                format!("regex.find_n(`[a-z]+`, {text}, 2)")
            }
            _ => {
                let (one, two) = (
                    self.expression(Type::Text, inner),
                    self.expression(Type::Text, inner),
                );
                format!("[{one}, {two}]")
            }
        }
    }

    pub(super) fn text_set(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&["{\"a\", \"b\"}", "set()", "{r | some r in input.roles}"])
                .to_owned();
        }
        let (inner, variable) = (depth - 1, self.variable());
        match self.below(4) {
            0 | 1 => {
                self.use_of("set operators");
                let operator = self.pick(&["|", "&", "-"]);
                let (left, right) = (
                    self.expression(Type::TextSet, inner),
                    self.expression(Type::TextSet, inner),
                );
                format!("({left} {operator} {right})")
            }
            2 => {
                self.use_of("set comprehension");
                let list = self.expression(Type::Texts, inner);
                format!("{{{variable} | some {variable} in {list}}}")
            }
            _ => {
                self.use_of("set operators");
                let (left, right) = (
                    self.expression(Type::TextSet, inner),
                    self.expression(Type::TextSet, inner),
                );
                let call = self.pick(&["union", "intersection"]);
                format!("{call}({{{left}, {right}}})")
            }
        }
    }
}
