//! Files at their folders: clashes found when a file is added, maps merged once at the end.

use std::collections::BTreeMap;

use super::build::Content;
use super::store::{Reference, Store, Tag};

/// A folder of data files.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Of the files that lie here; several only where `data.json` and `data.yaml` do.
    values: Vec<Reference>,
    folders: BTreeMap<Box<str>, Folder>,
}

impl Folder {
    /// Puts a file's value at `path`. `Err` holds a place that has a value already.
    pub fn place(&mut self, store: &Store, path: &[&str], value: Reference) -> Result<(), String> {
        let mut folder = self;
        let mut rest = path;
        loop {
            for other in &folder.values {
                against_parent(store, *other, rest, value).map_err(|at| join(path, rest, &at))?;
            }
            let Some((name, deeper)) = rest.split_first() else {
                break;
            };
            folder = folder.folders.entry((*name).into()).or_default();
            rest = deeper;
        }
        for (name, child) in &folder.folders {
            child
                .against_value(store, name, value)
                .map_err(|at| join(path, &[], &at))?;
        }
        folder.values.push(value);
        Ok(())
    }

    /// Whether `value`, which lies one folder above, collides with anything in this folder `name`.
    fn against_value(&self, store: &Store, name: &str, value: Reference) -> Result<(), String> {
        if value.tag() != Tag::Map {
            return if self.is_empty() {
                Ok(())
            } else {
                Err(name.into())
            };
        }
        let Some(member) = store.member(value, name) else {
            return Ok(());
        };
        for other in &self.values {
            clash(store, member, *other).map_err(|at| dotted(name, &at))?;
        }
        for (child_name, child) in &self.folders {
            child
                .against_value(store, child_name, member)
                .map_err(|at| dotted(name, &at))?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty() && self.folders.values().all(Self::is_empty)
    }

    /// The merged value of this folder; None where no file lies in it.
    pub fn build(&self, content: &mut Content) -> Option<Reference> {
        let mut merged: Option<Reference> = None;
        for value in &self.values {
            merged = Some(match merged {
                Some(other) => merge(content, other, *value)?,
                None => *value,
            });
        }
        let mut pairs = Vec::new();
        for (name, folder) in &self.folders {
            if let Some(value) = folder.build(content) {
                pairs.push(content.name(name)?);
                pairs.push(value);
            }
        }
        if pairs.is_empty() {
            return merged;
        }
        let folders = content.map_of(&pairs).ok().flatten()?;
        match merged {
            Some(value) => merge(content, value, folders),
            None => Some(folders),
        }
    }
}

fn dotted(name: &str, rest: &str) -> String {
    if rest.is_empty() {
        name.into()
    } else {
        format!("{name}.{rest}")
    }
}

/// The place `at` below the folder that is left of `rest` in `path`.
fn join(path: &[&str], rest: &[&str], at: &str) -> String {
    let folder = path.get(..path.len() - rest.len()).unwrap_or_default();
    let place = dotted(&folder.join("."), at);
    place.trim_start_matches('.').to_owned()
}

/// Whether `value`, to be placed at `path` below `parent`'s place, collides with it.
fn against_parent(
    store: &Store,
    parent: Reference,
    path: &[&str],
    value: Reference,
) -> Result<(), String> {
    let Some((name, rest)) = path.split_first() else {
        return clash(store, parent, value);
    };
    if parent.tag() != Tag::Map {
        return Err(String::new());
    }
    match store.member(parent, name) {
        Some(member) => against_parent(store, member, rest, value).map_err(|at| dotted(name, &at)),
        None => Ok(()),
    }
}

/// Whether two values cannot lie at one place: they do where both are maps without a common place.
fn clash(store: &Store, left: Reference, right: Reference) -> Result<(), String> {
    if left.tag() != Tag::Map || right.tag() != Tag::Map {
        return Err(String::new());
    }
    for index in 0..store.len(left) {
        let Some((name, value)) = store.entry(left, index) else {
            continue;
        };
        if let Some(other) = store.member(right, name) {
            clash(store, value, other).map_err(|at| dotted(name, &at))?;
        }
    }
    Ok(())
}

/// One map of two that do not clash; the left one's entries come first.
fn merge(content: &mut Content, left: Reference, right: Reference) -> Option<Reference> {
    let mut pairs = Vec::new();
    for index in 0..content.store.len(left) {
        let (key, value) = content.store.entry_at(left, index)?;
        let name = content.store.text(key);
        let value = match content.store.member(right, name) {
            Some(other) => merge(content, value, other)?,
            None => value,
        };
        pairs.extend([key, value]);
    }
    for index in 0..content.store.len(right) {
        let (key, value) = content.store.entry_at(right, index)?;
        let name = content.store.text(key);
        if content.store.member(left, name).is_none() {
            pairs.extend([key, value]);
        }
    }
    content.map_of(&pairs).ok().flatten()
}
