//! Bundles that must not become active, and sources and disks that misbehave: the active snapshot stays, the
//! reason can be read, and no decision fails.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lictor::bundle::{Keyring, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::attacks::forge::forge;
use crate::attacks::recipe::{Recipe, cases};
use crate::support::bundle::{bundle, bundle_of, bundle_signed, signing_key};
use crate::support::pod::Pod;
use crate::support::sidecar::{Sidecar, active_number, validate};

fn last_error(status: &Value) -> &Value {
    &status["sources"][0]["last_error"]
}

/// A source in HTTP whose behaviour the test changes while the sidecar asks.
struct Source {
    address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
enum Behaviour {
    /// Gives this archive, conditionally, and holds requests for it.
    Gives(Vec<u8>),
    /// Answers with these bytes and closes.
    Says(Vec<u8>),
    /// Takes the request and never answers.
    Silent,
    /// Closes every connection.
    Gone,
}

impl Source {
    fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = Self {
            address: listener.local_addr().unwrap(),
            behaviour: Arc::new(Mutex::new(behaviour)),
            asked: Arc::default(),
        };
        let (behaviour, asked) = (Arc::clone(&source.behaviour), Arc::clone(&source.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (behaviour, asked) = (Arc::clone(&behaviour), Arc::clone(&asked));
                std::thread::spawn(move || serve(stream.unwrap(), &behaviour, &asked));
            }
        });
        source
    }

    fn becomes(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// The newest request, in lower case.
    fn last_asked(&self) -> String {
        self.asked
            .lock()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }

    fn configure(&self, pod: &Pod) {
        let url = format!("http://{}/bundle", self.address);
        let source = json!({"name": "main", "url": url, "poll": "1s", "wait": "2s"});
        pod.configure(&json!({"sources": [source]}));
    }
}

/// One request per connection.
fn serve(
    mut stream: std::net::TcpStream,
    behaviour: &Mutex<Behaviour>,
    asked: &Mutex<Vec<String>>,
) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap().to_lowercase();
    asked.lock().unwrap().push(request.clone());
    let held_until = Instant::now() + Duration::from_secs(u64::from(request.contains("wait=")) * 2);
    loop {
        let now = behaviour.lock().unwrap().clone();
        let answer = match now {
            Behaviour::Gives(archive) => {
                let tag = format!("\"sha256:{}\"", hex::encode(Sha256::digest(&archive)));
                if !request.contains(&tag) {
                    let length = archive.len();
                    let head = format!("200 OK\r\netag: {tag}\r\ncontent-length: {length}");
                    http(&head, &archive)
                } else if Instant::now() < held_until {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                } else {
                    http(&format!("304 Not Modified\r\netag: {tag}"), b"")
                }
            }
            Behaviour::Says(answer) => answer,
            Behaviour::Silent => {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            Behaviour::Gone => return,
        };
        // The sidecar may have gone away.
        let _ = stream.write_all(&answer);
        return;
    }
}

