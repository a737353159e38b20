//! Bounds of one decision.

use super::*;

const LOOP: &str = "
apiVersion: lictor.dev/v1
kind: ValidationPolicy
metadata: {name: p}
spec:
  type: X
  severity: low
  validations: [{expression: 'input.list.all(x, input.list.all(y, x <= y || y <= x))', field: f, message: m}]
";

fn with(limits: Limits, input: &str) -> Result<bool, EvaluateError> {
    let program = program(LOOP);
    let scratch = Scratch::default();
    let mut context = context();
    context.limits = limits;
    let answer = program.validate(input.as_bytes(), &context, &scratch)?;
    Ok(answer.compliant())
}

#[test]
fn steps_depth_and_bytes() {
    let input = r#"{"list":[1,2,3,4,5,6,7,8,9,10]}"#;
    let default = Limits::default();
    assert_eq!(with(default, input), Ok(true));
    let few = Limits {
        steps: 50,
        ..default
    };
    assert_eq!(
        with(few, input),
        Err(EvaluateError::BudgetExceeded { steps: 50 })
    );
    let small = Limits {
        input_bytes: 10,
        ..default
    };
    assert_eq!(
        with(small, input),
        Err(EvaluateError::TooLarge { limit: 10 })
    );
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(100), "]".repeat(100));
    assert!(matches!(
        with(default, &deep),
        Err(EvaluateError::InvalidJson(_))
    ));
    let deepest = format!("{{\"x\":{}{}}}", "[".repeat(300_000), "]".repeat(300_000));
    assert!(matches!(
        with(default, &deepest),
        Err(EvaluateError::InvalidJson(_))
    ));
}

#[test]
fn duplicates_of_members_that_are_read() {
    let program = program(LOOP);
    let scratch = Scratch::default();
    let input = br#"{"list":[1],"list":[2],"other":1,"other":2}"#;
    let mut context = context();
    assert!(program.validate(input, &context, &scratch).is_err());
    context.duplicates = DuplicateMembers::LastWins;
    assert!(program.validate(input, &context, &scratch).is_ok());
    context.duplicates = DuplicateMembers::Refuse;
    let unread = br#"{"list":[1],"other":1,"other":2}"#;
    assert!(program.validate(unread, &context, &scratch).is_ok());
}

#[test]
fn a_warm_scratch_allocates_nothing_more() {
    let program = program(LOOP);
    let mut scratch = Scratch::default();
    let input = br#"{"list":[1,2,3]}"#;
    program.validate(input, &context(), &scratch).unwrap();
    scratch.reset();
    let warm = scratch.arena.allocated_bytes();
    for _ in 0..3 {
        program.validate(input, &context(), &scratch).unwrap();
        assert_eq!(scratch.arena.allocated_bytes(), warm);
        scratch.reset();
    }
}

#[test]
fn a_scratch_keeps_no_more_than_its_share() {
    let mut scratch = Scratch::default();
    scratch.arena.alloc_slice_fill_copy(4 * 1024 * 1024, 0_u8);
    scratch.reset();
    assert!(scratch.arena.allocated_bytes() < 1024 * 1024);
}
