//! The mark: numbers only grow.

use super::*;

#[tokio::test]
async fn a_number_never_goes_back() {
    let place = Place::new();
    let pod = place.pod().await;
    pod.offer(&sealed(5).bytes()).await;
    for stale in [4, 5] {
        let other = Sealed {
            issued: -100,
            ..sealed(stale)
        };
        assert_eq!(pod.offer(&other.bytes()).await, SyncResult::Refused);
        assert_eq!(pod.failure(), (8, "stale"));
        assert_eq!(pod.number(), Some(5));
    }
    let restarted = place.pod().await;
    assert_eq!(
        restarted.offer(&sealed(4).bytes()).await,
        SyncResult::Refused
    );
    assert_eq!(pod.offer(&sealed(6).bytes()).await, SyncResult::Activated);
    assert_eq!(pod.report().sources[0].last_error, None);
}

#[tokio::test]
async fn the_mark_guards_a_process_that_runs_nothing() {
    let place = Place::new();
    let five = sealed(5).bytes();
    place.pod().await.offer(&five).await;
    std::fs::remove_file(place.archive()).unwrap();
    let pod = place.pod().await;
    assert_eq!(pod.number(), None);
    assert_eq!(pod.offer(&sealed(4).bytes()).await, SyncResult::Refused);
    assert_eq!(pod.failure(), (8, "stale"));
    // At the mark with the same payload.
    assert_eq!(pod.offer(&five).await, SyncResult::Activated);
}

#[tokio::test]
async fn an_unreadable_mark_is_an_alarm_and_only_the_source_is_believed() {
    let place = Place::new();
    place.pod().await.offer(&sealed(5).bytes()).await;
    std::fs::write(place.mark(), "rubbish").unwrap();
    let pod = place.pod().await;
    assert_eq!(pod.number(), None);
    assert!(
        pod.report()
            .cache
            .error
            .unwrap()
            .contains("unreadable mark")
    );
    assert_eq!(pod.offer(&sealed(6).bytes()).await, SyncResult::Activated);
    assert_eq!(place.pod().await.number(), Some(6));
}

#[tokio::test]
async fn a_missing_mark_beside_an_archive_means_its_number_and_follows() {
    let place = Place::new();
    place.pod().await.offer(&sealed(5).bytes()).await;
    std::fs::remove_file(place.mark()).unwrap();
    let pod = place.pod().await;
    assert_eq!(pod.number(), Some(5));
    assert!(place.mark().exists());
    assert_eq!(pod.offer(&sealed(4).bytes()).await, SyncResult::Refused);
}

#[tokio::test]
async fn an_archive_above_its_mark_is_taken_and_the_mark_follows_but_one_below_is_not() {
    let place = Place::new();
    let pod = place.pod().await;
    pod.offer(&sealed(5).bytes()).await;
    let mark = std::fs::read(place.mark()).unwrap();
    let archive = std::fs::read(place.archive()).unwrap();
    pod.offer(&sealed(6).bytes()).await;
    let newer_mark = std::fs::read(place.mark()).unwrap();
    std::fs::write(place.mark(), mark).unwrap();
    assert_eq!(place.pod().await.number(), Some(6));
    assert_eq!(std::fs::read(place.mark()).unwrap(), newer_mark);
    std::fs::write(place.archive(), archive).unwrap();
    let behind = place.pod().await;
    assert_eq!(behind.number(), None);
    assert_eq!(behind.report().boot_error.unwrap().code, "stale");
}

#[tokio::test]
async fn a_floor_from_the_configuration_protects_pods_without_a_volume() {
    let place = Place::new();
    let floor = |settings: &mut Settings| settings.sources[0].min_number = 10;
    let pod = place.pod_with(floor).await;
    assert_eq!(pod.offer(&sealed(9).bytes()).await, SyncResult::Refused);
    assert_eq!(pod.failure(), (8, "stale"));
    assert_eq!(pod.offer(&sealed(10).bytes()).await, SyncResult::Activated);
}

#[tokio::test]
async fn two_processes_on_one_folder_both_work_and_the_mark_only_grows() {
    let place = Place::new();
    let pods = [place.pod().await, place.pod().await];
    let next = AtomicU64::new(1);
    for pod in pods.iter().chain(&pods).chain(&pods) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        assert_eq!(
            pod.offer(&sealed(number).bytes()).await,
            SyncResult::Activated
        );
    }
    // The first runs 5; what the second stored as 6 is no obstacle, what is older is.
    assert_eq!(pods[0].number(), Some(5));
    let behind = Sealed {
        issued: -5,
        ..sealed(6)
    };
    assert_eq!(pods[0].offer(&behind.bytes()).await, SyncResult::Refused);
    assert_eq!(
        pods[0].offer(&sealed(7).bytes()).await,
        SyncResult::Activated
    );
    assert_eq!(place.pod().await.number(), Some(7));
}
