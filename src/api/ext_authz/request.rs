//! A `CheckRequest`, borrowed from the message.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use crate::api::protobuf::{DecodeError, Field, Reader};

/// Headers, labels or extensions of one request; more are refused.
const MAX_ENTRIES: usize = 1000;

/// `CheckRequest.attributes`.
#[derive(Debug)]
pub struct CheckRequest<'a> {
    pub source: Option<Peer<'a>>,
    pub destination: Option<Peer<'a>>,
    pub time: Option<Time>,
    pub http: Http<'a>,
    /// Whether the message has an `http` at all.
    pub has_http: bool,
    pub context_extensions: BumpVec<'a, (&'a str, &'a str)>,
    /// A `Metadata` message each, as it lies there.
    pub metadata_context: Option<&'a [u8]>,
    pub route_metadata_context: Option<&'a [u8]>,
    pub tls_session: Option<TlsSession<'a>>,
}

/// One end of the connection.
#[derive(Debug)]
pub struct Peer<'a> {
    pub address: Option<Address<'a>>,
    pub service: &'a str,
    pub labels: BumpVec<'a, (&'a str, &'a str)>,
    pub principal: &'a str,
    pub certificate: &'a str,
}

/// Where a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    Socket {
        /// 0 = TCP, 1 = UDP.
        protocol: i32,
        address: &'a str,
        port: Option<u32>,
        named_port: Option<&'a str>,
        resolver_name: &'a str,
        ipv4_compat: bool,
    },
    Pipe {
        path: &'a str,
        mode: u32,
    },
    Internal {
        server_listener_name: Option<&'a str>,
        endpoint_id: &'a str,
    },
}

/// A `google.protobuf.Timestamp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    pub seconds: i64,
    pub nanos: i32,
}

/// The TLS session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsSession<'a> {
    pub sni: &'a str,
}

/// `request.http`.
#[derive(Debug)]
pub struct Http<'a> {
    pub id: &'a str,
    pub method: &'a str,
    /// From `headers` or `header_map`: lower-case names, in order. Bytes of a value that are not UTF-8 are `!`, as
    /// Envoy itself writes them into `headers`.
    pub headers: BumpVec<'a, (&'a str, &'a str)>,
    /// The same as `header_map` has them; empty where the request came with `headers`.
    pub raw_headers: BumpVec<'a, (&'a str, &'a str, &'a [u8])>,
    pub path: &'a str,
    pub host: &'a str,
    pub scheme: &'a str,
    pub query: &'a str,
    pub fragment: &'a str,
    /// -1 where it is not known.
    pub size: i64,
    pub protocol: &'a str,
    pub body: &'a str,
    pub raw_body: &'a [u8],
    /// Whether there is a `header_map`.
    pub has_header_map: bool,
}

impl<'a> Http<'a> {
    fn empty(arena: &'a Bump) -> Self {
        Self {
            id: "",
            method: "",
            headers: BumpVec::new_in(arena),
            raw_headers: BumpVec::new_in(arena),
            path: "",
            host: "",
            scheme: "",
            query: "",
            fragment: "",
            size: 0,
            protocol: "",
            body: "",
            raw_body: &[],
            has_header_map: false,
        }
    }

    /// The first value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(candidate, _)| *candidate == name)
            .map(|(_, value)| *value)
    }

    /// The body's bytes, whichever way they came; None where there are none.
    #[must_use]
    pub const fn body_bytes(&self) -> Option<&'a [u8]> {
        if !self.body.is_empty() {
            Some(self.body.as_bytes())
        } else if !self.raw_body.is_empty() {
            Some(self.raw_body)
        } else {
            None
        }
    }
}

impl<'a> CheckRequest<'a> {
    /// One that asks about nothing yet.
    #[must_use]
    pub fn new(arena: &'a Bump) -> Self {
        Self {
            source: None,
            destination: None,
            time: None,
            http: Http::empty(arena),
            has_http: false,
            context_extensions: BumpVec::new_in(arena),
            metadata_context: None,
            route_metadata_context: None,
            tls_session: None,
        }
    }

