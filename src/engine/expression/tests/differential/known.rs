//! Where the crate's evaluator and the specification disagree, and this one sides with the latter.

/// Why a disagreement is none of ours; None where it is not known.
pub fn reason(expression: &str, ours: Option<&str>, theirs: Option<&str>) -> Option<&'static str> {
    let has = |part: &str| expression.contains(part);
    if has("getMilliseconds") && (has("duration") || has(" - ")) {
        return Some(
            "getMilliseconds of a duration is the part below a second, as cel-spec tests it",
        );
    }
    if has("ndexOf(") && has(", ") {
        return Some(
            "indexOf behind the end finds nothing; it is neither an error nor a match (cel-go)",
        );
    }
    if has("string(") {
        return Some(
            "the specification leaves the digits of string(double) open: exponents as in Go",
        );
    }
    if ours.is_none() && theirs.is_some() {
        if has("+ {") || has("+ dyn(") || has("+ input.m") || has("} +") {
            return Some("a list and a map have no sum");
        }
        if has("duration(") {
            return Some("text behind a duration makes it no duration");
        }
    }
    if (has("math.least(") || has("math.greatest(")) && theirs.is_none() {
        return Some("the crate refuses constants of wrong types before they are reached");
    }
    let may_be_nan = has("sqrt") || has(" / ") || has("1e300") || has("double(");
    if may_be_nan && ours.is_some() && theirs.is_none() {
        return Some("an order with NaN is false, not an error");
    }
    if has(" in ") && ours.is_some() && theirs.is_none() {
        return Some("`in` a map is false for what can be no key (cel-go), not an error");
    }
    None
}
