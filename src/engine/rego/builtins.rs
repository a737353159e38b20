//! Builtins that regorus lacks, and those of its own that are replaced: for the decision's own clock, and where
//! an argument from outside could ask for more memory or time than a decision may have.

mod bounds;
pub(super) mod conflict;
mod crypto;
mod format;
mod glob;
mod intersect;
mod jwt;
mod member;
mod network;
mod old;
mod text;
mod uri;
mod yaml;

use std::cell::Cell;

use anyhow::anyhow;
use regorus::unstable::{BUILTINS, Expr, Ref, Span};
use regorus::{Engine, LimitError, Value};

use super::RegoVersion;

/// As regorus calls a builtin: a span and expressions for its messages, the arguments, whether errors are strict.
pub(super) type Direct = fn(&Span, &[Ref<Expr>], &[Value], bool) -> anyhow::Result<Value>;
/// A builtin of ours. Undefined, where OPA's would fail, is an error here; the caller drops it unless errors are
/// strict.
type Plain = fn(&[Value]) -> anyhow::Result<Value>;

/// A builtin that is supplied to regorus.
#[derive(Clone, Copy, Debug)]
pub(super) struct Supplied {
    pub name: &'static str,
    pub arity: u8,
    /// Whether OPA keeps it for Rego v0 alone.
    pub old: bool,
    plain: Plain,
    /// With the arguments as they are.
    pub direct: Direct,
    /// With the arguments in one array.
    pub packed: Direct,
}

/// A builtin of ours.
macro_rules! supplied {
    ($old:literal $($name:literal $arity:literal $function:path;)*) => {
        &[$(Supplied {
            name: $name,
            arity: $arity,
            old: $old,
            plain: $function,
            direct: |_, _, arguments, _| $function(arguments),
            packed: |_, _, arguments, _| match arguments.first() {
                Some(Value::Array(inner)) => $function(inner.as_slice()),
                _ => Err(anyhow!("no arguments")),
            },
        }),*]
    };
}

/// A builtin of regorus behind a guard.
macro_rules! guarded {
    ($($name:literal $arity:literal $guard:path;)*) => {
        &[$(Supplied {
            name: $name,
            arity: $arity,
            old: false,
            plain: |arguments| {
                $guard(arguments)?;
                bounds::own($name, arguments)
            },
            direct: |span, expressions, arguments, strict| {
                $guard(arguments)?;
                bounds::forward($name, span, expressions, arguments, strict)
            },
            packed: |_, _, _, _| Err(anyhow!("not a builtin of ours")),
        }),*]
    };
}

const OURS: &[Supplied] = supplied! { false
    "array.flatten" 1 old::flatten;
    "crypto.hmac.equal" 2 crypto::hmac_equal;
    "crypto.hmac.md5" 2 crypto::hmac_md5;
    "crypto.hmac.sha1" 2 crypto::hmac_sha1;
    "crypto.hmac.sha256" 2 crypto::hmac_sha256;
    "crypto.hmac.sha512" 2 crypto::hmac_sha512;
    "crypto.md5" 1 crypto::md5;
    "crypto.sha1" 1 crypto::sha1;
    "crypto.sha256" 1 crypto::sha256;
    "glob.match" 3 glob::matches;
    "glob.quote_meta" 1 text::quote_glob;
    "indexof" 2 text::index_of;
    "internal.member_2" 2 member::has_value;
    "internal.member_3" 3 member::has_entry;
    "io.jwt.decode" 1 jwt::decode;
    "io.jwt.decode_verify" 2 jwt::decode_verify;
    "io.jwt.encode_sign" 3 jwt::encode_sign;
    "io.jwt.encode_sign_raw" 3 jwt::encode_sign_raw;
    "io.jwt.verify_eddsa" 2 jwt::verify_eddsa;
    "io.jwt.verify_es256" 2 jwt::verify_es256;
    "io.jwt.verify_es384" 2 jwt::verify_es384;
    "io.jwt.verify_hs256" 2 jwt::verify_hs256;
    "io.jwt.verify_hs384" 2 jwt::verify_hs384;
    "io.jwt.verify_hs512" 2 jwt::verify_hs512;
    "io.jwt.verify_ps256" 2 jwt::verify_ps256;
    "io.jwt.verify_ps384" 2 jwt::verify_ps384;
    "io.jwt.verify_ps512" 2 jwt::verify_ps512;
    "io.jwt.verify_rs256" 2 jwt::verify_rs256;
    "io.jwt.verify_rs384" 2 jwt::verify_rs384;
    "io.jwt.verify_rs512" 2 jwt::verify_rs512;
    "json.marshal" 1 old::marshal;
    "lower" 1 text::lower;
    "net.cidr_contains_matches" 2 network::contains_matches;
    "net.cidr_intersects" 2 network::intersects;
    "net.cidr_merge" 1 network::merge;
    "object.subset" 2 member::is_subset;
    "regex.globs_match" 2 intersect::matches;
    "sprintf" 2 format::sprintf;
    "strings.count" 2 text::count;
    "strings.split_n" 3 old::split_n;
    "time.now_ns" 0 now;
    "to_number" 1 text::to_number;
    "trace" 1 text::trace;
    "upper" 1 text::upper;
    "uri.is_valid" 1 uri::is_valid;
    "uri.parse" 1 uri::parse;
    "urlquery.decode" 1 text::query_decode;
    "yaml.is_valid" 1 yaml::is_valid;
    "yaml.marshal" 1 yaml::marshal;
    "yaml.unmarshal" 1 yaml::unmarshal;
};

