//! OPA's hash of a file: structured documents by their value, everything else by its bytes.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::{Digest, json, name};

/// Whether OPA hashes the file's value rather than its bytes. It does so for `data.yaml` too, which
/// no bundle of ours holds: a build turns it into `data.json`.
pub(super) fn structured(file: &str) -> bool {
    matches!(name::base(file), "data.json" | ".manifest")
}

/// SHA-256 of a file by OPA's rules.
pub(super) fn file(name: &str, content: &[u8]) -> Result<Digest, json::JsonError> {
    if !structured(name) {
        return Ok(sha256(content));
    }
    let node = json::parse(content)?;
    let mut hasher = Hasher::default();
    // A hasher takes every byte.
    let _ = node.write(&mut hasher);
    Ok(hasher.finish())
}

/// SHA-256 of bytes.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// SHA-256 of what is written.
#[derive(Clone, Default)]
pub(super) struct Hasher(Sha256);

impl Hasher {
    pub(super) fn finish(self) -> Digest {
        self.0.finalize().into()
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text that is hashed.
    fn canonical(content: &str) -> Vec<u8> {
        let mut out = Vec::new();
        json::parse(content.as_bytes())
            .unwrap()
            .write(&mut out)
            .unwrap();
        out
    }

    #[test]
    fn structured_documents_hash_as_opa_hashes_them() {
        for (content, expected) in [
            (
                "{}",
                "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            ),
            (
                r#"{"b":[true,null,"x"],"a":1}"#,
                "eca8cfb31ab74533e1eb2f4c74d2d55dfe3c79ac704787e54be8647ea7777eb1",
            ),
            (
                r#"{"a":1}"#,
                "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862",
            ),
            (
                r#"{"a":1.0}"#,
                "c29a44abc114a1d75486434c013102c9e736f526b4fd19658d9492b7b224de6d",
            ),
            (
                r#"{"a":1e2}"#,
                "43a058f361d595b0c583bc02ab61c16bb21e776ce5f188398d93bafc89015947",
            ),
            (
                "{\"k\":\"<&>\u{e9}\"}",
                "c4db7895cbf88c18f1cf3fc80c5a65c7ca0bed74d7a8d9c967af9b50a144869b",
            ),
            (
                "{\"k\":\"\u{2028}\"}",
                "a0fbe1b66af39c7d21050c8076ae52c9e1207ea800e4f377bec2800f21ef7bad",
            ),
        ] {
            assert_eq!(
                hex::encode(file("x/data.json", content.as_bytes()).unwrap()),
                expected,
                "{content}"
            );
        }
    }

    #[test]
    fn opas_own_answers() {
        let md5 = |bytes: &[u8]| hex::encode(md5::Md5::digest(bytes));
        let sha512 = |bytes: &[u8]| hex::encode(sha2::Sha512::digest(bytes));
        assert_eq!(
            md5(&canonical(r#"{"revision": "quickbrownfaux"}"#)),
            "a005c38a509dc2d5a7407b9494efb2ad"
        );
        assert_eq!(
            sha512(&canonical("[1,2,3]")),
            "60f7b5dc86ded48785436192a08dbfd04894d7f1b417c4f8d3714679a7f78cb3c833f16a8559a1cf1f32968747dc1d95ef34826263dacf125ded8f5c374be4c0"
        );
        assert_eq!(md5(&canonical("true")), "b326b5062b2f0e69046810717534cb09");
        // `foo: 1` of a data.yaml, as a build turns it into JSON.
        assert_eq!(
            sha512(&canonical(r#"{"foo":1}"#)),
            "20f27a640a233e6524fe7d138898583cd43475724806feb26be7f214e1d10b29edf6a0d3cb08f82107a45686b61b8fdabab6406cf4e70efe134f42238dbd70ab"
        );
        assert_eq!(
            md5(&canonical(r#"{"x": {"y": true}, "a": {"b": {"z": true}}}"#)),
            "36669864a622563256817033b1fc53db"
        );
        assert_eq!(md5(b"package example"), "ceecc199d432a4eeae305914ea4816cb");
    }

    #[test]
    fn only_documents_are_hashed_by_value() {
        let spaced = b"{ \"a\": 1 }";
        for name in ["data.json", "a/data.json", ".manifest"] {
            assert_eq!(
                file(name, spaced).unwrap(),
                file(name, b"{\"a\":1}").unwrap()
            );
        }
        for name in ["a.json", "a/mydata.json", "x.rego"] {
            assert_eq!(file(name, spaced).unwrap(), sha256(spaced));
        }
        assert!(file("data.json", b"{").is_err());
    }
}