fn http(head: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// The first bundle still decides.
fn still_decides(sidecar: &Sidecar) {
    assert_eq!(sidecar.decide(), (1, "one".to_owned()));
    assert_eq!(active_number(&sidecar.status()), Some(1));
}

#[test]
fn a_source_that_is_gone_slow_or_talks_rubbish_changes_nothing() {
    let pod = Pod::new();
    let source = Source::start(Behaviour::Gives(bundle(1, "one")));
    source.configure(&pod);
    let sidecar = pod.start();
    sidecar.wait_for_number(1);
    let zeros = "0".repeat(64);
    let lying = http(
        &format!("200 OK\r\netag: \"sha256:{zeros}\""),
        &bundle(2, "two"),
    );
    let oversized = http("200 OK\r\ncontent-length: 99999999999", b"");
    let behaviours = [
        (Behaviour::Gone, "interrupted"),
        (Behaviour::Says(http("500 Oops", b"")), "http_status"),
        (
            Behaviour::Says(b"\x00\x01 not http".to_vec()),
            "interrupted",
        ),
        (
            Behaviour::Says(http("200 OK\r\ncontent-length: 100", b"short")),
            "interrupted",
        ),
        (
            Behaviour::Says(http("200 OK", b"not an archive")),
            "malformed",
        ),
        (Behaviour::Says(lying), "digest_mismatch"),
        (Behaviour::Says(oversized), "too_large"),
        (
            Behaviour::Says(http("302 Found\r\nlocation: /again", b"")),
            "redirect",
        ),
    ];
    for (behaviour, code) in behaviours {
        source.becomes(behaviour);
        let status = sidecar.wait_for(code, |status| last_error(status)["code"] == code);
        assert!(!last_error(&status)["detail"].as_str().unwrap().is_empty());
        still_decides(&sidecar);
        source.becomes(Behaviour::Gives(bundle(1, "one")));
    }
    source.becomes(Behaviour::Silent);
    still_decides(&sidecar);
    source.becomes(Behaviour::Gives(bundle(2, "two")));
    sidecar.wait_for_number(2);
    assert_eq!(sidecar.decide(), (2, "two".to_owned()));
    let logged = sidecar
        .process
        .log()
        .iter()
        .any(|line| line.to_string().contains("fetch failed"));
    assert!(logged, "the reason is in the log");
}

#[test]
fn a_rejected_bundle_is_not_downloaded_again_and_sync_tries_it_once_more() {
    let pod = Pod::new();
    let first = bundle(1, "one");
    let source = Source::start(Behaviour::Gives(first.clone()));
    source.configure(&pod);
    let sidecar = pod.start();
    sidecar.wait_for_number(1);
    let mut tampered = bundle(2, "two");
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    source.becomes(Behaviour::Gives(tampered.clone()));
    let status = sidecar.wait_for("the rejection", |status| {
        last_error(status)["code"] == "tampered" && !status["sources"][0]["rejected"].is_null()
    });
    assert_eq!(last_error(&status)["step"], 10);
    assert_eq!(
        last_error(&status)["revision"]
            .as_str()
            .unwrap()
            .split_once('-')
            .unwrap()
            .0,
        "2"
    );
    let tag = |archive: &[u8]| format!("\"sha256:{}\"", hex::encode(Sha256::digest(archive)));
    let both = format!("if-none-match: {}, {}\r\n", tag(&first), tag(&tampered));
    sidecar.wait_for("a request that lists both", |_| {
        source.last_asked().contains(&both)
    });
    assert!(
        source
            .last_asked()
            .contains("prefer: modes=snapshot;wait=2\r\n")
    );
    still_decides(&sidecar);
    let synced = sidecar.sync().json();
    assert!(synced.to_string().contains("refused"), "{synced}");
    still_decides(&sidecar);
    let metrics = sidecar.metrics();
    let counted = r#"lictor_activation_failures_total{code="tampered",step="10"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_restart_without_the_control_plane_serves_the_last_known_good_at_once() {
    let pod = Pod::new();
    let source = Source::start(Behaviour::Gives(bundle(1, "one")));
    source.configure(&pod);
    pod.start().wait_for_number(1);
    source.becomes(Behaviour::Silent);
    let sidecar = pod.start();
    let status = sidecar.wait_for_number(1);
    assert_eq!(status["bundle"]["source"], "cache");
    still_decides(&sidecar);
}

#[test]
fn a_disk_that_takes_no_more_leaves_the_new_bundle_deciding_and_says_so() {
    let pod = Pod::new();
    pod.put(&bundle(1, "one"));
    pod.start().wait_for_number(1);
    pod.put(&bundle(2, "two"));
    // No file may grow: what a full disk does to a writer, also for a privileged one.
    let sidecar = pod.command();
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]);
    limited.arg(sidecar.get_program()).args(sidecar.get_args());
    for (name, value) in sidecar.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let sidecar = pod.spawn(&mut limited);
    let status = sidecar.wait_for_number(2);
    assert_eq!(status["bundle"]["persisted"], false);
    assert!(!status["cache"]["error"].as_str().unwrap().is_empty());
    assert_eq!(sidecar.decide(), (2, "two".to_owned()));
    assert!(sidecar.metrics().contains("lictor_bundle_persisted 0"));
    drop(sidecar);
    pod.remove_source();
    assert_eq!(pod.start().wait_for_number(1)["bundle"]["persisted"], true);
}

