//! Every decoder of bytes from outside, and the property over mutated examples that holds it.
//!
//! No decoder may panic, take long, or accept what a reference refuses. The table below names for each kind of input
//! the files that read it and the properties; tests hold it complete: a file that calls a parser and is in no row is
//! an error, and so is a row whose property does not exist. `LICTOR_FUZZ_CASES` says how many cases each runs.

mod archives;
mod doors;
mod text;

use std::collections::BTreeSet;
use std::path::Path;

/// Input, the files that read it, the properties that hold them.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const TABLE: &[Row] = &[
    (
        "inputs of decisions (JSON)",
        &[
            "engine/input/scan.rs",
            "engine/program/members.rs",
            "engine/program/consumption.rs",
        ],
        &[
            "tests/it/decoders/text.rs: inputs_of_decisions",
            "tests/it/decoders/doors.rs: bodies_of_the_main_listener",
        ],
    ),
    (
        "AuthZEN bodies, tokens of pages",
        &["api/authzen.rs", "api/authzen/search.rs"],
        &[
            "tests/it/decoders/text.rs: authzen_bodies",
            "tests/it/decoders/doors.rs: bodies_of_the_main_listener",
        ],
    ),
    (
        "OFREP contexts and keys",
        &["api/ofrep.rs", "sidecar/http/ofrep.rs"],
        &[
            "tests/it/decoders/text.rs: ofrep_contexts",
            "tests/it/decoders/doors.rs: bodies_of_the_main_listener",
        ],
    ),
    (
        "OPA's bodies, parameters, queries, gzip",
        &[
            "api/opa/scan.rs",
            "engine/rego/json/read.rs",
            "sidecar/opa/body.rs",
            "sidecar/opa/parameters.rs",
        ],
        &[
            "tests/it/decoders/text.rs: documents_for_rego",
            "tests/it/decoders/doors.rs: bodies_of_opas_api",
            "tests/it/decoders/doors.rs: gzip_bodies",
            "tests/it/decoders/doors.rs: request_lines_and_headers",
        ],
    ),
    (
        "Envoy's CheckRequest (protobuf) and the request in it: path, query, headers, body",
        &[
            "api/protobuf/read.rs",
            "api/ext_authz/request.rs",
            "sidecar/ext_authz/input.rs",
            "sidecar/ext_authz/multipart.rs",
            "sidecar/ext_authz/native.rs",
            "sidecar/ext_authz/rego.rs",
            "sidecar/grpc/ext_authz.rs",
            "engine/canonical_request.rs",
        ],
        &[
            "src/api/ext_authz/tests.rs: mutated_messages_are_read_as_the_generated_code_reads_them",
            "tests/it/decoders/doors.rs: messages_of_the_grpc_listener",
            "tests/it/decoders/text.rs: paths_and_hosts",
            "tests/it/decoders/doors.rs: request_lines_and_headers",
        ],
    ),
    (
        "calls in Envoy's CheckRequest, by descriptors; descriptors",
        &["sidecar/ext_authz/grpc_body.rs", "api/protobuf/json.rs"],
        &[
            "src/sidecar/ext_authz/grpc_body.rs: mutated_calls_become_json_or_errors",
            "src/sidecar/ext_authz/grpc_body.rs: mutated_descriptors_are_services_or_errors",
            "src/api/protobuf/json.rs: mutated_messages_become_json",
        ],
    ),
    (
        "policy engine messages (protobuf)",
        &[
            "sidecar/grpc/policy_engine/input.rs",
            "control_plane/grpc/policies.rs",
            "server/grpc/reply.rs",
        ],
        &[
            "tests/it/decoders/doors.rs: messages_of_the_grpc_listener",
            "tests/it/decoders/doors.rs: messages_of_the_control_plane",
        ],
    ),
    (
        "JSON calls of the policy engine's clients",
        &["sidecar/http/facade.rs"],
        &[
            "tests/it/decoders/doors.rs: bodies_of_the_main_listener",
            "tests/it/decoders/doors.rs: request_lines_and_headers",
        ],
    ),
    (
        "filter, order and pages of ListPolicies",
        &[
            "control_plane/grpc/list.rs",
            "control_plane/grpc/list/filter.rs",
            "control_plane/grpc/list/order.rs",
        ],
        &["tests/it/decoders/doors.rs: lists_of_the_control_plane"],
    ),
    (
        "bodies and parameters of the control plane",
        &[
            "control_plane/http/incoming.rs",
            "control_plane/http/shape.rs",
            "control_plane/http/sidecars.rs",
            "control_plane/http/write.rs",
            "control_plane/registry/content.rs",
            "control_plane/registry/prepare.rs",
            "control_plane/registry/signature.rs",
        ],
        &["tests/it/decoders/doors.rs: bodies_of_the_control_plane"],
    ),
    (
        "request lines, headers, query strings",
        &[
            "sidecar/http/content.rs",
            "spans/context.rs",
            "model/revision.rs",
        ],
        &[
            "tests/it/decoders/doors.rs: request_lines_and_headers",
            "tests/it/decoders/text.rs: trace_contexts_and_revisions",
        ],
    ),
    (
        "tokens",
        &[
            "identity/jws.rs",
            "identity/claims.rs",
            "engine/rego/builtins/jwt.rs",
        ],
        &[
            "src/identity/tests/forged.rs: a_token_that_was_changed_in_any_way_is_refused",
            "src/identity/tests/forged.rs: anything_at_all_is_refused_without_a_panic",
            "tests/it/decoders/text.rs: tokens_that_rego_reads",
        ],
    ),
    (
        "key sets and keys",
        &[
            "identity/jwk.rs",
            "jose.rs",
            "bundle/key.rs",
            "engine/rego/builtins/jwt/key.rs",
        ],
        &[
            "tests/it/decoders/text.rs: keys_and_key_sets",
            "src/engine/rego/builtins/jwt/key.rs: mutated_keys_verify_nothing",
        ],
    ),
    (
        "bundles: archive, signatures, manifest, keyring",
        &[
            "bundle/gzip.rs",
            "bundle/ustar.rs",
            "bundle/json.rs",
            "bundle/manifest.rs",
            "bundle/signatures.rs",
            "bundle/verify.rs",
            "bundle/verify/pass.rs",
            "bundle/keyring/file.rs",
            "snapshot/load/gather.rs",
        ],
        &[
            "tests/it/decoders/archives.rs: bundles",
            "tests/it/decoders/archives.rs: signatures_and_manifests",
            "tests/it/decoders/text.rs: keyrings_and_json_files",
        ],
    ),
    (
        "OPA bundles: archive, signatures, manifest, patches, data",
        &[
            "bundle/opa/archive.rs",
            "bundle/opa/delta.rs",
            "bundle/opa/manifest.rs",
            "bundle/opa/signature.rs",
            "snapshot/load/generation.rs",
        ],
        &[
            "tests/it/decoders/archives.rs: opa_bundles",
            "tests/it/decoders/archives.rs: signed_opa_bundles",
        ],
    ),
    (
        "policies (YAML and JSON), their decision tests",
        &[
            "policy/yaml.rs",
            "policy/json.rs",
            "policy/decode.rs",
            "engine/program/written_request.rs",
        ],
        &["tests/it/decoders/text.rs: policies"],
    ),
    (
        "expressions",
        &["engine/expression/parse.rs"],
        &["tests/it/decoders/text.rs: expressions"],
    ),
    (
        "Rego modules",
        &["engine/rego/compile.rs"],
        &["tests/it/decoders/text.rs: rego_modules"],
    ),
    (
        "data documents",
        &["engine/data/reader.rs"],
        &["tests/it/decoders/text.rs: data_documents"],
    ),
    (
        "configuration files, ours and OPA's",
        &[
            "server/settings/yaml.rs",
            "sidecar/config/opa.rs",
            "sidecar/settings/bundles.rs",
        ],
        &[
            "tests/it/decoders/text.rs: configuration_files",
            "src/sidecar/settings/bundles.rs: mutated_configurations_become_settings_or_errors",
        ],
    ),
    (
        "discovered configurations",
        &["sidecar/config/opa/discovered.rs", "sidecar/discovery.rs"],
        &[
            "src/sidecar/config/opa/discovered.rs: mutated_documents_change_nothing_that_they_were_fetched_with",
            "tests/it/decoders/text.rs: documents_for_rego",
        ],
    ),
    (
        "answers of token endpoints",
        &["sidecar/credentials/oauth2.rs"],
        &["src/sidecar/credentials/oauth2.rs: mutated_answers_are_tokens_or_errors"],
    ),
    (
        "OCI manifests",
        &["wire/oci.rs"],
        &["tests/it/decoders/archives.rs: oci_manifests"],
    ),
    (
        "the cache folder",
        &["sidecar/cache.rs"],
        &["tests/it/decoders/archives.rs: files_of_the_cache"],
    ),
    (
        "the decision log's spool, records and policies over events",
        &[
            "sidecar/decision_log/spool.rs",
            "sidecar/decision_log/event.rs",
            "sidecar/decision_log/mask.rs",
            "decision_log/record.rs",
        ],
        &[
            "tests/it/decoders/doors.rs: files_of_the_spool",
            "src/decision_log/tests.rs: every_record_comes_back_as_it_was",
        ],
    ),
];

