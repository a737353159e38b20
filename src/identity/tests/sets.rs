//! Key sets: what is read of them, and how they are kept fresh.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::jose::Algorithm;

use super::super::jwk::{self, SET_LIMIT};
use super::super::{
    IdentityError, KeySource, SetUrl, Settings, TokenType, TrustedIssuer, Verifier,
};
use super::signer::{ALL, Signer};
use super::{NOW, payload};

fn token(signer: &Signer, kid: &str) -> String {
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": kid});
    signer.token(&header, &payload().to_string())
}

fn settings(keys: KeySource) -> Settings {
    Settings {
        issuers: vec![TrustedIssuer {
            name: "tests".into(),
            audience: vec!["other".into()],
            algorithm: Algorithm::Es256,
            types: vec![TokenType::Jwt],
            keys,
        }],
        clock_skew: 60,
        constitutional_hash: None,
    }
}

#[test]
fn of_a_set_the_keys_of_the_algorithm_are_taken() {
    let set = |keys: Vec<Value>| json!({"keys": keys, "other": 1}).to_string();
    let every: Vec<Value> = ALL
        .into_iter()
        .map(|algorithm| Signer::new(algorithm).jwk(algorithm.as_str()))
        .chain([
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "new", "x": 1}),
        ])
        .collect();
    for algorithm in ALL {
        let keys = jwk::keys(set(every.clone()).as_bytes(), algorithm).unwrap();
        let rsa = matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256);
        assert_eq!(keys.len(), if rsa { 2 } else { 1 }, "{algorithm:?}");
    }
    let good = Signer::new(Algorithm::Es256).jwk("good");
    let with = |name: &str, value: Value| {
        let mut jwk = Signer::new(Algorithm::Es256).jwk("bad");
        jwk[name] = value;
        jwk
    };
    let short = super::signer::encode(&[1; 31]);
    for bad in [
        with("use", json!("enc")),
        with("use", json!("bundle")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("ES384")),
        with("crv", json!("P-384")),
        with("kty", json!("RSA")),
        with("d", json!("AAAA")),
        with("x", json!("!")),
        with("x", json!(short)),
        with("y", json!(7)),
        with("kid", json!(7)),
        json!(7),
        json!({}),
    ] {
        let both = set(vec![bad.clone(), good.clone()]);
        let keys = jwk::keys(both.as_bytes(), Algorithm::Es256).unwrap();
        assert_eq!(keys.len(), 1, "{bad}");
        assert_eq!(keys[0].kid.as_deref(), Some("good"));
        let alone = jwk::keys(set(vec![bad]).as_bytes(), Algorithm::Es256);
        assert!(alone.unwrap_err().to_string().contains("no key for ES256"));
    }
    let weak = json!({"kty": "RSA", "n": super::signer::encode(&[0xff; 128]), "e": "AQAB"});
    let error = jwk::keys(set(vec![weak]).as_bytes(), Algorithm::Rs256).unwrap_err();
    assert!(error.to_string().contains("2048"), "{error}");
}

#[test]
fn a_broken_set_is_refused_whole() {
    let many = json!({"keys": vec![json!({"kty": "oct"}); 65]}).to_string();
    let large = " ".repeat(SET_LIMIT + 1);
    for text in [
        "",
        "{",
        "[]",
        "7",
        r#"{"keys":{}}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":[],"keys":[]}"#,
        "<html>",
        &many,
        &large,
    ] {
        assert!(jwk::keys(text.as_bytes(), Algorithm::Es256).is_err());
    }
}

/// A server of key sets. Answers what it is told to, and counts.
struct Server {
    url: String,
    fetches: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
}

