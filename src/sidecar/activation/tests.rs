//! Activation without a network: offers in, snapshots out.

mod mark;
mod persist;
mod time;
mod trust;

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
