//! A very short run of the real thing: the sidecar, the floor, the generator, the result and its views.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The sidecar that a build of the workspace leaves beside this program.
fn lictor() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("lictor");
    if program.is_file() {
        return Some(program);
    }
    println!("skipped: {} is not built", program.display());
    None
}

fn loadtest(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(arguments)
        .output();
    output.unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_quick_run_measures_reports_resumes_and_compares() {
    let Some(lictor) = lictor() else { return };
    let folder = tempfile::tempdir().unwrap();
    let result = folder.path().join("result.json");
    let (lictor, result) = (lictor.to_str().unwrap(), result.to_str().unwrap());
    let quick = ["--quick", "--lictor", lictor, "--result", result];
    let run = |more: &[&str]| {
        let output = loadtest(&[&["run", "validate"], &quick[..], more].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    };

    let printed = json(&run(&["--output", "json"]));
    let scenario = &printed["scenarios"][0];
    assert_eq!(scenario["rounds"], 2, "{printed:#}");
    for (system, name) in ["floor", "lictor"].iter().enumerate() {
        let system = &scenario["systems"][system];
        assert_eq!(system["name"], **name);
        assert_eq!(system["failures"], 0, "{printed:#}");
    }
    // Two rounds are not ten: nothing is claimed, whatever the machine did.
    let verdicts = printed["verdicts"].as_array().unwrap();
    assert_eq!(verdicts.len(), 3);
    for verdict in verdicts {
        assert_eq!(verdict["outcome"], "not_measurable_here", "{verdict:#}");
    }
    let page = std::fs::read_to_string(printed["page"].as_str().unwrap()).unwrap();
    assert!(page.contains("validation, five default policies") && page.ends_with("</html>\n"));

    let again = String::from_utf8(run(&["--resume"]).stdout).unwrap();
    assert!(again.contains("not measurable here"), "{again}");
    let stored: Value = serde_json::from_slice(&std::fs::read(result).unwrap()).unwrap();
    let rounds = stored["scenarios"][0]["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2, "a complete result needs no further round");

    let compared = json(&loadtest(&["compare", result, result, "--output", "json"]));
    for change in compared.as_array().unwrap() {
        assert_eq!(change["verdict"], "not_comparable");
    }
    let reported = loadtest(&["report", result, "--check"]);
    assert!(
        reported.status.success(),
        "what is not measurable is not missed"
    );
}

#[test]
fn wrong_usage_says_what_is_right() {
    for (arguments, code, said) in [
        (
            &["run", "validte", "--lictor", "/bin/true"][..],
            1,
            "validate",
        ),
        (&["run", "--lictor", "/nowhere"], 1, "cargo build --release"),
        (
            &["run", "--lictor", "/bin/true", "--server-core", "1"],
            1,
            "different cores",
        ),
        (&["run", "--sceonds", "1"], 2, "--seconds"),
        (&["compare", "/nowhere", "/nowhere"], 1, "/nowhere"),
    ] {
        let output = loadtest(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    let help = String::from_utf8(loadtest(&["run", "--help"]).stdout).unwrap();
    assert!(
        help.contains("loadtest run --quick") && help.contains("--resume"),
        "{help}"
    );
}
