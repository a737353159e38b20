use super::*;
use crate::snapshot::test_snapshot as snapshot;

fn active(reader: &Reader) -> Option<u64> {
    reader
        .load()
        .snapshot
        .as_deref()
        .map(|snapshot| snapshot.number)
}

#[test]
fn only_a_higher_number_is_published() {
    let (publisher, reader) = channel();
    assert_eq!(active(&reader), None);
    publisher.publish(snapshot(2)).unwrap();
    for not_newer in [1, 2] {
        let refused = publisher.publish(snapshot(not_newer)).unwrap_err();
        assert_eq!(refused.active, "2-000000000000");
        assert_eq!(active(&reader), Some(2));
    }
    publisher.publish(snapshot(3)).unwrap();
    assert_eq!(active(&reader), Some(3));
}

#[test]
fn an_end_lasts_until_it_is_lifted_or_a_newer_snapshot_comes() {
    let (publisher, reader) = channel();
    let mut worker = reader.worker();
    publisher.publish(snapshot(1)).unwrap();
    publisher.set_ended(Some(Ended::Untrusted));
    assert_eq!(worker.load().ended, Some(Ended::Untrusted));
    assert_eq!(active(&reader), Some(1));
    publisher.set_ended(None);
    assert_eq!(worker.load().ended, None);
    publisher.set_ended(Some(Ended::Expired));
    publisher.publish(snapshot(2)).unwrap();
    assert_eq!(worker.load().ended, None);
}

#[test]
fn a_retired_snapshot_is_dropped_by_the_thread_once_no_worker_holds_it() {
    let (publisher, reader) = channel();
    let mut worker = reader.worker();
    let first = Arc::downgrade(&publisher.publish(snapshot(1)).unwrap());
    worker.load();
    publisher.publish(snapshot(2)).unwrap();
    std::thread::sleep(3 * RETIRE_INTERVAL);
    assert!(first.upgrade().is_some(), "a worker still holds it");
    worker.load();
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while first.strong_count() > 0 {
        assert!(std::time::Instant::now() < end, "never dropped");
        std::thread::sleep(RETIRE_INTERVAL);
    }
}

#[tokio::test]
async fn waiting_ends_with_the_number_or_a_higher_one() {
    let (publisher, reader) = channel();
    let waiting = {
        let reader = reader.clone();
        tokio::spawn(async move { reader.reached(3).await })
    };
    publisher.publish(snapshot(2)).unwrap();
    assert!(!waiting.is_finished());
    publisher.publish(snapshot(5)).unwrap();
    waiting.await.unwrap();
    reader.reached(5).await;
}
