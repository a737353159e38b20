//! A program of the register machine, put right where it does not do what Rego says.
//!
//! As it is compiled, the machine takes the last of several values of a rule for its value, the last value at a key for
//! that of an object, forgets a function whose definitions disagree, answers a function whose argument is undefined,
//! ends a chain of `else` at a body that has no value, goes on where what is assigned or collected is undefined, takes
//! a condition that fails in a comprehension without an iteration for one of what is around it, looks for the input
//! where it was loaded inside of an iteration that had no turn, and goes on with an iteration whose outcome is known.
//! What is missing are instructions: bodies that need them are copied to the program's end with them put in.

mod copy;

use std::sync::Arc;

use regorus::Value;
use regorus::rvm::Instruction;
use regorus::rvm::instructions::{
    BuiltinCallParams, FunctionCallParams, LoopMode, LoopStartParams,
};
use regorus::rvm::program::{BuiltinInfo, Program, RuleInfo, RuleType};

use super::builtins::{Direct, conflict};
use copy::{Copy, Turn, binds, can_fail, load_into, loads, nested_loads};

/// Arguments that a call takes in registers.
const MOST_ARGUMENTS: usize = 8;

/// # Errors
///
/// Why the machine cannot take the program.
pub(super) fn repair(program: &mut Program) -> Result<(), String> {
    let mut repair = Repair {
        agree: add_builtin(program, "same value", conflict::agree, 2),
        one_of: add_builtin(program, "one value", conflict::one_of, 1),
        program,
    };
    for index in 0..repair.program.rule_infos.len() {
        repair
            .rule(index)
            .map_err(|reason| format!("`{}` {reason}", repair.name(index)))?;
    }
    Ok(())
}

fn add_builtin(program: &mut Program, name: &str, function: Direct, arity: u8) -> u16 {
    program.resolved_builtins.push((function, arity));
    program.add_builtin_info(BuiltinInfo {
        name: name.to_owned(),
        num_args: u16::from(arity),
    })
}

struct Repair<'p> {
    program: &'p mut Program,
    /// The builtin that fails unless two values are the same.
    agree: u16,
    /// The builtin that gives the one value of a list.
    one_of: u16,
}

/// One of a rule's bodies.
#[derive(Clone, Copy, Debug)]
struct Body {
    /// Its first instruction.
    at: usize,
    /// Its `RuleReturn`.
    end: usize,
    is_else: bool,
    /// What a definition's patterns are bound by.
    patterns: Option<u32>,
}

