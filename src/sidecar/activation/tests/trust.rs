//! The keyring: what it lets in and throws out.

use super::*;

#[tokio::test]
async fn a_keyring_without_the_key_ends_the_snapshot_and_one_with_it_restores_it() {
    let place = Place::new();
    let pod = place.pod().await;
    pod.offer(&sealed(5).bytes()).await;
    place.trust(&[2]);
    pod.activator.reload_keyring();
    assert_eq!(pod.ended(), Some(Ended::Untrusted));
    assert_eq!(pod.report().bundle.unwrap().ended, Some("bundle_untrusted"));
    place.trust(&[1, 2]);
    pod.activator.reload_keyring();
    assert_eq!(pod.ended(), None);
    std::fs::write(place.keyring(), "rubbish").unwrap();
    pod.activator.reload_keyring();
    assert_eq!(
        pod.ended(),
        None,
        "a keyring that cannot be read changes nothing"
    );
    assert!(pod.report().keyring.error.is_some());
}

#[tokio::test]
async fn an_unknown_key_is_not_the_bundles_fault_and_waits_for_the_keyring() {
    let place = Place::new();
    let pod = place.pod().await;
    pod.offer(&sealed(5).bytes()).await;
    let bytes = Sealed {
        key: 2,
        ..sealed(6)
    }
    .bytes();
    assert_eq!(pod.offer(&bytes).await, SyncResult::Refused);
    assert_eq!(pod.failure(), (5, "untrusted"));
    assert_eq!(pod.known(), 2, "active and kept are both listed");
    assert!(matches!(pod.again(), Some(Again::KeyringChanged)));
    assert!(pod.activator.due().is_empty());
    place.trust(&[1, 2]);
    pod.activator.reload_keyring();
    let due = pod.activator.due();
    assert_eq!(due.len(), 1);
    for (source, held) in due {
        let ended = pod.activator.offer_again(source, held).await;
        assert_eq!(ended.0, SyncResult::Activated);
    }
    assert_eq!((pod.number(), pod.again().is_none()), (Some(6), true));
}

#[tokio::test]
async fn a_new_keyring_lets_the_cached_bundle_in_without_a_source() {
    let place = Place::new();
    place.pod().await.offer(&sealed(5).bytes()).await;
    place.trust(&[2]);
    let pod = place.pod().await;
    assert_eq!(pod.number(), None);
    let running = pod.activator.spawn(&Handle::current());
    place.trust(&[1]);
    tokio::time::timeout(Duration::from_secs(30), pod.reader.reached(5))
        .await
        .unwrap();
    running.stop().await;
}

#[tokio::test]
async fn the_disk_is_not_trusted() {
    let place = Place::new();
    place.pod().await.offer(&sealed(5).bytes()).await;
    std::fs::write(
        place.archive(),
        Sealed {
            key: 2,
            ..sealed(6)
        }
        .bytes(),
    )
    .unwrap();
    let pod = place.pod().await;
    assert_eq!(pod.number(), None);
    let error = pod.report().boot_error.unwrap();
    assert_eq!((error.step, error.code), (5, "untrusted"));
}
