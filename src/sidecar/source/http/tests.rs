use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use tokio::runtime::Handle;

use super::*;

/// Answers each connection with the next canned response and hands out what was asked.
fn server(answers: Vec<Vec<u8>>) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                if reader.read_line(&mut request).unwrap() == 0 {
                    break;
                }
            }
            sender.send(request.to_lowercase()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    (address, asked)
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn source(address: SocketAddr) -> HttpSource {
    let client = Client::new(&wire::Settings::default(), &Handle::current()).unwrap();
    HttpSource {
        client,
        url: format!("http://{address}/bundle?secret=1").parse().unwrap(),
        credentials: Credentials::None,
        wait: Duration::from_secs(50),
        takes_deltas: false,
        headers: HeaderMap::new(),
        head_deadline: HEAD_DEADLINE,
        poll: Duration::from_mins(1),
    }
}

async fn fetch(source: &HttpSource, conditions: &Conditions) -> Result<Fetched, FetchError> {
    let download = || Download::into_memory(1000);
    source.fetch(conditions, Wait::Held, download).await
}

#[tokio::test]
async fn asks_conditionally_and_lets_the_source_wait() {
    let (address, asked) = server(vec![answer("304 Not Modified\r\netag: \"mine\"", b"")]);
    let mut conditions = Conditions::default();
    conditions.set_active([1; 32], Some("\"mine\""));
    conditions.add(Some([2; 32]), None);
    let fetched = fetch(&source(address), &conditions).await.unwrap();
    assert!(matches!(
        fetched,
        Fetched::Unchanged {
            confirms_active: true
        }
    ));
    let asked = asked.recv().unwrap();
    assert!(
        asked.starts_with("get /bundle?secret=1 http/1.1\r\n"),
        "{asked}"
    );
    let tags = format!(
        "if-none-match: \"mine\", \"sha256:{}\"\r\n",
        "02".repeat(32)
    );
    assert!(asked.contains(&tags), "{asked}");
    assert!(
        asked.contains("prefer: modes=snapshot;wait=50\r\n"),
        "{asked}"
    );
    assert!(!asked.contains("authorization"), "{asked}");
}

#[tokio::test]
async fn takes_the_digest_that_our_tag_announces() {
    let tag = format!("\"sha256:{}\"", "ab".repeat(32));
    let head = format!("200 OK\r\ncontent-length: 7\r\netag: {tag}");
    let (address, _asked) = server(vec![answer(&head, b"archive")]);
    let fetched = fetch(&source(address), &Conditions::default())
        .await
        .unwrap();
    let Fetched::New(received) = fetched else {
        panic!("{fetched:?}")
    };
    assert_eq!(received.archive.bytes(), b"archive");
    assert_eq!(received.announced, Some([0xab; 32]));
    assert_eq!(received.tag, Some(tag));
}

#[tokio::test]
async fn the_token_is_read_anew_and_never_sent_on_a_redirect() {
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, "first\n").unwrap();
    let (elsewhere, asked_elsewhere) = server(vec![answer("200 OK\r\ncontent-length: 1", b"x")]);
    let redirect = format!("307 Temporary Redirect\r\nlocation: http://{elsewhere}/b");
    let (address, asked) = server(vec![answer(&redirect, b""), answer("403 Forbidden", b"")]);
    let mut source = source(address);
    source.credentials = Credentials::bearer(&token_file);
    fetch(&source, &Conditions::default()).await.unwrap();
    assert!(
        asked
            .recv()
            .unwrap()
            .contains("authorization: bearer first\r\n")
    );
    assert!(!asked_elsewhere.recv().unwrap().contains("authorization"));
    std::fs::write(&token_file, "second").unwrap();
    let refused = fetch(&source, &Conditions::default()).await.unwrap_err();
    assert_eq!(refused.code(), "http_status");
    assert!(
        asked
            .recv()
            .unwrap()
            .contains("authorization: bearer second\r\n")
    );
}

#[tokio::test]
async fn a_token_file_without_a_token_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (address, _asked) = server(vec![]);
    let mut source = source(address);
    source.credentials = Credentials::bearer(dir.path().join("token"));
    let absent = fetch(&source, &Conditions::default()).await.unwrap_err();
    assert_eq!(absent.code(), "token");
    std::fs::write(dir.path().join("token"), " \n").unwrap();
    let empty = fetch(&source, &Conditions::default()).await.unwrap_err();
    assert_eq!(empty.code(), "token");
}

#[tokio::test]
async fn redirects_end() {
    let head = "302 Found\r\nlocation: /again";
    let (address, _asked) = server(vec![answer(head, b""); 4]);
    let refused = fetch(&source(address), &Conditions::default()).await;
    assert_eq!(refused.unwrap_err().code(), "redirect");
}

#[test]
fn a_redirect_never_leaves_tls() {
    let from = Uri::from_static("https://a/b");
    let to = |location: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static(location));
        target(&from, &headers).map(|uri| uri.to_string())
    };
    assert_eq!(to("/c?d").unwrap(), "https://a/c?d");
    assert_eq!(to("https://e/f").unwrap(), "https://e/f");
    assert!(to("http://a/c").is_err());
    assert!(to("").is_err());
}

#[tokio::test]
async fn what_is_too_large_is_refused_announced_or_not() {
    let announced = answer("200 OK\r\ncontent-length: 1001\r\netag: \"t\"", b"");
    let silent = answer("200 OK", &[0; 1001]);
    let (address, _asked) = server(vec![announced, silent]);
    for expected in [Some("\"t\""), None] {
        let refused = fetch(&source(address), &Conditions::default()).await;
        let Err(FetchError::TooLarge { limit, tag, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((limit, tag.as_deref()), (1000, expected));
    }
}

#[tokio::test]
async fn rubbish_truncation_and_nobody_are_told_apart() {
    let rubbish = b"I am not HTTP\r\n\r\n".to_vec();
    let truncated = answer("200 OK\r\ncontent-length: 10", b"half");
    let (address, _asked) = server(vec![rubbish, truncated]);
    for _ in 0..2 {
        let broken = fetch(&source(address), &Conditions::default()).await;
        assert_eq!(broken.unwrap_err().code(), "interrupted");
    }
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = fetch(&source(nobody), &Conditions::default()).await;
    assert_eq!(refused.unwrap_err().code(), "unreachable");
}
