//! Random modules and inputs, of every construct in [`CONSTRUCTS`], typed so that most of them have a value.

mod bodies;
mod negations;
mod numbers;
mod objects;
mod rules;
mod texts;

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
    "value of an iteration",
    "function of an iteration",
    "function with else",
    "function with default",
    "local named as a rule",
    "shadowed local",
    "early exit",
    "rule of another package",
    "negated rule",
    "nested every",
    "object pattern",
    "object conflict",
    "undefined argument",
    "uris",
    "yaml",
    "negation of the undefined",
    "negation of an iteration",
    "negation of a local",
    "negation with a result",
    "negation with input",
    "nested negation",
    "assignment of the undefined",
    "membership of the undefined",
    "membership with a key",
    "some in with input",
    "collection of the undefined",
];

/// A module with the rules that it may be asked for.
pub struct Module {
    pub name: String,
    pub text: String,
    pub rules: Vec<String>,
    /// The text of each rule.
    parts: Vec<(String, String)>,
    /// The rules that others may refer to.
    helpers: Vec<(String, Type)>,
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
    /// Rules that may be referred to, written so far: name and type.
    helpers: Vec<(String, Type)>,
    /// Of those the number that other packages define.
    foreign: usize,
}

/// What an expression gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Type {
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
            foreign: 0,
        }
    }

    /// Lets the module refer to rules of another one.
    pub fn beside(mut self, other: &Module) -> Self {
        let rules = other.helpers.iter();
        self.helpers = rules
            .map(|(rule, of)| (format!("data.{}.{rule}", other.name), *of))
            .collect();
        self.foreign = self.helpers.len();
        self
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
            helpers: self.helpers.split_off(self.foreign),
            parts,
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
            let helper = helpers[self.below(helpers.len())].clone();
            self.use_of(if helper.starts_with("data.") {
                "rule of another package"
            } else {
                "reference into a rule"
            });
            return helper;
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

member(list) := x if some x in list

grade(x) := \"low\" if {
	x < 3
} else := \"middle\" if {
	x < 6
} else := \"high\"

default known(_) := \"nobody\"

known(x) := name if {
	some name in data.base.names
	name == x
}

fits(x) if x.kind == \"none\"

fits(x) if {
	x.kind == \"owner\"
	input.user == \"ann\"
}

constant(_) := 1

merged({\"x\": x, \"y\": [y, _]}) := x + y
";
