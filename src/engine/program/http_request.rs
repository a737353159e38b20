//! An HTTP request as the roots that rules read: `http`, `source`, `destination`, `tls`, `extensions`, `metadata`.

use bumpalo::collections::String as BumpString;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::Value;
use crate::engine::input::Root;
use crate::engine::value::quote_json;

use super::run::Run;
use super::{EvaluateError, HttpRequest};

impl HttpRequest<'_> {
    /// Bytes of everything in it.
    pub(super) fn size(&self) -> usize {
        let pairs = self.query.iter().chain(self.headers);
        let texts = [self.method, self.path, self.host, self.scheme];
        let parts = [
            self.body,
            self.source,
            self.destination,
            self.tls,
            self.extensions,
            self.metadata,
        ];
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
        self.fill(Root::Http, self.http_object(request))?;
        for (root, text) in [
            (Root::Source, request.source),
            (Root::Destination, request.destination),
            (Root::Tls, request.tls),
            (Root::Extensions, request.extensions),
            (Root::Metadata, request.metadata),
        ] {
            if let Some(text) = text {
                self.fill(root, text)?;
            }
        }
        if let Some(Value::String(principal)) = self.slots().get(self.program.principal) {
            self.assignments.key = Some(principal);
        }
        let mut roles = BumpVec::new_in(self.arena);
        self.claimed_roles(&mut roles);
        Ok(roles.into_bump_slice())
    }

    fn http_object(&self, request: &HttpRequest<'_>) -> &'a [u8] {
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
        out.push_str(",\"query\":");
        merged(&mut out, request.query, Repeated::List);
        out.push_str(",\"headers\":");
        merged(&mut out, request.headers, Repeated::Commas);
        if let Some(body) = request.body.and_then(|body| std::str::from_utf8(body).ok()) {
            out.push_str(",\"body\":");
            out.push_str(body);
        }
        out.push('}');
        out.into_bump_str().as_bytes()
    }

    /// JSON text of an object of strings.
    pub fn object<'n>(&self, members: impl Iterator<Item = (&'n str, &'n str)>) -> &'a [u8] {
        let mut out = BumpString::new_in(self.arena);
        out.push('{');
        for (index, (name, value)) in members.enumerate() {
            out.push_str(if index > 0 { "," } else { "" });
            quote(&mut out, name);
            out.push(':');
            quote(&mut out, value);
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
}

fn quote(out: &mut BumpString<'_>, text: &str) {
    // Writing to memory does not fail.
    let _ = quote_json(out, text);
}

fn merged(out: &mut BumpString<'_>, pairs: &[(&str, &str)], repeated: Repeated) {
    // Grouped by name through a sorted list of positions: pairs come from outside, and may be many.
    let mut order = BumpVec::from_iter_in(0..pairs.len(), out.bump());
    order.sort_unstable_by_key(|index| (pairs.get(*index).map(|(name, _)| *name), *index));
    let named = order.iter().filter_map(|index| pairs.get(*index)).copied();
    let mut named = named.peekable();
    let mut first = true;
    out.push('{');
    while let Some((name, value)) = named.next() {
        out.push_str(if first { "" } else { "," });
        first = false;
        quote(out, name);
        out.push(':');
        let mut values = BumpVec::new_in(out.bump());
        values.push(value);
        while let Some((_, value)) = named.next_if(|(next, _)| *next == name) {
            values.push(value);
        }
        match (values.as_slice(), repeated) {
            ([single], _) => quote(out, single),
            (several, Repeated::Commas) => {
                let mut text = BumpString::new_in(out.bump());
                for (index, value) in several.iter().enumerate() {
                    text.push_str(if index > 0 { ", " } else { "" });
                    text.push_str(value);
                }
                quote(out, &text);
            }
            (several, Repeated::List) => {
                out.push('[');
                for (index, value) in several.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    quote(out, value);
                }
                out.push(']');
            }
        }
    }
    out.push('}');
}
