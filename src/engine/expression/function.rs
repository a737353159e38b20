//! The functions of the language and how they may be called.

/// A function. Its arguments, the receiver first, are evaluated before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    ToBool,
    ToInt,
    ToUint,
    ToDouble,
    ToString,
    ToBytes,
    ToTimestamp,
    ToDuration,
    Dyn,
    Type,
    FullYear,
    Month,
    DayOfYear,
    DayOfMonth,
    Date,
    DayOfWeek,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
    CharAt,
    IndexOf,
    LastIndexOf,
    Join,
    Quote,
    Replace,
    Split,
    Substring,
    Trim,
    LowerAscii,
    UpperAscii,
    Reverse,
    Format,
    Greatest,
    Least,
    Ceil,
    Floor,
    Round,
    Trunc,
    Abs,
    Sign,
    IsNan,
    IsInf,
    IsFinite,
    BitAnd,
    BitOr,
    BitXor,
    BitNot,
    ShiftLeft,
    ShiftRight,
    Sqrt,
    OptionalOf,
    OptionalNone,
    OptionalOfNonZero,
    OptionalValue,
    HasValue,
    Or,
    OrValue,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Global,
    Receiver,
    Both,
}

use Function as F;
use Style::{Both, Global, Receiver};

/// Name, style, fewest and most arguments (receiver counted).
const TABLE: &[(&str, Style, usize, usize, Function)] = &[
    ("size", Both, 1, 1, F::Size),
    ("contains", Receiver, 2, 2, F::Contains),
    ("startsWith", Receiver, 2, 2, F::StartsWith),
    ("endsWith", Receiver, 2, 2, F::EndsWith),
    ("matches", Both, 2, 2, F::Matches),
    ("bool", Global, 1, 1, F::ToBool),
    ("int", Global, 1, 1, F::ToInt),
    ("uint", Global, 1, 1, F::ToUint),
    ("double", Global, 1, 1, F::ToDouble),
    ("string", Global, 1, 1, F::ToString),
    ("bytes", Global, 1, 1, F::ToBytes),
    ("timestamp", Global, 1, 1, F::ToTimestamp),
    ("duration", Global, 1, 1, F::ToDuration),
    ("dyn", Global, 1, 1, F::Dyn),
    ("type", Global, 1, 1, F::Type),
    ("getFullYear", Receiver, 1, 2, F::FullYear),
    ("getMonth", Receiver, 1, 2, F::Month),
    ("getDayOfYear", Receiver, 1, 2, F::DayOfYear),
    ("getDayOfMonth", Receiver, 1, 2, F::DayOfMonth),
    ("getDate", Receiver, 1, 2, F::Date),
    ("getDayOfWeek", Receiver, 1, 2, F::DayOfWeek),
    ("getHours", Receiver, 1, 2, F::Hours),
    ("getMinutes", Receiver, 1, 2, F::Minutes),
    ("getSeconds", Receiver, 1, 2, F::Seconds),
    ("getMilliseconds", Receiver, 1, 2, F::Milliseconds),
    ("charAt", Receiver, 2, 2, F::CharAt),
    ("indexOf", Receiver, 2, 3, F::IndexOf),
    ("lastIndexOf", Receiver, 2, 3, F::LastIndexOf),
    ("join", Receiver, 1, 2, F::Join),
    ("strings.quote", Global, 1, 1, F::Quote),
    ("replace", Receiver, 3, 4, F::Replace),
    ("split", Receiver, 2, 3, F::Split),
    ("substring", Receiver, 2, 3, F::Substring),
    ("trim", Receiver, 1, 1, F::Trim),
    ("lowerAscii", Receiver, 1, 1, F::LowerAscii),
    ("upperAscii", Receiver, 1, 1, F::UpperAscii),
    ("reverse", Receiver, 1, 1, F::Reverse),
    ("format", Receiver, 2, 2, F::Format),
    ("math.greatest", Global, 1, 64, F::Greatest),
    ("math.least", Global, 1, 64, F::Least),
    ("math.ceil", Global, 1, 1, F::Ceil),
    ("math.floor", Global, 1, 1, F::Floor),
    ("math.round", Global, 1, 1, F::Round),
    ("math.trunc", Global, 1, 1, F::Trunc),
    ("math.abs", Global, 1, 1, F::Abs),
    ("math.sign", Global, 1, 1, F::Sign),
    ("math.isNaN", Global, 1, 1, F::IsNan),
    ("math.isInf", Global, 1, 1, F::IsInf),
    ("math.isFinite", Global, 1, 1, F::IsFinite),
    ("math.bitAnd", Global, 2, 2, F::BitAnd),
    ("math.bitOr", Global, 2, 2, F::BitOr),
    ("math.bitXor", Global, 2, 2, F::BitXor),
    ("math.bitNot", Global, 1, 1, F::BitNot),
    ("math.bitShiftLeft", Global, 2, 2, F::ShiftLeft),
    ("math.bitShiftRight", Global, 2, 2, F::ShiftRight),
    ("math.sqrt", Global, 1, 1, F::Sqrt),
    ("optional.of", Global, 1, 1, F::OptionalOf),
    ("optional.none", Global, 0, 0, F::OptionalNone),
    (
        "optional.ofNonZeroValue",
        Global,
        1,
        1,
        F::OptionalOfNonZero,
    ),
    ("value", Receiver, 1, 1, F::OptionalValue),
    ("hasValue", Receiver, 1, 1, F::HasValue),
    ("or", Receiver, 2, 2, F::Or),
    ("orValue", Receiver, 2, 2, F::OrValue),
];

/// The namespaces of functions, which look like receivers.
pub(super) const NAMESPACES: [&str; 4] = ["cel", "math", "optional", "strings"];

impl Function {
    /// The function `name` (with its namespace) called with `count` arguments, the receiver counted.
    /// The error says what is wrong with the call.
    pub fn find(name: &str, receiver: bool, count: usize) -> Result<Self, String> {
        let mut known = TABLE.iter().filter(|row| row.0 == name).peekable();
        if known.peek().is_none() {
            return Err(format!("`{name}` is no function"));
        }
        let mut message = String::new();
        for (_, style, fewest, most, function) in known {
            let fits = match style {
                Both => true,
                Global => !receiver,
                Receiver => receiver,
            };
            if !fits {
                message = if receiver {
                    format!("`{name}` is called as `{name}(x)`, not on a value")
                } else {
                    format!("`{name}` is called on a value: `x.{name}()`")
                };
            } else if (*fewest..=*most).contains(&count) {
                return Ok(*function);
            } else {
                let own = usize::from(receiver);
                message = format!(
                    "`{name}` takes {} arguments, not {}",
                    if fewest == most {
                        (fewest - own).to_string()
                    } else {
                        format!("{} to {}", fewest - own, most - own)
                    },
                    count - own
                );
            }
        }
        Err(message)
    }
}
