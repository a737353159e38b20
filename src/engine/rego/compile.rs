//! Modules to a [`Rego`].

use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::Instruction;
use regorus::rvm::instructions::BuiltinCallParams;
use regorus::rvm::program::{BuiltinInfo, Program, RuleInfo, RuleType};
use regorus::unstable::{Module as Parsed, Ref};
use regorus::value::Object;
use regorus::{CompiledPolicy, Engine as Interpreter, Value};

use crate::engine::Data;

use super::builtins;
use super::calls::{Calls, Functions};
use super::convert::to_rego;
use super::rewrite::rewritten;
use super::source;
use super::tree::Node;
use super::{Rego, RegoError, RegoErrorKind, Shared};

/// A module's text under its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    pub path: Arc<str>,
    pub text: Arc<str>,
    pub version: Version,
}

impl Module {
    /// The package it is in, for example `authz.http`; None where it does not parse.
    #[must_use]
    pub fn package(&self) -> Option<String> {
        let mut parser = Interpreter::new();
        parser.set_rego_v0(self.version == Version::V0);
        let named = parser.add_policy(self.path.to_string(), self.text.to_string());
        let named = named.ok()?;
        Some(named.strip_prefix("data.").unwrap_or(&named).to_owned())
    }
}

/// The version of the language that a module is written in, as its bundle's manifest tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    V0,
    #[default]
    V1,
}

/// What a rule runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The register machine: counted and fast.
    Machine,
    /// The interpreter, and why.
    Interpreter(String),
}

/// A rule that can be asked for.
#[derive(Debug)]
pub(super) struct Rule {
    /// As regorus names it.
    pub name: String,
    /// The last part of its path.
    pub last: String,
    pub engine: Engine,
    /// Position among the program's entry points, where it runs on the register machine.
    pub entry: Option<usize>,
}

