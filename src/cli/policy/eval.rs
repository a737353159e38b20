//! `lictor policy eval`: one decision, by the engine that a sidecar runs.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::check::compile;
use super::{Sources, usage};
use crate::api::decision::{self, AccessAnswer, Envelope, Reason, Timing};
use crate::cli::output::Output;
use crate::engine::rego::{parse_rego_json, write_rego_json};
use crate::engine::{
    AccessRequest, Context, DuplicateMembers, HttpAccess, HttpHeader, Limits, Program, RegoInput,
    RegoMachine, RegoSegment, RegoSetting, Scratch, WrittenRequest,
};
use crate::model::{Access, Timestamp};
use crate::policy::{self, Format, PolicyErrors};

/// Bytes of an input that can be read; the engine's own limit is lower.
const MAX_INPUT: u64 = 16 * 1024 * 1024;

/// Arguments of `lictor policy eval`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    sources: Sources,
    /// The question, as JSON or YAML; `-` reads JSON from standard input
    #[arg(long, short, value_name = "FILE")]
    input: PathBuf,
    /// What is asked
    #[arg(long, value_enum, default_value_t = Kind::Validate)]
    kind: Kind,
    /// Of Rego: the document's path below `data`
    #[arg(long, default_value = "", value_name = "PATH")]
    path: String,
    /// Add every policy and rule that was considered
    #[arg(long)]
    explain: bool,
    /// Claims of a verified token, as JSON: what expressions see as `jwt`
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// The moment of the decision (RFC 3339); by default now
    #[arg(long, value_parser = super::moment, value_name = "TIME")]
    at: Option<Timestamp>,
}

/// The kinds of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Any JSON object
    Validate,
    /// {subject, action, resource, context}, or {user_id, service_id, action, context}
    Access,
    /// {method, path, headers, host, scheme, body}
    Http,
    /// {experiment or policy_id, key, context}
    Variant,
    /// Any JSON, for a Rego document
    Rego,
}

/// Decides and prints the decision.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = match args.sources.read() {
        Ok(folder) => folder,
        Err(code) => return Ok(code),
    };
    let read = |path: &Path| read_json(path);
    let (input, claims) = match (
        read(&args.input),
        args.claims.as_deref().map(read).transpose(),
    ) {
        (Ok(input), Ok(claims)) => (input, claims),
        (Err(error), _) | (_, Err(error)) => return Ok(usage(&error)),
    };
    let (data, data_errors) = folder.data();
    let mut errors = folder.errors.clone();
    errors.extend(data_errors);
    let program = compile(&folder.documents, &folder.modules, data);
    let program = match program {
        Ok(program) if errors.is_empty() => program,
        Ok(_) => bail!(PolicyErrors(errors)),
        Err(found) => {
            errors.extend(found);
            bail!(PolicyErrors(errors))
        }
    };
    let context = Context {
        now: args.at.unwrap_or_else(super::now),
        claims: claims.as_deref().map(str::as_bytes),
        principal: "",
        duplicates: DuplicateMembers::Refuse,
        explain: args.explain,
        limits: Limits::default(),
    };
    let answer = match args.kind {
        Kind::Rego => rego(&program, &args.path, &input, &context)?,
        kind => decide(&program, kind, &input, &context)?,
    };
    Output::Json.print(&answer, String::new)?;
    Ok(ExitCode::SUCCESS)
}

/// A question as JSON text.
fn read_json(path: &Path) -> anyhow::Result<String> {
    let name = path.display();
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX_INPUT)
            .read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(MAX_INPUT).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("cannot read `{name}`"))?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    if matches!(extension, Some("yaml" | "yml")) {
        return Ok(policy::to_json(&name.to_string(), &bytes, Format::Yaml)?);
    }
    String::from_utf8(bytes).map_err(|_| anyhow!("`{name}` is not UTF-8 text"))
}

