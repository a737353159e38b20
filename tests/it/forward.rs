//! Forwarding against upstreams that answer, hesitate, break off, and lie.

mod door;
mod upstream;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use lictor::resilience::State;

use crate::support::{Answer, Http};
use door::Door;
use upstream::{Step, Upstream, own_address};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

fn post(door: &Door, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Answer {
    Http::tcp(door.address).send("POST", "/api/v1/policies/", headers, body)
}

fn problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["code"], code);
    assert_eq!(answer.json()["instance"], "/api/v1/policies/");
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind(own_address()).unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn a_write_goes_up_and_its_answer_comes_back_unchanged() {
    let upstream = Upstream::start(vec![Step::Answer(
        "HTTP/1.1 201 Created\r\ncontent-length: 4\r\nx-lictor-revision: 7\r\nkeep-alive: 5\r\n\
         set-cookie: a=1\r\nset-cookie: b=2\r\nconnection: close\r\n\r\nmade",
    )]);
    let door = Door::open(upstream.address, |_| {});
    let headers = [
        ("authorization", "Bearer token"),
        ("content-type", "application/json"),
        ("x-lictor-min-revision", "3"),
        ("x-internal-api-key", "secret"),
        ("forwarded", "for=1.2.3.4"),
        ("x-request-id", "request-1"),
    ];
    let answer =
        Http::tcp(door.address).send("POST", "/api/v1/policies/?dry=1", &headers, r#"{"a":1}"#);
    assert_eq!((answer.status, answer.text().as_str()), (201, "made"));
    assert_eq!(answer.header("x-lictor-revision"), "7");
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    assert!(!answer.headers.contains_key("keep-alive"));

    let received = upstream.received();
    let request = received.first().unwrap();
    assert_eq!(request.line, "POST /api/v1/policies/?dry=1 HTTP/1.1");
    assert_eq!(request.body, br#"{"a":1}"#);
    assert_eq!(request.header("authorization"), Some("Bearer token"));
    assert_eq!(request.header("x-request-id"), Some("request-1"));
    assert_eq!(
        request.header("host"),
        Some(upstream.address.to_string().as_str())
    );
    assert!(request.header("traceparent").is_some());
    assert!(request.header("idempotency-key").is_some());
    for dropped in ["x-lictor-min-revision", "x-internal-api-key", "forwarded"] {
        assert_eq!(request.header(dropped), None, "{dropped}");
    }
}

#[test]
fn a_redirect_is_returned_and_not_followed() {
    let upstream = Upstream::start(vec![Step::Answer(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0\r\n\
         connection: close\r\n\r\n",
    )]);
    let door = Door::open(upstream.address, |_| {});
    let answer = post(&door, &[], "x");
    assert_eq!(answer.status, 307);
    assert_eq!(answer.header("location"), "http://127.0.0.1:1/x");
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn an_upstream_that_is_down_opens_the_breaker_and_one_trial_closes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let open_for = Duration::from_millis(1500);
    let door = Door::open(address, |settings| settings.breaker.open_for = open_for);
    for failures in 1..=5 {
        let answer = post(&door, &[], "x");
        problem(&answer, 503, "upstream_unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(door.breaker().consecutive_failures, failures);
    }
    assert_eq!(door.breaker().state, State::Open);
    let upstream = Upstream::at(address, vec![Step::Answer(OK)]);
    let answer = post(&door, &[], "x");
    problem(&answer, 503, "upstream_unavailable");
    assert_eq!(answer.header("retry-after"), "2");
    assert!(
        upstream.received().is_empty(),
        "an open breaker lets nothing through"
    );
    let metrics = door.metrics();
    let open = "lictor_circuit_breaker_state{breaker=\"control_plane\",state=\"open\"} 1";
    assert!(metrics.contains(open), "{metrics}");

    let end = Instant::now() + Duration::from_secs(20);
    while post(&door, &[], "x").status != 200 {
        assert!(Instant::now() < end, "the trial did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = door.breaker();
    assert_eq!(status.state, State::Closed);
    assert_eq!(status.transitions, [1, 1, 1]);
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn five_bad_gateways_open_the_breaker_and_come_back_unchanged() {
    let bad = |status: u16| {
        let answer =
            format!("HTTP/1.1 {status} x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbad");
        Step::Answer(String::leak(answer))
    };
    let script = [500, 502, 503, 504, 502, 503].map(bad).into();
    let upstream = Upstream::start(script);
    let door = Door::open(upstream.address, |_| {});
    for status in [500, 502, 503, 504, 502, 503] {
        assert_eq!(door.breaker().state, State::Closed);
        let answer = post(&door, &[], "x");
        assert_eq!((answer.status, answer.text().as_str()), (status, "bad"));
    }
    assert_eq!(door.breaker().state, State::Open);
    problem(&post(&door, &[], "x"), 503, "upstream_unavailable");
    assert_eq!(upstream.received().len(), 6);
}

#[test]
fn the_deadline_is_a_gateway_timeout() {
    let upstream = Upstream::start(vec![Step::Hang]);
    let door = Door::open(upstream.address, |settings| {
        settings.deadline = Duration::from_millis(300);
    });
    let answer = post(&door, &[("idempotency-key", "k")], "x");
    problem(&answer, 504, "upstream_timeout");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(door.breaker().consecutive_failures, 1);
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn a_small_write_is_sent_again_under_the_same_key() {
    for broken in [Step::Reset, Step::Close] {
        let upstream = Upstream::start(vec![broken, Step::Answer(OK)]);
        let door = Door::open(upstream.address, |_| {});
        assert_eq!(post(&door, &[], "small").status, 200);
        let received = upstream.received();
        assert_eq!(received.len(), 2);
        assert!(received.iter().all(|request| request.body == b"small"));
        let keys: Vec<_> = received
            .iter()
            .map(|request| request.header("idempotency-key").unwrap())
            .collect();
        assert_eq!(keys.first(), keys.last());
        assert!(
            door.metrics()
                .contains("lictor_forward_retries_total{upstream=\"control_plane\"} 1")
        );
        assert_eq!(door.breaker().consecutive_failures, 0);
    }
}

#[test]
fn what_could_be_done_twice_is_not_sent_twice() {
    let upstream = Upstream::start(vec![Step::Reset, Step::Reset]);
    let door = Door::open(upstream.address, |_| {});
    let large = vec![b'x'; 64 * 1024 + 1];
    problem(
        &post(&door, &[("idempotency-key", "k")], large),
        502,
        "bad_gateway",
    );
    let read = Http::tcp(door.address).get("/api/v1/policies/");
    problem(&read, 502, "bad_gateway");
    assert_eq!(upstream.received().len(), 2);
}

#[test]
fn a_large_body_that_was_never_sent_is_still_whole() {
    let address = nobody();
    let door = Door::open(address, |_| {});
    let body = vec![b'y'; 1024 * 1024];
    let asking = std::thread::spawn({
        let (door, body) = (door.address, body.clone());
        move || Http::tcp(door).send("POST", "/api/v1/x", &[], body).status
    });
    // Between two attempts someone starts to listen.
    let end = Instant::now() + Duration::from_secs(20);
    while door
        .metrics()
        .contains("lictor_forward_retries_total{upstream=\"control_plane\"} 0")
    {
        assert!(Instant::now() < end, "nothing was tried again");
        std::thread::yield_now();
    }
    let upstream = Upstream::at(address, vec![Step::Answer(OK)]);
    let status = asking.join().unwrap();
    let received = upstream.received();
    match status {
        200 => assert_eq!(received.first().unwrap().body, body),
        other => assert_eq!((other, received.len()), (503, 0)),
    }
}

#[test]
fn bodies_are_streamed_both_ways() {
    let upstream = Upstream::start(vec![Step::Echo]);
    let door = Door::open(upstream.address, |_| {});
    let mut caller = TcpStream::connect(door.address).unwrap();
    caller
        .write_all(
            b"POST /api/v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\
              connection: close\r\n\r\n",
        )
        .unwrap();
    let piece = vec![b'z'; 10_000];
    for _ in 0..100 {
        write!(caller, "{:x}\r\n", piece.len()).unwrap();
        caller.write_all(&piece).unwrap();
        caller.write_all(b"\r\n").unwrap();
    }
    caller.write_all(b"0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    caller.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let echoed = String::from_utf8(answer).unwrap().matches('z').count();
    assert_eq!(echoed, 1_000_000);
}

#[test]
fn more_than_the_limit_at_once_is_refused() {
    let upstream = Upstream::start(vec![Step::Hang]);
    let door = Door::open(upstream.address, |settings| settings.in_flight = 1);
    let mut first = TcpStream::connect(door.address).unwrap();
    first
        .write_all(b"POST /api/v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx")
        .unwrap();
    upstream.wait_for(1);
    problem(&post(&door, &[], "x"), 503, "upstream_unavailable");
    assert!(
        door.metrics()
            .contains("lictor_forward_in_flight{upstream=\"control_plane\"} 1")
    );
    drop(first);
    let end = Instant::now() + Duration::from_secs(20);
    while !door
        .metrics()
        .contains("lictor_forward_in_flight{upstream=\"control_plane\"} 0")
    {
        assert!(Instant::now() < end, "the place was not given back");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_slow_caller_is_told_so_and_does_not_count_against_the_upstream() {
    for head in [
        "content-length: 5",
        "content-length: 100000",
        "transfer-encoding: chunked",
    ] {
        let upstream = Upstream::start(vec![Step::Hang]);
        let door = Door::open(upstream.address, |settings| {
            settings.deadline = Duration::from_millis(300);
        });
        let mut caller = TcpStream::connect(door.address).unwrap();
        write!(
            caller,
            "POST /api/v1/policies/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408"), "{head}: {answer}");
        assert!(answer.contains("request_timeout"));
        assert_eq!(door.breaker().consecutive_failures, 0, "{head}");
    }
}

#[test]
fn rubbish_from_the_upstream_is_a_bad_gateway() {
    for rubbish in [
        Step::Answer("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        Step::Answer("HTTP/1.1 200 OK\r\ncontent-le"),
        Step::Answer("HTTP/1.1 99999 x\r\n\r\n"),
        Step::Answer("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"),
        Step::Close,
    ] {
        let upstream = Upstream::start(vec![rubbish.clone(), rubbish.clone(), rubbish.clone()]);
        let door = Door::open(upstream.address, |_| {});
        let answer = post(&door, &[], "x");
        problem(&answer, 502, "bad_gateway");
        assert_eq!(door.breaker().consecutive_failures, 1, "{rubbish:?}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_off_as_whole() {
    let upstream = Upstream::start(vec![Step::Answer(
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nonly this",
    )]);
    let door = Door::open(upstream.address, |_| {});
    let answer = Http::tcp(door.address).try_send("GET", "/api/v1/x", &[], "");
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn a_path_that_leaves_its_folder_is_refused() {
    let upstream = Upstream::start(vec![Step::Answer(OK)]);
    let door = Door::open(upstream.address, |_| {});
    let answer = Http::tcp(door.address).get("/api/v1/%2e%2E/secret");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["code"], "invalid_request");
    assert!(upstream.received().is_empty());
}
