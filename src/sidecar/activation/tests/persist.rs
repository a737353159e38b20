//! What is kept on disk, and what happens where it cannot be.

use super::*;

#[tokio::test]
async fn where_persisting_fails_the_bundle_decides_says_so_and_is_stored_later() {
    let place = Place::new();
    let pod = place.pod().await;
    block(&place);
    assert_eq!(pod.offer(&sealed(5).bytes()).await, SyncResult::Activated);
    let report = pod.report();
    assert!(!report.bundle.unwrap().persisted);
    assert!(report.cache.error.is_some());
    unblock(&place);
    pod.activator.persist_again().await;
    let report = pod.report();
    assert!(report.bundle.unwrap().persisted);
    assert_eq!(report.cache.error, None);
    assert_eq!(place.pod().await.number(), Some(5));
}

#[tokio::test]
async fn where_persisting_fails_and_the_operator_says_keep_the_old_one_stays() {
    let place = Place::new();
    let keep = |settings: &mut Settings| settings.on_persist_error = OnPersistError::Keep;
    let pod = place.pod_with(keep).await;
    pod.offer(&sealed(5).bytes()).await;
    block(&place);
    assert_eq!(pod.offer(&sealed(6).bytes()).await, SyncResult::Refused);
    assert_eq!(pod.failure(), (16, "not_persisted"));
    assert_eq!((pod.number(), pod.known()), (Some(5), 2));
    let Some(Again::After(moment)) = pod.again() else {
        panic!("not kept")
    };
    assert!(moment <= Instant::now() + RETRY_INTERVAL);
    unblock(&place);
    let held = pod.activator.lock().sources[0].held.clone().unwrap();
    assert_eq!(
        pod.activator.offer_again(0, held).await.0,
        SyncResult::Activated
    );
    assert_eq!(pod.number(), Some(6));
}

#[tokio::test]
async fn without_a_cache_nothing_is_kept_and_that_is_said() {
    let place = Place::new();
    let none = |settings: &mut Settings| settings.cache_dir = None;
    let pod = place.pod_with(none).await;
    assert_eq!(pod.offer(&sealed(5).bytes()).await, SyncResult::Activated);
    let report = pod.report();
    assert!(!report.bundle.unwrap().persisted);
    assert_eq!(report.cache.dir, None);
    assert!(!place.cache().exists());
}

/// Puts a file where the cache folder was: nothing can be written there, by nobody.
fn block(place: &Place) {
    std::fs::rename(place.cache(), aside(place.dir.path())).unwrap();
    std::fs::write(place.cache(), "").unwrap();
}

fn unblock(place: &Place) {
    std::fs::remove_file(place.cache()).unwrap();
    std::fs::rename(aside(place.dir.path()), place.cache()).unwrap();
}

fn aside(dir: &Path) -> PathBuf {
    dir.join("aside")
}
