//! Step 13: entries as they come out of the archive become documents and data.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::bundle::{Code, Entry, Manifest, PolicyEntry, Step, check_json};
use crate::engine::{Compiler, DataBuilder, RegoModule, RegoVersion};
use crate::model::PolicyId;
use crate::policy::{self, Body, Document, Format};

use super::LoadError;

/// What the pass has collected.
#[derive(Debug)]
pub(super) struct Gathered {
    tenant: String,
    /// Whether content hashes are checked too.
    check_hashes: bool,
    /// Where in the manifest each path stands; filled at the first entry.
    places: HashMap<String, usize>,
    documents: Vec<(usize, Document, Arc<str>)>,
    data: DataBuilder,
    modules: Vec<RegoModule>,
}

impl Gathered {
    pub(super) fn new(tenant: &str, check_hashes: bool) -> Self {
        Self {
            tenant: tenant.to_owned(),
            check_hashes,
            places: HashMap::new(),
            documents: Vec::new(),
            data: DataBuilder::default(),
            modules: Vec::new(),
        }
    }

    /// Takes one entry.
    pub(super) fn add(
        &mut self,
        manifest: &Manifest,
        mut entry: Entry<'_>,
    ) -> Result<(), LoadError> {
        if self.places.is_empty() {
            let paths = manifest.policies.iter().map(|policy| policy.path.clone());
            self.places = paths.zip(0..).collect();
        }
        if let Some(&place) = self.places.get(entry.name) {
            return match manifest.policies.get(place) {
                Some(policy) => self.add_policy(place, policy, &mut entry),
                None => Ok(()),
            };
        }
        let (folder, base) = entry.name.rsplit_once('/').unwrap_or(("", entry.name));
        let extension = base.rsplit_once('.').map_or("", |(_, extension)| extension);
        match base {
            "data.json" if !entry.name.starts_with("lictor/") => {
                self.add_data(manifest, folder, &mut entry)
            }
            "data.yaml" | "data.yml" => {
                let text = format!("`{}` is YAML; a build turns it into data.json", entry.name);
                Err(invalid(text))
            }
            _ if extension == "rego" => self.add_module(manifest, &mut entry),
            _ if extension == "json" => {
                let name = entry.name;
                check_json(&content(&mut entry)?)
                    .map_err(|error| invalid(format!("`{name}`: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// A compiler that was told everything, documents in the manifest's order, and the data.
    pub(super) fn finish(mut self) -> (Compiler, DataBuilder) {
        let mut compiler = Compiler::default();
        self.documents.sort_unstable_by_key(|(place, ..)| *place);
        for (_, document, content_hash) in self.documents {
            compiler.add(document, content_hash);
        }
        for module in self.modules {
            compiler.add_module(module);
        }
        (compiler, self.data)
    }

    fn add_module(&mut self, manifest: &Manifest, entry: &mut Entry<'_>) -> Result<(), LoadError> {
        let name = entry.name;
        let text = String::from_utf8(content(entry)?)
            .map_err(|_| invalid(format!("`{name}` is not UTF-8 text")))?;
        let module = RegoModule {
            path: name.into(),
            text: text.into(),
            version: match manifest.rego_version {
                0 => RegoVersion::V0,
                _ => RegoVersion::V1,
            },
        };
        if let Some(package) = module.package()
            && !manifest.owns(&package.replace('.', "/"))
        {
            return Err(mismatch(format!(
                "`{name}` is of package `{package}`, which lies in none of the manifest's roots {:?}",
                manifest.roots
            )));
        }
        self.modules.push(module);
        Ok(())
    }

    fn add_data(
        &mut self,
        manifest: &Manifest,
        folder: &str,
        entry: &mut Entry<'_>,
    ) -> Result<(), LoadError> {
        if !manifest.owns(folder) {
            let text = format!(
                "`{}` lies in none of the manifest's roots {:?}",
                entry.name, manifest.roots
            );
            return Err(mismatch(text));
        }
        let path: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        let added = self.data.add(&path, entry.reader);
        added.map_err(|error| invalid(format!("`{}`: {error}", entry.name)))
    }

    fn add_policy(
        &mut self,
        place: usize,
        policy: &PolicyEntry,
        entry: &mut Entry<'_>,
    ) -> Result<(), LoadError> {
        let bytes = content(entry)?;
        if self.check_hashes {
            check_content_hash(policy, &bytes)?;
        }
        let parse = if policy.kind == Body::Opaque.kind() {
            policy::parse_opaque
        } else {
            policy::parse
        };
        let mut documents =
            parse(&policy.path, &bytes, Format::Json, &self.tenant).map_err(invalid)?;
        let mut document = documents
            .pop()
            .ok_or_else(|| invalid(format!("`{}` holds no document", policy.path)))?;
        check_metadata(policy, &document, &bytes)?;
        // The manifest holds; a document need not say any of this.
        let metadata = &mut document.metadata;
        metadata.name = policy.name.as_str().into();
        metadata.id = policy.id;
        metadata.version = policy.version.parse().map_err(|_| {
            mismatch(format!(
                "`{}`: version `{}` is no semantic version",
                policy.path, policy.version
            ))
        })?;
        metadata.status = policy.status;
        metadata.group = policy.group;
        metadata.created_at = policy.created_at;
        metadata.changed_at = policy.changed_at;
        self.documents
            .push((place, document, policy.content_hash.as_str().into()));
        Ok(())
    }
}

/// The whole entry. A reader that fails is the archive's fault, which the pass reports itself.
fn content(entry: &mut Entry<'_>) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    match entry.reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(invalid(format!("`{}`: {error}", entry.name))),
    }
}

fn check_content_hash(policy: &PolicyEntry, bytes: &[u8]) -> Result<(), LoadError> {
    let found = policy::canonical::content_hash(bytes)
        .map_err(|error| invalid(format!("`{}`: {error}", policy.path)))?;
    if found == policy.content_hash {
        return Ok(());
    }
    let text = format!(
        "`{}` has content hash {found}, the manifest says {}",
        policy.path, policy.content_hash
    );
    Err(mismatch(text))
}

/// What a document says about itself must not differ from the manifest. Its status may: it was written once, and
/// versions are retired later.
fn check_metadata(
    policy: &PolicyEntry,
    document: &Document,
    bytes: &[u8],
) -> Result<(), LoadError> {
    #[derive(Default, Deserialize)]
    struct Written {
        #[serde(default)]
        metadata: Metadata,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        name: Option<String>,
        id: Option<String>,
        version: Option<String>,
        ab_test_group: Option<String>,
    }
    let differs = |what: &str, found: &str, listed: &str| {
        let text = format!(
            "`{}`: {what} is `{found}`, the manifest says `{listed}`",
            policy.path
        );
        Err(mismatch(text))
    };
    let kind = document.body.kind();
    if kind != policy.kind {
        return differs("kind", kind, &policy.kind);
    }
    if matches!(document.body, Body::Opaque) {
        return Ok(());
    }
    // The document was read already: this only asks it what it says explicitly.
    let written: Written = serde_json::from_slice(bytes).unwrap_or_default();
    let Metadata {
        name,
        id,
        version,
        ab_test_group,
    } = written.metadata;
    if let Some(name) = name.filter(|name| *name != policy.name) {
        return differs("metadata.name", &name, &policy.name);
    }
    if let Some(id) = id.filter(|id| id.parse::<PolicyId>().ok() != Some(policy.id)) {
        return differs("metadata.id", &id, &policy.id.to_string());
    }
    if let Some(version) = version.filter(|version| *version != policy.version) {
        return differs("metadata.version", &version, &policy.version);
    }
    let group = policy.group.map(crate::model::Group::as_str);
    match ab_test_group.filter(|written| Some(written.as_str()) != group) {
        Some(written) => differs("metadata.abTestGroup", &written, group.unwrap_or("none")),
        None => Ok(()),
    }
}

fn invalid(detail: impl std::fmt::Display) -> LoadError {
    LoadError::new(Step::Parse, Code::InvalidPolicy, detail)
}

fn mismatch(detail: String) -> LoadError {
    LoadError::new(Step::Manifest, Code::ManifestMismatch, detail)
}
