//! Ad-hoc queries, as OPA's Query API asks them.

mod variables;

use regorus::unstable::{Parser, Query, Ref, Source};
use regorus::value::Object;
use regorus::{Engine, Value};

use super::builtins;
use super::calls::Functions;
use super::compile::select;
use super::document::within;
use super::hoist::{self, Meaning};
use super::machine::timer;
use super::nesting;
use super::source;
use super::{Rego, RegoError, RegoErrorKind, RegoSetting};

impl Rego {
    /// Each way in which `text` holds: an object of its variables' values. Adds what `print` says to `prints`.
    ///
    /// # Errors
    ///
    /// [`RegoError`]; of kind `Parse` or `Compile` where the query itself is at fault.
    pub fn query(
        &self,
        text: &str,
        setting: &RegoSetting<'_>,
        prints: &mut Vec<String>,
    ) -> Result<Vec<Value>, RegoError> {
        let RegoSetting { input, data, .. } = *setting;
        let report = |report: &anyhow::Error, kind| RegoError::from_report(report, kind);
        let shared = self.shared.as_deref();
        let mut engine = match shared {
            Some(shared) => shared.interpreter.clone(),
            None => empty().map_err(|error| report(&error, RegoErrorKind::Internal))?,
        };
        engine.set_rego_v0(false);
        nesting::check_query(text)
            .map_err(|error| RegoError::new(RegoErrorKind::Parse, error.to_string()))?;
        let query = parsed(text).map_err(|error| report(&error, RegoErrorKind::Parse))?;
        let functions = Functions::of(engine.get_modules().iter().map(AsRef::as_ref));
        let meaning = Meaning::of_query(text, &functions);
        let edits = hoist::in_query(&query, text, &meaning)?;
        let mut text = text.to_owned();
        hoist::apply(&mut text, edits);
        variables::hold(&mut text, &query);
        let mut paths = paths(&query);
        if !paths.is_empty() {
            // The query may refer to data that no module refers to.
            for module in engine.get_modules().clone() {
                source::each_part(&module, &mut |part| {
                    source::collect_data_paths(part, &mut paths);
                });
            }
            engine.clear_data();
            engine
                .add_data(select(paths, data))
                .map_err(|error| report(&error, RegoErrorKind::Internal))?;
        }
        engine.set_execution_timer_config(timer(setting.limits));
        engine.set_strict_builtin_errors(input.strict);
        engine.set_gather_prints(true);
        builtins::begin(setting.now.unix_nanos() as i64, input.strict);
        engine.set_input(input.value.clone().unwrap_or(Value::Undefined));
        let results = engine.eval_query(text, false);
        prints.extend(engine.take_prints().unwrap_or_default());
        let results = results.map_err(|error| report(&error, RegoErrorKind::Compile))?;
        let holds = results.result.into_iter().filter(|result| {
            let values = result
                .expressions
                .iter()
                .map(|expression| &expression.value);
            values
                .clone()
                .all(|value| !matches!(value, Value::Bool(false) | Value::Undefined))
        });
        let bindings: Vec<Value> = holds
            .map(|result| named(result.bindings, meaning.prefix()))
            .collect();
        within(setting.limits, &bindings)?;
        Ok(bindings)
    }
}

/// An interpreter without modules.
fn empty() -> anyhow::Result<Engine> {
    let mut engine = Engine::new();
    builtins::extend(&mut engine)?;
    Ok(engine)
}

/// The variables that the query names itself: not those with that prefix.
fn named(bindings: Value, prefix: &str) -> Value {
    let Value::Object(object) = bindings else {
        return Value::new_object();
    };
    let mut named = Object::new();
    for (name, value) in object.iter() {
        match (name.as_string().map(|name| &**name), value) {
            (Ok(variables::ALL), Value::Object(all)) => {
                for (name, value) in all.iter() {
                    named.insert(name.clone(), value.clone());
                }
            }
            (Ok(text), _) if !text.starts_with('$') && !text.starts_with(prefix) && text != "_" => {
                named.insert(name.clone(), value.clone());
            }
            _ => {}
        }
    }
    Value::from(named)
}

fn parsed(text: &str) -> anyhow::Result<Ref<Query>> {
    let source = Source::from_contents("query.rego".to_owned(), text.to_owned())?;
    let mut parser = Parser::new(&source)?;
    parser.enable_rego_v1()?;
    parser.parse_user_query()
}

/// The paths below `data` that a query refers to.
fn paths(query: &Query) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    source::each_in_query(query, &mut |part| {
        source::collect_data_paths(part, &mut paths);
    });
    paths
}
