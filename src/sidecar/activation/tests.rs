//! Activation without a network: offers in, snapshots out.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use prometheus::Registry;
use tempfile::TempDir;

use super::offer::RETRY_INTERVAL;
use super::state::Again;
use super::*;
use crate::bundle::{Builder, Key, Keyring, SigningKey};
use crate::model::Timestamp;
use crate::sidecar::cache::Download;
use crate::sidecar::source::{Location, Received};
use crate::snapshot::{Ended, Reader, channel};

const DAY: i64 = 86_400;

/// One cache folder and one keyring file, shared by all activators made here.
struct Place {
    dir: TempDir,
}

/// An activator and its reader.
struct Pod {
    activator: Arc<Activator>,
    reader: Reader,
}

/// What differs between the bundles of these tests.
struct Sealed {
    number: u64,
    issued: i64,
    expires: i64,
    key: u8,
}

fn sealed(number: u64) -> Sealed {
    Sealed {
        number,
        issued: -DAY,
        expires: DAY,
        key: 1,
    }
}

fn now() -> Timestamp {
    Clock::default().now()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&format!("key-{seed}"), &[seed; 32])
}

impl Sealed {
    fn bytes(&self) -> Vec<u8> {
        let now = now();
        let mut builder = Builder::new(
            "acme".parse().unwrap(),
            self.number,
            now.plus_seconds(self.issued),
            now.plus_seconds(self.expires),
            "cdd01ef066bc6cf2".into(),
        );
        let data = format!("{{\"number\": {}}}", self.number);
        builder.file("data.json".into(), data.into_bytes());
        builder.build(&[&key(self.key)]).unwrap()
    }
}

impl Place {
    fn new() -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        place.trust(&[1]);
        place
    }

    fn trust(&self, seeds: &[u8]) {
        let keys = seeds.iter().map(|seed| Key {
            kid: format!("key-{seed}"),
            public_key: key(*seed).public_key(),
            tenants: None,
            not_before: None,
            not_after: None,
            revoked: false,
        });
        let keyring = Keyring {
            threshold: 1,
            keys: keys.collect(),
        };
        std::fs::write(self.keyring(), keyring.to_yaml()).unwrap();
    }

    fn keyring(&self) -> PathBuf {
        self.dir.path().join("keyring.yaml")
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn mark(&self) -> PathBuf {
        self.cache().join("acme.mark")
    }

    fn archive(&self) -> PathBuf {
        self.cache().join("acme.tar.gz")
    }

    async fn pod(&self) -> Pod {
        self.pod_with(|_| {}).await
    }

    /// A started activator: what is cached has been through the steps.
    async fn pod_with(&self, change: impl FnOnce(&mut Settings)) -> Pod {
        let mut settings = Settings {
            tenant: "acme".parse().unwrap(),
            constitutional_hash: Some("cdd01ef066bc6cf2".into()),
            clock_skew: 60,
            retry_rejected: Duration::from_mins(10),
            profile: Profile::Lictor {
                keyring: self.keyring(),
            },
            cache_dir: Some(self.cache()),
            on_persist_error: OnPersistError::Activate,
            sources: vec![source::Settings {
                name: "main".into(),
                location: Location::File {
                    path: self.dir.path().join("source"),
                },
                poll: Duration::from_mins(1),
                persist: true,
                min_number: 0,
            }],
            archive_limits: ArchiveLimits::default(),
            decision_limits: DecisionLimits::default(),
        };
        change(&mut settings);
        let (publisher, reader) = channel();
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let clock = Clock::default();
        let activator =
            Activator::new(settings, publisher, clock, metrics, &Handle::current()).unwrap();
        activator.boot().await;
        Pod { activator, reader }
    }
}

impl Pod {
    async fn offer(&self, bytes: &[u8]) -> SyncResult {
        let mut download = Download::into_memory(1 << 20);
        download.write(bytes).unwrap();
        let received = Received {
            archive: download.finish().unwrap(),
            announced: None,
            tag: None,
        };
        self.activator.offer(0, received).await.0
    }

    fn number(&self) -> Option<u64> {
        let current = self.reader.load();
        let snapshot = current.snapshot.as_deref()?;
        Some(snapshot.number)
    }

    fn ended(&self) -> Option<Ended> {
        self.reader.load().ended
    }

    fn report(&self) -> Report {
        self.activator.status.report(now())
    }

