//! `.manifest` as OPA writes it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::manifest::within;
use super::super::verify::VerifyError;
use super::archive::File;
use super::{is_object, mismatch, segments};

/// What a bundle says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OpaManifest {
    /// Free text, often empty.
    #[serde(default)]
    pub revision: String,
    /// The parts of `data` that it owns, without outer slashes; an empty one is everything.
    #[serde(default = "everything")]
    pub roots: Vec<String>,
    /// 0 or 1; the default is the reader's.
    #[serde(default)]
    pub rego_version: Option<u8>,
    /// Path patterns to versions, which win over `rego_version`.
    #[serde(default)]
    pub file_rego_versions: BTreeMap<String, u8>,
    #[serde(default)]
    pub metadata: Option<Value>,
    /// Entry points in WebAssembly; decide nothing here.
    #[serde(default)]
    pub wasm: Option<Value>,
}

fn everything() -> Vec<String> {
    vec![String::new()]
}

impl Default for OpaManifest {
    fn default() -> Self {
        Self {
            revision: String::new(),
            roots: everything(),
            rego_version: None,
            file_rego_versions: BTreeMap::new(),
            metadata: None,
            wasm: None,
        }
    }
}

/// The manifest among the files; without one the bundle owns everything.
pub(super) fn read(files: &[File]) -> Result<OpaManifest, VerifyError> {
    let Some(file) = files.iter().find(|file| file.name == ".manifest") else {
        return Ok(OpaManifest::default());
    };
    let bytes = file
        .bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(&file.bytes);
    if !is_object(bytes) {
        return Err(mismatch("`.manifest` is no object".to_owned()));
    }
    let mut manifest: OpaManifest =
        serde_json::from_slice(bytes).map_err(|error| mismatch(format!("`.manifest`: {error}")))?;
    for root in &mut manifest.roots {
        *root = root.trim_matches('/').to_owned();
    }
    let mut sorted: Vec<Vec<&str>> = manifest.roots.iter().map(|root| segments(root)).collect();
    sorted.sort();
    if let Some([outer, inner]) = sorted
        .windows(2)
        .find(|pair| matches!(pair, [outer, inner] if inner.starts_with(outer)))
    {
        return Err(mismatch(format!(
            "manifest has overlapped roots: `{}` and `{}`",
            outer.join("/"),
            inner.join("/")
        )));
    }
    let versions = manifest
        .rego_version
        .iter()
        .chain(manifest.file_rego_versions.values());
    if let Some(version) = versions.into_iter().find(|version| **version > 1) {
        return Err(mismatch(format!(
            "rego version {version} is neither 0 nor 1"
        )));
    }
    Ok(manifest)
}

impl OpaManifest {
    /// Whether the path lies inside one of the roots.
    #[must_use]
    pub fn owns(&self, path: &str) -> bool {
        self.roots.iter().any(|root| within(path, root))
    }

    /// The version of Rego that a module of this path is in, where the bundle says so.
    #[must_use]
    pub fn rego_version_of(&self, module: &str) -> Option<u8> {
        let path = format!("/{}", module.trim_start_matches('/'));
        let special = self
            .file_rego_versions
            .iter()
            .find(|(pattern, _)| super::signature::matches(pattern, &path));
        special.map(|(_, version)| *version).or(self.rego_version)
    }

    /// A document at `path` holds nothing outside the roots.
    pub(super) fn check_data(
        &self,
        path: &[String],
        json: &[u8],
        file: &str,
    ) -> Result<(), VerifyError> {
        if self.owns(&path.join("/")) {
            return Ok(());
        }
        let value: Value =
            serde_json::from_slice(json).map_err(|error| mismatch(format!("`{file}`: {error}")))?;
        match self.outside(&mut path.to_vec(), &value) {
            None => Ok(()),
            Some(outside) => Err(mismatch(format!(
                "manifest roots {:?} do not permit data at path `/{outside}` (`{file}`)",
                self.roots
            ))),
        }
    }

    /// The first leaf that lies in no root.
    fn outside(&self, path: &mut Vec<String>, value: &Value) -> Option<String> {
        let here = path.join("/");
        if self.owns(&here) {
            return None;
        }
        let above_a_root = self.roots.iter().any(|root| within(root, &here));
        match value {
            Value::Object(members) if above_a_root => members.iter().find_map(|(name, value)| {
                path.push(name.clone());
                let found = self.outside(path, value);
                path.pop();
                found
            }),
            _ => Some(here),
        }
    }
}
