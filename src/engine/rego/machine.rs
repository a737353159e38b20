//! One worker's register machine and interpreter.

use std::num::NonZeroU32;
use std::sync::Arc;

use regorus::rvm::vm::RegoVM;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::engine::Limits;

use super::compile::Rule;
use super::{Rego, RegoError, RegoErrorKind, RegoInput, Shared};

/// Steps between two looks at the clock.
const CLOCK_INTERVAL: NonZeroU32 = NonZeroU32::new(512).unwrap();

/// One worker's register machine and interpreter, made when they are first needed and kept for as long as the same
/// modules are asked.
#[derive(Debug, Default)]
pub struct RegoMachine {
    loaded: Option<Box<Loaded>>,
}

#[derive(Debug)]
pub(super) struct Loaded {
    pub shared: Arc<Shared>,
    machine: Option<RegoVM>,
    interpreter: Option<Engine>,
}

impl RegoMachine {
    /// Lets go of everything that does not belong to `current`.
    pub fn release(&mut self, current: Option<&Rego>) {
        let current = current.and_then(|rego| rego.shared.as_ref());
        if let Some(loaded) = &self.loaded
            && !current.is_some_and(|shared| Arc::ptr_eq(shared, &loaded.shared))
        {
            self.loaded = None;
        }
    }

    pub(super) fn load(&mut self, shared: &Arc<Shared>) -> &mut Loaded {
        let loaded = self.loaded.take();
        let loaded = loaded.filter(|loaded| Arc::ptr_eq(&loaded.shared, shared));
        self.loaded.insert(loaded.unwrap_or_else(|| {
            Box::new(Loaded {
                shared: shared.clone(),
                machine: None,
                interpreter: None,
            })
        }))
    }
}

impl Loaded {
    /// The value of a rule; `Undefined` where it has none.
    pub fn rule(
        &mut self,
        index: usize,
        input: &RegoInput,
        limits: &Limits,
    ) -> Result<Value, RegoError> {
        let shared = self.shared.clone();
        match shared.rules.get(index) {
            Some(Rule {
                entry: Some(entry), ..
            }) => self.run(*entry, input, limits),
            Some(rule) => self.interpret(&rule.name, input, limits),
            None => Ok(Value::Undefined),
        }
    }

    fn run(
        &mut self,
        entry: usize,
        input: &RegoInput,
        limits: &Limits,
    ) -> Result<Value, RegoError> {
        let machine = match &mut self.machine {
            Some(machine) => machine,
            None => self.machine.insert(machine(&self.shared, limits)?),
        };
        machine.set_strict_builtin_errors(input.strict);
        machine.set_input(input.value.clone().unwrap_or(Value::Undefined));
        let result = machine.execute_entry_point_by_index(entry);
        // The request's memory is not kept until the next one.
        machine.set_input(Value::Undefined);
        Ok(result?)
    }

    fn interpret(
        &mut self,
        name: &str,
        input: &RegoInput,
        limits: &Limits,
    ) -> Result<Value, RegoError> {
        let interpreter = self.interpreter(limits);
        interpreter.set_strict_builtin_errors(input.strict);
        interpreter.set_input(input.value.clone().unwrap_or(Value::Undefined));
        let result = interpreter.eval_rule(name.to_owned());
        interpreter.set_input(Value::Undefined);
        result.map_err(|report| RegoError::from_report(&report, RegoErrorKind::Internal))
    }

    /// The worker's own copy of the interpreter.
    pub fn interpreter(&mut self, limits: &Limits) -> &mut Engine {
        self.interpreter.get_or_insert_with(|| {
            let mut engine = self.shared.interpreter.clone();
            engine.set_execution_timer_config(timer(limits));
            engine
        })
    }
}

fn machine(shared: &Shared, limits: &Limits) -> Result<RegoVM, RegoError> {
    let mut machine = RegoVM::new();
    if let Some(program) = &shared.program {
        machine.load_program(program.clone());
    }
    machine.set_max_instructions(usize::try_from(limits.steps).unwrap_or(usize::MAX));
    machine.set_execution_timer_config(Some(timer(limits)));
    machine.set_data(shared.data.clone())?;
    Ok(machine)
}

pub(super) fn timer(limits: &Limits) -> ExecutionTimerConfig {
    ExecutionTimerConfig {
        limit: limits.rego_time,
        check_interval: CLOCK_INTERVAL,
    }
}
