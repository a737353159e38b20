//! Bodies of gRPC calls, read by the descriptors that the operator gives: what OPA's Envoy plugin makes of them.

use std::panic::catch_unwind;
use std::path::Path;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use crate::api::protobuf::message_json;

use super::input::{Body, Unparsable};

/// Bytes of a file of descriptors.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// In front of every message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The services whose calls can be read: a `FileDescriptorSet`, as `protoc --descriptor_set_out --include_imports`
/// writes it.
#[derive(Clone, Debug)]
pub(super) struct Descriptors(DescriptorPool);

impl Descriptors {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let size = std::fs::metadata(path)
            .map_err(|error| error.to_string())?
            .len();
        if size > MAX_FILE_BYTES {
            return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
        }
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        // The library's decoder panics on some descriptors, where it would say which file an error is in.
        let pool = catch_unwind(|| DescriptorPool::decode(bytes.as_slice()))
            .map_err(|_panic| "it is no set of descriptors".to_owned())?
            .map_err(|error| error.to_string())?;
        if pool.services().len() == 0 {
            return Err("it describes no service".to_owned());
        }
        Ok(Self(pool))
    }

    /// The first message of a call of `/service/method`; `path` has its leading slashes trimmed.
    pub(super) fn body(&self, path: &str, bytes: &[u8]) -> Result<Body<'static>, Unparsable> {
        let Some((service, method)) = path
            .split_once('/')
            .filter(|(_, method)| !method.contains('/'))
        else {
            return Err(Unparsable("invalid parsed path".to_owned()));
        };
        let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
            return Err(Unparsable("less than 5 bytes".to_owned()));
        };
        let [compressed, length @ ..] = *prefix;
        if compressed != 0 {
            return Ok(Body::Absent);
        }
        let length = u32::from_be_bytes(length);
        let Some(message) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length))
        else {
            return Ok(Body::Truncated);
        };
        let Some(descriptor) = self.request(service, method) else {
            return Ok(Body::Absent);
        };
        let unreadable = |error: String| Unparsable(format!("invalid gRPC body: {error}"));
        let message = DynamicMessage::decode(descriptor, message)
            .map_err(|error| unreadable(error.to_string()))?;
        let mut out = Vec::new();
        message_json(&mut out, &message).map_err(|error| unreadable(error.to_string()))?;
        Ok(Body::Json(out.into()))
    }

    /// What a method takes; None where it is not known, or takes a stream.
    fn request(&self, service: &str, method: &str) -> Option<MessageDescriptor> {
        let service = self.0.get_service_by_name(service)?;
        let method = service
            .methods()
            .find(|candidate| candidate.name() == method)?;
        (!method.is_client_streaming()).then(|| method.input())
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::mutate::{hold, is_json};

    fn descriptors() -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/ext_authz");
        let files = protox::compile(["books.proto"], [folder]).unwrap();
        files.encode_to_vec()
    }

    fn read(file: &Path, bytes: &[u8]) -> Result<Descriptors, String> {
        std::fs::write(file, bytes).unwrap();
        Descriptors::read(file)
    }

    const LOG: &[u8] = b"\0\0\0\0\x15\x0a\x07\x0a\x05\x0a\x03one\x12\x0a\x0a\x08\x0a\x06\"two\"\n";

    /// Whatever a call holds: JSON, nothing, or an error.
    #[test]
    fn mutated_calls_become_json_or_errors() {
        let folder = tempfile::tempdir().unwrap();
        let known = read(&folder.path().join("a.pb"), &descriptors()).unwrap();
        let check = |body: Result<Body<'static>, Unparsable>| match body {
            Ok(Body::Json(text)) => assert!(is_json(&text), "{}", String::from_utf8_lossy(&text)),
            Ok(Body::Absent | Body::Truncated) => {}
            Err(Unparsable(text)) => assert!(!text.is_empty()),
        };
        let whole = known.body("com.book.BookService/Log", LOG);
        assert!(matches!(whole, Ok(Body::Json(_))), "{whole:?}");
        hold(&[LOG, b"\0\0\0\0\x06\x0a\x04John"], |bytes| {
            for method in ["GetBooksViaAuthor", "Log", "Collect", "None"] {
                check(known.body(&format!("com.book.BookService/{method}"), bytes));
            }
        });
        hold(&["com.book.BookService/Log", "a/b/c"], |path| {
            check(known.body(&String::from_utf8_lossy(path), LOG));
        });
    }

    /// A file of descriptors that is broken is an error, and one that is not says what a call is.
    #[test]
    fn mutated_descriptors_are_services_or_errors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pb");
        hold(&[descriptors()], |bytes| match read(&file, bytes) {
            Ok(known) => drop(known.body("com.book.BookService/Log", LOG)),
            Err(text) => assert!(!text.is_empty()),
        });
    }
}
