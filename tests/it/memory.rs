//! What data costs in memory: the sidecar's own process, with little data and with three times as much.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;
use lictor::policy::Format;

/// About ten megabytes, and thirty: what every process takes anyway cancels out.
const FEW: usize = 55_000;
const MANY: usize = 165_000;

const POLICY: &str = r#"{"apiVersion": "lictor.dev/v1", "kind": "ValidationPolicy", "metadata": {"name": "roles"},
    "spec": {"type": "TEST", "severity": "high", "validations": [
        {"expression": "'viewer' in data.users[input.user].roles", "message": "no viewer"}]}}"#;

/// Users as a directory exports them: records of one shape, names of their own, repeated teams and roles.
fn users(count: usize) -> String {
    let mut text = String::from("{\"users\":{");
    for index in 0..count {
        let separator = if index == 0 { "" } else { "," };
        write!(
            text,
            "{separator}\"user-{index}\":{{\"id\":\"user-{index}\",\"email\":\"user-{index}@example.com\",\
             \"team\":\"team-{}\",\"roles\":[\"viewer\",\"role-{}\"],\"active\":{},\"country\":\"DE\",\
             \"level\":{},\"manager\":\"user-{}\"}}",
            index % 500,
            index % 7,
            index % 3 == 0,
            index % 9,
            index / 10
        )
        .unwrap();
    }
    text.push_str("}}");
    text
}

/// A line of a sidecar's `/proc/PID/status`, in bytes.
fn memory(sidecar: &Sidecar, line: &str) -> f64 {
    let path = format!("/proc/{}/status", sidecar.process.id());
    let status = std::fs::read_to_string(path).unwrap();
    let found = status.lines().find_map(|it| it.strip_prefix(line));
    let kib = found.and_then(|rest| rest.trim_matches([':', ' ', '\t']).split(' ').next());
    kib.unwrap().parse::<f64>().unwrap() * 1024.0
}

/// A sidecar with this data, which has decided once.
fn start(data: &str) -> Sidecar {
    let pod = Pod::new();
    pod.configure(&json!({"threads": 1}));
    let documents = documents(POLICY, Format::Json);
    let data = [("data.json", data.as_bytes())];
    pod.put(&bundle_of(1, documents, &data, &[&signing_key()]));
    let sidecar = pod.start();
    sidecar.wait_for_number(1);
    let answer = sidecar.post("/v1/validate", r#"{"user": "user-54999"}"#);
    assert_eq!(answer.json()["compliant"], true, "{}", answer.text());
    sidecar
}

#[test]
fn data_is_kept_in_less_than_its_size_and_activated_in_little_more() {
    let (few, many) = (users(FEW), users(MANY));
    let size = (many.len() - few.len()) as f64;
    let (few, many) = (start(&few), start(&many));
    let more = |line| (memory(&many, line) - memory(&few, line)) / size;
    // What is kept is memory of the process; the peak has the mapped archive too.
    let (kept, peak) = (more("RssAnon"), more("VmHWM"));
    println!("of each byte of data {kept:.2} bytes are kept, {peak:.2} taken at the peak");
    assert!(kept <= 1.0, "{kept:.2} times the data are kept");
    assert!(
        peak <= 1.8 * kept,
        "{peak:.2} times the data at the peak, {kept:.2} are kept"
    );
}