#[test]
fn a_disk_that_takes_no_more_keeps_the_old_bundle_where_the_operator_says_so() {
    let pod = Pod::new();
    let cache = pod.path("cache").display().to_string();
    pod.configure(&json!({"cache": {"dir": cache, "on_error": "keep"}}));
    pod.put(&bundle(1, "one"));
    let sidecar = pod.start();
    sidecar.wait_for_number(1);
    std::fs::rename(pod.path("cache"), pod.path("aside")).unwrap();
    std::fs::write(pod.path("cache"), "no folder").unwrap();
    pod.put(&bundle(2, "two"));
    let status = sidecar.wait_for("the refusal", |status| {
        last_error(status)["code"] == "not_persisted"
    });
    assert_eq!(last_error(&status)["step"], 16);
    still_decides(&sidecar);
    std::fs::remove_file(pod.path("cache")).unwrap();
    std::fs::rename(pod.path("aside"), pod.path("cache")).unwrap();
    sidecar.sync();
    sidecar.wait_for_number(2);
}

#[test]
fn two_sidecars_on_one_cache_folder_both_work() {
    let pod = Pod::new();
    pod.put(&bundle(1, "one"));
    let sidecars = [pod.start(), pod.start()];
    for sidecar in &sidecars {
        sidecar.wait_for_number(1);
    }
    for number in 2..=20 {
        pod.put(&bundle(number, "same"));
        std::thread::scope(|scope| {
            for sidecar in &sidecars {
                scope.spawn(move || {
                    sidecar.sync();
                    sidecar.wait_for_number(number);
                    assert_eq!(sidecar.decide().0, number);
                });
            }
        });
    }
    drop(sidecars);
    pod.remove_source();
    assert_eq!(pod.start().wait_for_number(20)["bundle"]["persisted"], true);
}

#[test]
fn a_keyring_reload_ends_the_bundle_and_restores_it() {
    let pod = Pod::new();
    pod.put(&bundle(1, "one"));
    let sidecar = pod.start();
    sidecar.wait_for_number(1);
    let stranger = SigningKey::from_seed("stranger", &[9; 32]);
    pod.trust(&[&stranger]);
    sidecar.wait_for("the end", |status| {
        status["bundle"]["ended"] == "bundle_untrusted"
    });
    let answer = validate(&mut sidecar.http());
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (503, &json!("bundle_untrusted"))
    );
    pod.trust(&[&stranger, &signing_key()]);
    sidecar.wait_for("the return", |status| status["bundle"]["ended"].is_null());
    still_decides(&sidecar);
}

#[test]
fn a_bundle_beyond_the_configured_limits_changes_nothing() {
    let limits = [
        ("bundle_bytes", "8KiB", 1, "too_large"),
        ("bundle_files", "4", 11, "unsafe_archive"),
        ("bundle_file_bytes", "8KiB", 11, "unsafe_archive"),
        ("bundle_total_bytes", "16KiB", 11, "unsafe_archive"),
    ];
    // Text that does not compress, in five files.
    let mut state = 1_u32;
    let mut noise = || -> String {
        let digit = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'!' + (state >> 24) as u8 % 90).to_string()
        };
        (0..12_000).map(digit).collect()
    };
    let files = ["a", "b", "c", "d", "e"].map(|name| {
        let text = json!({ name: noise() }).to_string().into_bytes();
        (format!("{name}/data.json"), text)
    });
    let data = files
        .each_ref()
        .map(|(name, text)| (name.as_str(), text.as_slice()));
    for (limit, value, step, code) in limits {
        let pod = Pod::new();
        let value = value
            .parse::<u64>()
            .map_or_else(|_| json!(value), |number| json!(number));
        pod.configure(&json!({"limits": {limit: value}}));
        pod.put(&bundle(1, "one"));
        let sidecar = pod.start();
        sidecar.wait_for_number(1);
        pod.put(&bundle_of(2, Vec::new(), &data, &[&signing_key()]));
        let status = sidecar.wait_for("the refusal", |status| !last_error(status).is_null());
        let error = last_error(&status);
        assert_eq!(
            (&error["step"], &error["code"]),
            (&json!(step), &json!(code)),
            "{limit}"
        );
        still_decides(&sidecar);
        pod.put(&bundle(3, "three"));
        sidecar.wait_for_number(3);
    }
}

