//! A body of a program as it is copied, and what its instructions say.

use regorus::rvm::Instruction;
use regorus::rvm::instructions::GuardMode;

/// A body with instructions put in.
pub(super) struct Copy {
    pub code: Vec<Instruction>,
    /// Where each of the old instructions is now, what was put in before it included.
    pub at: Vec<usize>,
    /// A register that the rule does not use.
    pub scratch: u8,
    /// How many registers it uses from there on.
    pub uses_scratch: u8,
    /// The iterations put in.
    pub loops: Vec<Turn>,
}

/// An iteration of one turn around what is in a comprehension.
pub(super) struct Turn {
    /// Its first instruction, and its last; in the copy.
    pub start: usize,
    pub next: usize,
    /// The comprehension's last instruction before it was copied.
    pub end: usize,
}

impl Turn {
    pub fn is_at(&self, position: usize) -> bool {
        position == self.start || position == self.next
    }
}

impl Copy {
    pub fn with_scratch(&mut self, instruction: Instruction) {
        self.code.push(instruction);
        self.uses_scratch = self.uses_scratch.max(1);
    }

    /// Ends the iteration, if any, that was put in for the comprehension that ends there.
    pub fn end_turn(&mut self, end: usize) {
        let next = self.code.len();
        if let Some(turn) = self.loops.iter_mut().find(|turn| turn.end == end) {
            turn.next = next;
            self.code.push(Instruction::LoopNext {
                body_start: 0,
                loop_end: 0,
            });
        }
    }

    /// The same where a value comes from a register, unless the instruction before puts a constant there.
    pub fn assigned(&mut self, code: &[Instruction], offset: usize, from: u8, register: u8) {
        let before = offset.checked_sub(1).and_then(|before| code.get(before));
        if !before.is_some_and(|load| loads(*load, from)) {
            self.defined(register);
        }
    }

    /// Goes on with the next iteration or body where there is no value.
    pub fn defined(&mut self, register: u8) {
        self.code.push(Instruction::Guard {
            register,
            mode: GuardMode::NotUndefined,
        });
    }
}

/// Whether a condition in a comprehension, or what is put in for one, lies in no iteration.
pub(super) fn can_fail(inside: &[Instruction]) -> bool {
    let mut depth = 0_usize;
    for instruction in inside {
        match instruction {
            Instruction::LoopStart { .. } | Instruction::ComprehensionBegin { .. } => depth += 1,
            Instruction::LoopNext { .. } | Instruction::ComprehensionEnd {} => {
                depth = depth.saturating_sub(1);
            }
            Instruction::Guard { .. }
            | Instruction::AssertEq { .. }
            | Instruction::Move { .. }
            | Instruction::ComprehensionYield { .. }
                if depth == 0 =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}

/// What is loaded in iterations or comprehensions, which may have no turn, and used after them, too.
pub(super) fn nested_loads(code: &[Instruction]) -> Vec<Instruction> {
    let mut depth = 0_usize;
    let mut loads = Vec::new();
    let mut registers = Vec::new();
    for instruction in code {
        match instruction {
            Instruction::LoopStart { .. } | Instruction::ComprehensionBegin { .. } => depth += 1,
            Instruction::LoopNext { .. } | Instruction::ComprehensionEnd {} => {
                depth = depth.saturating_sub(1);
            }
            Instruction::LoadInput { dest } | Instruction::LoadData { dest }
                if depth > 0 && !registers.contains(dest) =>
            {
                registers.push(*dest);
                loads.push(*instruction);
            }
            _ => {}
        }
    }
    loads
}

/// Whether a `Move` gives a variable its value without a look at it: not what already stands before a guard, nor what
/// hands the arguments of a builtin of ours on.
pub(super) fn binds(code: &[Instruction], offset: usize) -> bool {
    let Some(Instruction::Move { dest, src }) = code.get(offset) else {
        return false;
    };
    match code.get(offset + 1) {
        Some(Instruction::Guard { register, mode }) => {
            register != dest || !matches!(mode, GuardMode::NotUndefined)
        }
        // What hands the arguments on is followed by a look at them.
        Some(Instruction::Not { operand, .. }) => {
            operand != src || !matches!(code.get(offset + 2), Some(Instruction::AnyOfNext { .. }))
        }
        _ => true,
    }
}

/// Whether an instruction puts a constant into that register.
pub(super) const fn loads(instruction: Instruction, register: u8) -> bool {
    match instruction {
        Instruction::Load { dest, .. }
        | Instruction::LoadTrue { dest }
        | Instruction::LoadFalse { dest }
        | Instruction::LoadNull { dest }
        | Instruction::LoadBool { dest, .. } => dest == register,
        _ => false,
    }
}

/// The same, into another register.
pub(super) const fn load_into(instruction: Instruction, dest: u8) -> Instruction {
    match instruction {
        Instruction::Load { literal_idx, .. } => Instruction::Load { dest, literal_idx },
        Instruction::LoadTrue { .. } => Instruction::LoadTrue { dest },
        Instruction::LoadFalse { .. } => Instruction::LoadFalse { dest },
        Instruction::LoadNull { .. } => Instruction::LoadNull { dest },
        Instruction::LoadBool { value, .. } => Instruction::LoadBool { dest, value },
        other => other,
    }
}
