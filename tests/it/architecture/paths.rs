//! Every path that a source file names outside its tests, made absolute.

use std::path::{Path, PathBuf};

use regex::Regex;
use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, Macro, UseTree};

/// A file and what it names.
pub struct SourceFile {
    /// Relative to `src`.
    pub name: String,
    /// `engine::program`.
    pub module: String,
    /// `["crate", "model", "Revision"]`, `["std", "fmt"]`.
    pub paths: Vec<Vec<String>>,
}

/// All production files under `src`.
pub fn read_sources() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .filter(|file| file.file_stem().is_none_or(|stem| stem != "tests"))
        // Generated, and compiled with tests alone.
        .filter(|file| !file.starts_with(root.join("api/ext_authz/proto")))
        .map(|file| {
            let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
            let module = name.trim_end_matches(".rs").replace('/', "::");
            SourceFile::parse(name, &module, &std::fs::read_to_string(file).unwrap())
        })
        .filter(|file| !file.module.contains("::tests::"))
        .collect()
}

/// All files below a folder.
pub fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

impl SourceFile {
    /// Reads a file's text.
    pub fn parse(name: &str, module: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut reader = Reader {
            module: module.split("::").map(str::to_owned).collect(),
            paths: Vec::new(),
            children: syntax
                .items
                .iter()
                .filter_map(|item| match item {
                    syn::Item::Mod(child) => Some(child.ident.to_string()),
                    _ => None,
                })
                .collect(),
            imported: Vec::new(),
            in_macro: Regex::new(r"[A-Za-z_][A-Za-z0-9_]*( ?:: ?[A-Za-z_][A-Za-z0-9_]*)+").unwrap(),
        };
        reader.visit_file(&syntax);
        Self {
            name: name.to_owned(),
            module: module.to_owned(),
            paths: reader.paths,
        }
    }
}

struct Reader {
    module: Vec<String>,
    paths: Vec<Vec<String>>,
    in_macro: Regex,
    /// The file's child modules: they hide crates of the same name.
    children: Vec<String>,
    /// What was imported from this crate hides crates as well; the import itself was read.
    imported: Vec<String>,
}

impl Reader {
    /// Keeps a path, with `self`, `super` and the crate's own name resolved.
    fn keep(&mut self, path: &[String]) {
        if path
            .first()
            .is_some_and(|name| self.imported.contains(name))
        {
            return;
        }
        let mut absolute: Vec<String> = Vec::new();
        for (place, segment) in path.iter().enumerate() {
            match segment.as_str() {
                "self" if place == 0 => absolute = self.here(),
                "super" if place == 0 => {
                    absolute = self.here();
                    absolute.pop();
                }
                "super" => drop(absolute.pop()),
                "lictor" if place == 0 => absolute.push("crate".into()),
                "self" => {}
                child if place == 0 && self.children.iter().any(|known| known == child) => {
                    absolute = self.here();
                    absolute.push(child.to_owned());
                }
                other => absolute.push(other.to_owned()),
            }
        }
        self.paths.push(absolute);
    }

    fn here(&self) -> Vec<String> {
        std::iter::once("crate".to_owned())
            .chain(self.module.iter().cloned())
            .collect()
    }

    fn tree(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            UseTree::Name(name) => self.leaf(before, name.ident.to_string()),
            UseTree::Rename(rename) => self.leaf(before, rename.ident.to_string()),
            UseTree::Glob(_) => self.keep(&before.clone()),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before);
                }
            }
        }
    }

    fn leaf(&mut self, before: &mut Vec<String>, last: String) {
        let ours = before
            .first()
            .is_some_and(|first| ["crate", "super", "self"].contains(&first.as_str()));
        before.push(last.clone());
        self.keep(&before.clone());
        before.pop();
        if ours && last == "self" {
            self.imported.extend(before.last().cloned());
        } else if ours {
            self.imported.push(last);
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|word| word == "test")
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_test(&item.attrs) {
            self.tree(&item.tree, &mut Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if segments.len() > 1 {
            self.keep(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast Macro) {
        let tokens = invocation.tokens.to_string();
        let found: Vec<Vec<String>> = self
            .in_macro
            .find_iter(&tokens)
            .map(|path| path.as_str().replace(' ', ""))
            .map(|path| path.split("::").map(str::to_owned).collect())
            .collect();
        for path in &found {
            self.keep(path);
        }
        visit::visit_macro(self, invocation);
    }
}
