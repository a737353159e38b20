//! An HTTP request as the roots that rules read: `http`, `source`, `destination`, `tls`, `extensions`, `metadata`.

use bumpalo::collections::String as BumpString;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::Value;
use crate::engine::input::{Layout, Root, Slot};
use crate::engine::value::{quote_json, write_json};

use super::run::Run;
use super::{EvaluateError, HttpPeer, HttpRequest};

impl HttpRequest<'_> {
    /// Bytes of everything in it.
    pub(super) fn size(&self) -> usize {
        let peers = [self.source, self.destination];
        let labels = peers.iter().flatten().flat_map(|peer| peer.labels);
        let pairs = self.query.iter().chain(self.headers);
        let pairs = pairs.chain(self.extensions).chain(labels);
        let texts = [self.method, self.path, self.host, self.scheme];
        let parts = [self.body, self.metadata];
        pairs
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>()
            + texts.into_iter().map(str::len).sum::<usize>()
            + parts.into_iter().flatten().map(<[u8]>::len).sum::<usize>()
    }
}

impl<'a> Run<'a> {
    /// Reads an HTTP request into the slots; gives the roles that came with it, those of verified claims.
    pub fn read_http(&mut self, request: &HttpRequest<'a>) -> Result<&'a [&'a str], EvaluateError> {
        let limit = self.context.limits.input_bytes;
        if request.size() > limit {
            return Err(EvaluateError::TooLarge { limit });
        }
        self.set_http(request)?;
        for (root, peer) in [
            (Root::Source, request.source),
            (Root::Destination, request.destination),
        ] {
            if let Some(peer) = peer {
                self.set_peer(root, &peer);
            }
        }
        if let Some(sni) = request.sni {
            let pair = self.arena.alloc([("sni", sni)]);
            self.set_pairs(Layout::root(Root::Tls), pair, Repeated::Last);
        }
        if !request.extensions.is_empty() {
            let slot = Layout::root(Root::Extensions);
            self.set_pairs(slot, request.extensions, Repeated::Last);
        }
        if let Some(text) = request.metadata {
            self.fill(Root::Metadata, text)?;
        }
        self.assignments.key = request.key.filter(|key| !key.is_empty());
        if let Some(key) = self.assignments.key {
            let layout = &self.program.layout;
            self.slots()
                .set(layout, Root::Subject, &["id"], Value::String(key));
        }
        let mut roles = BumpVec::new_in(self.arena);
        self.claimed_roles(&mut roles);
        Ok(roles.into_bump_slice())
    }

    /// Sets `params`, and forgets those of before. Names are distinct.
    pub fn set_params(&self, captures: &'a [(&'a str, &'a str)]) {
        let slot = Layout::root(Root::Params);
        self.slots().clear(&self.program.layout, slot);
        self.set_pairs(slot, captures, Repeated::Last);
    }

    /// Sets what is read of the request, straight from it.
    fn set_http(&self, request: &HttpRequest<'a>) -> Result<(), EvaluateError> {
        let layout = &self.program.layout;
        let root = Layout::root(Root::Http);
        if layout.keeps(root) {
            return self.fill(Root::Http, self.http_object(request));
        }
        let mut body = None;
        let slots = self.slots();
        let none = || Value::Null;
        slots.set_members(layout, root, none, |name, slot| match name {
            "method" => slots.spread(layout, slot, Value::String(request.method)),
            "path" => slots.spread(layout, slot, Value::String(request.path)),
            "host" => slots.spread(layout, slot, Value::String(request.host)),
            "scheme" => slots.spread(layout, slot, Value::String(request.scheme)),
            "query" => self.set_pairs(slot, request.query, Repeated::List),
            "headers" => self.set_pairs(slot, request.headers, Repeated::Commas),
            "body" => body = Some(slot),
            _ => {}
        });
        if let (Some(slot), Some(text)) = (body, request.body) {
            let (depth, duplicates) = (self.context.limits.input_depth, self.context.duplicates);
            slots.fill_at(layout, slot, text, depth, duplicates)?;
        }
        Ok(())
    }

    /// Puts one end of a connection at a root.
    pub fn set_peer(&self, root: Root, peer: &HttpPeer<'a>) {
        let layout = &self.program.layout;
        let slots = self.slots();
        let texts = [
            ("principal", peer.principal),
            ("service", peer.service),
            ("address", peer.address),
        ];
        let text = |name: &str| {
            let (_, text) = texts.iter().find(|(candidate, _)| *candidate == name)?;
            (!text.is_empty()).then_some(Value::String(text))
        };
        let port = peer.port.map(|port| Value::Int(i64::from(port)));
        let whole = || {
            let mut entries = BumpVec::new_in(self.arena);
            for (name, _) in &texts {
                entries.extend(text(name).map(|value| (Value::String(name), value)));
            }
            entries.extend(port.map(|port| (Value::String("port"), port)));
            if !peer.labels.is_empty() {
                let labels = self.map(peer.labels, Repeated::Last);
                entries.push((Value::String("labels"), labels));
            }
            Value::Map(entries.into_bump_slice())
        };
        slots.set_members(layout, Layout::root(root), whole, |name, slot| match name {
            "port" => {
                if let Some(port) = port {
                    slots.spread(layout, slot, port);
                }
            }
            "labels" if !peer.labels.is_empty() => {
                self.set_pairs(slot, peer.labels, Repeated::Last);
            }
            name => {
                if let Some(value) = text(name) {
                    slots.spread(layout, slot, value);
                }
            }
        });
    }

    /// Sets an object of texts: of the names that are read, or of all where the whole is kept.
    fn set_pairs(&self, slot: Slot, pairs: &'a [(&'a str, &'a str)], repeated: Repeated) {
        let layout = &self.program.layout;
        let slots = self.slots();
        let whole = || self.map(pairs, repeated);
        slots.set_members(layout, slot, whole, |name, slot| {
            let mut values = pairs.iter().filter(|(candidate, _)| *candidate == name);
            if let Some((_, first)) = values.next() {
                let values = values.map(|(_, value)| *value);
                let value = self.under_one_name(first, values, repeated);
                slots.spread(layout, slot, value);
            }
        });
    }

    /// All values under one name as one.
    fn under_one_name(
        &self,
        first: &'a str,
        more: impl Iterator<Item = &'a str>,
        repeated: Repeated,
    ) -> Value<'a> {
        let mut more = more.peekable();
        if more.peek().is_none() {
            return Value::String(first);
        }
        match repeated {
            Repeated::Last => Value::String(more.last().unwrap_or(first)),
            Repeated::List => {
                let mut list = BumpVec::new_in(self.arena);
                list.push(Value::String(first));
                list.extend(more.map(Value::String));
                Value::List(list.into_bump_slice())
            }
            Repeated::Commas => {
                let mut text = BumpString::from_str_in(first, self.arena);
                for value in more {
                    text.push_str(", ");
                    text.push_str(value);
                }
                Value::String(text.into_bump_str())
            }
        }
    }