/// What one running sidecar cannot meet: the twins' limits refuse its own bundle too, and it hashes no file twice. The
/// library's own test has them; the limits and the announced digest have tests of their own above.
const NOT_LIVE: [&str; 7] = [
    "announced_digest",
    "archive_too_large",
    "below_minimum",
    "file_too_large",
    "too_many_files",
    "total_too_large",
    "wrong_file_hash",
];

/// The number that a running sidecar has while this attack is made.
fn active_before(recipe: &Recipe) -> u64 {
    recipe.running.or(recipe.mark).unwrap_or(1)
}

/// A sidecar that runs a bundle of its own, and trusts the attack's keys beside that bundle's two.
fn attacked(recipe: &Recipe, keyring: Keyring) -> (Pod, Sidecar) {
    let number = active_before(recipe);
    let own = [signing_key(), SigningKey::from_seed("second", &[8; 32])];
    let pod = Pod::new();
    pod.trust_beside(keyring, &own);
    pod.put(&bundle_signed(number, "one", &own.each_ref()));
    let sidecar = pod.start();
    sidecar.wait_for_number(number);
    (pod, sidecar)
}

#[test]
fn every_attack_on_a_running_sidecar_leaves_its_snapshot_and_says_why() {
    let mut plain: Option<(Pod, Sidecar)> = None;
    let mut tried = 0;
    for mut case in cases() {
        if NOT_LIVE.contains(&case.name.as_str()) {
            continue;
        }
        let recipe = &mut case.attack.recipe;
        recipe.shift_to(std::time::SystemTime::now());
        let forged = forge(recipe);
        let number = active_before(recipe);
        // Those that need nothing of their own share one sidecar, which outlives them all.
        let shared = number == 1 && Recipe::default().trusts_the_same(recipe);
        let (pod, mut sidecar) = match plain.take().filter(|_| shared) {
            Some(running) => running,
            None => attacked(recipe, forged.keyring),
        };
        pod.put(&forged.archive);
        assert_eq!(sidecar.sync().status, 200);
        let status = sidecar.status();
        let error = last_error(&status);
        let failed = (error["step"].as_u64(), error["code"].as_str());
        let expected = (
            Some(u64::from(case.attack.step)),
            Some(case.attack.code.as_str()),
        );
        assert_eq!(failed, expected, "{}: {status:#}", case.name);
        assert!(
            !error["detail"].as_str().unwrap().is_empty(),
            "{}",
            case.name
        );
        let digest = hex::encode(Sha256::digest(&forged.archive));
        let what = format!("the log line of {}", case.name);
        sidecar.process.wait_for(&what, |process| {
            let mut lines = process.log().into_iter().map(|line| line.to_string());
            lines.find(|line| line.contains(&digest) && line.contains(&case.attack.code))
        });
        assert_eq!(
            sidecar.decide(),
            (number, "one".to_owned()),
            "{}",
            case.name
        );
        if shared {
            plain = Some((pod, sidecar));
        }
        tried += 1;
    }
    assert_eq!(
        tried + NOT_LIVE.len(),
        cases().len(),
        "the list names what is no attack"
    );
}