/// Files that call a parser on bytes that this program wrote itself, or that its user typed.
const OURS: &[(&str, &str)] = &[
    ("cli/policy/coverage.rs", "documents that were checked"),
    (
        "cli/policy/eval.rs",
        "what its user typed; decides through the same engine",
    ),
    ("cli/up/halves.rs", "answers of its own control plane"),
    ("cli/up/registry.rs", "policies of this program"),
    (
        "control_plane/http/refusal.rs",
        "problem documents of this program",
    ),
    (
        "control_plane/http/view.rs",
        "rows of the store, checked when they were written",
    ),
    (
        "control_plane/store/record.rs",
        "rows of the store, checked when they were written",
    ),
];

/// What a parser's call looks like.
const PARSERS: [&str; 9] = [
    "::from_slice",
    "serde_json::from_str",
    "::from_reader",
    "GzDecoder",
    "percent_decode",
    "granit_parser",
    "tar::Archive",
    ".decode(",
    "::decode(",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let name = path.strip_prefix(root().join("src")).unwrap();
            found.push(name.to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn every_file_that_calls_a_parser_is_in_the_table() {
    let named: BTreeSet<&str> = TABLE
        .iter()
        .flat_map(|(_, files, _)| files.iter().copied())
        .chain(OURS.iter().map(|(file, _)| *file))
        .collect();
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let is_test = |name: &str| {
        name.ends_with("tests.rs")
            || name.contains("/tests/")
            || name.contains("/proto/")
            || name.split('.').next_back() != Some("rs")
    };
    let mut missing = Vec::new();
    for name in files.iter().filter(|name| !is_test(name)) {
        let text = std::fs::read_to_string(root().join("src").join(name)).unwrap();
        let production = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let parses = PARSERS.iter().any(|parser| production.contains(parser));
        if parses && !named.contains(name.as_str()) {
            missing.push(name);
        }
    }
    assert!(
        missing.is_empty(),
        "read bytes and are in no row: {missing:?}"
    );
    let gone: Vec<_> = named
        .iter()
        .filter(|name| !root().join("src").join(name).is_file())
        .collect();
    assert!(gone.is_empty(), "are in a row and not there: {gone:?}");
}

#[test]
fn every_row_has_a_property_that_exists() {
    for (input, files, properties) in TABLE {
        assert!(!files.is_empty() && !properties.is_empty(), "{input}");
        for property in *properties {
            let (file, name) = property.split_once(": ").unwrap();
            let text = std::fs::read_to_string(root().join(file)).unwrap();
            assert!(
                text.contains(&format!("fn {name}(")),
                "{input}: {property} is not there"
            );
        }
    }
}
