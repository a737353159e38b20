//! Decoders of files: bundles, what a registry says of them, what lies in the cache folder.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lictor::bundle::{
    self, Limits, Mark, OpaBundle, OpaKey, OpaTrust, VerifyError, open_opa, overlapping_roots,
    peek, peek_unpacked, verify,
};
use lictor::sidecar::cache::{Cache, MarkFile};
use lictor::snapshot::load::{Options, load};
use lictor::wire::oci::Repository;
use lictor::wire::{Client, Settings};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::attacks::forge::forge;
use crate::attacks::recipe::Recipe;
use crate::opa_bundles::archive;
use crate::support::mutate::hold;
use crate::support::scratch;

/// Nothing but the archive as it was signed is accepted (bytes 4 to 9 of a gzip header are no content).
#[test]
fn bundles() {
    let recipe = Recipe::default();
    let forged = forge(&recipe);
    let other = forge(&Recipe {
        policy: r#"{"apiVersion":"lictor.dev/v1","kind":"AccessPolicy","metadata":{"name":"p"},"spec":{"rules":[]}}"#.into(),
        ..Recipe::default()
    });
    let content = |archive: &[u8]| archive.get(10..).map(<[u8]>::to_vec);
    hold(&[&forged.archive, &other.archive], |archive| {
        let _ = peek(archive, &forged.limits);
        let accepted = verify(archive, &forged.keyring, &forged.expected, &forged.limits);
        let Ok(bundle) = accepted else { return };
        let options = Options {
            archive: forged.limits,
            decision: lictor::engine::Limits::default(),
            hash_files: true,
            now: forged.expected.now,
            source: "mutated".to_owned(),
        };
        if load(&bundle, &options).is_ok() {
            assert_eq!(content(archive), content(&forged.archive));
        }
    });
}

#[test]
fn signatures_and_manifests() {
    let forged = forge(&Recipe::default());
    let member = |bytes: &[u8]| {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut unpacked)
            .unwrap();
        unpacked
    };
    // One file after a header of 512 bytes, its size in octal digits at 124.
    let file = |tar: &[u8]| {
        let digits = std::str::from_utf8(&tar[124..135]).unwrap();
        let size = usize::from_str_radix(digits, 8).unwrap();
        tar[512..512 + size].to_vec()
    };
    let signatures = file(&member(&forged.archive));
    let mut first = flate2::bufread::GzDecoder::new(&forged.archive[..]);
    std::io::copy(&mut first, &mut std::io::sink()).unwrap();
    let manifest = file(&member(first.into_inner()));
    peek_unpacked(&signatures, &manifest).unwrap();
    hold(&[&signatures, &manifest], |text| {
        let _ = peek_unpacked(text, &manifest);
        let _ = peek_unpacked(&signatures, text);
        let files = [(".manifest".to_owned(), text.to_vec())].into();
        let refused =
            bundle::verify_unpacked(&signatures, &files, &forged.keyring, &forged.expected);
        assert!(refused.is_err());
    });
}

fn tar(gz: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(gz)
        .read_to_end(&mut unpacked)
        .unwrap();
    unpacked
}

fn gz(tar: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(tar).unwrap();
    gzip.finish().unwrap()
}

