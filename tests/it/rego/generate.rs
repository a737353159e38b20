//! Random modules and inputs, of every construct in [`CONSTRUCTS`], typed so that most of them have a value.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

/// What modules are made of.
pub const CONSTRUCTS: &[&str] = &[
    "complete rule",
    "default",
    "else",
    "several bodies",
    "several values",
    "partial set",
    "partial object",
    "reference head",
    "function",
    "function with patterns",
    "function of rules",
    "with input",
    "with data",
    "with function",
    "some in",
    "some key in",
    "some variable",
    "every",
    "not",
    "array comprehension",
    "set comprehension",
    "object comprehension",
    "nested comprehension",
    "unification",
    "destructuring",
    "wildcard",
    "membership",
    "import",
    "reference into data",
    "reference into input",
    "reference into a rule",
    "iteration in a reference",
    "raw string",
    "arithmetic",
    "comparison",
    "set operators",
    "array builtins",
    "object builtins",
    "string builtins",
    "number builtins",
    "aggregates",
    "regular expressions",
    "globs",
    "encodings",
    "types",
    "bits",
    "walk",
    "graph",
    "json builtins",
    "networks",
    "semantic versions",
    "time",
    "units",
    "digests",
    "conflict",
    "builtin error",
    "strings.any",
    "object.get default",
    "sprintf",
];

/// A module with the rules that it may be asked for.
pub struct Module {
    pub name: String,
    pub text: String,
    pub rules: Vec<String>,
    /// The text of each rule.
    parts: Vec<(String, String)>,
}

impl Module {
    /// The text of a rule; of all for one that is not there.
    pub fn rule(&self, name: &str) -> &str {
        let found = self.parts.iter().find(|(rule, _)| rule == name);
        found.map_or(&self.text, |(_, text)| text)
    }
}