/// Of Rego v0 alone.
const OLD: &[Supplied] = supplied! { true
    "all" 1 old::all;
    "any" 1 old::any;
    "cast_array" 1 old::cast_array;
    "cast_boolean" 1 old::cast_boolean;
    "cast_null" 1 old::cast_null;
    "cast_object" 1 old::cast_object;
    "cast_set" 1 old::cast_set;
    "cast_string" 1 old::cast_string;
    "net.cidr_overlap" 2 old::overlap;
    "re_match" 2 old::re_match;
    "set_diff" 2 old::set_diff;
};

const GUARDED: &[Supplied] = guarded! {
    "bits.lsh" 2 bounds::shift_left;
    "graph.reachable_paths" 2 bounds::reachable_paths;
    "net.cidr_expand" 1 bounds::expand;
    "numbers.range" 2 bounds::range;
    "numbers.range_step" 3 bounds::range_step;
    "regex.find_all_string_submatch_n" 3 bounds::pattern_first;
    "regex.find_n" 3 bounds::pattern_first;
    "regex.match" 2 bounds::pattern_first;
    "regex.replace" 3 bounds::pattern_second;
    "regex.split" 2 bounds::pattern_first;
};

/// What `in` is where its value is used, with what it takes.
pub(super) const MEMBER: [(&str, usize); 2] = [("internal.member_2", 2), ("internal.member_3", 3)];

/// What is supplied to regorus.
pub(super) fn supplied() -> impl Iterator<Item = &'static Supplied> {
    OURS.iter().chain(OLD).chain(GUARDED)
}

/// Whether regorus knows that name itself.
pub(super) fn is_own(name: &str) -> bool {
    BUILTINS.contains_key(name)
}

/// Whether modules of that version may call a builtin of that name.
pub(super) fn is_there(name: &str, version: RegoVersion) -> bool {
    name == "print" || BUILTINS.contains_key(name) || named(name, version).is_some()
}

/// The supplied builtin of a name, for modules of that version.
pub(super) fn named(name: &str, version: RegoVersion) -> Option<&'static Supplied> {
    let fits =
        |builtin: &&Supplied| builtin.name == name && (!builtin.old || version == RegoVersion::V0);
    supplied().find(fits)
}

thread_local! {
    /// Nanoseconds since 1970 that the evaluation under way takes for now.
    static NOW: Cell<i64> = const { Cell::new(0) };
    /// Whether a builtin's error ends the evaluation under way. Only the interpreter asks.
    static STRICT: Cell<bool> = const { Cell::new(false) };
}

/// Sets what builtins look at besides their arguments; holds for this thread until it is set again.
pub(super) fn begin(now: i64, strict: bool) {
    NOW.set(now);
    STRICT.set(strict);
}

#[expect(clippy::unnecessary_wraps, reason = "every builtin has this signature")]
fn now(_: &[Value]) -> anyhow::Result<Value> {
    Ok(Value::from(NOW.get()))
}

/// Teaches the interpreter.
pub(super) fn extend(interpreter: &mut Engine) -> anyhow::Result<()> {
    for builtin in supplied() {
        let Supplied {
            name, arity, plain, ..
        } = *builtin;
        // An extension's error always ends the evaluation: a lenient one is Undefined here already.
        let call = move |arguments: Vec<Value>| match plain(&arguments) {
            Err(error) if !STRICT.get() && !error.is::<LimitError>() => Ok(Value::Undefined),
            result => result,
        };
        interpreter.add_extension(name.to_owned(), arity, Box::new(call))?;
    }
    Ok(())
}

/// A string argument.
fn text(arguments: &[Value], index: usize) -> anyhow::Result<&str> {
    match arguments.get(index) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(anyhow!("operand {} must be string", index + 1)),
    }
}
