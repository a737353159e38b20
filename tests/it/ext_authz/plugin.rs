//! The configuration of OPA's Envoy plugin, given as it is.

use serde_json::json;

use super::{cases, check, http, request};
use crate::support::bundle::{bundle_of, signing_key};
use crate::support::grpc::Grpc;
use crate::support::pod::Pod;

const REGO: &[u8] = b"package shop

allow := input.parsed_body.author == \"John\"
";

#[test]
fn what_opas_plugin_was_told_holds_here() {
    let pod = Pod::new();
    pod.configure(&json!({"listeners": {
        "http": {"address": "127.0.0.1:0"},
        "admin": {"address": "127.0.0.1:0"},
    }}));
    pod.put_at("books.pb", &cases::descriptors());
    let file = json!({"plugins": {"envoy_ext_authz_grpc": {
        "addr": "grpc://127.0.0.1:0",
        "query": "data.shop.allow",
        "proto-descriptor": pod.path("books.pb"),
        "enable-performance-metrics": true,
    }}});
    pod.put_at("opa.yaml", file.to_string().as_bytes());
    let files = [("shop.rego", REGO)];
    pod.put(&bundle_of(1, Vec::new(), &files, &[&signing_key()]));
    let mut command = pod.command();
    command.arg("--opa-config").arg(pod.path("opa.yaml"));
    let mut sidecar = pod.spawn(&mut command);
    sidecar.wait_ready();
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let headers = [("content-type".to_owned(), "application/grpc".to_owned())];
    for (author, code) in [("John", 0), ("Jane", 7)] {
        let path = "/com.book.BookService/GetBooksViaAuthor";
        let mut asked = request("POST", path, &headers);
        let mut body = b"\0\0\0\0\x06\x0a\x04".to_vec();
        body.extend_from_slice(author.as_bytes());
        http(&mut asked).raw_body = body;
        let answer = check(&mut grpc, &asked).unwrap();
        assert_eq!(answer.status.unwrap().code, code, "{author}");
    }
    // The plugin describes itself only where it is told to.
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    assert_eq!(grpc.call(reflection, b"\x3a\x00").code, 12);
    let named = sidecar.process.stderr().join("\n");
    assert!(named.contains("enable-performance-metrics"), "{named}");
}

#[test]
fn a_descriptor_that_is_none_keeps_the_sidecar_from_starting() {
    let pod = Pod::new();
    let path = pod.path("broken.pb").display().to_string();
    pod.configure(&json!({"ext_authz": {"proto_descriptor": path}}));
    for (bytes, said) in [
        (None, "No such file"),
        (Some(&b"\xff\xff"[..]), "FileDescriptorSet"),
        (Some(b""), "describes no service"),
    ] {
        if let Some(bytes) = bytes {
            pod.put_at("broken.pb", bytes);
        }
        let output = pod.command().output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            error.contains("ext_authz.proto_descriptor") && error.contains(said),
            "{said}: {error}"
        );
    }
}
