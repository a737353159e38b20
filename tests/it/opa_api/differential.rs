//! The same requests to both, the good and the bad.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::support::outside;

use super::pair::{Ask, Opa, Pair};
use super::requests::{DIFFERENT, Row, SAME};
use super::sidecar;

/// Bodies that are changed in one place each, per seed.
const MUTATIONS: usize = 1500;

fn pair() -> Option<Pair> {
    let opa = outside("opa")?;
    Some(Pair {
        opa: Opa::start(&opa, &[]),
        sidecar: sidecar(&[]),
    })
}

fn ask((method, path, headers, body): &Row) -> Ask<'_> {
    Ask {
        method,
        path,
        headers,
        body: body.as_bytes(),
    }
}

#[test]
fn opa_and_a_sidecar_answer_alike() {
    let Some(pair) = pair() else { return };
    let mut wrong = Vec::new();
    for row in SAME {
        if let Some(difference) = pair.difference(&ask(row)) {
            let (method, path, _, body) = row;
            wrong.push(format!("{method} {path} {body}\n{difference}"));
        }
    }
    for (row, reason) in DIFFERENT {
        if pair.difference(&ask(row)).is_none() {
            wrong.push(format!("{} {}: no longer differs ({reason})", row.0, row.1));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n\n{}",
        wrong.len(),
        SAME.len(),
        wrong.join("\n\n")
    );
}

/// Seeds of bodies. Nothing in them becomes a number with zeros at its end, or deeper than our limit.
const SEEDS: [&str; 6] = [
    r#"{"input": {"user": "alice", "roles": ["admin", "clerk"], "age": 41}}"#,
    r#"{"input": [true, false, null, -7, 1e3, "\u0041\n\"\\"]}"#,
    r#" {"a": {"b": [1, {}]}, "input": "text <&> é"} "#,
    r#"{"input": {}}"#,
    r#"[{"input": 1}]"#,
    r#""input""#,
];

/// One change: a byte lost, doubled, replaced or put in, or the end cut off.
fn mutate(random: &mut StdRng, body: &mut Vec<u8>) {
    const BYTES: &[u8] = b"{}[]\",:\\0123456789-+.eEtfnulrs \n\t\x00\x1f\x7f\x80\xc3\xff'/*";
    let at = random.random_range(0..body.len());
    let byte = BYTES[random.random_range(0..BYTES.len())];
    match random.random_range(0..5) {
        0 => {
            body.remove(at);
        }
        1 => body.insert(at, body[at]),
        2 => body[at] = byte,
        3 => body.insert(at, byte),
        _ => body.truncate(at.max(1)),
    }
}

/// Whether an answer would show a difference that is listed: how a number is written.
fn shows_numbers(body: &[u8]) -> bool {
    body.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
        || body.windows(2).any(|pair| pair == b"-0")
}

#[test]
fn both_say_the_same_of_broken_bodies() {
    let Some(pair) = pair() else { return };
    let mut random = StdRng::seed_from_u64(1822);
    let mut wrong = Vec::new();
    for round in 0..MUTATIONS {
        let mut body = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
        for _ in 0..=round % 3 {
            mutate(&mut random, &mut body);
            if body.is_empty() {
                break;
            }
        }
        if shows_numbers(&body) {
            continue;
        }
        let path = ["/v1/data/shop/echo", "/v0/data/shop/echo"][round % 2];
        let ask = Ask {
            method: "POST",
            path,
            headers: &[],
            body: &body,
        };
        if let Some(difference) = pair.difference(&ask) {
            let body = String::from_utf8_lossy(&body).into_owned();
            wrong.push(format!("{path} {body:?}\n{difference}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {MUTATIONS} differ:\n\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n\n")
    );
}