    /// Pairs as a map with distinct names.
    fn map(&self, pairs: &'a [(&'a str, &'a str)], repeated: Repeated) -> Value<'a> {
        // Grouped by name through a sorted list of positions: pairs come from outside, and may be many.
        let mut order = BumpVec::from_iter_in(0..pairs.len(), self.arena);
        order.sort_unstable_by_key(|index| (pairs.get(*index).map(|(name, _)| *name), *index));
        let named = order.iter().filter_map(|index| pairs.get(*index)).copied();
        let mut named = named.peekable();
        let mut entries = BumpVec::new_in(self.arena);
        while let Some((name, first)) = named.next() {
            let mut values = BumpVec::new_in(self.arena);
            while let Some((_, value)) = named.next_if(|(next, _)| *next == name) {
                values.push(value);
            }
            let value = self.under_one_name(first, values.into_iter(), repeated);
            entries.push((Value::String(name), value));
        }
        Value::Map(entries.into_bump_slice())
    }

    /// JSON text of the whole request, for policies that keep it as a whole.
    fn http_object(&self, request: &HttpRequest<'a>) -> &'a [u8] {
        let mut out = BumpString::with_capacity_in(request.size() + 128, self.arena);
        for (name, text) in [
            ("{\"method\":", request.method),
            (",\"path\":", request.path),
            (",\"host\":", request.host),
            (",\"scheme\":", request.scheme),
        ] {
            out.push_str(name);
            quote(&mut out, text);
        }
        for (name, pairs, repeated) in [
            (",\"query\":", request.query, Repeated::List),
            (",\"headers\":", request.headers, Repeated::Commas),
        ] {
            out.push_str(name);
            // Writing to memory does not fail.
            let _ = write_json(&mut out, &self.map(pairs, repeated));
        }
        if let Some(body) = request.body.and_then(|body| std::str::from_utf8(body).ok()) {
            out.push_str(",\"body\":");
            out.push_str(body);
        }
        out.push('}');
        out.into_bump_str().as_bytes()
    }
}

/// What becomes of values under one name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeated {
    /// A list, where there are several.
    List,
    /// One text, as HTTP joins header lines.
    Commas,
    /// The last one counts.
    Last,
}

fn quote(out: &mut BumpString<'_>, text: &str) {
    // Writing to memory does not fail.
    let _ = quote_json(out, text);
}
