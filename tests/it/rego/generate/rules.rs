//! Rules.

use super::{Generator, TYPES, Type};

impl Generator {
    /// A rule, and its type where others may refer to it.
    #[expect(
        clippy::too_many_lines,
        reason = "an arm for each construct of the language"
    )]
    pub(super) fn rule(&mut self, name: &str) -> (String, Option<Type>) {
        let of = TYPES[self.below(TYPES.len())];
        match self.below(26) {
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
            14 => {
                self.use_of("value of an iteration");
                let list = self.expression(Type::Numbers, 2);
                let condition = self.condition(1);
                let text = format!(
                    "{name} := (one + 1) if {{\n\tsome one in {list}\n\ttrue; {condition}\n}}\n"
                );
                (text, None)
            }
            15 => {
                self.use_of("function of an iteration");
                let list = self.expression(Type::Texts, 2);
                let other = self.expression(Type::Text, 2);
                let text = format!(
                    "{name} := member({list})\n\n{name} := member([{other}]) if not input.flag\n"
                );
                (text, None)
            }
            16 => {
                self.use_of("function with else");
                self.use_of("function with default");
                self.use_of("object pattern");
                let (number, text) = (
                    self.expression(Type::Number, 2),
                    self.expression(Type::Text, 2),
                );
                let text = format!(
                    "{name} := [grade({number}), known({text}), merged({{\"x\": {number}, \"y\": [input.m, 1]}})]\n"
                );
                (text, None)
            }
            17 => {
                self.use_of("local named as a rule");
                self.use_of("shadowed local");
                // The first rule's name is that of a local here.
                let texts = self.expression(Type::Texts, 1);
                let text = format!(
                    "{name} := [y |\n\tsome x in {texts}\n\tsome y in [upper(x), concat(\"\", [x | some x in [\"p\", y_of(\"q\")]])]\n]\n\n{name}_seen contains r0 if {{\n\tsome r0 in {texts}\n\tr0 != \"ann\"\n}}\n\ny_of(r0) := r0\n"
                );
                let text = text.replace("y_of", &format!("{name}_of"));
                (text, Some(Type::Texts))
            }
            18 => {
                self.use_of("early exit");
                let list = self.pick(&["input.roles", "input.tags", "data.base.names"]);
                let other = self.expression(Type::Texts, 1);
                let text = format!(
                    "default {name} := false\n\n{name} if {{\n\tsome one in {list}\n\tsome two in {other}\n\tfits({{\"kind\": [\"none\", \"owner\"][_], \"one\": one, \"two\": two}})\n\tone == two\n}}\n"
                );
                (text, Some(Type::Truth))
            }
            19 => {
                self.use_of("negated rule");
                self.use_of("nested every");
                let list = self.expression(Type::Numbers, 2);
                let bound = self.below(8);
                let text = format!(
                    "{name} if {{\n\tevery x in {list} {{\n\t\tsome y in data.base.matrix\n\t\tnot x in y\n\t\tevery z in y {{ z + x > {bound} }}\n\t}}\n}}\n\n{name} if not {name}_other\n\n{name}_other if input.n > {bound}\n"
                );
                (text, Some(Type::Truth))
            }
            20 => {
                self.use_of("object conflict");
                let list = self.expression(Type::Numbers, 2);
                let text = format!(
                    "{name}[key] := one if {{\n\tsome one in {list}\n\tkey := one % 2\n}}\n\n{name}_by := {{one % 3: one | some one in {list}}}\n"
                );
                (text, None)
            }
            21 => {
                self.use_of("undefined argument");
                let member = self.pick(&["input.absent", "input.items[0].price", "input.n"]);
                let text =
                    format!("{name} := \"given\" if constant({member})\n\nelse := \"not given\"\n");
                (text, Some(Type::Text))
            }
            22 | 23 => {
                let (negation, other) = (self.negation(2), self.negation(1));
                let text = format!(
                    "{name} := {{\"one\": [1 | {negation}], \"other\": [one | some one in [1, 2]; {other}]}}\n"
                );
                (text, None)
            }
            24 => {
                self.use_of("collection of the undefined");
                let (blank, value, other) = (self.blank(), self.maybe(2), self.maybe(2));
                let negation = self.negation(1);
                let text = format!(
                    "{name} := {{\"blank\": [1 | {blank}], \"list\": [{value} | true], \"other\": [x | some y in [1, 2]; y > 0; x := {other}; {negation}]}}\n"
                );
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
}
