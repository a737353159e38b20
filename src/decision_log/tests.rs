use std::net::SocketAddr;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::model::Timestamp;

fn record(input: &[u8]) -> Record<'_> {
    Record {
        decision_id: Uuid::from_u128(7),
        revision: b"7-0123456789ab",
        door: b"http",
        input,
        ..Record::default()
    }
}

/// The next batch, where one has been handed over.
fn next(consumer: &mut Consumer) -> Option<Batch> {
    consumer.full.try_recv().ok()
}

#[test]
fn a_batch_holds_what_was_recorded_in_order() {
    let (log, mut consumer) = channel(0, true);
    let mut recorder = log.recorder();
    recorder.record(&record(b"{\"a\":1}"));
    recorder.result(b"{\"compliant\":true}");
    recorder.record(&record(b"{}"));
    assert!(
        next(&mut consumer).is_none(),
        "nothing is handed over early"
    );
    recorder.flush();
    recorder.result(b"too late");
    let batch = next(&mut consumer).unwrap();
    let records: Vec<_> = batch.records().collect();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].result, b"{\"compliant\":true}");
    assert_eq!(records[0].input, b"{\"a\":1}");
    assert_eq!(records[1], record(b"{}"));
}

#[test]
fn a_slow_consumer_costs_records_and_never_memory() {
    let (log, mut consumer) = channel(3 * BUFFER_BYTES, true);
    let mut recorder = log.recorder();
    let input = vec![b'x'; BUFFER_BYTES / 2];
    for _ in 0..10 {
        recorder.record(&record(&input));
    }
    // Each record needs more than half a buffer, and there are three.
    assert_eq!(consumer.dropped(), 7);
    recorder.result(b"of a dropped record");
    let mut seen = 0;
    while let Some(batch) = next(&mut consumer) {
        seen += batch.records().count();
    }
    recorder.record(&record(&input));
    drop(recorder);
    while let Some(batch) = next(&mut consumer) {
        seen += batch.records().count();
    }
    assert_eq!((seen, consumer.dropped()), (4, 7), "buffers came back");
}

#[test]
fn what_does_not_fit_into_a_buffer_goes_without_its_documents() {
    let (log, mut consumer) = channel(0, true);
    let mut recorder = log.recorder();
    recorder.record(&record(&vec![b'x'; BUFFER_BYTES]));
    recorder.record(&record(b"{}"));
    recorder.result(&vec![b'x'; BUFFER_BYTES]);
    recorder.flush();
    let batch = next(&mut consumer).unwrap();
    let records: Vec<_> = batch.records().collect();
    assert!(records[0].cut && records[0].input.is_empty());
    assert_eq!(records[0].decision_id, Uuid::from_u128(7));
    assert!(records[1].result.is_empty());
}

#[test]
fn a_result_takes_its_record_along_to_the_next_buffer() {
    let (log, mut consumer) = channel(0, true);
    let mut recorder = log.recorder();
    recorder.record(&record(&vec![b'x'; BUFFER_BYTES - 2000]));
    recorder.record(&record(b"{}"));
    let result = vec![b'y'; 5000];
    recorder.result(&result);
    recorder.flush();
    let first = next(&mut consumer).unwrap();
    assert_eq!(first.records().count(), 1);
    let second = next(&mut consumer).unwrap();
    let moved = second.records().next().unwrap();
    assert_eq!((moved.input, moved.result), (&b"{}"[..], &result[..]));
}

#[tokio::test]
async fn the_consumer_learns_of_the_end() {
    let (log, mut consumer) = channel(0, true);
    let mut recorder = log.recorder();
    drop(log);
    recorder.record(&record(b"{}"));
    drop(recorder);
    assert_eq!(consumer.next().await.unwrap().records().count(), 1);
    assert!(consumer.next().await.is_none());
}

#[test]
fn a_recorder_without_a_consumer_keeps_nothing() {
    let (log, consumer) = channel(0, true);
    let mut recorder = log.recorder();
    drop(consumer);
    for _ in 0..10_000 {
        recorder.record(&record(b"{}"));
    }
    assert_eq!(recorder.dropped.load(Ordering::Relaxed), 0);
}

proptest! {
    #[test]
    fn every_record_comes_back_as_it_was(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 9),
        ids in any::<(u128, i64, u64, u8, u8)>(),
        peer in any::<Option<SocketAddr>>(),
    ) {
        let cut = |text: &'_ Vec<u8>| text[..text.len().min(1024)].to_vec();
        let short: Vec<_> = texts.iter().map(cut).collect();
        let given = Record {
            decision_id: Uuid::from_u128(ids.0),
            at: Timestamp::from_unix_nanos(ids.1.into()),
            nanos: ids.2,
            peer: peer.map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port())),
            kind: ids.3,
            outcome: ids.4,
            cut: ids.3 > 127,
            sound: ids.4 > 127,
            revision: &texts[0],
            door: &texts[1],
            path: &short[2],
            request_id: &short[3],
            traceparent: &short[4],
            subject: &short[5],
            error: &texts[6],
            input: &texts[7],
            result: &texts[8],
        };
        let (log, mut consumer) = channel(0, true);
        let mut recorder = log.recorder();
        recorder.record(&Record { result: b"", ..given });
        recorder.result(given.result);
        recorder.record(&given);
        recorder.flush();
        let batch = next(&mut consumer).unwrap();
        prop_assert_eq!(batch.records().collect::<Vec<_>>(), vec![given, given]);
    }
}

#[test]
fn a_log_that_is_switched_off_takes_nothing() {
    let (log, mut consumer) = channel(0, true);
    let mut recorder = log.recorder();
    let switch = consumer.switch();
    switch.set(false);
    assert!(!log.is_on() && !recorder.keeps_results());
    recorder.record(&record(b"{}"));
    recorder.result(b"{}");
    recorder.flush();
    assert!(next(&mut consumer).is_none());
    assert_eq!(consumer.dropped(), 0, "nothing was lost");
    switch.set(true);
    recorder.record(&record(b"{}"));
    recorder.flush();
    assert_eq!(next(&mut consumer).unwrap().records().count(), 1);
}
