//! Policies and versions: the life of a policy, conditions, repeated requests, the originals' vectors.

use serde_json::{Value, json};

use super::plane::{Plane, base64, revision, verified};
use crate::support::run;

/// A validation policy that refuses inputs whose `level` is below `least`.
fn levels(name: &str, least: u32) -> Value {
    json!({
        "apiVersion": "lictor.dev/v1",
        "kind": "ValidationPolicy",
        "metadata": {"name": name},
        "spec": {
            "type": "SECURITY",
            "severity": "high",
            "validations": [{
                "expression": format!("input.level >= {least}"),
                "field": "level",
                "message": format!("level {least} is needed"),
                "remediation": "raise it",
            }],
        },
        "tests": [{
            "name": "the least is enough",
            "input": {"level": least},
            "expect": {"compliant": true},
        }],
    })
}

#[test]
fn a_policy_is_made_activated_published_verified_and_rolled_back() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let created = admin.post(
        "/api/v1/policies",
        &json!({"name": "levels", "description": "d", "content": levels("levels", 1)}),
    );
    assert_eq!(created.status, 200, "{}", created.text());
    let policy = created.json();
    let id = policy["policy_id"].as_str().unwrap().to_owned();
    assert_eq!(policy["id"], policy["policy_id"]);
    assert_eq!(policy["status"], "draft");
    assert_eq!(policy["version"], "1.0.0");
    assert_eq!(policy["decides"], "validation");
    assert_eq!(policy["tenantId"], "acme");
    assert!(policy["createdAt"].as_str().unwrap().ends_with('Z'));
    assert_eq!(revision(&created), 0, "a draft changes no bundle");
    assert_eq!(admin.get("/api/v1/bundles/active").status, 404);

    let first = admin.activate(&id, "1.0.0");
    assert_eq!(first, 1);
    let bundle = admin.bundle(first);
    assert_eq!(
        bundle.header("content-type"),
        "application/vnd.openpolicyagent.bundles"
    );
    let (_, manifest) = verified(&bundle.body, "acme");
    assert_eq!(manifest.policies.len(), 1);
    assert_eq!(manifest.policies[0].version, "1.0.0");
    let archive = plane.file("bundle.tar.gz");
    std::fs::write(&archive, &bundle.body).unwrap();
    run(&[
        "bundle",
        "verify",
        archive.to_str().unwrap(),
        "--keyring",
        plane.file("keyring.yaml").to_str().unwrap(),
        "--tenant",
        "acme",
    ]);

    assert_eq!(
        admin.version(&id, "1.1.0", &levels("levels", 2)).status,
        200
    );
    let second = admin.activate(&id, "1.1.0");
    assert!(second > first);
    let (_, manifest) = verified(&admin.bundle(second).body, "acme");
    assert_eq!(manifest.policies[0].version, "1.1.0");

    let again = admin.put(&format!("/api/v1/policies/{id}/activate?version=1.1.0"));
    assert_eq!(revision(&again), second, "nothing changed, no new number");

    let back = admin.activate(&id, "1.0.0");
    let (_, manifest) = verified(&admin.bundle(back).body, "acme");
    assert_eq!(manifest.policies[0].version, "1.0.0");
    let versions = admin
        .get(&format!("/api/v1/policies/{id}/versions/"))
        .json();
    assert_eq!(versions[0]["status"], "active");
    assert_eq!(versions[1]["status"], "retired");
    assert_eq!(versions[1]["predecessor_version"], "1.0.0");
    let shown = admin.get(&format!("/api/v1/policies/{id}")).json();
    assert_eq!(
        (&shown["status"], &shown["version"]),
        (&json!("active"), &json!("1.0.0"))
    );
    let by_name = admin.get("/api/v1/policies/levels/content");
    assert_eq!(by_name.json(), levels("levels", 1));
}

#[test]
fn a_typo_in_activate_leaves_the_active_version_alone() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let id = admin.create("levels", &levels("levels", 1));
    let number = admin.activate(&id, "1.0.0");
    let answer = admin.put(&format!("/api/v1/policies/{id}/activate?version=9.9.9"));
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert!(answer.json()["detail"].as_str().unwrap().contains("9.9.9"));
    assert_eq!(admin.get("/api/v1/policies/levels/content").status, 200);
    let again = admin.put(&format!("/api/v1/policies/{id}/activate?version=1.0.0"));
    assert_eq!(revision(&again), number);
}