/// Compiles modules against the data beside them. Without `prints`, `print` does nothing.
///
/// # Errors
///
/// What OPA would refuse too, and builtins that this engine does not have, each with its place.
pub fn compile(modules: Vec<Module>, data: &Data, prints: bool) -> Result<Rego, Vec<RegoError>> {
    if modules.is_empty() {
        return Ok(Rego::default());
    }
    let mut interpreter = Interpreter::new();
    interpreter.set_strict_builtin_errors(false);
    interpreter.set_gather_prints(true);
    builtins::extend(&mut interpreter)
        .map_err(|report| vec![RegoError::from_report(&report, RegoErrorKind::Internal)])?;
    let mut errors = Vec::new();
    for module in &modules {
        interpreter.set_rego_v0(module.version == Version::V0);
        let added = rewritten(module, prints)
            .and_then(|text| interpreter.add_policy(module.path.to_string(), text));
        if let Err(report) = added {
            errors.push(RegoError::from_report(&report, RegoErrorKind::Parse));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let parsed = interpreter.get_modules().clone();
    let functions = Functions::of(&parsed);
    let mut calls = Calls::default();
    for (module, given) in parsed.iter().zip(&modules) {
        calls.collect(module, given.version, &functions);
    }
    if !calls.errors.is_empty() {
        return Err(calls.errors);
    }
    let values = referenced(&parsed, data);
    let internal =
        |report: &anyhow::Error| vec![RegoError::from_report(report, RegoErrorKind::Compile)];
    interpreter
        .add_data(values.clone())
        .map_err(|report| internal(&report))?;
    let (tree, names, lasts) = rules(&parsed);
    let (program, rules) = match names.first() {
        None => (None, Vec::new()),
        Some(first) => {
            let policy = interpreter
                .compile_with_entrypoint(&first.as_str().into())
                .map_err(|report| internal(&report))?;
            to_machine(&policy, &calls, names, lasts)
        }
    };
    // It switches the gathering of prints on as it compiles; and what it keeps of that is not wanted.
    interpreter.set_gather_prints(true);
    Ok(Rego {
        shared: Some(Arc::new(Shared {
            tree,
            rules,
            program,
            interpreter,
            data: values,
            modules,
        })),
    })
}

/// Where each rule lies, its name, and the last part of that.
fn rules(modules: &[Ref<Parsed>]) -> (Node, Vec<String>, Vec<String>) {
    let mut tree = Node::default();
    let (mut names, mut lasts) = (Vec::new(), Vec::new());
    for module in modules {
        let package = source::package(module);
        tree.place(&package);
        for rule in &module.policy {
            let Some(document) = source::document(rule) else {
                continue;
            };
            let mut path = package.clone();
            path.extend(document.names);
            let node = tree.place(&path);
            if node.rule.is_none() {
                node.rule = Some(names.len());
                names.push(name(&path));
                lasts.push(path.pop().unwrap_or_default());
            }
        }
    }
    (tree, names, lasts)
}

/// A path below `data` as regorus names it: identifiers after dots, other names in brackets.
pub(super) fn name(path: &[String]) -> String {
    path.iter().fold("data".to_owned(), |mut name, part| {
        let mut characters = part.chars();
        let is_identifier = characters
            .next()
            .is_some_and(|first| first == '_' || first.is_ascii_alphabetic())
            && characters.all(|next| next == '_' || next.is_ascii_alphanumeric());
        if is_identifier {
            name.push('.');
            name.push_str(part);
        } else {
            name.push('[');
            name.push_str(&Value::from(part.as_str()).to_string());
            name.push(']');
        }
        name
    })
}

/// One program of all rules that the register machine takes. Where it refuses, halves are tried until the rules at
/// fault are found.
fn to_machine(
    policy: &CompiledPolicy,
    calls: &Calls,
    names: Vec<String>,
    lasts: Vec<String>,
) -> (Option<Arc<Program>>, Vec<Rule>) {
    let mut refused = vec![None; names.len()];
    let whole: Vec<usize> = (0..names.len()).collect();
    let maker = Maker {
        policy,
        foreign: calls
            .foreign
            .iter()
            .map(|(name, arity)| (*name, *arity))
            .collect(),
        names: &names,
    };
    let mut program = maker.find_refused(&whole, &mut refused);
    let taken: Vec<usize> = (0..names.len())
        .filter(|index| refused.get(*index).is_some_and(Option::is_none))
        .collect();
    if program.is_none() && !taken.is_empty() {
        match maker.attempt(&taken) {
            Ok(made) => program = Some(made),
            Err(reason) => {
                // Each rule alone is taken, all of them together are too many.
                for slot in &mut refused {
                    slot.get_or_insert_with(|| reason.clone());
                }
            }
        }
    }
    let mut entries = 0..;
    let named = names.into_iter().zip(lasts);
    let rules = named.zip(refused).map(|((name, last), refused)| {
        let (engine, entry) = match refused {
            Some(reason) => (Engine::Interpreter(reason), None),
            None => (Engine::Machine, entries.next()),
        };
        Rule {
            name,
            last,
            engine,
            entry,
        }
    });
    (program, rules.collect())
}

/// Makes programs.
struct Maker<'m> {
    policy: &'m CompiledPolicy,
    foreign: Vec<(&'static str, usize)>,
    names: &'m [String],
}

impl Maker<'_> {
    /// The program of these rules; where there is none, why each of those that are refused alone is.
    fn find_refused(
        &self,
        these: &[usize],
        refused: &mut [Option<String>],
    ) -> Option<Arc<Program>> {
        match self.attempt(these) {
            Ok(program) => Some(program),
            Err(reason) => {
                match these {
                    [] => {}
                    [one] => {
                        if let Some(slot) = refused.get_mut(*one) {
                            *slot = Some(reason);
                        }
                    }
                    more => {
                        let (left, right) = more.split_at(more.len() / 2);
                        self.find_refused(left, refused);
                        self.find_refused(right, refused);
                    }
                }
                None
            }
        }
    }

    fn attempt(&self, these: &[usize]) -> Result<Arc<Program>, String> {
        let entries: Vec<&str> = these
            .iter()
            .filter_map(|index| self.names.get(*index))
            .map(String::as_str)
            .collect();
        let program =
            Compiler::compile_from_policy_with_host_await(self.policy, &entries, &self.foreign)
                .map_err(|error| error.error.to_string())?;
        let mut program = Arc::try_unwrap(program).map_err(|_| "the program is shared")?;
        for rule in &program.rule_infos {
            if may_conflict(rule) {
                return Err(format!(
                    "`{}` could have two values at once, which the register machine does not notice",
                    rule.name
                ));
            }
            // A body without a value ends the chain there.
            if rule.else_bodies.iter().flatten().any(|is_else| *is_else) {
                return Err(format!("`{}` has an `else`", rule.name));
            }
        }
        supply(&mut program);
        program.validate_limits()?;
        Ok(Arc::new(program))
    }
}

/// Whether definitions of a complete rule or of a function could disagree.
fn may_conflict(rule: &RuleInfo) -> bool {
    matches!(rule.rule_type, RuleType::Complete)
        && rule.definitions.len() > 1
        && !rule.early_exit_on_first_success
}

/// Puts our builtins in the places of those of regorus, and a plain call in the place of each wait for the host: the
/// arguments are in one array there, and the name was loaded just before.
fn supply(program: &mut Program) {
    for (information, resolved) in program
        .builtin_info_table
        .iter()
        .zip(&mut program.resolved_builtins)
    {
        if let Some(builtin) = builtins::named(&information.name, Version::V0) {
            resolved.0 = builtin.direct;
        }
    }
    let mut loaded = None;
    for index in 0..program.instructions.len() {
        let Some(instruction) = program.instructions.get(index).copied() else {
            continue;
        };
        if let Instruction::HostAwait { dest, arg, .. } = instruction
            && let Some(builtin) = loaded
                .and_then(|literal: u16| program.literals.get(usize::from(literal)))
                .and_then(|name| name.as_string().ok())
                .and_then(|name| builtins::named(name, Version::V0))
        {
            let information = BuiltinInfo {
                name: builtin.name.to_owned(),
                num_args: 1,
            };
            let builtin_index = program.add_builtin_info(information);
            program.resolved_builtins.push((builtin.packed, 1));
            let params_index = program.add_builtin_call_params(BuiltinCallParams {
                dest,
                builtin_index,
                num_args: 1,
                args: [arg, 0, 0, 0, 0, 0, 0, 0],
            });
            if let Some(slot) = program.instructions.get_mut(index) {
                *slot = Instruction::BuiltinCall { params_index };
            }
        }
        loaded = match instruction {
            Instruction::Load { literal_idx, .. } => Some(literal_idx),
            _ => None,
        };
    }
    program.recompute_host_await_presence();
}

/// The part of the data that modules refer to.
fn referenced(modules: &[Ref<Parsed>], data: &Data) -> Value {
    let mut paths = Vec::new();
    for module in modules {
        source::each_part(module, &mut |part| {
            source::collect_data_paths(part, &mut paths);
        });
    }
    select(paths, data)
}

/// The values at these paths, each at its place in an object.
pub(super) fn select(mut paths: Vec<Vec<String>>, data: &Data) -> Value {
    paths.sort_unstable();
    // What lies inside another one comes with it.
    paths.dedup_by(|longer, shorter| longer.starts_with(shorter));
    let mut selected = Object::new();
    for path in &paths {
        let (value, depth) = longest(data, path);
        if let Some(value) = value {
            insert(&mut selected, path.get(..depth).unwrap_or_default(), value);
        }
    }
    Value::from(selected)
}

/// The value at `path`, or at the beginning of it where something other than a map lies in its way (a list, which is
/// then taken whole). None where there is nothing.
fn longest(data: &Data, path: &[String]) -> (Option<Value>, usize) {
    let mut value = data.root();
    for (depth, name) in path.iter().enumerate() {
        if value.as_map().is_none() {
            return (Some(to_rego(&value)), depth);
        }
        match value.member(name) {
            Some(member) => value = member,
            None => return (None, depth),
        }
    }
    (Some(to_rego(&value)), path.len())
}

/// Puts a value into nested objects.
pub(super) fn insert(object: &mut Object, path: &[String], value: Value) {
    match path {
        [] => {
            if let Value::Object(whole) = value {
                *object = (*whole).clone();
            }
        }
        [name] => {
            object.insert(Value::from(name.as_str()), value);
        }
        [name, rest @ ..] => {
            let inner = object.get_or_insert_with(Value::from(name.as_str()), Value::new_object);
            if let Value::Object(inner) = inner {
                insert(Arc::make_mut(inner), rest, value);
            }
        }
    }
}