    /// The last failure's step and code.
    fn failure(&self) -> (u8, &'static str) {
        let failure = self.report().sources[0].last_error.clone().unwrap();
        (failure.step, failure.code)
    }

    fn again(&self) -> Option<Again> {
        let state = self.activator.lock();
        state.sources[0].held.as_ref().map(|held| held.again)
    }

    /// What the next request says we know.
    fn known(&self) -> usize {
        let conditions = self.activator.lock().conditions(0);
        conditions
            .if_none_match()
            .map_or(0, |tags| tags.split(',').count())
    }
}

#[tokio::test]
async fn a_bundle_becomes_active_and_survives_a_restart_without_a_source() {
    let place = Place::new();
    let pod = place.pod().await;
    assert_eq!(pod.number(), None);
    assert_eq!(pod.offer(&sealed(3).bytes()).await, SyncResult::Activated);
    assert_eq!(pod.number(), Some(3));
    let bundle = pod.report().bundle.unwrap();
    assert!(bundle.persisted && bundle.ended.is_none() && !bundle.expires_soon);
    assert_eq!(
        (bundle.source.as_str(), bundle.kids),
        ("main", vec!["key-1".to_owned()])
    );
    assert!(bundle.age_seconds < 5);
    let restarted = place.pod().await;
    assert_eq!(restarted.number(), Some(3));
    let bundle = restarted.report().bundle.unwrap();
    assert_eq!(bundle.source, "cache");
    assert!(
        bundle.age_seconds >= DAY as u64,
        "counts from `issued_at` before a confirmation"
    );
    restarted.activator.confirm(0);
    assert!(restarted.report().bundle.unwrap().age_seconds < 5);
}

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
async fn the_active_bundle_again_confirms_and_is_no_rejection() {
    let place = Place::new();
    let pod = place.pod().await;
    let bytes = sealed(1).bytes();
    pod.offer(&bytes).await;
    assert_eq!(pod.offer(&bytes).await, SyncResult::Unchanged);
    assert_eq!(pod.known(), 1);
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

#[tokio::test]
async fn a_rejected_bundle_is_remembered_until_sync_keyring_or_time() {
    let place = Place::new();
    let pod = place.pod().await;
    let expired = Sealed {
        expires: -10,
        ..sealed(5)
    }
    .bytes();
    assert_eq!(pod.offer(&expired).await, SyncResult::Refused);
    assert_eq!(pod.failure(), (9, "expired"));
    assert_eq!(pod.known(), 1);
    assert!(pod.report().sources[0].rejected.is_some());
    pod.activator.forget_failures();
    assert_eq!(pod.known(), 0);
    pod.offer(&expired).await;
    pod.activator.reload_keyring();
    assert_eq!(pod.known(), 0);
    let forgetful = place
        .pod_with(|settings| settings.retry_rejected = Duration::ZERO)
        .await;
    forgetful.offer(&expired).await;
    assert_eq!(forgetful.known(), 1);
    assert!(forgetful.activator.forget_old_rejections());
    assert_eq!(forgetful.known(), 0);
}

#[tokio::test]
async fn bytes_that_are_not_what_was_announced_are_never_remembered() {
    let place = Place::new();
    let pod = place.pod().await;
    let mut download = Download::into_memory(1 << 20);
    download.write(&sealed(5).bytes()).unwrap();
    let received = Received {
        archive: download.finish().unwrap(),
        announced: Some([7; 32]),
        tag: Some("\"t\"".into()),
    };
    let ended = pod.activator.offer(0, received).await;
    assert_eq!(ended.0, SyncResult::Refused);
    assert_eq!(pod.failure(), (2, "digest_mismatch"));
    assert_eq!(pod.known(), 0);
}

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
async fn sync_fetches_now_and_tells_what_happened() {
    let place = Place::new();
    let pod = place.pod().await;
    let running = pod.activator.spawn(&Handle::current());
    assert_eq!(running.sync.sync().await[0].result, SyncResult::Failed);
    let source = place.dir.path().join("source");
    std::fs::write(&source, sealed(5).bytes()).unwrap();
    let synced = running.sync.sync().await;
    assert_ne!(synced[0].result, SyncResult::Failed);
    assert_eq!(pod.number(), Some(5));
    std::fs::write(&source, "rubbish").unwrap();
    let synced = running.sync.sync().await;
    assert_eq!(synced[0].result, SyncResult::Refused);
    assert!(synced[0].detail.contains("malformed"), "{synced:?}");
    assert_eq!(pod.number(), Some(5));
    running.stop().await;
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
