//! What OPA computes before a statement, said as statements of their own.
//!
//! OPA's compiler takes what is called or looked up inside of a negated expression out of the negation: where
//! `input.user` is undefined, so is a body with `not grants[input.user]`, `not f(input.user)` or `not input.age < 18`.
//! regorus says that these hold. They become `held0 := input.user; not grants[held0]`. What stays inside (OPA's stages
//! `RewriteExprTerms` and `RewriteDynamicTerms`):
//!
//! | negated | taken out before |
//! | --- | --- |
//! | `a.b[c].d` | each index that is not a constant or a local; the beginning, where that is a call or a literal |
//! | `a == b`, `a = b` | of a reference its indices; anything else whole |
//! | `f(a, b)`, `a < b`, `a + b`, `a & b`, `a in b` | every operand that is not a constant or a local |
//! | `[a, b]`, `{a: b}`, `{a, b}` | the same of every element |
//! | a comprehension | nothing: it is never undefined |
//!
//! What is taken out is asked under the statement's `with`; the values of `with` itself come before, of statements that
//! are not negated, too. A variable that only the negation knows is unsafe: regorus would look for one value that
//! does not fit, where OPA refuses the module. A module that imports `future.keywords` as a whole has OPA's newer
//! negation, which takes nothing out.
//!
//! Beside that: `in` is false in regorus where an operand is undefined, and does not look at its key; where its value
//! is used it becomes a call. `_ := x` looks whether `x` is defined. `some x in xs with ...` holds its `with` to `xs`.

mod vars;
mod write;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;

use regorus::unstable::{Expr, Module, Query, Rule, RuleAssign, RuleHead, Span};

use super::calls::Functions;
use super::source;
use super::{RegoError, RegoErrorKind};

use vars::pattern_names;
use write::Writer;

/// What to put where.
pub(super) type Edits = Vec<(Range<usize>, String)>;

/// What the names in a text mean.
pub(super) struct Meaning<'m> {
    /// Of the package's rules and the module's imports.
    globals: HashSet<String>,
    functions: &'m Functions,
    /// None of a query.
    module: Option<&'m Module>,
    /// Whether the text has the negation that takes nothing out.
    keeps: bool,
    /// What the names begin with that are made here.
    prefix: String,
    made: Cell<u32>,
    refused: RefCell<Option<RegoError>>,
}

impl<'m> Meaning<'m> {
    /// Of a module whose package has these rules.
    pub fn of_module(
        module: &'m Module,
        text: &str,
        rules: &HashSet<String>,
        functions: &'m Functions,
    ) -> Result<Self, RegoError> {
        let mut meaning = Self::of_query(text, functions);
        meaning.module = Some(module);
        meaning.globals.extend(rules.iter().cloned());
        for import in &module.imports {
            let path = source::static_path(&import.refr).names;
            match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["future", "keywords"] => meaning.keeps = true,
                ["rego", "v1"] => {}
                ["rego", ..] => {
                    let message = format!("the import `{}` is not supported", path.join("."));
                    let error = RegoError::new(RegoErrorKind::Unsupported, message);
                    return Err(error.at(source::place(&import.span)));
                }
                _ => {}
            }
            let alias = import.r#as.as_ref().map(|alias| alias.text().to_owned());
            meaning
                .globals
                .extend(alias.or_else(|| path.last().cloned()));
        }
        Ok(meaning)
    }

    pub fn of_query(text: &str, functions: &'m Functions) -> Self {
        let mut prefix = "held".to_owned();
        while text.contains(&prefix) {
            prefix.push('_');
        }
        Self {
            globals: HashSet::new(),
            functions,
            module: None,
            keeps: false,
            prefix,
            made: Cell::new(0),
            refused: RefCell::new(None),
        }
    }

    /// What the names of variables that were made here begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether a name means a document, which may be undefined, or a value.
    fn is_global(&self, name: &str) -> bool {
        matches!(name, "input" | "data") || self.globals.contains(name)
    }

    fn fresh(&self) -> String {
        let number = self.made.replace(self.made.get() + 1);
        format!("{}{number}", self.prefix)
    }

    /// Notes what cannot be said, the first alone.
    fn refuse(&self, kind: RegoErrorKind, message: &str, span: &Span) {
        let error = || RegoError::new(kind, message).at(source::place(span));
        self.refused.borrow_mut().get_or_insert_with(error);
    }

    fn refused(&self) -> Result<(), RegoError> {
        self.refused.take().map_or(Ok(()), Err)
    }

    /// The number of arguments of a function or builtin.
    fn arity(&self, function: &Expr) -> Option<usize> {
        let path = source::static_path(function);
        let arity = || self.functions.arity(self.module, &path.names);
        path.whole.then(arity).flatten()
    }
}

