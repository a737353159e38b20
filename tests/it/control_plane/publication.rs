//! From an activation to the bundle that sidecars fetch: waiting, crashing, racing, issuing anew.

use std::time::{Duration, Instant};

use serde_json::json;

use super::plane::{Changes, Plane, signed, verified};
use crate::support::run;

fn number_of(answer: &crate::support::Answer) -> u64 {
    let revision = answer.header("x-lictor-revision");
    revision.split('-').next().unwrap().parse().unwrap()
}

#[test]
fn a_waiting_sidecar_is_woken_and_one_that_waits_in_vain_is_told() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let mut sidecar = plane.client("sidecar");
    let id = admin.create("p", &json!({"v": 1}));
    let number = admin.activate(&id, "1.0.0");
    let first = sidecar.bundle(number);
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("\"sha256:"));
    let both = format!("\"sha256:0\", W/{tag}");
    let same = [("if-none-match", both.as_str())];
    for path in [
        "/api/v1/policies/bundle",
        "/api/v1/bundles/active/download",
        "/api/v1/bundles/active",
    ] {
        let answer = sidecar.send("GET", path, &same, "");
        assert_eq!(answer.status, 304, "{path}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), tag);
        assert_eq!(sidecar.get(path).header("etag"), tag);
    }
    let began = Instant::now();
    let waiting = [("if-none-match", tag.as_str()), ("prefer", "wait=1")];
    let answer = sidecar.send("GET", "/api/v1/policies/bundle", &waiting, "");
    assert_eq!(answer.status, 304);
    assert!(began.elapsed() >= Duration::from_secs(1));

    let woken = std::thread::scope(|scope| {
        let tag = tag.as_str();
        let waiting = scope.spawn(move || {
            let headers = [
                ("if-none-match", tag),
                ("prefer", "modes=snapshot,delta;wait=60"),
            ];
            sidecar.send("GET", "/api/v1/policies/bundle", &headers, "")
        });
        assert_eq!(admin.version(&id, "2.0.0", &json!({"v": 2})).status, 200);
        let number = admin.activate(&id, "2.0.0");
        let answer = waiting.join().unwrap();
        assert_eq!(number_of(&answer), number);
        answer
    });
    assert_eq!(woken.status, 200);
    assert_ne!(woken.header("etag"), tag);
    verified(&woken.body, "acme");
    let metadata = admin.get("/api/v1/bundles/active").json();
    assert_eq!(metadata["revision"], woken.header("x-lictor-revision"));
    assert_eq!(metadata["publication"]["state"], "done");
    assert_eq!(metadata["size"], woken.body.len());
}

