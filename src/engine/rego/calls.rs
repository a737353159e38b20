//! Every call of a module is one of a function that is there: what is not is refused before it can be undefined.

use std::collections::{BTreeMap, HashMap};

use regorus::unstable::{BUILTINS, Expr, Module, Rule, RuleHead};

use super::builtins::{MEMBER, is_own, is_there, named};
use super::source::{self, Part};
use super::{RegoError, RegoErrorKind, RegoVersion};

/// The functions that modules define, as paths below `data`, with the number of their arguments.
#[derive(Debug, Default)]
pub(super) struct Functions(HashMap<Vec<String>, usize>);

impl Functions {
    pub fn of<'m>(modules: impl IntoIterator<Item = &'m Module>) -> Self {
        let mut functions = HashMap::new();
        for module in modules {
            for rule in &module.policy {
                let (refr, args) = match rule.as_ref() {
                    Rule::Spec {
                        head: RuleHead::Func { refr, args, .. },
                        ..
                    } => (refr, args),
                    Rule::Default { refr, args, .. } if !args.is_empty() => (refr, args),
                    _ => continue,
                };
                let mut path = source::package(module);
                path.extend(source::static_path(refr).names);
                functions.insert(path, args.len());
            }
        }
        Self(functions)
    }

    /// How many arguments the function or builtin takes that is called by that name, in `module` or in a query.
    pub fn arity(&self, module: Option<&Module>, name: &[String]) -> Option<usize> {
        self.defined(module, name).or_else(|| {
            let name = name.join(".");
            let own = BUILTINS.get(name.as_str()).map(|(_, arity)| *arity);
            own.or_else(|| named(&name, RegoVersion::V0).map(|builtin| builtin.arity))
                .map(usize::from)
        })
    }

    /// The same of functions that a module defines.
    fn defined(&self, module: Option<&Module>, name: &[String]) -> Option<usize> {
        let (first, rest) = name.split_first()?;
        if first == "data" {
            return self.0.get(rest).copied();
        }
        let module = module?;
        let mut local = source::package(module);
        local.extend_from_slice(name);
        if let Some(arity) = self.0.get(&local) {
            return Some(*arity);
        }
        module.imports.iter().find_map(|import| {
            let mut target = source::data_path(&import.refr).unwrap_or_default();
            let alias = match &import.r#as {
                Some(alias) => alias.text(),
                None => target.last().map_or("", String::as_str),
            };
            let is_meant = alias == first;
            target.extend_from_slice(rest);
            self.0.get(&target).filter(|_| is_meant).copied()
        })
    }
}

/// What modules call.
#[derive(Debug)]
pub(super) struct Calls {
    /// The builtins of ours that regorus does not know, by name with what they take.
    pub foreign: BTreeMap<&'static str, usize>,
    /// Calls of functions that are not there.
    pub errors: Vec<RegoError>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            // What `in` is where its value is used.
            foreign: MEMBER.into(),
            errors: Vec::new(),
        }
    }
}

impl Calls {
    /// Looks at the calls of a module.
    pub fn collect(&mut self, module: &Module, version: RegoVersion, functions: &Functions) {
        source::each_part(module, &mut |part| {
            if let Part::Expression(Expr::Call { fcn, .. }) = part {
                self.call(module, fcn, version, functions);
            }
        });
    }

    fn call(&mut self, module: &Module, fcn: &Expr, version: RegoVersion, functions: &Functions) {
        let path = source::static_path(fcn);
        if functions.defined(Some(module), &path.names).is_some() {
            return;
        }
        let name = path.names.join(".");
        if path.whole && is_there(&name, version) {
            if let Some(builtin) = named(&name, version).filter(|_| !is_own(&name)) {
                self.foreign
                    .insert(builtin.name, usize::from(builtin.arity));
            }
        } else {
            let (kind, message) = if is_in_opa(&name) {
                let message = format!("the builtin `{name}` of OPA is not supported");
                (RegoErrorKind::Unsupported, message)
            } else {
                (RegoErrorKind::Compile, format!("undefined function {name}"))
            };
            let error = RegoError::new(kind, message).at(source::place(fcn.span()));
            self.errors.push(error);
        }
    }
}

/// Whether OPA has a builtin of this name.
fn is_in_opa(name: &str) -> bool {
    table().any(|builtin| builtin.name == name)
}

/// A builtin of OPA, and how it is here.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    pub name: &'static str,
    /// `same`, `different` or `no`.
    pub here: &'static str,
    /// What is different, or why it is not there.
    pub note: &'static str,
}

/// Every builtin of OPA.
pub fn table() -> impl Iterator<Item = Builtin> {
    include_str!("builtins.tsv").lines().skip(1).map(|line| {
        let mut cells = line.splitn(3, '\t');
        let mut cell = || cells.next().unwrap_or_default();
        Builtin {
            name: cell(),
            here: cell(),
            note: cell(),
        }
    })
}
