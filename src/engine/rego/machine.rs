//! One worker's register machine and interpreter.

use std::num::NonZeroU32;
use std::sync::Arc;

use regorus::rvm::vm::RegoVM;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::engine::Limits;

use super::builtins::{self, conflict};
use super::compile::{Entry, Rule};
use super::{Rego, RegoError, RegoErrorKind, RegoSetting, Shared};

/// Steps between two looks at the clock.
const CLOCK_INTERVAL: NonZeroU32 = NonZeroU32::new(512).unwrap();

/// One worker's register machine and interpreter, made when they are first needed and kept for as long as the same
/// modules are asked.
#[derive(Debug, Default)]
pub struct RegoMachine {
    loaded: Option<Box<Loaded>>,
    /// Whether every rule is interpreted.
    interpreting: bool,
}

#[derive(Debug)]
pub(super) struct Loaded {
    pub shared: Arc<Shared>,
    interpreting: bool,
    /// One for each program, made when it is needed.
    machines: Vec<Option<RegoVM>>,
    interpreter: Option<Engine>,
}

impl RegoMachine {
    /// One that runs every rule on the interpreter: what the register machine is held against.
    #[must_use]
    pub fn interpreting() -> Self {
        Self {
            loaded: None,
            interpreting: true,
        }
    }

    /// Lets go of everything that does not belong to `current`.
    pub fn release(&mut self, current: Option<&Rego>) {
        let current = current.and_then(|rego| rego.shared.as_ref());
        if let Some(loaded) = &self.loaded
            && !current.is_some_and(|shared| Arc::ptr_eq(shared, &loaded.shared))
        {
            self.loaded = None;
        }
    }

    /// What `print` said since the last call, each with its place.
    pub fn take_prints(&mut self) -> Vec<String> {
        let interpreter = self
            .loaded
            .as_mut()
            .and_then(|loaded| loaded.interpreter.as_mut());
        interpreter
            .and_then(|interpreter| interpreter.take_prints().ok())
            .unwrap_or_default()
    }

    pub(super) fn load(&mut self, shared: &Arc<Shared>) -> &mut Loaded {
        let loaded = self.loaded.take();
        let loaded = loaded.filter(|loaded| Arc::ptr_eq(&loaded.shared, shared));
        self.loaded.insert(loaded.unwrap_or_else(|| {
            Box::new(Loaded {
                shared: shared.clone(),
                interpreting: self.interpreting,
                machines: Vec::new(),
                interpreter: None,
            })
        }))
    }
}

impl Loaded {
    /// The value of a rule; `Undefined` where it has none.
    pub fn rule(&mut self, index: usize, setting: &RegoSetting<'_>) -> Result<Value, RegoError> {
        builtins::begin(setting.now.unix_nanos() as i64, setting.input.strict);
        let shared = self.shared.clone();
        match shared.rules.get(index) {
            // The register machine takes a builtin's error for one of the rule's body: it only fails that.
            Some(Rule {
                entry: Some(entry), ..
            }) if !setting.input.strict && !self.interpreting => self.run(*entry, setting),
            Some(rule) => self.interpret(&rule.name, setting),
            None => Ok(Value::Undefined),
        }
    }

    fn run(&mut self, entry: Entry, setting: &RegoSetting<'_>) -> Result<Value, RegoError> {
        if self.machines.is_empty() {
            self.machines
                .resize_with(self.shared.programs.len(), || None);
        }
        let Some(slot) = self.machines.get_mut(entry.program) else {
            return Ok(Value::Undefined);
        };
        let machine = match slot {
            Some(machine) => machine,
            None => slot.insert(machine(&self.shared, entry.program, setting.limits)?),
        };
        machine.set_input(setting.input.value.clone().unwrap_or(Value::Undefined));
        let result = machine.execute_entry_point_by_index(entry.entry);
        // The request's memory is not kept until the next one.
        machine.set_input(Value::Undefined);
        result.map_err(|error| {
            if conflict::take() {
                let message = "a rule or function has two values at once, or an object at a key";
                RegoError::new(RegoErrorKind::Conflict, message)
            } else {
                error.into()
            }
        })
    }

    fn interpret(&mut self, name: &str, setting: &RegoSetting<'_>) -> Result<Value, RegoError> {
        let interpreter = self.interpreter(setting.limits);
        interpreter.set_strict_builtin_errors(setting.input.strict);
        interpreter.set_input(setting.input.value.clone().unwrap_or(Value::Undefined));
        let result = interpreter.eval_rule(name.to_owned());
        interpreter.set_input(Value::Undefined);
        // Where errors are strict, what else can go wrong is a builtin's.
        let otherwise = if setting.input.strict {
            RegoErrorKind::Builtin
        } else {
            RegoErrorKind::Internal
        };
        result.map_err(|report| RegoError::from_report(&report, otherwise))
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

fn machine(shared: &Shared, program: usize, limits: &Limits) -> Result<RegoVM, RegoError> {
    let mut machine = RegoVM::new();
    if let Some(program) = shared.programs.get(program) {
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
