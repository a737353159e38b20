//! The code and the descriptors that are made from `proto/policyengine`, held against what is committed.
//!
//! `LICTOR_WRITE_PROTO=1` writes them instead.

use std::path::Path;

use prost::Message as _;

const PROTO: &str = "policyengine/v1/policy_engine.proto";

#[test]
fn the_committed_code_is_made_from_the_committed_proto() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let described = |source_info| {
        let mut compiler = protox::Compiler::new([root.join("proto")]).unwrap();
        compiler
            .include_imports(true)
            .include_source_info(source_info);
        compiler.open_file(PROTO).unwrap();
        compiler.file_descriptor_set()
    };
    let made = crate::support::scratch();
    tonic_prost_build::configure()
        .build_transport(false)
        .build_server(false)
        .out_dir(made.path())
        .compile_fds(described(true))
        .unwrap();
    let code = std::fs::read(made.path().join("policyengine.v1.rs")).unwrap();
    let write = std::env::var_os("LICTOR_WRITE_PROTO").is_some();
    for (name, new) in [
        ("v1.rs", code),
        ("v1.binpb", described(false).encode_to_vec()),
    ] {
        let place = root.join("src/api/policy_engine").join(name);
        if write {
            std::fs::write(&place, &new).unwrap();
        }
        assert!(
            std::fs::read(&place).unwrap_or_default() == new,
            "{} is out of date: run this test with LICTOR_WRITE_PROTO=1",
            place.display()
        );
    }
}