/// The data that all modules see, below `data.base`.
pub fn data() -> Value {
    json!({"base": {
        "grants": {"admin": ["read", "write", "delete"], "editor": ["read", "write"], "viewer": ["read"]},
        "limits": {"read": 10, "write": 5, "delete": 1},
        "matrix": [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
        "names": ["ann", "bob", "cyd"],
        "tree": {"a": {"b": {"c": 1}, "d": [2, 3]}, "e": null},
        "edges": {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []},
        "networks": ["10.0.0.0/8", "192.168.0.0/16"],
    }})
}

pub struct Generator {
    random: StdRng,
    pub used: Vec<&'static str>,
    variables: usize,
    /// Helper rules written so far: name and type.
    helpers: Vec<(String, Type)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Number,
    Text,
    Truth,
    Numbers,
    Texts,
    TextSet,
    Object,
}

const TYPES: [Type; 7] = [
    Type::Number,
    Type::Text,
    Type::Truth,
    Type::Numbers,
    Type::Texts,
    Type::TextSet,
    Type::Object,
];

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            used: Vec::new(),
            variables: 0,
            helpers: Vec::new(),
        }
    }

    fn pick<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.random.random_range(0..choices.len())]
    }

    fn below(&mut self, count: usize) -> usize {
        self.random.random_range(0..count)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn variable(&mut self) -> String {
        self.variables += 1;
        format!("v{}", self.variables)
    }

    fn use_of(&mut self, construct: &'static str) {
        debug_assert!(CONSTRUCTS.contains(&construct), "{construct}");
        self.used.push(construct);
    }

    /// An input; now and then something is missing or of another type.
    pub fn input(&mut self) -> Value {
        let names = ["ann", "bob", "cyd", "dan"];
        let roles = ["admin", "editor", "viewer", "guest"];
        let tags = ["red", "green", "blue", "a.b", "x-1"];
        let mut some = |from: &[&str], most: usize| -> Vec<String> {
            let count = self.random.random_range(0..=most);
            (0..count)
                .map(|_| from[self.random.random_range(0..from.len())].to_owned())
                .collect()
        };
        let (roles, tags_own) = (some(&roles, 3), some(&tags, 4));
        let items: Vec<Value> = (0..self.below(4))
            .map(|index| {
                json!({
                    "id": index + 1,
                    "name": names[self.below(names.len())],
                    "price": self.below(40),
                    "tags": [tags[self.below(tags.len())], tags[self.below(tags.len())]],
                })
            })
            .collect();
        let mut input = json!({
            "user": names[self.below(names.len())],
            "roles": roles,
            "n": self.below(12) as i64 - 3,
            "m": self.below(7),
            "tags": tags_own,
            "items": items,
            "attrs": {"x": self.below(9), "y": self.below(9), "z-1": self.below(9)},
            "flag": self.chance(50),
            "address": (["10.1.2.3", "192.168.7.7", "8.8.8.8"][self.below(3)]),
            "version": (["1.2.3", "1.10.0", "2.0.0-rc.1"][self.below(3)]),
        });
        if self.chance(20) {
            let members = ["user", "n", "items", "flag", "attrs"];
            let member = members[self.below(members.len())];
            if self.chance(50) {
                input.as_object_mut().unwrap().remove(member);
            } else {
                input[member] = Value::Null;
            }
        }
        input
    }

    /// A module whose package is `name`.
    pub fn module(&mut self, name: &str) -> Module {
        let mut parts = Vec::new();
        self.helpers.clear();
        for index in 0..7 {
            let rule = format!("r{index}");
            let (text, of) = self.rule(&rule);
            if let Some(of) = of {
                self.helpers.push((rule.clone(), of));
            }
            parts.push((rule, text));
        }
        self.use_of("import");
        let mut text = format!(
            "package {name}\n\nimport data.base.grants\nimport data.base.limits as bounds\n\n"
        );
        text.push_str(FUNCTIONS);
        for (_, part) in &parts {
            text.push('\n');
            text.push_str(part);
        }
        Module {
            name: name.to_owned(),
            text,
            rules: parts.iter().map(|(rule, _)| rule.clone()).collect(),
            parts,
        }
    }

    /// A rule, and its type where others may refer to it.
    #[expect(
        clippy::too_many_lines,
        reason = "an arm for each construct of the language"
    )]
    fn rule(&mut self, name: &str) -> (String, Option<Type>) {
        let of = TYPES[self.below(TYPES.len())];
        match self.below(15) {
            0 | 1 => {
                self.use_of("complete rule");
                let value = self.expression(of, 3);
                (format!("{name} := {value}\n"), Some(of))
            }
            2 | 3 => {
                self.use_of("complete rule");
                let body = self.body(2);
                let value = self.expression(of, 2);
                (format!("{name} := {value} if {{\n{body}}}\n"), Some(of))
            }
            4 => {
                self.use_of("default");
                let body = self.body(2);
                let value = self.expression(Type::Text, 2);
                let text =
                    format!("default {name} := \"default\"\n\n{name} := {value} if {{\n{body}}}\n");
                (text, Some(Type::Text))
            }
            5 => {
                self.use_of("else");
                let (first, second) = (self.body(2), self.body(1));
                let values = [(); 3].map(|()| self.expression(of, 2));
                let [one, two, three] = values;
                let text = format!(
                    "{name} := {one} if {{\n{first}}} else := {two} if {{\n{second}}} else := {three}\n"
                );
                (text, Some(of))
            }
            6 => {
                self.use_of("several bodies");
                let (first, second) = (self.body(2), self.body(1));
                let text = format!("{name} if {{\n{first}}}\n\n{name} if {{\n{second}}}\n");
                (text, Some(Type::Truth))
            }
            7 => {
                self.use_of("partial set");
                let (list, variable) = (self.expression(Type::Texts, 2), self.variable());
                let other = self.expression(Type::Text, 1);
                let body = self.body(1);
                let text = format!(
                    "{name} contains {variable} if {{\n\tsome {variable} in {list}\n{body}}}\n\n{name} contains {other} if {{\n\tinput.flag\n}}\n"
                );
                (text, Some(Type::TextSet))
            }
            8 => {
                self.use_of("partial object");
                self.use_of("some key in");
                let (key, value) = (self.variable(), self.variable());
                let object = self.expression(Type::Object, 2);
                let condition = self.condition(1);
                let text = format!(
                    "{name}[{key}] := {value} if {{\n\tsome {key}, {value} in {object}\n\ttrue; {condition}\n}}\n"
                );
                (text, Some(Type::Object))
            }
            9 => {
                self.use_of("reference head");
                let (one, two) = (
                    self.expression(Type::Number, 2),
                    self.expression(Type::Number, 2),
                );
                let body = self.body(1);
                let text =
                    format!("{name}.first := {one}\n\n{name}.second := {two} if {{\n{body}}}\n");
                (text, None)
            }
            10 => {
                self.use_of("with input");
                let value = self.expression(of, 2);
                let user = self.pick(&["\"zed\"", "\"ann\""]);
                let variable = self.variable();
                let text = format!(
                    "{name} := {variable} if {{\n\t{variable} := {value} with input.user as {user} with input.n as 4\n}}\n"
                );
                (text, Some(of))
            }
            11 => {
                let (text, of) = if self.chance(50) {
                    self.use_of("with data");
                    (
                        format!(
                            "{name} := value if {{\n\tvalue := count(bounds) with data.base.limits as {{\"a\": 1}}\n}}\n"
                        ),
                        Type::Number,
                    )
                } else {
                    self.use_of("with function");
                    (
                        format!(
                            "{name} := value if {{\n\tvalue := sized([1, 2, 3]) with count as 5\n}}\n"
                        ),
                        Type::Number,
                    )
                };
                (text, Some(of))
            }
            12 => {
                self.use_of("conflict");
                self.use_of("several values");
                let (first, second) = (self.condition(1), self.condition(1));
                let text = format!("{name} := 1 if {first}\n\n{name} := 2 if {second}\n");
                (text, None)
            }
            13 => {
                self.use_of("builtin error");
                let call = self.pick(&[
                    "to_number(\"x\")",
                    "1 / 0",
                    "json.unmarshal(\"{\")",
                    "time.parse_rfc3339_ns(\"never\")",
                    "units.parse_bytes(\"much\")",
                    "hex.decode(\"zz\")",
                ]);
                let fallback = self.expression(Type::Text, 2);
                let text = format!("{name} := {call} if input.flag\n\nelse := {fallback}\n");
                (text, None)
            }
            _ => {
                self.use_of("function of rules");
                let number = self.expression(Type::Number, 2);
                let text =
                    format!("{name} := [sign({number}), kind({number}), sized([{number}])]\n");
                (text, None)
            }
        }
    }

    /// Statements, each on a line.
    fn body(&mut self, most: usize) -> String {
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

    fn statement(&mut self) -> String {
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
                // OPA computes what is called inside of a negated call before the negation: none is.
                self.use_of("not");
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
    fn condition(&mut self, depth: usize) -> String {
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

    fn expression(&mut self, of: Type, depth: usize) -> String {
        let helpers: Vec<String> = self
            .helpers
            .iter()
            .filter(|(_, other)| *other == of)
            .map(|(name, _)| name.clone())
            .collect();
        if !helpers.is_empty() && self.chance(12) {
            self.use_of("reference into a rule");
            let index = self.below(helpers.len());
            return helpers[index].clone();
        }
        match of {
            Type::Number => self.number(depth),
            Type::Text => self.text(depth),
            Type::Truth => self.truth(depth),
            Type::Numbers => self.numbers(depth),
            Type::Texts => self.texts(depth),
            Type::TextSet => self.text_set(depth),
            Type::Object => self.object(depth),
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "an arm for each construct of the language"
    )]
    fn number(&mut self, depth: usize) -> String {
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

    #[expect(
        clippy::too_many_lines,
        reason = "an arm for each construct of the language"
    )]
    fn text(&mut self, depth: usize) -> String {
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
        match self.below(11) {
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
            _ => {
                self.use_of("regular expressions");
                let text = self.expression(Type::Text, inner);
                format!("regex.replace({text}, `[aeiou]`, \"_\")")
            }
        }
    }

    fn truth(&mut self, depth: usize) -> String {
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

    fn numbers(&mut self, depth: usize) -> String {
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

    fn texts(&mut self, depth: usize) -> String {
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

    fn text_set(&mut self, depth: usize) -> String {
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

    fn object(&mut self, depth: usize) -> String {
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

/// Functions that every module has.
const FUNCTIONS: &str = "\
sign(x) := -1 if x < 0

sign(0) := 0

sign(x) := 1 if x > 0

kind(x) := \"number\" if {
	is_number(x)
} else := \"other\"

sized(list) := count(list)
";