#[test]
fn what_is_there_already_is_answered_or_a_conflict() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let id = admin.create("levels", &levels("levels", 1));
    let taken = admin.post("/api/v1/policies/", &json!({"name": "levels"}));
    assert_eq!(taken.status, 409);
    assert_eq!(taken.json()["error"]["code"], "conflict");
    let first = admin.version(&id, "2.0.0", &levels("levels", 2));
    let same = admin.version(&id, "2.0.0", &levels("levels", 2));
    assert_eq!((first.status, same.status), (200, 200));
    assert_eq!(first.json()["version_id"], same.json()["version_id"]);
    assert_eq!(first.json()["created_at"], same.json()["created_at"]);
    assert_eq!(
        admin.version(&id, "2.0.0", &levels("levels", 3)).status,
        409
    );
    let bumped = admin.post(
        &format!("/api/v1/policies/{id}/versions"),
        &json!({"content": levels("levels", 3)}),
    );
    assert_eq!(bumped.json()["version"], "2.0.1");
    // Another tenant has names of its own.
    let token = plane.token_of("other", &["tenant_admin"]);
    let mut other = plane.client_with(&token);
    other.create("levels", &levels("levels", 1));
    assert_eq!(other.get(&format!("/api/v1/policies/{id}")).status, 404);
}

#[test]
fn both_forms_of_a_write_are_one() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let answer = admin.post("/api/v1/policies/?name=raw&description=x", &json!({"a": 1}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["decides"], "nothing");
    assert_eq!(answer.json()["description"], "x");
    let answer = admin.post(
        "/api/v1/policies",
        &json!({"name": "rules", "rules": [1.0]}),
    );
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let answer = admin.send("PUT", &format!("/api/v1/policies/{id}/activate"), &[], "{}");
    assert_eq!(answer.status, 200);
    assert!(answer.json()["message"].as_str().unwrap().contains("1.0.0"));
    let content = admin.get(&format!("/api/v1/policies/{id}/content"));
    assert_eq!(content.text(), r#"{"rules":[1.0]}"#, "as it was sent");
    let listed = admin.get("/api/v1/policies/?status=active").json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let paged = admin.get("/api/v1/policies?limit=1&offset=1");
    assert_eq!(paged.json()[0]["name"], "rules");
    assert_eq!(paged.header("x-total-count"), "2");
}

#[test]
fn conditions_are_honoured() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let id = admin.create("levels", &levels("levels", 1));
    let path = format!("/api/v1/policies/{id}");
    let tag = admin.get(&path).header("etag").to_owned();
    let activate = format!("{path}/activate?version=1.0.0");
    let stale = admin.send("PUT", &activate, &[("if-match", "\"p999\"")], "");
    assert_eq!(stale.status, 412);
    assert_eq!(stale.json()["code"], "precondition_failed");
    let weak = format!("W/{tag}");
    assert_eq!(
        admin
            .send("PUT", &activate, &[("if-match", &weak)], "")
            .status,
        412
    );
    let list = format!("\"x\", {tag}");
    let done = admin.send("PUT", &activate, &[("if-match", &list)], "");
    assert_eq!(done.status, 200);
    assert_ne!(done.header("etag"), tag);
    assert_eq!(
        admin
            .send("PUT", &activate, &[("if-match", &tag)], "")
            .status,
        412
    );
    assert_eq!(
        admin
            .send("PUT", &activate, &[("if-match", "*")], "")
            .status,
        200
    );
    assert_eq!(
        admin
            .send("PUT", &activate, &[("if-match", "p1")], "")
            .status,
        422
    );
}

#[test]
fn a_repeated_request_is_answered_from_memory() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let body = json!({"name": "levels", "content": levels("levels", 1)}).to_string();
    let key = [("idempotency-key", "\"key-1\"")];
    let first = admin.send("POST", "/api/v1/policies", &key, body.clone());
    let second = admin.send("POST", "/api/v1/policies", &key, body.clone());
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(second.header("x-lictor-revision"), "0");
    let other = admin.send(
        "POST",
        "/api/v1/policies",
        &key,
        body.replace("levels", "l"),
    );
    assert_eq!(other.status, 422);
    assert_eq!(other.json()["code"], "idempotency_key_reused");
    // Another caller's key is another key.
    let token = plane.token_of("other", &["tenant_admin"]);
    let mut stranger = plane.client_with(&token);
    let theirs = stranger.send("POST", "/api/v1/policies", &key, body.clone());
    assert_eq!(theirs.status, 200);
    assert_eq!(theirs.json()["tenantId"], "other");
    // A refusal is remembered as well.
    let key = [("idempotency-key", "key-2")];
    let refused = admin.send("POST", "/api/v1/policies", &key, body.clone());
    let repeated = admin.send("POST", "/api/v1/policies", &key, body);
    assert_eq!((refused.status, repeated.status), (409, 409));
    assert_eq!(repeated.header("idempotency-replayed"), "true");
    for bad in ["", "\"\"", "a\"b"] {
        let key = [("idempotency-key", bad)];
        assert_eq!(
            admin.send("POST", "/api/v1/policies", &key, "{}").status,
            422
        );
    }
}

