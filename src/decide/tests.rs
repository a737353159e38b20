use std::sync::Mutex;

use super::*;
use crate::snapshot::{Ended, Publisher, channel, test_snapshot};

#[derive(Debug, Default)]
struct Heard {
    decided: Mutex<Vec<(Kind, Outcome)>>,
    panicked: Mutex<Vec<String>>,
}

impl Observer for Heard {
    fn decided(&self, kind: Kind, outcome: Outcome, _nanos: u64) {
        self.decided.lock().unwrap().push((kind, outcome));
    }

    fn panicked(&self, _kind: Kind, message: &str) {
        self.panicked.lock().unwrap().push(message.to_owned());
    }
}

const QUESTION: Question<'_> = Question {
    now: Timestamp::from_unix_seconds(1_700_000_000),
    claims: None,
    principal: "",
    duplicates: DuplicateMembers::Refuse,
    explain: false,
    origin: Origin::UNKNOWN,
};

fn worker() -> (Publisher, Worker, Arc<Heard>) {
    let (publisher, reader) = channel();
    let heard = Arc::new(Heard::default());
    let observer: Arc<dyn Observer> = Arc::clone(&heard) as _;
    let worker = Worker::new(&reader, Limits::default(), observer);
    (publisher, worker, heard)
}

fn validate(worker: &mut Worker) -> Result<(String, Uuid), DecideError> {
    worker.validate(b"{}", &QUESTION, |answered, _| {
        (answered.snapshot.name.clone(), answered.decision_id)
    })
}

#[test]
fn no_answer_is_never_yes() {
    let (publisher, mut worker, heard) = worker();
    assert!(matches!(validate(&mut worker), Err(DecideError::NotReady)));
    publisher.publish(test_snapshot(1)).unwrap();
    publisher.set_ended(Some(Ended::Expired));
    assert!(matches!(validate(&mut worker), Err(DecideError::Expired)));
    publisher.set_ended(Some(Ended::Untrusted));
    assert!(matches!(validate(&mut worker), Err(DecideError::Untrusted)));
    assert_eq!(
        *heard.decided.lock().unwrap(),
        [(Kind::Validate, Outcome::Error); 3]
    );
    publisher.set_ended(None);
    validate(&mut worker).unwrap();
}

#[test]
fn an_expired_last_known_good_that_never_loaded_says_so() {
    let (publisher, mut worker, _) = worker();
    publisher.set_ended(Some(Ended::Expired));
    assert!(matches!(validate(&mut worker), Err(DecideError::Expired)));
}

#[test]
fn every_answer_names_its_revision_and_has_an_id_of_its_own() {
    let (publisher, mut worker, heard) = worker();
    publisher.publish(test_snapshot(1)).unwrap();
    let (revision, first) = validate(&mut worker).unwrap();
    assert_eq!(revision, "1-000000000000");
    publisher.publish(test_snapshot(2)).unwrap();
    let (revision, second) = validate(&mut worker).unwrap();
    assert_eq!(revision, "2-000000000000");
    assert_ne!(first, second);
    assert_eq!(first.get_version_num(), 7);
    let (seconds, _) = first.get_timestamp().unwrap().to_unix();
    assert_eq!(seconds, 1_700_000_000);
    assert_eq!(
        *heard.decided.lock().unwrap(),
        [(Kind::Validate, Outcome::Positive); 2]
    );
}

#[test]
fn a_panic_is_caught_counted_and_leaves_a_working_worker() {
    let (publisher, mut worker, heard) = worker();
    publisher.publish(test_snapshot(1)).unwrap();
    let panicked = worker.validate(b"{}", &QUESTION, |_, _| panic!("on purpose"));
    assert!(matches!(panicked, Err::<(), _>(DecideError::Internal)));
    assert_eq!(*heard.panicked.lock().unwrap(), ["on purpose"]);
    validate(&mut worker).unwrap();
}

#[test]
fn every_decision_and_every_failure_is_recorded() {
    let (log, mut consumer) = crate::decision_log::channel(0, true);
    let (publisher, worker, _) = worker();
    let mut worker = worker.recorded(&log);
    assert!(validate(&mut worker).is_err());
    publisher.publish(test_snapshot(1)).unwrap();
    let question = Question {
        origin: Origin {
            door: "http",
            path: "/v1/validate",
            request_id: b"r-1",
            subject: "user-7",
            ..Origin::UNKNOWN
        },
        ..QUESTION
    };
    let id = worker
        .validate(b"{}", &question, |answered, _| answered.decision_id)
        .unwrap();
    worker.record_result(b"{\"compliant\":true}");
    worker.release_retired();
    drop((worker, log));
    let batch = consumer.blocking_next().unwrap();
    let records: Vec<_> = batch.records().collect();
    assert_eq!(records.len(), 2);
    assert_eq!(
        (records[0].error, records[0].outcome),
        (&b"not_ready"[..], Outcome::Error as u8)
    );
    let decided = &records[1];
    assert_eq!(decided.decision_id, id);
    assert_eq!(decided.input, b"{}");
    assert_eq!(decided.result, b"{\"compliant\":true}");
    assert_eq!(
        (
            decided.door,
            decided.path,
            decided.request_id,
            decided.subject
        ),
        (
            &b"http"[..],
            &b"/v1/validate"[..],
            &b"r-1"[..],
            &b"user-7"[..]
        )
    );
    assert_eq!(decided.kind, Kind::Validate as u8);
    assert_eq!(decided.revision, test_snapshot(1).name.as_bytes());
    assert!(consumer.blocking_next().is_none());
}
