//! The code and the descriptors that are made from `proto/envoy` and `proto/google`, held against what is committed.
//!
//! `LICTOR_WRITE_PROTO=1` writes them instead.

use std::path::Path;

use prost::Message as _;

const PROTO: &str = "envoy/service/auth/v3/external_auth.proto";

#[test]
fn the_committed_code_is_made_from_the_committed_protos() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile([PROTO], [root.join("proto")]).unwrap();
    let made = crate::support::scratch();
    std::fs::write(
        made.path().join("descriptors.binpb"),
        descriptors.encode_to_vec(),
    )
    .unwrap();
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .disable_comments(["."])
        .out_dir(made.path())
        .include_file("mod.rs")
        .compile_fds(descriptors)
        .unwrap();
    let committed = root.join("src/api/ext_authz/proto");
    let write = std::env::var_os("LICTOR_WRITE_PROTO").is_some();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(made.path()).unwrap() {
        let entry = entry.unwrap();
        let new = std::fs::read(entry.path()).unwrap();
        let place = committed.join(entry.file_name());
        if write {
            std::fs::write(&place, &new).unwrap();
        }
        let old = std::fs::read(&place).unwrap_or_default();
        assert!(
            old == new,
            "{} is out of date: run this test with LICTOR_WRITE_PROTO=1",
            place.display()
        );
        names.push(entry.file_name());
    }
    for entry in std::fs::read_dir(&committed).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(names.contains(&name), "{name:?} is made from nothing");
    }
}