#[test]
fn of_requests_at_once_with_one_key_one_is_carried_out() {
    let mut plane = Plane::start();
    let clients: Vec<_> = (0..8).map(|_| plane.client("tenant_admin")).collect();
    let body = json!({"name": "levels", "content": levels("levels", 1)}).to_string();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                let body = body.clone();
                scope.spawn(move || {
                    let key = [("idempotency-key", "together")];
                    client.send("POST", "/api/v1/policies", &key, body)
                })
            })
            .collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let fresh = answers
        .iter()
        .filter(|answer| answer.status == 200 && answer.header("idempotency-replayed").is_empty())
        .count();
    assert_eq!(fresh, 1);
    for answer in &answers {
        assert!(
            answer.status == 200 || answer.json()["code"] == "idempotency_in_progress",
            "{}",
            answer.text()
        );
    }
    let listed = plane.client("viewer").get("/api/v1/policies").json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

#[test]
fn a_document_that_does_not_hold_is_refused_with_its_places() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let refused = |answer: crate::support::Answer, word: &str| {
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert_eq!(answer.json()["code"], "policy_invalid");
        let text = answer.json()["errors"].to_string();
        assert!(text.contains(word), "{word} is not in {text}");
    };
    let mut create = |content: Value| {
        admin.post(
            "/api/v1/policies",
            &json!({"name": "levels", "content": content}),
        )
    };
    let mut broken = levels("levels", 1);
    broken["spec"]["validations"][0]["expression"] = json!("input.level >=");
    refused(create(broken), "validations[0].expression");
    let mut unknown = levels("levels", 1);
    unknown["spec"]["severty"] = json!("high");
    refused(create(unknown), "severty");
    let mut failing = levels("levels", 1);
    failing["tests"][0]["expect"]["compliant"] = json!(false);
    refused(create(failing), "the least is enough");
    refused(create(json!({"kind": "ValidationPolice"})), "kind");
    refused(create(levels("other", 1)), "/content/metadata/name");
    let mut status = levels("levels", 1);
    status["metadata"]["status"] = json!("retired");
    refused(create(status), "/content/metadata/status");
    let opaque = json!({"name": "x", "format": "opaque", "content": {"kind": "anything"}});
    assert_eq!(
        admin.post("/api/v1/policies", &opaque).json()["decides"],
        "nothing"
    );
    let mut version = levels("levels", 1);
    let id = admin.create("levels", &version);
    version["metadata"]["version"] = json!("1.2.3");
    refused(
        admin.version(&id, "3.0.0", &version),
        "/content/metadata/version",
    );
    // Two experiments on one policy hold alone, not together.
    for name in ["one", "two"] {
        let experiment = json!({
            "apiVersion": "lictor.dev/v1",
            "kind": "Experiment",
            "metadata": {"name": name},
            "spec": {
                "key": "subject.id",
                "hash": "murmur3",
                "variants": [{"name": "A", "weight": 1}, {"name": "B", "weight": 1}],
                "policies": {"levels": {"A": "1.0.0", "B": "1.1.0"}},
            },
        });
        admin.create(name, &experiment);
    }
    assert_eq!(
        admin.version(&id, "1.1.0", &levels("levels", 2)).status,
        200
    );
    admin.activate(&id, "1.1.0");
    let number = admin.activate(&id, "1.0.0");
    admin.activate("one", "1.0.0");
    let both = admin.put("/api/v1/policies/two/activate?version=1.0.0");
    assert_eq!(both.status, 422, "{}", both.text());
    let now = admin.put("/api/v1/policies/one/activate?version=1.0.0");
    assert_eq!(revision(&now), number + 1, "the refused one took no number");
}