impl Repair<'_> {
    fn name(&self, rule: usize) -> &str {
        let rule = self.program.rule_infos.get(rule);
        rule.map_or("", |rule| rule.name.as_str())
    }

    fn at(&self, index: usize) -> Option<Instruction> {
        self.program.instructions.get(index).copied()
    }

    fn rule(&mut self, index: usize) -> Result<(), String> {
        let Some(rule) = self.program.rule_infos.get(index).cloned() else {
            return Ok(());
        };
        let chains = self.chains(&rule)?;
        let has_else = chains.iter().any(|chain| chain.len() > 1);
        let is_complete = rule.rule_type == RuleType::Complete;
        let may_conflict = is_complete && chains.len() > 1 && !rule.early_exit_on_first_success;
        // After a success nothing else of the rule is looked at.
        let is_last_word =
            is_complete && (chains.len() == 1 || rule.early_exit_on_first_success || may_conflict);
        let mut moved = Vec::new();
        for chain in &chains {
            let mut bodies = Vec::new();
            for body in chain {
                bodies.push(self.body(index, *body, has_else, is_last_word)?);
            }
            moved.push(bodies);
        }
        if may_conflict {
            return self.combine(index, &chains, &moved);
        }
        let mut definitions = rule.definitions.as_ref().clone();
        // A chain is a definition, or all of a definition's bodies are of one rule that is no complete one.
        let mut next = moved.into_iter().flatten();
        for definition in &mut definitions {
            for slot in definition {
                if let Some(at) = next.next() {
                    *slot = at;
                }
            }
        }
        if let Some(slot) = self.program.rule_infos.get_mut(index) {
            slot.definitions = Arc::new(definitions);
        }
        Ok(())
    }

    /// The bodies of a rule, those together that are joined by `else`.
    fn chains(&self, rule: &RuleInfo) -> Result<Vec<Vec<Body>>, String> {
        let mut chains: Vec<Vec<Body>> = Vec::new();
        for (position, definition) in rule.definitions.iter().enumerate() {
            for (number, at) in definition.iter().enumerate() {
                let at = *at as usize;
                let is_else = rule.else_bodies.get(position);
                let is_else = is_else.and_then(|bodies| bodies.get(number)).copied();
                let body = Body {
                    at,
                    end: self.end(at).ok_or("has a body without an end")?,
                    is_else: is_else.unwrap_or(false),
                    patterns: rule.destructuring_blocks.get(position).copied().flatten(),
                };
                match chains.last_mut() {
                    Some(chain) if body.is_else => chain.push(body),
                    _ => chains.push(vec![body]),
                }
            }
        }
        Ok(chains)
    }

    fn end(&self, from: usize) -> Option<usize> {
        let rest = self.program.instructions.get(from..)?;
        let length = rest
            .iter()
            .position(|one| matches!(one, Instruction::RuleReturn {}))?;
        Some(from + length)
    }

    /// Puts a body right, and tells where it begins then.
    fn body(
        &mut self,
        rule: usize,
        body: Body,
        has_else: bool,
        is_last_word: bool,
    ) -> Result<u32, String> {
        let information = self.program.rule_infos.get(rule).ok_or("is not there")?;
        let (kind, result, scratch) = (
            information.rule_type.clone(),
            information.result_reg,
            information.num_registers,
        );
        let code: Vec<Instruction> = (body.at..=body.end).filter_map(|at| self.at(at)).collect();
        let mut copy = Copy {
            code: Vec::new(),
            at: Vec::new(),
            loops: Vec::new(),
            uses_scratch: 0,
            scratch,
        };
        let arguments = information.function_info.as_ref();
        let arguments = arguments.map_or(0, |function| function.num_params as u8);
        for register in 1..=arguments {
            copy.defined(register);
        }
        copy.code.extend(nested_loads(&code));
        for (offset, instruction) in code.iter().enumerate() {
            copy.at.push(copy.code.len());
            match *instruction {
                Instruction::Move { dest, src } if kind == RuleType::Complete && dest == result => {
                    let constant = copy.code.last().copied().filter(|load| loads(*load, src));
                    let iterates = Self::is_iterated(&code, offset);
                    match constant {
                        Some(load) if iterates && is_last_word => {
                            // Its outcome is known: what the iteration still has is not looked at.
                            copy.code.pop();
                            copy.code.push(load_into(load, result));
                            copy.code.push(Instruction::RuleReturn {});
                            continue;
                        }
                        None if iterates => {
                            copy.defined(src);
                            let params = self.call(self.agree, scratch, &[result, src]);
                            copy.with_scratch(params);
                        }
                        _ => {}
                    }
                    copy.code.push(*instruction);
                }
                Instruction::ObjectSet { obj, key, value }
                    if kind == RuleType::PartialObject && obj == result =>
                {
                    self.put(&mut copy, obj, key, value);
                    copy.code.push(*instruction);
                }
                Instruction::Move { dest, src } if binds(&code, offset) => {
                    copy.code.push(*instruction);
                    copy.assigned(&code, offset, src, dest);
                }
                Instruction::ComprehensionYield {
                    value_reg,
                    key_reg: None,
                } => {
                    copy.assigned(&code, offset, value_reg, value_reg);
                    copy.code.push(*instruction);
                }
                Instruction::ComprehensionYield {
                    value_reg,
                    key_reg: Some(key),
                } => {
                    let object = self.comprehension(&code, offset, body.at);
                    let object = object.ok_or("has a comprehension that is not understood")?;
                    self.put(&mut copy, object, key, value_reg);
                    copy.code.push(*instruction);
                }
                Instruction::ComprehensionBegin { params_index } => {
                    copy.code.push(*instruction);
                    let inside = self.inside(&code, offset, params_index);
                    if can_fail(inside) {
                        self.begin_turn(&mut copy, offset + inside.len() + 1)?;
                    }
                }
                Instruction::ComprehensionEnd {} => {
                    copy.end_turn(offset);
                    copy.code.push(*instruction);
                }
                Instruction::RuleReturn {} => {
                    if has_else && kind == RuleType::Complete {
                        copy.defined(result);
                    }
                    copy.code.push(*instruction);
                }
                other => copy.code.push(other),
            }
        }
        if copy.code.len() == code.len() && copy.uses_scratch == 0 {
            // Nothing was put in: what was changed is changed in its place.
            for (offset, instruction) in copy.code.into_iter().enumerate() {
                if let Some(slot) = self.program.instructions.get_mut(body.at + offset) {
                    *slot = instruction;
                }
            }
            return u32::try_from(body.at).map_err(|_| "is too long".to_owned());
        }
        self.move_to_end(rule, body, copy)
    }

    /// Appends a copy, its jumps put right.
    fn move_to_end(&mut self, rule: usize, body: Body, copy: Copy) -> Result<u32, String> {
        let base = self.program.instructions.len();
        let Copy {
            code,
            at,
            uses_scratch,
            loops,
            ..
        } = copy;
        let made = |position: usize| {
            u16::try_from(base + position)
                .map_err(|_| "is too long for the register machine".to_owned())
        };
        let target = |old: u16| -> Result<u16, String> {
            let new = usize::from(old)
                .checked_sub(body.at)
                .and_then(|offset| at.get(offset));
            let new = new.ok_or("jumps out of a body")?;
            u16::try_from(base + new).map_err(|_| "is too long for the register machine".to_owned())
        };
        for (position, mut instruction) in code.into_iter().enumerate() {
            let own = loops.iter().find(|turn| turn.is_at(position));
            match &mut instruction {
                Instruction::LoopStart { params_index } => {
                    let tables = &mut self.program.instruction_data;
                    if let Some(loops) = tables.loop_params.get_mut(usize::from(*params_index)) {
                        (loops.body_start, loops.loop_end) = match own {
                            Some(turn) => (made(turn.start + 1)?, made(turn.next + 1)?),
                            None => (target(loops.body_start)?, target(loops.loop_end)?),
                        };
                    }
                }
                Instruction::LoopNext {
                    body_start,
                    loop_end,
                } => {
                    (*body_start, *loop_end) = match own {
                        Some(turn) => (made(turn.start + 1)?, made(turn.next + 1)?),
                        None => (target(*body_start)?, target(*loop_end)?),
                    };
                }
                Instruction::ComprehensionBegin { params_index } => {
                    let tables = &mut self.program.instruction_data;
                    let table = &mut tables.comprehension_begin_params;
                    if let Some(params) = table.get_mut(usize::from(*params_index)) {
                        params.body_start = target(params.body_start)?;
                        params.comprehension_end = target(params.comprehension_end)?;
                    }
                }
                // It goes on behind that instruction.
                Instruction::AnyOfNext { end_pc, .. } => *end_pc = target(*end_pc + 1)? - 1,
                _ => {}
            }
            self.program.add_instruction(instruction, None);
        }
        if uses_scratch > 0 {
            self.widen(rule, uses_scratch)?;
        }
        u32::try_from(base).map_err(|_| "is too long".to_owned())
    }

    /// What lies inside of the comprehension that begins there.
    fn inside<'c>(
        &self,
        code: &'c [Instruction],
        offset: usize,
        params_index: u16,
    ) -> &'c [Instruction] {
        let table = &self.program.instruction_data.comprehension_begin_params;
        let params = table.get(usize::from(params_index));
        let length = params.map_or(0, |params| {
            usize::from(params.comprehension_end.saturating_sub(params.body_start))
        });
        let rest = code.get(offset + 1..).unwrap_or_default();
        rest.get(..length.saturating_sub(1)).unwrap_or_default()
    }

    /// Begins an iteration of one turn, which takes the conditions up to the comprehension's end at `end`.
    fn begin_turn(&mut self, copy: &mut Copy, end: usize) -> Result<(), String> {
        let (result_reg, collection) = (copy.scratch, copy.scratch.saturating_add(1));
        let one = Value::from(vec![Value::Null]);
        let literals = &mut self.program.literals;
        let known = literals.iter().position(|literal| *literal == one);
        let literal = known.unwrap_or_else(|| {
            literals.push(one);
            literals.len() - 1
        });
        let literal_idx = u16::try_from(literal).map_err(|_| "has too many constants")?;
        copy.code.push(Instruction::Load {
            dest: collection,
            literal_idx,
        });
        let params_index = self.program.add_loop_params(LoopStartParams {
            mode: LoopMode::ForEach,
            collection,
            key_reg: result_reg,
            value_reg: result_reg,
            result_reg,
            body_start: 0,
            loop_end: 0,
        });
        copy.loops.push(Turn {
            start: copy.code.len(),
            next: 0,
            end,
        });
        copy.code.push(Instruction::LoopStart { params_index });
        copy.uses_scratch = 2;
        Ok(())
    }

    /// Gives a rule more registers.
    fn widen(&mut self, rule: usize, by: u8) -> Result<(), String> {
        let rule = self.program.rule_infos.get_mut(rule);
        let rule = rule.ok_or("is not there")?;
        let wide = rule
            .num_registers
            .checked_add(by)
            .filter(|wide| *wide < u8::MAX);
        rule.num_registers = wide.ok_or("needs too many registers")?;
        let widest = &mut self.program.max_rule_window_size;
        *widest = (*widest).max(rule.num_registers);
        Ok(())
    }

    /// Before a value is set at a key: both are there, and no other value is there already.
    fn put(&mut self, copy: &mut Copy, object: u8, key: u8, value: u8) {
        let scratch = copy.scratch;
        copy.defined(key);
        copy.defined(value);
        copy.code.push(Instruction::Index {
            dest: scratch,
            container: object,
            key,
        });
        let call = self.call(self.agree, scratch, &[scratch, value]);
        copy.with_scratch(call);
    }

    /// A call of a builtin.
    fn call(&mut self, builtin_index: u16, dest: u8, arguments: &[u8]) -> Instruction {
        let mut args = [0; MOST_ARGUMENTS];
        for (slot, argument) in args.iter_mut().zip(arguments) {
            *slot = *argument;
        }
        let params_index = self.program.add_builtin_call_params(BuiltinCallParams {
            dest,
            builtin_index,
            num_args: arguments.len() as u8,
            args,
        });
        Instruction::BuiltinCall { params_index }
    }

    /// Whether an instruction lies in an iteration that began in the same code.
    fn is_iterated(code: &[Instruction], offset: usize) -> bool {
        let before = code.iter().take(offset);
        let open = before.fold(0_usize, |open, instruction| match instruction {
            Instruction::LoopStart { .. } => open + 1,
            Instruction::LoopNext { .. } => open.saturating_sub(1),
            _ => open,
        });
        open > 0
    }

    /// Where the result of the comprehension is whose yield this is.
    fn comprehension(&self, code: &[Instruction], offset: usize, from: usize) -> Option<u8> {
        let tables = &self.program.instruction_data;
        let begins = code.iter().enumerate().take(offset).rev();
        let mut around = begins.filter_map(|(_, instruction)| match instruction {
            Instruction::ComprehensionBegin { params_index } => tables
                .comprehension_begin_params
                .get(usize::from(*params_index)),
            _ => None,
        });
        let at = from + offset;
        around
            .find(|params| usize::from(params.comprehension_end) > at)
            .map(|params| params.result_reg)
    }

    /// A rule whose chains could disagree asks each of them as a rule of its own.
    fn combine(
        &mut self,
        index: usize,
        chains: &[Vec<Body>],
        moved: &[Vec<u32>],
    ) -> Result<(), String> {
        let rule = self.program.rule_infos.get(index).cloned();
        let rule = rule.ok_or("is not there")?;
        let arguments = rule
            .function_info
            .as_ref()
            .map(|function| function.num_params);
        let count = arguments.unwrap_or(0) as usize;
        if count > MOST_ARGUMENTS {
            return Err("has too many arguments".to_owned());
        }
        let list = rule.result_reg.max(count as u8).saturating_add(1);
        let found = list.saturating_add(1);
        let mut code = vec![Instruction::ArrayNew { dest: list }];
        for (number, (chain, bodies)) in chains.iter().zip(moved).enumerate() {
            let part = self.program.rule_infos.len();
            let rule_index = u16::try_from(part).map_err(|_| "has too many definitions")?;
            self.program.rule_infos.push(RuleInfo {
                name: format!("{}#{number}", rule.name),
                definitions: Arc::new(vec![bodies.clone()]),
                default_literal_index: None,
                destructuring_blocks: vec![chain.first().and_then(|body| body.patterns)],
                else_bodies: vec![chain.iter().map(|body| body.is_else).collect()],
                early_exit_on_first_success: false,
                ..rule.clone()
            });
            code.push(if arguments.is_none() {
                Instruction::CallRule {
                    dest: found,
                    rule_index,
                }
            } else {
                let mut args = [0; MOST_ARGUMENTS];
                for (slot, register) in args.iter_mut().zip(1..=count as u8) {
                    *slot = register;
                }
                let tables = &mut self.program.instruction_data;
                let params_index = tables.add_function_call_params(FunctionCallParams {
                    dest: found,
                    func_rule_index: rule_index,
                    num_args: count as u8,
                    args,
                });
                Instruction::FunctionCall { params_index }
            });
            code.push(Instruction::ArrayPushDefined {
                arr: list,
                value: found,
            });
        }
        code.push(self.call(self.one_of, rule.result_reg, &[list]));
        code.push(Instruction::RuleReturn {});
        let at = u32::try_from(self.program.instructions.len());
        let at = at.map_err(|_| "is too long".to_owned())?;
        for instruction in code {
            self.program.add_instruction(instruction, None);
        }
        let wide = found.saturating_add(1);
        if wide == u8::MAX {
            return Err("needs too many registers".to_owned());
        }
        let widest = &mut self.program.max_rule_window_size;
        *widest = (*widest).max(wide);
        if let Some(slot) = self.program.rule_infos.get_mut(index) {
            slot.definitions = Arc::new(vec![vec![at]]);
            slot.destructuring_blocks = vec![None];
            slot.else_bodies = vec![vec![false]];
            slot.num_registers = wide;
        }
        Ok(())
    }
}