#[test]
fn concurrent_activations_get_growing_numbers_and_every_bundle_verifies() {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 6;
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let ids: Vec<_> = (0..WRITERS)
        .map(|index| {
            let id = admin.create(&format!("p{index}"), &json!({"v": 1}));
            assert_eq!(admin.version(&id, "2.0.0", &json!({"v": 2})).status, 200);
            id
        })
        .collect();
    let clients: Vec<_> = ids.iter().map(|_| plane.client("tenant_admin")).collect();
    let mut watcher = plane.client("sidecar");
    let total = (WRITERS * ROUNDS) as u64;
    let mut numbers = std::thread::scope(|scope| {
        let writers: Vec<_> = clients
            .into_iter()
            .zip(&ids)
            .map(|(mut client, id)| {
                scope.spawn(move || {
                    (0..ROUNDS)
                        .map(|round| {
                            let version = if round % 2 == 0 { "1.0.0" } else { "2.0.0" };
                            client.activate(id, version)
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let watching = scope.spawn(move || {
            let mut seen = 0;
            while seen < total {
                let answer = watcher.bundle(seen + 1);
                let number = number_of(&answer);
                assert!(
                    number > seen,
                    "the pointer went back from {seen} to {number}"
                );
                seen = number;
                let (snapshot, _) = verified(&answer.body, "acme");
                assert_eq!(snapshot.number, number);
            }
        });
        let numbers: Vec<Vec<u64>> = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect();
        watching.join().unwrap();
        numbers
    });
    for one in &numbers {
        assert!(one.windows(2).all(|pair| pair[0] < pair[1]), "{one:?}");
    }
    let mut all: Vec<u64> = numbers.drain(..).flatten().collect();
    all.sort_unstable();
    assert_eq!(
        all,
        (1..=total).collect::<Vec<_>>(),
        "no number twice, none lost"
    );
}

#[test]
fn a_killed_publication_is_finished_after_the_restart() {
    let mut plane = Plane::start();
    let changes = Changes::default();
    let mut admin = plane.client("tenant_admin");
    let id = admin.create("p", &json!({"v": 0}));
    for version in 1..=12 {
        let version = format!("1.0.{version}");
        assert_eq!(
            admin.version(&id, &version, &json!({"v": version})).status,
            200
        );
    }
    let mut interrupted = 0;
    for round in 1..=12_u64 {
        let version = format!("1.0.{round}");
        let mut admin = plane.client("tenant_admin");
        let number = admin.activate(&id, &version);
        // At once, then ever later: before, within and after the publication.
        std::thread::sleep(Duration::from_millis((round - 1) * 2));
        let before = admin.get("/api/v1/bundles/active");
        let served = before.status == 200 && before.json()["number"].as_u64() == Some(number);
        interrupted += u32::from(!served);
        plane.kill_and_restart(&changes);
        let mut sidecar = plane.client("sidecar");
        let bundle = sidecar.bundle(number);
        assert_eq!(number_of(&bundle), number, "the same number, no other");
        let (_, manifest) = verified(&bundle.body, "acme");
        assert_eq!(manifest.policies[0].version, version);
    }
    assert!(interrupted > 0, "no publication was ever interrupted");
}

#[test]
fn bundles_are_issued_anew_before_they_expire_and_for_a_new_key() {
    let changes = Changes {
        lines: "bundle_life: 6s\n".into(),
        second_key: false,
    };
    let mut plane = Plane::start_with(&changes);
    let mut admin = plane.client("tenant_admin");
    let id = admin.create("p", &json!({"v": 1}));
    let number = admin.activate(&id, "1.0.0");
    let first = admin.bundle(number);
    let second = admin.bundle(number + 1);
    let (old, _) = verified(&first.body, "acme");
    let (new, _) = verified(&second.body, "acme");
    let (old, new) = (&signed(&old).claims, &signed(&new).claims);
    assert!(new.issued_at > old.issued_at && new.issued_at < old.expires_at);
    assert_eq!(old.revision.digest, new.revision.digest, "the same content");

    let rotated = Changes {
        second_key: true,
        ..Changes::default()
    };
    plane.kill_and_restart(&rotated);
    let mut sidecar = plane.client("sidecar");
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let answer = sidecar.bundle(number_of(&second) + 1);
        let (snapshot, _) = verified(&answer.body, "acme");
        if signed(&snapshot)
            .signers
            .iter()
            .all(|signer| signer.kid == "k2")
        {
            break;
        }
        assert!(Instant::now() < end, "still signed with the old key");
    }
}

#[test]
fn numbers_can_be_advanced_after_a_restore() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let id = admin.create("p", &json!({"v": 1}));
    let number = admin.activate(&id, "1.0.0");
    admin.bundle(number);
    let config = plane.file("control-plane.yaml");
    let advance = |to: &str| {
        let output = run(&[
            "control-plane",
            "advance-number",
            "--to",
            to,
            "--config",
            config.to_str().unwrap(),
        ]);
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(advance("5000"), "acme: 1 -> 5000\n");
    assert_eq!(advance("10"), "acme: stays at 5000\n");
    let bundle = admin.bundle(5000);
    assert_eq!(number_of(&bundle), 5000);
    verified(&bundle.body, "acme");
    assert_eq!(admin.version(&id, "2.0.0", &json!({"v": 2})).status, 200);
    assert_eq!(admin.activate(&id, "2.0.0"), 5001);
}

#[test]
fn a_publication_that_fails_is_said_and_tried_again() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let id = admin.create("p", &json!({"v": 1}));
    let number = admin.activate(&id, "1.0.0");
    admin.bundle(number);
    // A keyring without the signing key: nothing that is made verifies any more.
    let good = std::fs::read_to_string(plane.file("keyring.yaml")).unwrap();
    std::fs::write(plane.file("keyring.yaml"), good.replace("k1", "other")).unwrap();
    let bad = good.replace("k1", "other");
    assert_ne!(good, bad);
    plane.kill_and_restart(&Changes::default());
    let mut admin = plane.client("tenant_admin");
    assert_eq!(admin.version(&id, "2.0.0", &json!({"v": 2})).status, 200);
    let lost = admin.activate(&id, "2.0.0");
    plane.lictor.wait_for("the failure in the log", |lictor| {
        let said = lictor.stderr().join("\n");
        said.contains("a bundle cannot be published").then_some(())
    });
    // The row is written after the line.
    let metadata = plane.lictor.wait_for("the failure in the store", |_| {
        let metadata = admin.get("/api/v1/bundles/active").json();
        metadata["publication"]["error"]
            .is_string()
            .then_some(metadata)
    });
    assert_eq!(metadata["number"], number, "the pointer did not move");
    assert_eq!(metadata["publication"]["state"], "pending");
    assert!(
        metadata["publication"]["error"]
            .as_str()
            .unwrap()
            .contains("untrusted")
    );
    let health = admin.get("/health/details").json();
    assert_eq!(health["parts"]["publication"]["state"], "failing");
    std::fs::write(plane.file("keyring.yaml"), good).unwrap();
    plane.kill_and_restart(&Changes::default());
    let mut admin = plane.client("tenant_admin");
    assert_eq!(number_of(&admin.bundle(lost)), lost);
}

#[test]
fn the_fleet_is_what_sidecars_report() {
    let mut plane = Plane::start();
    let mut sidecar = plane.client("sidecar");
    let path = "/api/v1/sidecars/pod-1/status";
    for revision in ["1-000000000000", "2-000000000000"] {
        let status = json!({"revision": revision}).to_string();
        assert_eq!(sidecar.send("PUT", path, &[], status).status, 204);
    }
    let token = plane.token_of("other", &["sidecar"]);
    let mut stranger = plane.client_with(&token);
    assert_eq!(stranger.send("PUT", path, &[], "{}").status, 204);
    let fleet = plane.client("viewer").get("/api/v1/sidecars/").json();
    assert_eq!(fleet.as_array().unwrap().len(), 1);
    assert_eq!(fleet[0]["id"], "pod-1");
    assert_eq!(fleet[0]["status"]["revision"], "2-000000000000");
}

#[test]
fn a_shutdown_answers_who_waits_and_ends() {
    let mut plane = Plane::start();
    let mut sidecar = plane.client("sidecar");
    let ended = std::thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            let headers = [("prefer", "wait=60")];
            sidecar.send("GET", "/api/v1/policies/bundle", &headers, "")
        });
        let mut auditor = plane.client("auditor");
        let end = Instant::now() + Duration::from_mins(1);
        while !auditor
            .get("/metrics")
            .text()
            .contains("lictor_control_plane_waiting_sidecars 1")
        {
            assert!(Instant::now() < end, "nobody waits");
        }
        let began = Instant::now();
        plane.lictor.signal("TERM");
        assert_eq!(
            waiting.join().unwrap().status,
            404,
            "there is no bundle yet"
        );
        assert!(plane.lictor.exit().success());
        began.elapsed()
    });
    assert!(ended < Duration::from_secs(20), "{ended:?}");
}