#[derive(Clone)]
enum Answer {
    Body(String),
    Status(&'static str),
    /// The head, then nothing.
    Hang,
    Endless,
}

impl Server {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (fetches, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(answer)));
        let (counter, answers) = (Arc::clone(&fetches), Arc::clone(&answer));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = answers.lock().unwrap().clone();
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    let _ = stream.read(&mut head).await;
                    let head = |status: &str, length: usize| {
                        format!(
                            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nlocation: http://127.0.0.1:1/\r\nconnection: close\r\n\r\n"
                        )
                    };
                    match answer {
                        Answer::Body(body) => {
                            let _ = stream
                                .write_all((head("200 OK", body.len()) + &body).as_bytes())
                                .await;
                        }
                        Answer::Status(status) => {
                            let _ = stream.write_all(head(status, 0).as_bytes()).await;
                        }
                        Answer::Hang => {
                            let _ = stream.write_all(head("200 OK", 10).as_bytes()).await;
                            std::future::pending::<()>().await;
                        }
                        Answer::Endless => {
                            let _ = stream.write_all(head("200 OK", 1 << 40).as_bytes()).await;
                            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
                        }
                    }
                });
            }
        });
        Self {
            url,
            fetches,
            answer,
        }
    }

    fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn source(&self, refresh: Duration, pause: Duration) -> KeySource {
        KeySource::SetUrl(SetUrl {
            url: self.url.parse().unwrap(),
            ca_file: None,
            refresh,
            pause,
        })
    }

    fn verifier(&self, refresh: Duration, pause: Duration) -> Verifier {
        let settings = settings(self.source(refresh, pause));
        Verifier::new(&settings, &tokio::runtime::Handle::current()).unwrap()
    }
}

fn set_of(keys: &[(&Signer, &str)]) -> Answer {
    let keys: Vec<Value> = keys.iter().map(|(signer, kid)| signer.jwk(kid)).collect();
    Answer::Body(json!({"keys": keys}).to_string())
}

/// A metric's line.
fn counted(verifier: &Verifier, line: &str) -> bool {
    let registry = prometheus::Registry::new();
    verifier.register(&registry).unwrap();
    let page = crate::server::telemetry::render(&registry);
    String::from_utf8(page)
        .unwrap()
        .lines()
        .any(|found| found == line)
}

/// As doors verify: once more where newer keys were read.
async fn ask(verifier: &Verifier, token: &str) -> Result<(), IdentityError> {
    match verifier.verify(token, NOW) {
        Err(error) if verifier.refreshed(&error).await => verifier.verify(token, NOW),
        result => result,
    }
    .map(drop)
}