fn decide(
    program: &Program,
    kind: Kind,
    input: &str,
    context: &Context<'_>,
) -> anyhow::Result<Value> {
    let scratch = Scratch::default();
    let envelope = Envelope {
        decision_id: Uuid::nil(),
        revision: "",
    };
    let mut out = Vec::new();
    match kind {
        Kind::Validate => {
            let timing = Timing {
                validated_at: context.now,
                duration_ms: 0,
            };
            let answer = program.validate(input.as_bytes(), context, &scratch)?;
            decision::validation(&mut out, &envelope, timing, &answer);
        }
        Kind::Access => {
            let request = if is_check(input)? {
                AccessRequest::Check(input.as_bytes())
            } else {
                AccessRequest::Document(input.as_bytes())
            };
            let answer = program.access(request, context, &scratch)?;
            encode_access(&mut out, &envelope, &answer);
        }
        Kind::Http => {
            let request = WrittenRequest::parse(input).map_err(|message| anyhow!(message))?;
            let (query, headers, labels) = (request.query(), request.headers(), request.labels());
            let request = request.lend(&query, &headers, &labels);
            let answer = program.http(&request, context, &scratch)?;
            encode_access(&mut out, &envelope, &answer.access);
            return Ok(http_effects(unwrapped(&out)?, &answer));
        }
        Kind::Rego => bail!("a Rego document is no decision of policies"),
        Kind::Variant => {
            let answer = program.variant(input.as_bytes(), context, &scratch)?;
            decision::variant(&mut out, &envelope, &answer);
        }
    }
    unwrapped(&out)
}

/// The document at a path below `data`: `result`, absent where it is undefined.
fn rego(
    program: &Program,
    path: &str,
    input: &str,
    context: &Context<'_>,
) -> anyhow::Result<Value> {
    let value = parse_rego_json(input.as_bytes(), context.limits.input_depth)?;
    let input = RegoInput {
        value: Some(value),
        strict: false,
    };
    let setting = RegoSetting {
        input: &input,
        data: program.data(),
        limits: &context.limits,
        now: context.now,
    };
    let path: Vec<RegoSegment<'_>> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse()
                .map_or(RegoSegment::Name(part), RegoSegment::Index)
        })
        .collect();
    let mut machine = RegoMachine::default();
    let found = program.rego().document(&path, &setting, &mut machine)?;
    for line in machine.take_prints() {
        eprintln!("{line}");
    }
    let Some(value) = found else {
        return Ok(json!({}));
    };
    let mut text = Vec::new();
    if !write_rego_json(&value, context.limits.rego_result_bytes, &mut text) {
        bail!("the result is too large");
    }
    let result: Value = serde_json::from_slice(&text)?;
    Ok(json!({ "result": result }))
}

/// Whether this is the policy engine's question rather than AuthZEN's.
fn is_check(input: &str) -> anyhow::Result<bool> {
    let value: Value = serde_json::from_str(input).context("the input is not JSON")?;
    Ok(value.get("user_id").is_some() && value.get("subject").is_none())
}

fn encode_access(out: &mut Vec<u8>, envelope: &Envelope<'_>, answer: &Access<'_>) {
    let said = AccessAnswer {
        allowed: answer.allowed,
        reason: Reason::of(&answer.reason),
        required_permissions: answer.required_permissions,
        missing_permissions: answer.missing_permissions,
    };
    decision::access(out, envelope, &said, answer);
}

/// A decision without what only a running sidecar has: ids and revisions.
fn unwrapped(out: &[u8]) -> anyhow::Result<Value> {
    let mut value: Value = serde_json::from_slice(out).context("the decision is not JSON")?;
    if let Value::Object(members) = &mut value {
        members.remove("decision_id");
        members.remove("revision");
    }
    Ok(value)
}

/// An access decision with what it does to the HTTP request or its reply.
fn http_effects(mut value: Value, answer: &HttpAccess<'_>) -> Value {
    let headers = |list: &[HttpHeader<'_>]| {
        list.iter()
            .map(|header| json!({"name": header.name, "value": header.value}))
            .collect::<Vec<_>>()
    };
    if let Value::Object(members) = &mut value {
        let effects = json!({
            "status": answer.status,
            "set_headers": headers(answer.set_headers),
            "append_headers": headers(answer.append_headers),
            "remove_headers": answer.remove_headers,
            "response_headers": headers(answer.response_headers),
            "set_query": headers(answer.set_query),
            "remove_query": answer.remove_query,
            "body": answer.body,
        });
        if let Value::Object(effects) = effects {
            members.extend(effects);
        }
        let metadata = answer.metadata.iter().map(|(name, text)| {
            let value = serde_json::from_str(text).unwrap_or(Value::Null);
            ((*name).to_owned(), value)
        });
        members.insert("metadata".to_owned(), Value::Object(metadata.collect()));
    }
    value
}
