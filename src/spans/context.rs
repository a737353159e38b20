//! W3C Trace Context: which trace a request belongs to.

use std::fmt;

/// A `traceparent`: the trace, the span that the next one is a child of, and whether anybody records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub sampled: bool,
}

impl TraceContext {
    /// Reads version 00, and of later versions what begins like it. None where it is none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = text.split(|byte| *byte == b'-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        let version: [u8; 1] = hex(version)?;
        if version == [0xff] || (version == [0] && parts.next().is_some()) {
            return None;
        }
        let (trace, span, flags): (_, _, [u8; 1]) = (hex(trace)?, hex(span)?, hex(flags)?);
        let context = Self {
            trace,
            span,
            sampled: flags[0] & 1 == 1,
        };
        (trace != [0; 16] && span != [0; 8]).then_some(context)
    }

    /// A trace of its own.
    #[must_use]
    pub fn root(sampled: bool) -> Self {
        Self {
            trace: rand::random::<u128>().max(1).to_be_bytes(),
            span: rand::random::<u64>().max(1).to_be_bytes(),
            sampled,
        }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            span: rand::random::<u64>().max(1).to_be_bytes(),
            ..*self
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (
            u128::from_be_bytes(self.trace),
            u64::from_be_bytes(self.span),
        );
        let flags = u8::from(self.sampled);
        write!(formatter, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

/// Lower-case digits alone, as the recommendation has it.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(*pair.first()?)? << 4 | digit(*pair.last()?)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_written_is_what_was_read() {
        let context = TraceContext::parse(GIVEN.as_bytes()).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), GIVEN);
        let child = context.child();
        assert_eq!((child.trace, child.sampled), (context.trace, true));
        assert_ne!(child.span, context.span);
        let root = TraceContext::root(false);
        assert_eq!(TraceContext::parse(root.to_string().as_bytes()), Some(root));
    }

    #[test]
    fn later_versions_may_say_more_and_nonsense_is_nothing() {
        let later = format!("cc{}-what-ever", &GIVEN[2..]);
        assert!(TraceContext::parse(later.as_bytes()).is_some());
        for text in [
            "",
            "00",
            "nonsense",
            &GIVEN.to_uppercase(),
            &GIVEN.replace("00-", "ff-"),
            &format!("{GIVEN}-01"),
            &GIVEN[..GIVEN.len() - 1],
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(text.as_bytes()), None, "{text}");
        }
    }
}
