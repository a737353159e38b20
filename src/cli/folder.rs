//! Files and folders of policies as authors keep them: documents, data at the paths of their folders,
//! Rego modules. Everything that is wrong with them is found in one go.

mod conflicts;
mod walk;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::bundle::Limits;
use crate::engine::DataBuilder;
use crate::policy::{self, Document, Format, MAX_FILE_BYTES, Place, PolicyError};

pub(super) use walk::{list, read_bounded};

/// Everything that was found. What is wrong with the content is collected, not returned as an error.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// By name, then version: the order in which a folder's policies are evaluated.
    pub documents: Vec<Document>,
    /// Every `data.json` and `data.yaml`, as JSON.
    pub data: Vec<Kept>,
    /// Rego modules.
    pub modules: Vec<Kept>,
    /// Names of files that are neither policy, data nor module.
    pub ignored: Vec<String>,
    /// What is wrong with the files, by place; [`Folder::data`] finds what is wrong inside the data.
    pub errors: Vec<PolicyError>,
}

/// A file that is no policy.
#[derive(Debug)]
pub(super) struct Kept {
    /// Where it was found, for messages.
    pub file: String,
    /// Its name below the folder that was named, with `/` between the parts; that of data in YAML is
    /// the name of the JSON made from it.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Reads files, and folders with everything below them. Names that begin with a dot are left out.
///
/// # Errors
///
/// A path that does not exist, cannot be listed, or names a file of another kind.
pub(super) fn read(paths: &[PathBuf], tenant: &str) -> anyhow::Result<Folder> {
    let mut folder = Folder::default();
    for path in paths {
        let kind =
            fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        if kind.is_dir() {
            folder.add_folder(path, tenant)?;
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        folder.add_file(path, &name, tenant);
        if folder.ignored.pop().is_some() {
            bail!(
                "`{}` is no policy file: expected .yaml, .yml, .json or .rego",
                path.display()
            );
        }
    }
    folder.documents.sort_by(|left, right| {
        let (left, right) = (&left.metadata, &right.metadata);
        left.name
            .cmp(&right.name)
            .then_with(|| left.version.cmp(&right.version))
    });
    folder.errors.extend(conflicts::find(&folder.documents));
    folder
        .errors
        .sort_by(|left, right| left.place.cmp(&right.place));
    Ok(folder)
}

impl Folder {
    fn add_folder(&mut self, folder: &Path, tenant: &str) -> anyhow::Result<()> {
        let first = self.data.len();
        for name in list(folder, &|base| !base.starts_with('.'))? {
            self.add_file(&folder.join(&name), &name, tenant);
        }
        let mut names = BTreeSet::new();
        for data in self.data.split_off(first) {
            if names.insert(data.name.clone()) {
                self.data.push(data);
            } else {
                self.refuse(
                    &data.file,
                    "the folder has another data document: keep one of them".to_owned(),
                );
            }
        }
        Ok(())
    }

    /// Adds a file, whose `name` is its path below the folder that was named.
    fn add_file(&mut self, path: &Path, name: &str, tenant: &str) {
        let (parent, base) = name.rsplit_once('/').unwrap_or(("", name));
        let (stem, extension) = base.rsplit_once('.').unwrap_or((base, ""));
        let file = path.display().to_string();
        let format = match extension {
            "json" => Format::Json,
            "yaml" | "yml" => Format::Yaml,
            "rego" => {
                if let Some(bytes) = self.bytes(path, Limits::default().archive_bytes) {
                    let name = name.to_owned();
                    self.modules.push(Kept { file, name, bytes });
                }
                return;
            }
            _ => return self.ignored.push(name.to_owned()),
        };
        if stem == "data" {
            self.add_data(path, parent, format);
        } else if let Some(text) = self.policy_text(path) {
            match policy::parse(&file, &text, format, tenant) {
                Ok(documents) => self.documents.extend(documents),
                Err(errors) => self.errors.extend(errors.0),
            }
        }
    }

    fn add_data(&mut self, path: &Path, parent: &str, format: Format) {
        let file = path.display().to_string();
        let bytes = match format {
            // As it is: a large one need not fit the limits of policies.
            Format::Json => self.bytes(path, Limits::default().archive_bytes),
            Format::Yaml => self.policy_text(path).and_then(|text| {
                let json = policy::to_json(&file, &text, format);
                json.map_err(|errors| self.errors.extend(errors.0))
                    .ok()
                    .map(String::into_bytes)
            }),
        };
        let name = match parent {
            "" => "data.json".to_owned(),
            parent => format!("{parent}/data.json"),
        };
        if let Some(bytes) = bytes {
            self.data.push(Kept { file, name, bytes });
        }
    }

    /// A text that the parser of policies holds to its limit.
    fn policy_text(&mut self, path: &Path) -> Option<Vec<u8>> {
        read_bounded(path, MAX_FILE_BYTES as u64)
            .map_err(|error| self.refuse(&path.display().to_string(), unreadable(&error)))
            .ok()
    }

    /// A file of at most `limit` bytes.
    fn bytes(&mut self, path: &Path, limit: u64) -> Option<Vec<u8>> {
        let message = match read_bounded(path, limit) {
            Ok(bytes) if bytes.len() as u64 <= limit => return Some(bytes),
            Ok(_) => format!("the file is larger than {limit} bytes"),
            Err(error) => unreadable(&error),
        };
        self.refuse(&path.display().to_string(), message);
        None
    }

    fn refuse(&mut self, file: &str, message: String) {
        self.errors.push(PolicyError {
            place: start_of(file),
            message,
        });
    }

    /// The data document, and what keeps files from becoming part of it.
    pub fn data(&self) -> (DataBuilder, Vec<PolicyError>) {
        let mut builder = DataBuilder::default();
        let mut errors = Vec::new();
        for data in &self.data {
            let mut path: Vec<&str> = data.name.split('/').collect();
            path.pop();
            if let Err(error) = builder.add(&path, &mut data.bytes.as_slice()) {
                errors.push(PolicyError {
                    place: data.place(error.offset),
                    message: error.message,
                });
            }
        }
        (builder, errors)
    }
}

fn unreadable(error: &std::io::Error) -> String {
    format!("the file cannot be read: {error}")
}

/// The beginning of a file.
pub(super) fn start_of(file: &str) -> Place {
    Place {
        file: file.into(),
        line: 1,
        column: 1,
        path: "".into(),
    }
}

impl Kept {
    /// Line and column of a byte.
    fn place(&self, offset: u64) -> Place {
        // The offset is one of the JSON, which is not what stands in a file of YAML.
        let extension = Path::new(&self.file).extension();
        if extension.is_none_or(|extension| extension != "json") {
            return start_of(&self.file);
        }
        let offset = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let before = self.bytes.get(..offset).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default())
            .chars()
            .count()
            + 1;
        Place {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            ..start_of(&self.file)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_with_everything_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("b.json", "{\"b\": 1}");
        write("deep/er/a.yaml", "a: 1\n");
        write("deep/data.yaml", "x: 1\n");
        write("data.json", "{\"y\": 2}");
        write("authz/rules.rego", "package authz\n");
        write(".hidden/c.json", "[");
        write("notes.txt", "no policy");
        write("broken.yaml", "kind: Polcy\n");
        let read = read(&[folder.path().to_owned()], "t").unwrap();
        let names: Vec<&str> = read.documents.iter().map(|d| &*d.metadata.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(read.data[1].name, "deep/data.json");
        assert_eq!(read.data[1].bytes, b"{\"x\":1}");
        assert_eq!(read.modules[0].name, "authz/rules.rego");
        assert_eq!(read.modules[0].bytes, b"package authz\n");
        assert_eq!(read.ignored, ["notes.txt"]);
        assert_eq!(read.errors.len(), 1);
        assert!(read.errors[0].place.file.ends_with("broken.yaml"));
        assert!(read.data().1.is_empty());
    }

    #[test]
    fn data_that_is_wrong_has_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data.json");
        fs::write(&file, "{\"a\": 1,\n \"é\": }").unwrap();
        let (_, errors) = read(&[file], "t").unwrap().data();
        assert_eq!(
            (errors[0].place.line, errors[0].place.column),
            (2, 7),
            "{errors:?}"
        );
    }

    #[test]
    fn a_path_that_is_no_policy_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.txt");
        fs::write(&text, "").unwrap();
        assert!(read(&[text], "t").is_err());
        assert!(read(&[folder.path().join("absent.yaml")], "t").is_err());
    }

    #[test]
    fn everything_wrong_with_all_files_is_found_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("data.json"), "{\"a\": 1}").unwrap();
        fs::write(path("data.yaml"), "b: 1\n").unwrap();
        fs::write(path("large.yaml"), vec![b' '; MAX_FILE_BYTES + 1]).unwrap();
        std::os::unix::fs::symlink("nowhere", path("link.rego")).unwrap();
        fs::write(path("wrong.json"), "[]").unwrap();
        let read = read(&[folder.path().to_owned()], "t").unwrap();
        let found: Vec<(&str, &str)> = read
            .errors
            .iter()
            .map(|error| {
                (
                    error.place.file.rsplit('/').next().unwrap(),
                    &*error.message,
                )
            })
            .collect();
        let expected = [
            ("data.yaml", "the folder has another data document"),
            ("large.yaml", "bytes"),
            ("link.rego", "the file cannot be read"),
            ("wrong.json", "a policy is an object"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((file, message), (expected_file, part)) in found.iter().zip(expected) {
            assert_eq!(*file, expected_file);
            assert!(message.contains(part), "{file}: {message}");
        }
        assert_eq!((read.data.len(), read.modules.len()), (1, 0));
    }

    #[test]
    fn links_are_followed_but_not_in_circles() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("..2026");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("a.yaml"), "a: 1\n").unwrap();
        std::os::unix::fs::symlink("..2026/a.yaml", folder.path().join("a.yaml")).unwrap();
        let paths = [folder.path().to_owned()];
        assert_eq!(read(&paths, "t").unwrap().documents.len(), 1);
        std::os::unix::fs::symlink(".", folder.path().join("circle")).unwrap();
        let error = read(&paths, "t").unwrap_err().to_string();
        assert!(error.contains("nested deeper"), "{error}");
    }
}
