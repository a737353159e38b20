//! What a search can find: the entities that the bundle's data lists, the actions that its rules name.
//!
//! Rules say who may do what by conditions, so nobody can tell from them who exists. A bundle that wants to be
//! searched lists its entities in its data, at `authzen.subjects`, `authzen.resources` and `authzen.actions`, each in
//! AuthZEN's own shape. Nothing here decides: every candidate is the subject, action or resource of a decision.

use crate::engine::data::DataNode;
use crate::engine::table::Table;
use crate::engine::value::{MapView, quote_json, write_json};
use crate::engine::{CompileError, Data, Value};
use crate::model::Sought;
use crate::policy::Place;

use super::Program;

/// The lists of a bundle's data, by type.
#[derive(Debug, Default)]
pub(super) struct Directory {
    subjects: Option<Entities>,
    resources: Option<Entities>,
    actions: Option<Vec<Box<str>>>,
}

/// A list in the data, with the positions of each type's entities.
#[derive(Debug)]
struct Entities {
    list: DataNode,
    by_type: Table<Box<str>, Vec<u32>>,
}

/// One entity that may be an answer.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Empty for actions.
    pub kind: &'a str,
    /// The id; an action's name.
    pub name: &'a str,
    properties: Option<Value<'a>>,
}

/// The candidates of one search, in an order that stays the same for as long as the program does.
#[derive(Debug)]
pub enum Candidates<'a> {
    Entities {
        data: &'a Data,
        list: DataNode,
        positions: &'a [u32],
    },
    Actions(Vec<&'a str>),
}

impl Directory {
    /// Reads the lists; what is no entity in them is left out, with a warning.
    pub fn new(data: &Data, warnings: &mut Vec<CompileError>) -> Self {
        Self {
            subjects: Entities::new(data, "subjects", warnings),
            resources: Entities::new(data, "resources", warnings),
            actions: actions(data, warnings),
        }
    }
}

impl Entities {
    fn new(data: &Data, name: &str, warnings: &mut Vec<CompileError>) -> Option<Self> {
        let (list, items) = listed(data, name, warnings)?;
        let mut by_type: Table<Box<str>, Vec<u32>> = Table::default();
        for (position, item) in items.enumerate() {
            match entity(item) {
                Some(found) => by_type
                    .entry(found.kind.into())
                    .or_default()
                    .push(position as u32),
                None => warn(
                    warnings,
                    &format!("data.authzen.{name}[{position}]"),
                    "is no entity: a string `type`, a string `id` and, where there are any, an object `properties`; \
                     searches leave it out",
                ),
            }
        }
        Some(Self { list, by_type })
    }
}

fn actions(data: &Data, warnings: &mut Vec<CompileError>) -> Option<Vec<Box<str>>> {
    let (_, items) = listed(data, "actions", warnings)?;
    let mut names = Vec::new();
    for (position, item) in items.enumerate() {
        match item.member("name").and_then(|name| name.as_str()) {
            Some(name) => names.push(name.into()),
            None => warn(
                warnings,
                &format!("data.authzen.actions[{position}]"),
                "is no action: a string `name`; searches leave it out",
            ),
        }
    }
    Some(names)
}

/// A list below `data.authzen`, and its items.
fn listed<'d>(
    data: &'d Data,
    name: &str,
    warnings: &mut Vec<CompileError>,
) -> Option<(DataNode, impl Iterator<Item = Value<'d>> + use<'d>)> {
    let node = data.find(&["authzen", name])?;
    let Some(list) = data.value(node).as_list() else {
        let message = "is no list: nothing is found there";
        warn(warnings, &format!("data.authzen.{name}"), message);
        return None;
    };
    let length = list.len();
    Some((node, (0..length).filter_map(move |index| list.get(index))))
}

fn warn(warnings: &mut Vec<CompileError>, path: &str, message: &str) {
    warnings.push(CompileError {
        place: Place {
            file: "".into(),
            line: 0,
            column: 0,
            path: path.into(),
        },
        message: message.to_owned(),
    });
}

fn entity(item: Value<'_>) -> Option<Candidate<'_>> {
    let text = |name| item.member(name).and_then(|value| value.as_str());
    let properties = item.member("properties");
    if properties.is_some_and(|properties| properties.as_map().is_none()) {
        return None;
    }
    Some(Candidate {
        kind: text("type")?,
        name: text("id")?,
        properties,
    })
}

impl Program {
    /// Whether there is anything that a search for this could find.
    #[must_use]
    pub fn searches(&self, sought: Sought) -> bool {
        match sought {
            Sought::Subject => self.directory.subjects.is_some(),
            Sought::Resource => self.directory.resources.is_some(),
            Sought::Action => self.directory.actions.is_some() || self.access.names_actions(),
        }
    }

    /// What a search may find among entities of a type, or among the actions on resources of a type. None where
    /// there is no such search.
    #[must_use]
    pub fn candidates(&self, sought: Sought, kind: &str) -> Option<Candidates<'_>> {
        if !self.searches(sought) {
            return None;
        }
        let entities = match sought {
            Sought::Action => return Some(Candidates::Actions(self.actions(kind))),
            Sought::Subject => self.directory.subjects.as_ref()?,
            Sought::Resource => self.directory.resources.as_ref()?,
        };
        Some(Candidates::Entities {
            data: &self.data,
            list: entities.list,
            positions: entities.by_type.get(kind).map_or(&[], Vec::as_slice),
        })
    }

    fn actions(&self, kind: &str) -> Vec<&str> {
        let listed = self.directory.actions.iter().flatten();
        let mut names: Vec<&str> = listed.map(|name| &**name).collect();
        names.extend(self.access.actions(kind));
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl<'a> Candidates<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Entities { positions, .. } => positions.len(),
            Self::Actions(names) => names.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The candidate at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Candidate<'a>> {
        match self {
            Self::Entities {
                data,
                list,
                positions,
            } => {
                let position = *positions.get(index)? as usize;
                entity(data.value(*list).as_list()?.get(position)?)
            }
            Self::Actions(names) => Some(Candidate {
                kind: "",
                name: names.get(index)?,
                properties: None,
            }),
        }
    }
}

impl Candidate<'_> {
    /// Writes the candidate as the entity of a decision: its listed properties, and those of `sent` (name and JSON
    /// text) that the list does not have.
    pub fn write(&self, out: &mut String, sought: Sought, sent: &[(&str, &str)]) {
        // Writing to memory does not fail.
        let _ = self.written(out, sought, sent);
    }

    fn written(&self, out: &mut String, sought: Sought, sent: &[(&str, &str)]) -> std::fmt::Result {
        if sought == Sought::Action {
            out.push_str("{\"name\":");
        } else {
            out.push_str("{\"type\":");
            quote_json(out, self.kind)?;
            out.push_str(",\"id\":");
        }
        quote_json(out, self.name)?;
        let listed = self.properties.as_ref().and_then(Value::as_map);
        if listed.is_none() && sent.is_empty() {
            out.push('}');
            return Ok(());
        }
        out.push_str(",\"properties\":{");
        let mut separator = "";
        for (name, value) in listed.iter().flat_map(MapView::iter) {
            let Some(name) = name.as_str() else { continue };
            out.push_str(separator);
            quote_json(out, name)?;
            out.push(':');
            write_json(out, &value)?;
            separator = ",";
        }
        for (name, text) in sent {
            if listed.is_some_and(|listed| listed.get_str(name).is_some()) {
                continue;
            }
            out.push_str(separator);
            quote_json(out, name)?;
            out.push(':');
            out.push_str(text);
            separator = ",";
        }
        out.push_str("}}");
        Ok(())
    }
}
