//! Ad-hoc queries, as OPA's Query API asks them.

use regorus::unstable::{Parser, Query, Ref, Source};
use regorus::value::Object;
use regorus::{Engine, Value};

use super::builtins;
use super::calls::Functions;
use super::compile::select;
use super::hoist::{self, Meaning};
use super::machine::timer;
use super::nesting;
use super::source;
use super::{Rego, RegoError, RegoErrorKind, RegoSetting};

impl Rego {
    /// Each way in which `text` holds: an object of its variables' values.
    ///
    /// # Errors
    ///
    /// [`RegoError`]; of kind `Parse` or `Compile` where the query itself is at fault.
    pub fn query(&self, text: &str, setting: &RegoSetting<'_>) -> Result<Vec<Value>, RegoError> {
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
        let mut paths = Vec::new();
        source::each_in_query(&query, &mut |part| {
            source::collect_data_paths(part, &mut paths);
        });
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
        let results = engine
            .eval_query(text, false)
            .map_err(|error| report(&error, RegoErrorKind::Compile))?;
        let holds = results.result.into_iter().filter(|result| {
            let values = result
                .expressions
                .iter()
                .map(|expression| &expression.value);
            values
                .clone()
                .all(|value| !matches!(value, Value::Bool(false) | Value::Undefined))
        });
        Ok(holds
            .map(|result| named(result.bindings, meaning.prefix()))
            .collect())
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
    match bindings {
        Value::Object(object) => {
            let named = object.iter().filter(|(name, _)| {
                name.as_string().is_ok_and(|name| {
                    !name.starts_with('$') && !name.starts_with(prefix) && &**name != "_"
                })
            });
            let named = named.map(|(name, value)| (name.clone(), value.clone()));
            Value::from(named.collect::<Object>())
        }
        _ => Value::new_object(),
    }
}

fn parsed(text: &str) -> anyhow::Result<Ref<Query>> {
    let source = Source::from_contents("query.rego".to_owned(), text.to_owned())?;
    let mut parser = Parser::new(&source)?;
    parser.enable_rego_v1()?;
    parser.parse_user_query()
}
