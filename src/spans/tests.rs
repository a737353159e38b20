use super::*;

const SAMPLED: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn span(begun: Begun) -> Span {
    let now = SystemTime::now();
    Span {
        begun,
        side: Side::Server,
        name: "decide",
        started: now,
        ended: now,
        attributes: Vec::new(),
        failed: false,
    }
}

#[test]
fn the_caller_says_whether_it_is_recorded_and_without_one_the_ratio_does() {
    let (all, _held, _) = queue(1.0, &Registry::new()).unwrap();
    let (none, _held, _) = queue(0.0, &Registry::new()).unwrap();
    let (half, _held, _) = queue(0.5, &Registry::new()).unwrap();
    for spans in [&all, &none, &half] {
        let begun = spans.begin(SAMPLED).unwrap();
        let caller = TraceContext::parse(SAMPLED).unwrap();
        assert_eq!(begun.context.trace, caller.trace);
        assert_eq!(begun.parent, Some(caller.span));
        assert_ne!(begun.context.span, caller.span);
        assert!(spans.begin(NOT_SAMPLED).is_none());
    }
    for absent in [&b""[..], b"nonsense"] {
        assert!(
            all.begin(absent)
                .is_some_and(|begun| begun.parent.is_none())
        );
        assert!(none.begin(absent).is_none());
    }
    let drawn = (0..2000).filter(|_| half.begin(b"").is_some()).count();
    assert!((800..1200).contains(&drawn), "{drawn} of 2000");
}

#[test]
fn what_does_not_fit_is_counted() {
    let (spans, receiver, counters) = queue(1.0, &Registry::new()).unwrap();
    let begun = spans.begin(SAMPLED).unwrap();
    for _ in 0..QUEUE + 3 {
        spans.end(span(begun));
    }
    assert_eq!((counters.overflowed.get(), receiver.len()), (3, QUEUE));
    drop(receiver);
    spans.end(span(begun));
    assert_eq!(counters.overflowed.get(), 4);
}
