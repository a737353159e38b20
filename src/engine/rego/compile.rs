//! Modules to a [`Rego`].

use std::collections::HashSet;
use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::Instruction;
use regorus::rvm::instructions::BuiltinCallParams;
use regorus::rvm::program::{BuiltinInfo, Program};
use regorus::unstable::{Module as Parsed, Ref, Rule as ParsedRule};
use regorus::value::Object;
use regorus::{CompiledPolicy, Engine as Interpreter, Value};

use crate::engine::Data;

use super::builtins;
use super::calls::Calls;
use super::convert::to_rego;
use super::nesting;
use super::repair::repair;
use super::rewrite::{Names, Rewritten, rewritten};
use super::source;
use super::tree::Node;
use super::{Rego, RegoError, RegoErrorKind, RegoPlace, Shared};

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
        nesting::check_module(&self.text).ok()?;
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
    /// Where it begins, if it runs on the register machine.
    pub entry: Option<Entry>,
}

/// Where a rule begins on the register machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub program: usize,
    /// Position among the program's entry points.
    pub entry: usize,
}

/// Why a module cannot be parsed in reasonable time.
fn too_deep(module: &Module) -> Option<RegoError> {
    let error = nesting::check_module(&module.text).err()?;
    let place = RegoPlace {
        file: module.path.to_string(),
        row: error.row,
        column: error.column,
    };
    Some(RegoError::new(RegoErrorKind::Parse, error.to_string()).at(place))
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
    // Before anything parses them.
    let deep: Vec<RegoError> = modules.iter().filter_map(too_deep).collect();
    if !deep.is_empty() {
        return Err(deep);
    }
    let mut interpreter = Interpreter::new();
    interpreter.set_strict_builtin_errors(false);
    interpreter.set_gather_prints(true);
    builtins::extend(&mut interpreter)
        .map_err(|report| vec![RegoError::from_report(&report, RegoErrorKind::Internal)])?;
    let mut errors = Vec::new();
    let names = Names::of(&modules);
    let mut calls = Calls::default();
    for module in &modules {
        interpreter.set_rego_v0(module.version == Version::V0);
        let added = rewritten(module, &names, prints).and_then(|Rewritten { text, parsed }| {
            calls.collect(&parsed, module.version, &names.functions);
            interpreter
                .add_policy(module.path.to_string(), text)
                .map_err(|report| RegoError::from_report(&report, RegoErrorKind::Parse))
        });
        errors.extend(added.err());
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let parsed = interpreter.get_modules().clone();
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
    let (programs, rules) = match names.first() {
        None => (Vec::new(), Vec::new()),
        Some(first) => {
            let policy = interpreter
                .compile_with_entrypoint(&first.as_str().into())
                .map_err(|report| internal(&report))?;
            // regorus puts every module's text into every program, and takes no more than that.
            if parsed.len() > Program::MAX_SOURCES {
                let most = Program::MAX_SOURCES;
                interpreted(
                    &format!("the bundle has more than {most} modules"),
                    names,
                    lasts,
                )
            } else {
                to_machine(&policy, &calls, &with_default(&parsed), names, lasts)
            }
        }
    };
    // It switches the gathering of prints on as it compiles; and what it keeps of that is not wanted.
    interpreter.set_gather_prints(true);
    Ok(Rego {
        shared: Some(Arc::new(Shared {
            tree,
            rules,
            programs,
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

/// Rules of one program. What an evaluation costs grows a little with the rules of its program.
const MOST_ENTRIES: usize = 64;

/// Programs of the rules that the register machine takes. Where it refuses several, each is tried alone to find those at
/// fault.
fn to_machine(
    policy: &CompiledPolicy,
    calls: &Calls,
    with_default: &HashSet<String>,
    names: Vec<String>,
    lasts: Vec<String>,
) -> (Vec<Arc<Program>>, Vec<Rule>) {
    let maker = Maker {
        policy,
        with_default,
        foreign: calls
            .foreign
            .iter()
            .map(|(name, arity)| (*name, *arity))
            .collect(),
        names: &names,
    };
    let mut programs = Vec::new();
    let mut engines: Vec<(Engine, Option<Entry>)> = Vec::with_capacity(names.len());
    let all: Vec<usize> = (0..names.len()).collect();
    for these in all.chunks(MOST_ENTRIES) {
        let mut taken = these.to_vec();
        let mut refused = vec![None; these.len()];
        let mut made = maker.attempt(&taken);
        if made.is_err() {
            for (rule, slot) in these.iter().zip(&mut refused) {
                *slot = maker.attempt(&[*rule]).err();
            }
            let ways = these.iter().zip(&refused);
            taken = ways
                .filter(|(_, refused)| refused.is_none())
                .map(|(rule, _)| *rule)
                .collect();
            made = maker.attempt(&taken);
        }
        let mut entries = 0..;
        for slot in refused {
            engines.push(match (slot, &made) {
                (Some(reason), _) => (Engine::Interpreter(reason), None),
                (None, Err(reason)) => (Engine::Interpreter(reason.clone()), None),
                (None, Ok(_)) => {
                    let entry = entries.next().map(|entry| Entry {
                        program: programs.len(),
                        entry,
                    });
                    (Engine::Machine, entry)
                }
            });
        }
        programs.extend(made.ok().filter(|_| !taken.is_empty()));
    }
    let named = names.into_iter().zip(lasts);
    let rules = named
        .zip(engines)
        .map(|((name, last), (engine, entry))| Rule {
            name,
            last,
            engine,
            entry,
        });
    (programs, rules.collect())
}

/// Rules that are all interpreted.
fn interpreted(
    reason: &str,
    names: Vec<String>,
    lasts: Vec<String>,
) -> (Vec<Arc<Program>>, Vec<Rule>) {
    let rules = names.into_iter().zip(lasts).map(|(name, last)| Rule {
        name,
        last,
        engine: Engine::Interpreter(reason.to_owned()),
        entry: None,
    });
    (Vec::new(), rules.collect())
}

/// Makes programs.
struct Maker<'m> {
    policy: &'m CompiledPolicy,
    foreign: Vec<(&'static str, usize)>,
    names: &'m [String],
    /// The functions that have a default.
    with_default: &'m HashSet<String>,
}

impl Maker<'_> {
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
        let default = program.rule_infos.iter();
        if let Some(rule) = default
            .map(|rule| &rule.name)
            .find(|name| self.with_default.contains(*name))
        {
            return Err(format!("the function `{rule}` has a default"));
        }
        supply(&mut program);
        repair(&mut program)?;
        program.validate_limits()?;
        // Nobody looks at them: the modules are kept once, beside the programs.
        program.sources = Vec::new();
        Ok(Arc::new(program))
    }
}

/// The functions that have a default.
fn with_default(modules: &[Ref<Parsed>]) -> HashSet<String> {
    let mut found = HashSet::new();
    for module in modules {
        for rule in &module.policy {
            if let ParsedRule::Default { refr, args, .. } = rule.as_ref()
                && !args.is_empty()
            {
                let mut path = source::package(module);
                path.extend(source::static_path(refr).names);
                found.insert(name(&path));
            }
        }
    }
    found
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
