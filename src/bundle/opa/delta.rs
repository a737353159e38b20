//! Delta bundles: `patch.json` with `upsert`, `remove` and `replace` (not RFC 6902's words).

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::name;
use super::super::verify::VerifyError;
use super::archive::File;
use super::{invalid, is_signature};

/// One change of the data.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    pub op: Operation,
    /// Slash-separated below `data`, with `~0` and `~1` as in RFC 6901.
    pub path: String,
    #[serde(default)]
    pub value: Value,
}

/// What a patch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Sets, making parents; in a list it inserts.
    Upsert,
    /// What is removed must be there.
    Remove,
    /// What is replaced must be there.
    Replace,
}

/// A patch that does not apply.
#[derive(Debug, thiserror::Error)]
#[error("patch at `{path}`: {problem}")]
pub struct PatchError {
    path: String,
    problem: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchesJson {
    data: Vec<Patch>,
}

/// The patches of a delta bundle, which holds nothing beside them. An empty list is refused: OPA takes such a bundle
/// for a snapshot without content and erases everything below its roots.
pub(super) fn read(files: &[File]) -> Result<Vec<Patch>, VerifyError> {
    let mut patches = None;
    for file in files {
        if name::base(&file.name) == "patch.json" {
            let read: PatchesJson = serde_json::from_slice(&file.bytes)
                .map_err(|error| invalid(format!("`{}`: {error}", file.name)))?;
            if patches.replace(read.data).is_some() {
                return Err(invalid("two `patch.json` in one delta bundle".to_owned()));
            }
        } else if file.name != ".manifest" && !is_signature(&file.name) {
            let text = format!(
                "`{}` beside `patch.json`: a delta changes data only",
                file.name
            );
            return Err(invalid(text));
        }
    }
    let patches = patches.unwrap_or_default();
    if patches.is_empty() {
        return Err(invalid("a delta bundle without any patch".to_owned()));
    }
    Ok(patches)
}

impl Patch {
    /// Applies it to the data document.
    ///
    /// # Errors
    ///
    /// When what it removes or replaces is not there, or a parent is no container.
    pub fn apply(&self, root: &mut Value) -> Result<(), PatchError> {
        let fault = |problem| PatchError {
            path: self.path.clone(),
            problem,
        };
        let segments: Vec<String> = self
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| part.replace("~1", "/").replace("~0", "~"))
            .collect();
        let Some((last, parents)) = segments.split_last() else {
            return self.apply_to_root(root).map_err(fault);
        };
        let mut at = root;
        for part in parents {
            at = self.step(at, part).map_err(fault)?;
        }
        self.apply_to_member(at, last).map_err(fault)
    }

    fn apply_to_root(&self, root: &mut Value) -> Result<(), &'static str> {
        match (self.op, &self.value) {
            (Operation::Remove, _) => Err("the whole document cannot be removed"),
            (_, Value::Object(_)) => {
                *root = self.value.clone();
                Ok(())
            }
            _ => Err("the whole document must stay an object"),
        }
    }

    fn step<'v>(&self, at: &'v mut Value, part: &str) -> Result<&'v mut Value, &'static str> {
        match at {
            Value::Object(members) => {
                if self.op == Operation::Upsert && !members.contains_key(part) {
                    members.insert(part.to_owned(), Value::Object(Map::new()));
                }
                members.get_mut(part).ok_or("there is no such parent")
            }
            Value::Array(items) => part
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
                .ok_or("there is no such element"),
            _ => Err("a parent is neither object nor array"),
        }
    }

    fn apply_to_member(&self, at: &mut Value, name: &str) -> Result<(), &'static str> {
        const ABSENT: &str = "there is nothing at this path";
        match at {
            Value::Object(members) => {
                match self.op {
                    Operation::Upsert => {
                        members.insert(name.to_owned(), self.value.clone());
                    }
                    Operation::Remove => {
                        members.remove(name).ok_or(ABSENT)?;
                    }
                    Operation::Replace => {
                        *members.get_mut(name).ok_or(ABSENT)? = self.value.clone();
                    }
                }
                Ok(())
            }
            Value::Array(items) => {
                if self.op == Operation::Upsert && name == "-" {
                    items.push(self.value.clone());
                    return Ok(());
                }
                let index: usize = name.parse().map_err(|_| "no index of an array")?;
                match self.op {
                    Operation::Upsert if index <= items.len() => {
                        items.insert(index, self.value.clone());
                    }
                    Operation::Upsert => return Err("an index behind the end of the array"),
                    Operation::Remove if index < items.len() => drop(items.remove(index)),
                    Operation::Remove => return Err(ABSENT),
                    Operation::Replace => {
                        *items.get_mut(index).ok_or(ABSENT)? = self.value.clone();
                    }
                }
                Ok(())
            }
            _ => Err("its parent is neither object nor array"),
        }
    }
}
