//! The main job: `lictor up`, and the commands that its banner shows, pasted into a shell.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Http, Lictor, lictor, scratch};

/// A running `up` whose banner is complete.
struct Up {
    process: Lictor,
    banner: Vec<String>,
}

impl Up {
    fn start(folder: Option<&Path>) -> Self {
        let mut command = lictor();
        command.args(["up", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.args(["--engine", "127.0.0.1:0"]);
        command.args(["--grpc", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        if let Some(folder) = folder {
            command.arg("--data-dir").arg(folder);
        }
        let mut process = Lictor::spawn(&mut command);
        let banner = process.wait_for("the whole banner", |process| {
            let lines = process.stdout();
            // The question is asked once on its own and once after the new version.
            let asked = |line: &String| line.contains("/access/v1/evaluation");
            (lines.iter().filter(|line| asked(line)).count() == 2).then_some(lines)
        });
        Self { process, banner }
    }

    /// What stands behind a word in the banner's comments.
    fn fact(&self, word: &str) -> String {
        self.banner
            .iter()
            .filter_map(|line| line.strip_prefix("#   ")?.strip_prefix(word))
            .map(|rest| rest.split_whitespace().next().unwrap().to_owned())
            .next()
            .unwrap_or_else(|| panic!("no `{word}` in {:#?}", self.banner))
    }

    fn number(&self) -> u64 {
        let revision = self.fact("revision");
        revision.split_once('-').unwrap().0.parse().unwrap()
    }

    /// Pastes the banner whole into a shell; the lines that the commands printed.
    fn paste(&self) -> Vec<serde_json::Value> {
        let output = Command::new("sh")
            .arg("-eu")
            .arg("-c")
            .arg(self.banner.join("\n"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout.clone())
            .unwrap()
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}: {}", text(&output)))
            })
            .collect()
    }

    fn interrupt(mut self) {
        self.process.signal("INT");
        let status = self.process.exit();
        assert_eq!(status.code(), Some(0), "{:?}", self.process.stderr());
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_commands_of_the_banner_work_as_it_says() {
    let up = Up::start(None);
    let folder = up.fact("data");
    assert!(Path::new(&folder).is_dir());
    let printed = up.paste();
    let [validation, before, version, after] = printed.as_slice() else {
        panic!("{printed:#?}");
    };
    assert_eq!(validation["compliant"], false, "{validation:#}");
    assert_eq!(validation["metadata"]["policies_evaluated"], 5);
    assert_eq!(validation["violations"][0]["field"], "endpoint.url");
    assert_eq!(validation["revision"], up.fact("revision").as_str());
    assert_eq!(before["decision"], false, "{before:#}");
    assert_eq!(version["version"], "1.1.0", "{version:#}");
    assert_eq!(after["decision"], true, "{after:#}");
    let revision = after["context"]["revision"].as_str().unwrap();
    let number: u64 = revision.split_once('-').unwrap().0.parse().unwrap();
    assert!(number > up.number());

    let log = up.process.stderr().join("\n");
    let token = up.banner.iter().find(|line| line.starts_with("export"));
    let token = token.unwrap().split_once('=').unwrap().1;
    assert!(!log.contains(token), "the token is in the log");
    up.interrupt();
    assert!(!Path::new(&folder).exists(), "the folder stayed");
}

#[test]
fn a_second_run_keeps_keys_and_numbers_and_a_second_process_is_refused() {
    let scratch = scratch();
    let folder = scratch.path().join("data");
    let first = Up::start(Some(&folder));
    let keyring = std::fs::read(folder.join("keyring.yaml")).unwrap();
    let refused = lictor()
        .args(["up", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .args(["--engine", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
        .args(["--admin", "127.0.0.1:0", "--data-dir"])
        .arg(&folder)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("another `lictor up`"));
    first.paste();
    let number = first.number();
    first.interrupt();

    let second = Up::start(Some(&folder));
    assert_eq!(std::fs::read(folder.join("keyring.yaml")).unwrap(), keyring);
    assert!(second.number() > number, "the new version was forgotten");
    let printed = second.paste();
    assert_eq!(printed[1]["decision"], true, "{printed:#?}");
    second.interrupt();
}

#[test]
fn a_busy_port_is_named_with_the_flag_that_changes_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--engine", "--http", "--grpc", "--admin"] {
        let mut command = lictor();
        command.arg("up");
        for other in ["--listen", "--engine", "--http", "--grpc", "--admin"] {
            let free = if other == flag {
                &address
            } else {
                "127.0.0.1:0"
            };
            command.args([other, free]);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output);
        assert!(said.contains(&address) && said.contains(flag), "{said}");
    }
}

#[test]
fn the_programs_beside_each_other_refuse_what_is_not_theirs() {
    let up = Up::start(None);
    let address = |word: &str| up.fact(word).trim_start_matches("http://").parse().unwrap();
    let mut control_plane = Http::tcp(address("control plane"));
    assert_eq!(control_plane.get("/api/v1/policies/").status, 401);
    let mut sidecar = Http::tcp(address("sidecar"));
    assert_eq!(sidecar.get("/api/v1/policies/").status, 401);
    let forged = [
        ("authorization", "Bearer a.b.c"),
        ("content-type", "application/json"),
    ];
    let answer = sidecar.send("POST", "/v1/validate", &forged, "{}");
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(sidecar.get("/nonsense").status, 404);
    up.interrupt();
}