#[test]
fn signatures_and_hashes_are_the_originals() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let answer = admin.post("/api/v1/policies", &json!({"name": "vector"}));
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let seed: Vec<u8> = (0..32).collect();
    let content =
        r#" {"version": "1.0.0", "rules": [{"resource": "documents", "action": "allow"}]}"#;
    let body = format!(
        "{{\"content\":{content},\"version\":\"1.0.0\",\"private_key_b64\":\"{}\",\
         \"public_key_b64\":\"A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\"}}",
        base64(&seed)
    );
    let path = format!("/api/v1/policies/{id}/versions");
    let version = admin.send("POST", &path, &[], body.clone()).json();
    assert_eq!(
        version["content_hash"],
        "400ef7d9c3235ba39a30ae107d9d3d5b3e90e7516addcd689330a8f538b5cec6"
    );
    assert_eq!(
        version["signature"]["signature"],
        "c7g/qsMVdZBQAALkdHGTGT6m1dMY5OnSDeZC3N9cn0ro+Fc2U0XxEjKEYgHcxSu1OvM4HUt3kqJKVpmroAIgCg=="
    );
    assert_eq!(
        version["signature"]["key_fingerprint"],
        "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c"
    );
    let verify = admin.post(
        &format!("/api/v1/policies/{id}/verify?version=1.0.0"),
        &json!({}),
    );
    assert_eq!(
        verify.json(),
        json!({"policy_id": id, "version": "1.0.0", "signature_valid": true})
    );
    let unknown = admin.post("/api/v1/policies/nothing/verify?version=1.0.0", &json!({}));
    assert_eq!(unknown.json()["signature_valid"], false);
    let mismatch = body
        .replace("A6EHv", "B6EHv")
        .replace("1.0.0\",\"private", "1.0.1\",\"private");
    assert_eq!(admin.send("POST", &path, &[], mismatch).status, 400);
}

#[test]
fn an_input_is_evaluated_by_the_active_version() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let id = admin.create("levels", &levels("levels", 2));
    let path = format!("/api/v1/policies/{id}/verify");
    assert_eq!(
        admin.post(&path, &json!({"input": {"level": 1}})).status,
        404
    );
    admin.activate(&id, "1.0.0");
    let refused = admin
        .post(&path, &json!({"input": {"level": 1}, "version": "1.0.0"}))
        .json();
    assert_eq!(
        (&refused["allowed"], &refused["signature_valid"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(refused["reason"], "level 2 is needed");
    assert_eq!(refused["violations"][0]["field"], "level");
    assert_eq!(
        admin.post(&path, &json!({"input": {"level": 2}})).json()["allowed"],
        true
    );
    assert_eq!(admin.post(&path, &json!({})).status, 422);
}

#[test]
fn clients_get_the_version_of_their_group() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let answer = admin.post("/api/v1/policies", &json!({"name": "ab"}));
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let mut make = |version: &str, group: &str| {
        let path = format!("/api/v1/policies/{id}/versions?version={version}{group}");
        assert_eq!(admin.post(&path, &json!({"v": version})).status, 200);
    };
    make("1.0.0", "");
    make("1.1.0", "&ab_test_group=A");
    make("1.2.0", "&ab_test_group=B");
    let content = |client: &mut super::plane::Client, query: &str| {
        let answer = client.get(&format!("/api/v1/policies/ab/content{query}"));
        match answer.status {
            200 => answer.json()["v"].as_str().unwrap().to_owned(),
            status => status.to_string(),
        }
    };
    assert_eq!(content(&mut admin, ""), "404", "nothing is active");
    admin.activate(&id, "1.1.0");
    // The vectors: client-1 is in A, user123 in B.
    assert_eq!(content(&mut admin, "?client_id=client-1"), "1.1.0");
    assert_eq!(
        content(&mut admin, "?client_id=user123"),
        "404",
        "none was retired"
    );
    assert_eq!(content(&mut admin, ""), "1.1.0");
    assert_eq!(content(&mut admin, "?client_id="), "1.1.0");
    admin.activate(&id, "1.0.0");
    assert_eq!(
        content(&mut admin, "?client_id=user123"),
        "1.0.0",
        "no group, no experiment"
    );
    admin.activate(&id, "1.1.0");
    for (client, version) in [
        ("client-1", "1.1.0"),
        ("test-client-123", "1.1.0"),
        ("user123", "1.0.0"),
        ("a", "1.0.0"),
        ("%E6%97%A5%E6%9C%AC", "1.0.0"),
    ] {
        assert_eq!(
            content(&mut admin, &format!("?client_id={client}")),
            version
        );
    }
    let testing = format!("/api/v1/policies/{id}/versions/1.2.0/testing");
    let answer = admin.put(&testing);
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &json!("testing"))
    );
    assert_eq!(content(&mut admin, "?client_id=user123"), "1.2.0");
    let (_, manifest) = verified(&admin.bundle(revision(&answer)).body, "acme");
    let mut inside: Vec<_> = manifest
        .policies
        .iter()
        .map(|entry| (entry.version.as_str(), entry.status.as_str()))
        .collect();
    inside.sort_unstable();
    assert_eq!(
        inside,
        [
            ("1.0.0", "retired"),
            ("1.1.0", "active"),
            ("1.2.0", "testing")
        ]
    );
    let active = format!("/api/v1/policies/{id}/versions/1.1.0/testing");
    assert_eq!(
        admin.put(&active).status,
        409,
        "the active version goes on deciding"
    );
}
