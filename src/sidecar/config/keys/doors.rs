//! The settings of the doors and of who asks there.

use crate::identity::TokenType;
use crate::jose::Algorithm;
use crate::server::settings::{Key, Kind};

use super::key;

pub(super) const KEYS: &[Key] = &[
    key(
        "access.when_no_policy",
        Kind::Word(&["deny", "allow"]),
        "The answer where no access policy is loaded.",
    ),
    key(
        "authzen.policy_decision_point",
        Kind::OptionalText,
        "https URL of this decision point in AuthZEN metadata.",
    ),
    key(
        "ext_authz.path",
        Kind::OptionalText,
        "Rego document that decides about HTTP requests; null = the HTTP rules of access policies.",
    ),
    key(
        "ext_authz.dry_run",
        Kind::Boolean,
        "Answer yes to every check, and say in the metadata what it would have been.",
    ),
    key(
        "ext_authz.skip_request_body_parse",
        Kind::Boolean,
        "Do not look into bodies.",
    ),
    key(
        "ext_authz.proto_descriptor",
        Kind::OptionalText,
        "A file with a FileDescriptorSet: the gRPC services whose requests are read for the policies.",
    ),
    key(
        "ext_authz.undefined",
        Kind::Word(&["error", "deny"]),
        "What an undefined Rego document means.",
    ),
    key(
        "ext_authz.append",
        Kind::Word(&["both", "unset"]),
        "How headers of a Rego decision say whether they replace or add.",
    ),
    key(
        "ext_authz.metadata",
        Kind::Word(&["full", "id"]),
        "What dynamic metadata says of each decision over gRPC: full = id, revision, bundle's age, policy and rule; id = the id alone, which costs Envoy less.",
    ),
    key(
        "ext_authz.key",
        Kind::Text,
        "What experiments assign variants by: source.principal, source.address, http.headers.NAME, http.query.NAME, jwt.CLAIM, or a CEL expression over the request.",
    ),
    key(
        "ext_authz.allow_ambiguous",
        Kind::Texts,
        "What a path may hold although servers read it differently, such as double_slash.",
    ),
    key(
        "identity.issuers[].name",
        Kind::Text,
        "The `iss` of tokens that are believed.",
    ),
    key(
        "identity.issuers[].audience",
        Kind::Texts,
        "One of them must be in the token's `aud`.",
    ),
    key(
        "identity.issuers[].use",
        Kind::Word(&["token"]),
        "What the issuer's keys are for.",
    ),
    key(
        "identity.issuers[].algorithm",
        Kind::Word(Algorithm::ASYMMETRIC),
        "What its tokens are signed with.",
    ),
    key(
        "identity.issuers[].typ",
        Kind::Words(TokenType::WORDS),
        "What its tokens call themselves: JWT, at+jwt (RFC 9068) or both.",
    ),
    key(
        "identity.issuers[].public_key_file",
        Kind::OptionalText,
        "PEM of the issuer's public key.",
    ),
    key(
        "identity.issuers[].jwks",
        Kind::Url,
        "The issuer's key set: an https URL or a path.",
    ),
    key(
        "identity.issuers[].jwks_ca_file",
        Kind::OptionalText,
        "PEM of the certificate authorities to trust for it.",
    ),
    key(
        "identity.issuers[].jwks_refresh",
        Kind::Duration,
        "How often a key set behind a URL is fetched.",
    ),
    key(
        "opa.authentication",
        Kind::Word(&["off", "token"]),
        "What OPA's clients are known by: token = the bearer token is the policy's `input.identity`.",
    ),
    key(
        "opa.authorization",
        Kind::Word(&["off", "basic"]),
        "Whether a policy decides about each request of OPA's clients.",
    ),
    key(
        "opa.allow_unsigned",
        Kind::Boolean,
        "Bundles that an OPA configuration file names need not be signed.",
    ),
    key(
        "opa.default_decision",
        Kind::Text,
        "Path of the document that `POST /` asks for.",
    ),
    key(
        "opa.default_authorization_decision",
        Kind::Text,
        "Path of the document that decides about requests of OPA's clients.",
    ),
    key(
        "opa.body_bytes",
        Kind::Size,
        "Size of a body of OPA's clients as it arrives.",
    ),
    key(
        "opa.gzip_body_bytes",
        Kind::Size,
        "Size of a compressed body of OPA's clients, unpacked.",
    ),
    key(
        "opa.gzip_min_length",
        Kind::Size,
        "Shorter answers to OPA's clients are not compressed.",
    ),
    key(
        "opa.gzip_level",
        Kind::Integer,
        "How hard answers to OPA's clients are compressed: 0 to 9.",
    ),
];
