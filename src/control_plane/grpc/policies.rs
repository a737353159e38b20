//! The methods about policies, and the engine's own health.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

use crate::api::policy_engine::v1::health_check_response::ServingStatus;
use crate::api::policy_engine::v1::{
    CreatePolicyRequest, CreatePolicyResponse, DeletePolicyRequest, DeletePolicyResponse,
    GetPolicyRequest, GetPolicyResponse, HealthCheckResponse, ListPoliciesRequest, Policy,
    UpdatePolicyRequest, UpdatePolicyResponse,
};
use crate::control_plane::access::Permission;
use crate::control_plane::registry::{
    Answer, Caller, Command, Done, IdempotencyKey, NewPolicy, Order, RegistryError, Revision,
};
use crate::control_plane::store::Format;
use crate::control_plane::{clock, idempotency};
use crate::model::PolicyId;
use crate::server::grpc::{Reply, decode};

use super::{Asked, Engine, MAX_MESSAGE_BYTES, convert, list as pages};

const REVISION: HeaderName = HeaderName::from_static("x-lictor-revision");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The first version's number where the request names none.
const FIRST: semver::Version = semver::Version::new(1, 0, 0);

/// `GetPolicy`.
pub(super) async fn get(engine: &Engine, asked: &Asked) -> Result<Reply, Status> {
    let caller = admit(engine, asked, &["read"]).await?;
    let request: GetPolicyRequest = decode(asked.message.clone())?;
    let policy = engine
        .registry
        .typed_policy(&caller.tenant, reference(&request.policy_id)?)
        .await?;
    let policy = Some(convert::typed(&policy)?);
    Reply::new(&GetPolicyResponse { policy }, MAX_MESSAGE_BYTES)
}

/// `ListPolicies`.
pub(super) async fn list(engine: &Engine, asked: &Asked) -> Result<Reply, Status> {
    let caller = admit(engine, asked, &["list"]).await?;
    let request: ListPoliciesRequest = decode(asked.message.clone())?;
    let policies = engine.registry.typed_policies(&caller.tenant).await?;
    let policies = policies.iter().map(convert::typed);
    let page = pages::page(
        &request,
        policies.collect::<Result<_, _>>()?,
        engine.default_page_size,
    )?;
    Reply::new(&page, MAX_MESSAGE_BYTES)
}

/// `CreatePolicy`: policy, version and activation at once.
pub(super) async fn create(engine: &Engine, asked: &Asked) -> Result<Reply, Status> {
    let caller = admit(engine, asked, &["create", "activate"]).await?;
    let request: CreatePolicyRequest = decode(asked.message.clone())?;
    let policy = needed(request.policy)?;
    let command = Command::CreatePolicy(NewPolicy {
        content: Some(convert::document(&policy)?),
        version: Some(version(&policy.version)?.unwrap_or(FIRST)),
        name: policy.name,
        id: Some(PolicyId(uuid::Uuid::new_v4())),
        description: Some(policy.description).filter(|text| !text.is_empty()),
        format: Format::Json,
        tags: Vec::new(),
        compliance_tags: Vec::new(),
        activate: true,
    });
    write(engine, asked, caller, command, |done| {
        Ok(CreatePolicyResponse {
            created_at: Some(convert::timestamp(done.policy.created_at)),
            policy: Some(written(done)?),
        }
        .encode_to_vec())
    })
    .await
}

/// `UpdatePolicy`: the next version, activated.
pub(super) async fn update(engine: &Engine, asked: &Asked) -> Result<Reply, Status> {
    let caller = admit(engine, asked, &["create_version", "activate"]).await?;
    let request: UpdatePolicyRequest = decode(asked.message.clone())?;
    let command = Command::Revise {
        policy: reference(&request.policy_id)?.to_owned(),
        revision: revision(&needed(request.policy)?, &request.update_mask)?,
    };
    write(engine, asked, caller, command, |done| {
        Ok(UpdatePolicyResponse {
            updated_at: Some(convert::timestamp(done.policy.updated_at)),
            policy: Some(written(done)?),
        }
        .encode_to_vec())
    })
    .await
}

/// `DeletePolicy`: archived.
pub(super) async fn delete(engine: &Engine, asked: &Asked) -> Result<Reply, Status> {
    let caller = admit(engine, asked, &["archive"]).await?;
    let request: DeletePolicyRequest = decode(asked.message.clone())?;
    let command = Command::Archive {
        policy: reference(&request.policy_id)?.to_owned(),
    };
    write(engine, asked, caller, command, |done| {
        Ok(DeletePolicyResponse {
            success: true,
            deleted_at: Some(convert::timestamp(done.policy.updated_at)),
        }
        .encode_to_vec())
    })
    .await
}

/// `HealthCheck`: whether the store answers. Never an error.
pub(super) async fn health(engine: &Engine) -> Result<Reply, Status> {
    let (status, database) = match engine.registry.store.ping().await {
        Ok(()) => (ServingStatus::Serving, "healthy".to_owned()),
        Err(error) => {
            tracing::warn!(%error, "the store does not answer");
            (ServingStatus::NotServing, "unhealthy".to_owned())
        }
    };
    let response = HealthCheckResponse {
        status: status.into(),
        details: HashMap::from([
            ("database".to_owned(), database),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]),
        timestamp: Some(convert::timestamp(clock::now())),
    };
    Reply::new(&response, MAX_MESSAGE_BYTES)
}

