//! Several bundles of profile `opa` as one generation: steps 12 to 15 over all of them together.
//!
//! Nothing of one bundle decides without the others: either all of them compile together, or nothing changes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::bundle::{Code, Digest, OpaContent, Patch, Step, overlapping_roots};
use crate::engine::{Compiler, DataBuilder, Limits, RegoModule, RegoVersion};

use super::super::{ActiveBundle, Snapshot};
use super::LoadError;

/// One bundle of the generation.
#[derive(Debug)]
pub struct Part {
    /// The source's name, under which OPA's API shows it.
    pub name: String,
    pub content: OpaContent,
    /// What deltas have changed since, in order.
    pub patches: Vec<Patch>,
    /// Of the archive that was received last, which may be a delta.
    pub archive: Digest,
}

/// Makes a snapshot of these bundles. `number` is what the generation counts as in this process.
///
/// # Errors
///
/// The first step that fails.
pub fn load_generation(
    parts: Vec<Part>,
    number: u64,
    limits: &Limits,
) -> Result<Snapshot, LoadError> {
    // 12: no two bundles own the same
    let roots: BTreeMap<&str, &[String]> = parts
        .iter()
        .map(|part| (part.name.as_str(), part.content.manifest.roots.as_slice()))
        .collect();
    if let Some([(one, first), (other, second)]) = overlapping_roots(&roots) {
        return Err(mismatch(format!(
            "bundles `{one}` and `{other}` have overlapping roots: `{first}` and `{second}`"
        )));
    }
    let bundles: Vec<ActiveBundle> = parts.iter().map(active).collect();
    let name = generation_name(&bundles);
    // 13 and 14: everything of all of them in one program
    let mut compiler = Compiler::default();
    if limits.rego_prints {
        compiler.keep_prints();
    }
    let mut data = DataBuilder::default();
    for part in parts {
        add_data(&mut data, &part)?;
        add_modules(&mut compiler, part)?;
    }
    let program = super::compile(compiler, data)?;
    Ok(Snapshot {
        program,
        name,
        number,
        bundles,
    })
}

fn active(part: &Part) -> ActiveBundle {
    ActiveBundle {
        source: part.name.clone(),
        revision: part.content.manifest.revision.clone(),
        archive: part.archive,
        roots: part.content.manifest.roots.clone(),
        signed: None,
    }
}

/// One bundle's revision, where a header can carry it; else a digest over all of them.
fn generation_name(bundles: &[ActiveBundle]) -> String {
    use sha2::{Digest as _, Sha256};
    if let [only] = bundles {
        let revision = &only.revision;
        let plain = (1..=128).contains(&revision.len());
        if plain && revision.bytes().all(|byte| byte.is_ascii_graphic()) {
            return revision.clone();
        }
    }
    let mut hash = Sha256::new();
    for bundle in bundles {
        hash.update(bundle.source.as_bytes());
        hash.update([0]);
        hash.update(bundle.archive);
    }
    let digest: [u8; 32] = hash.finalize().into();
    hex::encode(digest.get(..6).unwrap_or_default())
}

fn add_data(data: &mut DataBuilder, part: &Part) -> Result<(), LoadError> {
    let fault = |error: &dyn std::fmt::Display| {
        let text = format!("data of bundle `{}`: {error}", part.name);
        LoadError::new(Step::Parse, Code::InvalidPolicy, text)
    };
    if part.patches.is_empty() {
        for (path, json) in &part.content.data {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let added = data.add(&path, &mut json.as_slice());
            added.map_err(|error| fault(&error))?;
        }
    } else {
        let patched = patched(part).map_err(|error| fault(&error))?;
        let added = data.add(&[], &mut patched.to_string().as_bytes());
        added.map_err(|error| fault(&error))?;
    }
    // What queries read at `data.system.bundles`.
    let manifest = &part.content.manifest;
    let shown = json!({
        "revision": manifest.revision,
        "roots": manifest.roots,
        "metadata": manifest.metadata.clone().unwrap_or(Value::Null),
    });
    let path = ["system", "bundles", &part.name, "manifest"];
    let added = data.add(&path, &mut shown.to_string().as_bytes());
    added.map_err(|error| fault(&error))
}

/// The bundle's data as a whole after its deltas.
fn patched(part: &Part) -> Result<Value, String> {
    let mut root = Value::Object(Map::new());
    for (path, json) in &part.content.data {
        let value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        merge(&mut root, path, value)?;
    }
    for patch in &part.patches {
        let inside = part.content.manifest.owns(patch.path.trim_matches('/'));
        if !inside {
            return Err(format!(
                "a patch at `{}` lies in none of the roots",
                patch.path
            ));
        }
        patch.apply(&mut root).map_err(|error| error.to_string())?;
    }
    Ok(root)
}

/// Puts a document at its place; objects are merged, nothing else may meet.
fn merge(at: &mut Value, path: &[String], value: Value) -> Result<(), String> {
    if let Some((first, rest)) = path.split_first() {
        let Value::Object(members) = at else {
            return Err(format!(
                "`{first}` lies inside of something that is no object"
            ));
        };
        let next = members
            .entry(first.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        return merge(next, rest, value);
    }
    match (at, value) {
        (Value::Object(members), Value::Object(more)) => {
            for (name, value) in more {
                match members.get_mut(&name) {
                    None => {
                        members.insert(name, value);
                    }
                    Some(there) => merge(there, &[], value)?,
                }
            }
            Ok(())
        }
        (there, value) if there.as_object().is_some_and(Map::is_empty) => {
            *there = value;
            Ok(())
        }
        _ => Err("two documents give different values for one path".to_owned()),
    }
}

fn add_modules(compiler: &mut Compiler, part: Part) -> Result<(), LoadError> {
    let manifest = part.content.manifest;
    for (path, text) in part.content.modules {
        let version = match manifest.rego_version_of(&path) {
            Some(0) => RegoVersion::V0,
            _ => RegoVersion::V1,
        };
        let module = RegoModule {
            // As OPA names it.
            path: format!("{}/{path}", part.name).into(),
            text: text.into(),
            version,
        };
        if let Some(package) = module.package()
            && !manifest.owns(&package.replace('.', "/"))
        {
            return Err(mismatch(format!(
                "manifest roots {:?} do not permit `package {package}` in module `{}`",
                manifest.roots, module.path
            )));
        }
        compiler.add_module(module);
    }
    Ok(())
}

fn mismatch(detail: String) -> LoadError {
    LoadError::new(Step::Manifest, Code::ManifestMismatch, detail)
}
