//! Expiry, and bundles before their time.

use super::*;

#[tokio::test]
async fn of_an_expired_last_known_good_status_alone_tells() {
    let place = Place::new();
    let short = Sealed {
        expires: 1,
        ..sealed(5)
    };
    place.pod().await.offer(&short.bytes()).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let pod = place.pod().await;
    assert_eq!(pod.number(), None);
    assert_eq!(pod.ended(), Some(Ended::Expired));
    assert_eq!(pod.report().expired_last_known_good.unwrap().number, 5);
    assert_eq!(pod.offer(&sealed(4).bytes()).await, SyncResult::Refused);
    assert_eq!(pod.offer(&sealed(6).bytes()).await, SyncResult::Activated);
    assert_eq!(pod.ended(), None);
    assert!(pod.report().expired_last_known_good.is_none());
}

#[tokio::test]
async fn a_snapshot_ends_with_its_bundle_and_fetching_goes_on() {
    let place = Place::new();
    let pod = place.pod().await;
    let short = Sealed {
        expires: 1,
        ..sealed(5)
    };
    pod.offer(&short.bytes()).await;
    assert_eq!(pod.ended(), None);
    let running = pod.activator.spawn(&Handle::current());
    let end = Instant::now() + Duration::from_secs(30);
    while pod.ended() != Some(Ended::Expired) {
        assert!(Instant::now() < end, "never ended");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let bundle = pod.report().bundle.unwrap();
    assert_eq!(bundle.ended, Some("bundle_expired"));
    assert!(bundle.expires_soon);
    std::fs::write(place.dir.path().join("source"), sealed(6).bytes()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), pod.reader.reached(6))
        .await
        .unwrap();
    assert_eq!(pod.ended(), None);
    running.stop().await;
}

#[tokio::test]
async fn a_bundle_from_the_future_is_kept_until_its_time() {
    let place = Place::new();
    let pod = place.pod().await;
    let future = Sealed {
        issued: 61,
        ..sealed(5)
    };
    assert_eq!(pod.offer(&future.bytes()).await, SyncResult::Refused);
    assert_eq!(pod.failure(), (9, "not_yet_valid"));
    assert_eq!(pod.known(), 1);
    let end = Instant::now() + Duration::from_secs(30);
    let due = loop {
        let due = pod.activator.due();
        if !due.is_empty() {
            break due;
        }
        assert!(Instant::now() < end, "never due");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for (source, held) in due {
        pod.activator.offer_again(source, held).await;
    }
    assert_eq!(pod.number(), Some(5));
}