/// The caller, who needs every one of these permissions.
async fn admit(engine: &Engine, asked: &Asked, actions: &[&'static str]) -> Result<Caller, Status> {
    let mut caller = engine.gate.identify(&asked.headers).await?;
    for action in actions {
        let permission = Permission {
            action,
            resource: "policy",
        };
        caller = engine.gate.admit(&asked.headers, permission).await?;
    }
    Ok(caller)
}

fn reference(policy_id: &str) -> Result<&str, Status> {
    if policy_id.is_empty() {
        return Err(Status::invalid_argument("`policy_id` is missing"));
    }
    Ok(policy_id)
}

fn needed(policy: Option<Policy>) -> Result<Policy, Status> {
    policy.ok_or_else(|| Status::invalid_argument("`policy` is missing"))
}

fn version(text: &str) -> Result<Option<semver::Version>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<semver::Version>()
        .ok()
        .filter(|version| version.pre.is_empty() && version.build.is_empty())
        .map(Some)
        .ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            Status::invalid_argument(format!(
                "`policy.version` is `{shown}`, which is no version such as 1.0.0"
            ))
        })
}

/// What shall be different: what the mask names, without a mask everything.
fn revision(policy: &Policy, mask: &[String]) -> Result<Revision, Status> {
    let everything = || {
        ["name", "description", "version"]
            .into_iter()
            .chain(convert::SPEC)
            .map(str::to_owned)
            .collect()
    };
    let mask: Vec<String> = if mask.is_empty() {
        everything()
    } else {
        mask.to_vec()
    };
    let mut revision = Revision::default();
    for path in mask {
        match path.as_str() {
            "name" => revision.name = Some(policy.name.clone()),
            "description" => revision.description = Some(policy.description.clone()),
            "version" => revision.version = version(&policy.version)?,
            member if convert::SPEC.contains(&member) => {
                let value = convert::member(policy, member)?;
                revision.spec.insert(path, value);
            }
            _ => {
                let shown: String = path.chars().take(64).collect();
                return Err(Status::invalid_argument(format!(
                    "`update_mask` names `{shown}`: there are name, description, version, {}",
                    convert::SPEC.join(", ")
                )));
            }
        }
    }
    Ok(revision)
}

/// The policy as the write left it.
fn written(done: &Done) -> Result<Policy, Status> {
    let version = done.version.as_ref();
    let version = version.ok_or_else(|| Status::internal("internal error"))?;
    convert::shown(&done.policy, version)
}

/// An answer as it is kept for a repeated request.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    code: i32,
    text: String,
    revision: Option<u64>,
    /// Base64.
    message: String,
}

/// Carries out a write. It goes on when the caller hangs up: a claimed key would stay claimed.
async fn write(
    engine: &Engine,
    asked: &Asked,
    caller: Caller,
    command: Command,
    show: fn(&Done) -> Result<Vec<u8>, Status>,
) -> Result<Reply, Status> {
    let key = idempotency::key(&asked.headers)?;
    let order = Order {
        caller,
        command,
        if_match: None,
        idempotency: key.map(|key| IdempotencyKey {
            key,
            fingerprint: idempotency::fingerprint([asked.method.as_bytes(), &asked.message]),
        }),
    };
    let registry = engine.registry.clone();
    let running = tokio::spawn(async move {
        let encode = move |result: &Result<Done, RegistryError>| keep(result, show);
        registry.execute(&order, &encode).await
    });
    match running.await.map_err(RegistryError::from)?? {
        Answer::Fresh(text) => answered(&text, false),
        Answer::Replayed(text) => answered(&text, true),
    }
}

fn keep(
    result: &Result<Done, RegistryError>,
    show: fn(&Done) -> Result<Vec<u8>, Status>,
) -> String {
    let shown = match result {
        Ok(done) => show(done).map(|message| (done.number, message)),
        Err(error) => Err(Status::from(error)),
    };
    let kept = match shown {
        Ok((number, message)) => Kept {
            code: 0,
            text: String::new(),
            revision: Some(number),
            message: STANDARD.encode(message),
        },
        Err(status) => Kept {
            code: status.code().into(),
            text: status.message().to_owned(),
            revision: None,
            message: String::new(),
        },
    };
    serde_json::json!(kept).to_string()
}

fn answered(text: &str, replayed: bool) -> Result<Reply, Status> {
    let broken = || Status::internal("internal error");
    let kept: Kept = serde_json::from_str(text).map_err(|_| broken())?;
    let mut trailers = http::HeaderMap::new();
    if let Some(revision) = kept.revision {
        trailers.insert(REVISION, HeaderValue::from(revision));
    }
    if replayed {
        trailers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if kept.code != 0 {
        let metadata = tonic::metadata::MetadataMap::from_headers(trailers);
        let code = Code::from_i32(kept.code);
        return Err(Status::with_metadata(code, kept.text, metadata));
    }
    let message = STANDARD.decode(&kept.message).map_err(|_| broken())?;
    let mut reply = Reply::of_encoded(&message, MAX_MESSAGE_BYTES)?;
    reply.trailers = trailers;
    Ok(reply)
}