    /// Reads a message. Lists and repaired texts go to `arena`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(message: &'a [u8], arena: &'a Bump) -> Result<Self, DecodeError> {
        let mut request = Self::new(arena);
        let mut fields = Reader::new(message);
        while let Some((number, field)) = fields.field()? {
            if number == 1 {
                request.attributes(field.message("attributes")?, arena)?;
            }
        }
        Ok(request)
    }

    fn attributes(&mut self, mut fields: Reader<'a>, arena: &'a Bump) -> Result<(), DecodeError> {
        while let Some((number, field)) = fields.field()? {
            match number {
                1 => peer(&mut self.source, field.message("source")?, arena)?,
                2 => peer(&mut self.destination, field.message("destination")?, arena)?,
                4 => self.request(field.message("request")?, arena)?,
                10 => entry(&mut self.context_extensions, field, "context_extensions")?,
                11 => once(&mut self.metadata_context, field, "metadata_context")?,
                12 => {
                    let session = self.tls_session.get_or_insert_default();
                    let mut fields = field.message("tls_session")?;
                    while let Some((number, field)) = fields.field()? {
                        if number == 1 {
                            session.sni = field.text("sni")?;
                        }
                    }
                }
                13 => once(
                    &mut self.route_metadata_context,
                    field,
                    "route_metadata_context",
                )?,
                _ => {}
            }
        }
        Ok(())
    }

    fn request(&mut self, mut fields: Reader<'a>, arena: &'a Bump) -> Result<(), DecodeError> {
        while let Some((number, field)) = fields.field()? {
            match number {
                1 => {
                    let time = self.time.get_or_insert_default();
                    let mut fields = field.message("time")?;
                    while let Some((number, field)) = fields.field()? {
                        match number {
                            1 => time.seconds = field.number("seconds")? as i64,
                            2 => time.nanos = field.number("nanos")? as i32,
                            _ => {}
                        }
                    }
                }
                2 => {
                    self.has_http = true;
                    self.http.read(field.message("http")?, arena)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> Http<'a> {
    fn read(&mut self, mut fields: Reader<'a>, arena: &'a Bump) -> Result<(), DecodeError> {
        while let Some((number, field)) = fields.field()? {
            match number {
                1 => self.id = field.text("id")?,
                2 => self.method = field.text("method")?,
                3 => {
                    if self.headers.capacity() == 0 {
                        self.headers.reserve(32);
                    }
                    entry(&mut self.headers, field, "headers")?;
                }
                4 => self.path = field.text("path")?,
                5 => self.host = field.text("host")?,
                6 => self.scheme = field.text("scheme")?,
                7 => self.query = field.text("query")?,
                8 => self.fragment = field.text("fragment")?,
                9 => self.size = field.number("size")? as i64,
                10 => self.protocol = field.text("protocol")?,
                11 => self.body = field.text("body")?,
                12 => self.raw_body = field.bytes("raw_body")?,
                13 => {
                    self.has_header_map = true;
                    self.header_map(field.message("header_map")?, arena)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `HeaderMap{headers 1: HeaderValue{key 1, value 2, raw_value 3}}`.
    fn header_map(&mut self, mut fields: Reader<'a>, arena: &'a Bump) -> Result<(), DecodeError> {
        while let Some((number, field)) = fields.field()? {
            if number != 1 {
                continue;
            }
            let (mut key, mut value, mut raw) = ("", "", &[][..]);
            let mut fields = field.message("header_map.headers")?;
            while let Some((number, field)) = fields.field()? {
                match number {
                    1 => key = field.text("header_map.headers.key")?,
                    2 => value = field.text("header_map.headers.value")?,
                    3 => raw = field.bytes("header_map.headers.raw_value")?,
                    _ => {}
                }
            }
            if self.raw_headers.len() >= MAX_ENTRIES {
                return Err(DecodeError::TooMany("headers"));
            }
            self.raw_headers.push((key, value, raw));
            let value = if raw.is_empty() {
                value
            } else {
                readable(raw, arena)
            };
            self.headers.push((lower_case(key, arena), value));
        }
        Ok(())
    }
}

/// A header's name in lower case, as it nearly always is.
fn lower_case<'a>(name: &'a str, arena: &'a Bump) -> &'a str {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let copy = arena.alloc_str(name);
        copy.make_ascii_lowercase();
        copy
    } else {
        name
    }
}

/// A header's value as text: what is not UTF-8 becomes `!`, byte by byte.
pub fn readable<'a>(raw: &'a [u8], arena: &'a Bump) -> &'a str {
    if let Ok(text) = std::str::from_utf8(raw) {
        return text;
    }
    let mut out = bumpalo::collections::String::with_capacity_in(raw.len(), arena);
    for chunk in raw.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| '!'));
    }
    out.into_bump_str()
}

fn peer<'a>(
    peer: &mut Option<Peer<'a>>,
    mut fields: Reader<'a>,
    arena: &'a Bump,
) -> Result<(), DecodeError> {
    let peer = peer.get_or_insert_with(|| Peer {
        address: None,
        service: "",
        labels: BumpVec::new_in(arena),
        principal: "",
        certificate: "",
    });
    while let Some((number, field)) = fields.field()? {
        match number {
            1 => {
                if peer.address.is_some() {
                    return Err(DecodeError::TooMany("addresses"));
                }
                peer.address = address(field.message("address")?)?;
            }
            2 => peer.service = field.text("service")?,
            3 => entry(&mut peer.labels, field, "labels")?,
            4 => peer.principal = field.text("principal")?,
            5 => peer.certificate = field.text("certificate")?,
            _ => {}
        }
    }
    Ok(())
}

/// `Address{socket_address 1, pipe 2, envoy_internal_address 3}`: one of them, once.
fn address(mut fields: Reader<'_>) -> Result<Option<Address<'_>>, DecodeError> {
    let mut address = None;
    while let Some((number, field)) = fields.field()? {
        if address.is_some() && matches!(number, 1..=3) {
            return Err(DecodeError::TooMany("addresses"));
        }
        match number {
            1 => address = Some(socket(field.message("socket_address")?)?),
            2 => address = Some(pipe(field.message("pipe")?)?),
            3 => address = Some(internal(field.message("envoy_internal_address")?)?),
            _ => {}
        }
    }
    Ok(address)
}

fn socket(mut fields: Reader<'_>) -> Result<Address<'_>, DecodeError> {
    let (mut protocol, mut address, mut resolver_name) = (0, "", "");
    let (mut port, mut named_port, mut ipv4_compat) = (None, None, false);
    while let Some((number, field)) = fields.field()? {
        match number {
            1 => protocol = field.number("protocol")? as i32,
            2 => address = field.text("socket_address.address")?,
            3 => {
                port = Some(field.number("port_value")? as u32);
                named_port = None;
            }
            4 => {
                named_port = Some(field.text("named_port")?);
                port = None;
            }
            5 => resolver_name = field.text("resolver_name")?,
            6 => ipv4_compat = field.number("ipv4_compat")? != 0,
            _ => {}
        }
    }
    Ok(Address::Socket {
        protocol,
        address,
        port,
        named_port,
        resolver_name,
        ipv4_compat,
    })
}

fn pipe(mut fields: Reader<'_>) -> Result<Address<'_>, DecodeError> {
    let (mut path, mut mode) = ("", 0);
    while let Some((number, field)) = fields.field()? {
        match number {
            1 => path = field.text("pipe.path")?,
            2 => mode = field.number("pipe.mode")? as u32,
            _ => {}
        }
    }
    Ok(Address::Pipe { path, mode })
}

fn internal(mut fields: Reader<'_>) -> Result<Address<'_>, DecodeError> {
    let (mut server_listener_name, mut endpoint_id) = (None, "");
    while let Some((number, field)) = fields.field()? {
        match number {
            1 => server_listener_name = Some(field.text("server_listener_name")?),
            2 => endpoint_id = field.text("endpoint_id")?,
            _ => {}
        }
    }
    Ok(Address::Internal {
        server_listener_name,
        endpoint_id,
    })
}

/// One entry of a `map<string, string>`. A key that is there twice stays there twice.
fn entry<'a>(
    map: &mut BumpVec<'a, (&'a str, &'a str)>,
    field: Field<'a>,
    name: &'static str,
) -> Result<(), DecodeError> {
    let (mut key, mut value) = ("", "");
    let mut fields = field.message(name)?;
    while let Some((number, field)) = fields.field()? {
        match number {
            1 => key = field.text(name)?,
            2 => value = field.text(name)?,
            _ => {}
        }
    }
    if map.len() >= MAX_ENTRIES {
        return Err(DecodeError::TooMany(name));
    }
    map.push((key, value));
    Ok(())
}

/// A message that is kept as it lies there, and may therefore not be split in two.
fn once<'a>(
    place: &mut Option<&'a [u8]>,
    field: Field<'a>,
    name: &'static str,
) -> Result<(), DecodeError> {
    if place.replace(field.bytes(name)?).is_some() {
        return Err(DecodeError::TooMany(name));
    }
    Ok(())
}