const FILES: [(&str, &str); 4] = [
    (
        ".manifest",
        r#"{"revision":"r","roots":["a","b/c"],"rego_version":1,"file_rego_versions":{"/a/old.rego":0},"metadata":{"x":[1]},"wasm":[]}"#,
    ),
    ("a/data.json", r#"{"x":{"y":[1,2.5,"\u00e9",null]}}"#),
    ("b/c/data.yaml", "x: [1, 2]\ny: &a {z: 1}\nw: *a\n"),
    (
        "a/policy.rego",
        "package a\n\nallow if input.x == data.a.x.y\n",
    ),
];

fn delta() -> Vec<u8> {
    archive(&[
        (".manifest", r#"{"revision":"r2","roots":["a"]}"#),
        (
            "patch.json",
            r#"{"data":[{"op":"upsert","path":"/a/x~1y/~0z","value":{"k":1}},{"op":"remove","path":"/a/b"},{"op":"replace","path":"a/c/-","value":1}]}"#,
        ),
    ])
}

/// Without a signature nothing stops what is inside: every decoder of it is reached.
#[test]
fn opa_bundles() {
    let trust = OpaTrust {
        allow_unsigned: true,
        ..OpaTrust::default()
    };
    let limits = Limits {
        archive_bytes: 1 << 20,
        entries: 64,
        entry_bytes: 1 << 20,
        total_bytes: 1 << 20,
        ..Limits::default()
    };
    let whole = archive(&FILES);
    assert!(open_opa(&whole, None, &trust, &limits).is_ok());
    assert!(open_opa(&delta(), None, &trust, &limits).is_ok());
    let read = |archive: &[u8]| match open_opa(archive, None, &trust, &limits) {
        Ok(OpaBundle::Snapshot(content)) => {
            let size: usize = content.data.iter().map(|(_, text)| text.len()).sum();
            assert!(size as u64 <= 2 * limits.total_bytes);
            let other = ["a".to_owned()];
            let roots = [("one", content.manifest.roots.as_slice()), ("two", &other)].into();
            let _ = overlapping_roots(&roots);
        }
        Ok(OpaBundle::Delta { patches, .. }) => {
            let mut data = json!({"a": {"b": 1, "c": [1]}});
            for patch in &patches {
                let _ = patch.apply(&mut data);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    };
    hold(&[whole.clone(), delta()], read);
    hold(&[tar(&whole), tar(&delta())], |tar| read(&gz(tar)));
}

fn signed() -> Vec<u8> {
    let listed: Vec<_> = FILES
        .iter()
        // The others are hashed by their value, which is not what is tried here.
        .filter(|(name, _)| name.split('.').next_back() == Some("rego"))
        .map(|(name, content)| {
            let hash = hex::encode(Sha256::digest(content));
            json!({"name": name, "hash": hash, "algorithm": "SHA-256"})
        })
        .collect();
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let header = part(json!({"alg": "HS256", "kid": "k"}).to_string());
    let message = format!("{header}.{}", part(json!({ "files": listed }).to_string()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret");
    let tag = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes()));
    let signatures = json!({"signatures": [format!("{message}.{tag}")]}).to_string();
    let mut files = FILES.to_vec();
    files.push((".signatures.json", &signatures));
    archive(&files)
}

/// With a signature nobody gets in a byte of his own.
#[test]
fn signed_opa_bundles() {
    let trust = OpaTrust {
        keys: [(
            "k".to_owned(),
            OpaKey::new("secret", "HS256", None).unwrap(),
        )]
        .into(),
        exclude_files: [".manifest", "a/data.json", "b/c/data.yaml"]
            .map(str::to_owned)
            .to_vec(),
        ..OpaTrust::default()
    };
    let limits = Limits::default();
    let open = |archive: &[u8]| -> Result<OpaBundle, VerifyError> {
        open_opa(archive, None, &trust, &limits)
    };
    let whole = signed();
    assert!(open(&whole).is_ok());
    hold(&[tar(&whole), tar(&archive(&FILES))], |tar| {
        let Ok(OpaBundle::Snapshot(content)) = open(&gz(tar)) else {
            return;
        };
        let modules: Vec<_> = content
            .modules
            .iter()
            .map(|(_, text)| text.as_str())
            .collect();
        assert_eq!(modules, [FILES[3].1]);
    });
}

/// A server that answers everything with these bytes.
fn serving(body: Arc<Mutex<Vec<u8>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let body = body.lock().unwrap().clone();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.oci.image.manifest.v1+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body);
        }
    });
    format!("oci+http://{address}/team/policies:latest")
}

#[test]
fn oci_manifests() {
    lictor::wire::install_provider();
    let digest = format!("sha256:{}", "ab".repeat(32));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": 1234}],
    });
    let body = Arc::new(Mutex::new(Vec::new()));
    let reference: lictor::wire::oci::Reference = serving(Arc::clone(&body)).parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let settings = Settings {
        connect_timeout: Duration::from_secs(5),
        ..Settings::default()
    };
    let client = Client::new(&settings, runtime.handle()).unwrap();
    hold(&[manifest.to_string()], |text| {
        *body.lock().unwrap() = text.to_vec();
        let repository = Repository::new(client.clone(), reference.clone());
        if let Ok(layer) = runtime.block_on(repository.layer(None)) {
            assert!(crate::support::mutate::is_json(text));
            assert_ne!(layer.digest, [0; 32]);
        }
    });
}

#[test]
fn files_of_the_cache() {
    let folder = scratch();
    let dir = folder.path().join("cache");
    let cache = || Cache::new(dir.clone(), "acme".parse().unwrap(), Limits::default());
    cache().prepare().unwrap();
    let mark = json!({"tenant": "acme", "number": 7, "payload": "ab".repeat(32)}).to_string();
    let path = dir.join("acme.mark");
    std::fs::write(&path, &mark).unwrap();
    assert!(matches!(
        cache().mark(),
        MarkFile::Present(Mark { number: 7, .. })
    ));
    hold(&[mark], |text| {
        std::fs::write(&path, text).unwrap();
        match cache().mark() {
            MarkFile::Present(mark) => assert!(mark.number > 0 && mark.tenant.as_str() == "acme"),
            MarkFile::Unreadable(_) => {}
            MarkFile::Absent => panic!("it is there"),
        }
        // A mark that cannot be read never makes a bundle believed that the source did not give.
        assert!(cache().archive().unwrap().is_none());
    });
}