async fn until(what: &str, state: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !state() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn the_first_token_waits_for_the_first_fetch_and_an_unknown_key_for_the_next() {
    let [old, new, forger] = [(); 3].map(|()| Signer::new(Algorithm::Es256));
    let server = Server::start(set_of(&[(&old, "old")])).await;
    let verifier = server.verifier(HOUR, Duration::ZERO);
    let mut local = verifier.local();
    ask(&verifier, &token(&old, "old")).await.unwrap();
    local.verify(token(&old, "old").as_bytes(), NOW).unwrap();
    assert_eq!(server.fetches(), 1);

    server.answer(set_of(&[(&new, "new")]));
    ask(&verifier, &token(&new, "new")).await.unwrap();
    assert_eq!(server.fetches(), 2);

    // What has left the set is not believed any more, remembered or not.
    let gone = Err(IdentityError::UnknownKey { issuer: 0 });
    assert_eq!(
        local.verify(token(&old, "old").as_bytes(), NOW).map(drop),
        gone
    );
    assert_eq!(ask(&verifier, &token(&old, "old")).await, gone);
    // A key's name proves nothing.
    let forged = token(&forger, "new");
    assert_eq!(
        ask(&verifier, &forged).await,
        Err(IdentityError::BadSignature)
    );
}

#[tokio::test]
async fn forgers_cannot_make_us_fetch_at_will() {
    let [known, forger] = [(); 2].map(|()| Signer::new(Algorithm::Es256));
    let server = Server::start(set_of(&[(&known, "known")])).await;
    let verifier = server.verifier(HOUR, HOUR);
    ask(&verifier, &token(&known, "known")).await.unwrap();
    for number in 0..200 {
        let forged = token(&forger, &format!("k{number}"));
        let result = ask(&verifier, &forged).await;
        assert_eq!(result, Err(IdentityError::UnknownKey { issuer: 0 }));
    }
    assert_eq!(server.fetches(), 1);
    let limited = "lictor_identity_key_reads_limited_total{issuer=\"tests\"} 200";
    assert!(counted(&verifier, limited));
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_last_good_keys_in_force() {
    let known = Signer::new(Algorithm::Es256);
    let good = token(&known, "known");
    let server = Server::start(set_of(&[(&known, "known")])).await;
    let verifier = server.verifier(HOUR, Duration::ZERO);
    ask(&verifier, &good).await.unwrap();
    for answer in [
        Answer::Status("500 Internal Server Error"),
        Answer::Status("302 Found"),
        Answer::Status("204 No Content"),
        Answer::Body("<html>".into()),
        Answer::Body(r#"{"keys":[]}"#.into()),
        Answer::Body(json!({"keys": [Signer::new(Algorithm::Es384).jwk("known")]}).to_string()),
        Answer::Endless,
    ] {
        server.answer(answer);
        let before = server.fetches();
        // Wanting a key that is not there fetches.
        assert!(ask(&verifier, &token(&known, "unknown")).await.is_err());
        until("a fetch", || server.fetches() > before).await;
        ask(&verifier, &good).await.unwrap();
    }
    for line in [
        "lictor_identity_keys{issuer=\"tests\"} 1",
        "lictor_identity_key_reads_total{issuer=\"tests\",outcome=\"changed\"} 1",
        "lictor_identity_key_reads_total{issuer=\"tests\",outcome=\"failed\"} 7",
    ] {
        until(line, || counted(&verifier, line)).await;
    }
}

#[tokio::test]
async fn a_slow_server_delays_nobody_whose_key_is_known() {
    let known = Signer::new(Algorithm::Es256);
    let server = Server::start(set_of(&[(&known, "known")])).await;
    let verifier = server.verifier(HOUR, Duration::ZERO);
    ask(&verifier, &token(&known, "known")).await.unwrap();
    server.answer(Answer::Hang);
    let forged = token(&known, "unknown");
    let began = Instant::now();
    let (waited, ()) = tokio::join!(ask(&verifier, &forged), async {
        until("a fetch", || server.fetches() == 2).await;
        for _ in 0..100 {
            verifier.verify(&token(&known, "known"), NOW).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(5));
    });
    assert_eq!(waited, Err(IdentityError::UnknownKey { issuer: 0 }));
    assert!(began.elapsed() < Duration::from_secs(9));
}

#[tokio::test]
async fn a_set_that_was_never_fetched_is_fetched_again_and_again() {
    let known = Signer::new(Algorithm::Es256);
    let good = token(&known, "known");
    let server = Server::start(Answer::Status("503 Service Unavailable")).await;
    let verifier = server.verifier(HOUR, HOUR);
    let none = Err(IdentityError::NoKeysYet { issuer: 0 });
    assert_eq!(ask(&verifier, &good).await, none);
    server.answer(set_of(&[(&known, "known")]));
    until("the keys", || verifier.verify(&good, NOW).is_ok()).await;
}

#[tokio::test]
async fn a_set_is_fetched_on_schedule() {
    let [old, new] = [(); 2].map(|()| Signer::new(Algorithm::Es256));
    let server = Server::start(set_of(&[(&old, "old")])).await;
    let verifier = server.verifier(Duration::from_millis(20), HOUR);
    ask(&verifier, &token(&old, "old")).await.unwrap();
    server.answer(set_of(&[(&new, "new")]));
    let old = token(&old, "old");
    until("the old key's end", || verifier.verify(&old, NOW).is_err()).await;
    drop(verifier);
    let after = server.fetches();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // One may have been under way.
    assert!(
        server.fetches() <= after + 1,
        "a dropped verifier fetches no more"
    );
}

#[tokio::test]
async fn files_of_keys_are_read_again_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let [old, new] = [(); 2].map(|()| Signer::new(Algorithm::Es256));
    let set = |signer: &Signer| json!({"keys": [signer.jwk("k")]}).to_string();
    let handle = tokio::runtime::Handle::current();
    for (source, texts) in [
        (KeySource::SetFile(path.clone()), [set(&old), set(&new)]),
        (KeySource::File(path.clone()), [old.pem(), new.pem()]),
    ] {
        let [first, second] = texts;
        std::fs::write(&path, first).unwrap();
        let verifier = Verifier::new(&settings(source.clone()), &handle).unwrap();
        verifier.verify(&token(&old, "k"), NOW).unwrap();
        // What is broken changes nothing; what is whole does.
        std::fs::write(&path, "broken").unwrap();
        assert!(
            Verifier::new(&settings(source), &handle).is_err(),
            "at start"
        );
        tokio::time::sleep(Duration::from_millis(1500)).await;
        verifier.verify(&token(&old, "k"), NOW).unwrap();
        std::fs::write(&path, second).unwrap();
        let new = token(&new, "k");
        until("the new key", || verifier.verify(&new, NOW).is_ok()).await;
        let error = verifier.verify(&token(&old, "k"), NOW).unwrap_err();
        assert_eq!(error, IdentityError::BadSignature);
    }
}