/// The edits of a module.
///
/// # Errors
///
/// What OPA refuses in a negation, and what could not be said.
pub(super) fn in_module(
    module: &Module,
    text: &str,
    meaning: &Meaning<'_>,
) -> Result<Edits, RegoError> {
    let mut hoist = Hoist {
        meaning,
        text,
        edits: Vec::new(),
    };
    for rule in &module.policy {
        hoist.rule(rule);
    }
    meaning.refused()?;
    hoist.edits.sort_by_key(|(range, _)| range.start);
    Ok(hoist.edits)
}

/// The edits of a query.
///
/// # Errors
///
/// As of a module.
pub(super) fn in_query(
    query: &Query,
    text: &str,
    meaning: &Meaning<'_>,
) -> Result<Edits, RegoError> {
    let mut hoist = Hoist {
        meaning,
        text,
        edits: Vec::new(),
    };
    hoist.statements(query, &HashSet::new(), false);
    meaning.refused()?;
    Ok(hoist.edits)
}

/// Puts the edits, which are in order and apart, into a text.
pub(super) fn apply(text: &mut String, edits: Edits) {
    for (range, new) in edits.into_iter().rev() {
        text.replace_range(range, &new);
    }
}

struct Hoist<'h, 'm> {
    meaning: &'h Meaning<'m>,
    text: &'h str,
    edits: Edits,
}

impl Hoist<'_, '_> {
    fn rule(&mut self, rule: &Rule) {
        let Rule::Spec { head, bodies, .. } = rule else {
            return;
        };
        let mut arguments = HashSet::new();
        if let RuleHead::Func { args, .. } = head {
            for argument in args {
                pattern_names(argument, &mut arguments);
            }
        }
        for body in bodies {
            let is_bare = body
                .query
                .stmts
                .first()
                .is_some_and(|only| only.span.start == body.query.span.start);
            self.statements(&body.query, &arguments, is_bare);
        }
        // The head sees what its first body binds.
        let mut seen = arguments;
        if let Some(body) = bodies.first() {
            vars::enter(&body.query, self.meaning, &mut seen);
        }
        match head {
            RuleHead::Compr { refr, assign, .. } | RuleHead::Func { refr, assign, .. } => {
                self.keys(refr, &seen);
                self.assigned(assign.as_ref(), &seen);
            }
            RuleHead::Set { refr, key, .. } => {
                self.keys(refr, &seen);
                if let Some(key) = key {
                    self.key(key, &seen);
                }
            }
        }
        for body in bodies {
            let mut seen = seen.clone();
            vars::enter(&body.query, self.meaning, &mut seen);
            self.assigned(body.assign.as_ref(), &seen);
        }
    }

    fn assigned(&mut self, assign: Option<&RuleAssign>, seen: &HashSet<String>) {
        let Some(assign) = assign else { return };
        let mut writer = Writer::new(self.meaning, seen.clone(), &assign.span);
        writer.assign(assign);
        self.put(&assign.span, writer, false);
    }

    /// The keys in a head.
    fn keys(&mut self, head: &Expr, seen: &HashSet<String>) {
        match head {
            Expr::RefDot { refr, .. } => self.keys(refr, seen),
            Expr::RefBrack { refr, index, .. } => {
                self.keys(refr, seen);
                self.key(index, seen);
            }
            _ => {}
        }
    }

    fn key(&mut self, key: &Expr, seen: &HashSet<String>) {
        let mut writer = Writer::new(self.meaning, seen.clone(), key.span());
        writer.expression(key, write::ANY);
        // The parser does not say where an object begins.
        if writer.is_changed() && matches!(key, Expr::Object { .. }) {
            let message = "an object as a key with `in` or `not` inside is not supported";
            self.meaning
                .refuse(RegoErrorKind::Unsupported, message, key.span());
        }
        self.put(key.span(), writer, false);
    }

    /// The statements of a body; a bare one stands without braces.
    fn statements(&mut self, query: &Query, around: &HashSet<String>, is_bare: bool) {
        let mut seen = around.clone();
        vars::enter(query, self.meaning, &mut seen);
        for statement in &query.stmts {
            let mut writer = Writer::new(self.meaning, seen.clone(), &statement.span);
            writer.statement(statement);
            self.put(&statement.span, writer, is_bare);
        }
    }

    fn put(&mut self, span: &Span, writer: Writer<'_, '_>, is_bare: bool) {
        if !writer.is_changed() {
            return;
        }
        let range = with_quotes(self.text, span);
        let old = self.text.get(range.clone()).unwrap_or_default();
        let mut new = writer.finish(old.matches('\n').count());
        if is_bare {
            new = format!("{{ {new} }}");
        }
        self.edits.push((range, new));
    }
}

/// Where a span lies, with the quotes of a string at its ends, which the parser leaves out.
fn with_quotes(text: &str, span: &Span) -> Range<usize> {
    let is_quote = |index: usize| matches!(text.as_bytes().get(index), Some(b'"' | b'`'));
    let (start, end) = (span.start as usize, span.end as usize);
    let before = start.checked_sub(1).filter(|before| is_quote(*before));
    before.unwrap_or(start)..end + usize::from(is_quote(end))
}
