//! What can be wrong with Rego, in OPA's terms.

use std::fmt;

use regorus::rvm::vm::VmError;

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", Prefix(self.place.as_ref()))]
pub struct RegoError {
    pub kind: RegoErrorKind,
    pub message: String,
    pub place: Option<RegoPlace>,
}

/// Where in a module, or in a query (then without a file).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegoPlace {
    pub file: String,
    /// From 1.
    pub row: u32,
    /// From 1.
    pub column: u32,
}

/// The kinds that OPA tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegoErrorKind {
    /// A complete rule or function with two values, or an object with two values at one key.
    Conflict,
    /// A builtin failed and strict errors were asked for.
    Builtin,
    /// The evaluation used up its instructions or its time.
    Cancelled,
    Parse,
    Compile,
    UnsafeVar,
    Recursion,
    /// A builtin that OPA has and this engine does not.
    Unsupported,
    Internal,
}

impl RegoErrorKind {
    /// OPA's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Conflict => "eval_conflict_error",
            Self::Builtin => "eval_builtin_error",
            Self::Cancelled => "eval_cancel_error",
            Self::Parse => "rego_parse_error",
            Self::Compile => "rego_compile_error",
            Self::Unsupported => "rego_type_error",
            Self::UnsafeVar => "rego_unsafe_var_error",
            Self::Recursion => "rego_recursion_error",
            Self::Internal => "eval_internal_error",
        }
    }
}

impl RegoError {
    pub(super) fn new(kind: RegoErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            place: None,
        }
    }

    pub(super) fn at(mut self, place: RegoPlace) -> Self {
        self.place = Some(place);
        self
    }

    /// Reads the report of the interpreter or the parser, whose errors are texts: a line `error: MESSAGE`, above it
    /// `--> FILE:ROW:COLUMN`.
    pub(super) fn from_report(report: &anyhow::Error, otherwise: RegoErrorKind) -> Self {
        let text = report.to_string();
        let place = text.lines().find_map(|line| {
            let place = line.trim_start().strip_prefix("--> ")?;
            let (rest, column) = place.rsplit_once(':')?;
            let (file, row) = rest.rsplit_once(':')?;
            Some(RegoPlace {
                file: file.to_owned(),
                row: row.parse().ok()?,
                column: column.parse().ok()?,
            })
        });
        let message = text
            .lines()
            .find_map(|line| line.trim_start().strip_prefix("error: "))
            .unwrap_or(&text)
            .to_owned();
        Self {
            kind: kind_of(&message).unwrap_or(otherwise),
            message,
            place,
        }
    }
}

/// What the interpreter's messages say.
fn kind_of(message: &str) -> Option<RegoErrorKind> {
    const KNOWN: [(&str, RegoErrorKind); 11] = [
        ("multiple outputs", RegoErrorKind::Conflict),
        ("generated multiple times", RegoErrorKind::Conflict),
        ("conflict", RegoErrorKind::Conflict),
        ("exceeded time limit", RegoErrorKind::Cancelled),
        ("exceeded memory limit", RegoErrorKind::Cancelled),
        ("exceeded size limit", RegoErrorKind::Cancelled),
        ("recursion detected", RegoErrorKind::Recursion),
        ("is unsafe", RegoErrorKind::UnsafeVar),
        ("use of undefined variable", RegoErrorKind::UnsafeVar),
        ("undefined variable", RegoErrorKind::UnsafeVar),
        ("could not find function", RegoErrorKind::Compile),
    ];
    let known = KNOWN.iter().find(|(words, _)| message.contains(words));
    known.map(|(_, kind)| *kind)
}

impl From<VmError> for RegoError {
    fn from(error: VmError) -> Self {
        let kind = match &error {
            VmError::InstructionLimitExceeded { .. }
            | VmError::TimeLimitExceeded { .. }
            | VmError::MemoryLimitExceeded { .. }
            | VmError::RegexSizeLimitExceeded { .. } => RegoErrorKind::Cancelled,
            VmError::ArithmeticError { .. }
            | VmError::NumericOverflow { .. }
            | VmError::ModuloOnFloat { .. }
            | VmError::InvalidAddition { .. }
            | VmError::InvalidSubtraction { .. }
            | VmError::InvalidMultiplication { .. }
            | VmError::InvalidDivision { .. }
            | VmError::InvalidModulo { .. } => RegoErrorKind::Builtin,
            VmError::Internal { message, .. } => {
                kind_of(message).unwrap_or(RegoErrorKind::Internal)
            }
            _ => RegoErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl fmt::Display for RegoPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_empty() {
            write!(formatter, "{}:{}", self.row, self.column)
        } else {
            write!(formatter, "{}:{}:{}", self.file, self.row, self.column)
        }
    }
}

/// A place as the beginning of a message.
struct Prefix<'a>(Option<&'a RegoPlace>);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |place| write!(formatter, "{place}: "))
    }
}
