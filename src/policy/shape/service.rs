//! The shape of a ServicePolicy: the policy engine API's typed rules, field by field.

use super::super::syntax::Syntax;
use super::common::{
    ALLOWED, COMPLIANT, LEVELS, METADATA, SEVERITIES, STRING_MAP, STRINGS, TEST_NAME, VIOLATIONS,
    api_version, kind, metadata,
};
use super::{Form, Shape, optional, required};

/// The types, each with the member of `rule` that it needs.
pub(in super::super) static RULES: [(&str, Option<&str>); 8] = [
    ("DATA_RESIDENCY", Some("data_residency")),
    ("COMPLIANCE", Some("compliance")),
    ("SECURITY", Some("security")),
    ("PRICING", Some("pricing")),
    ("ACCESS_CONTROL", Some("access_control")),
    ("RATE_LIMITING", Some("rate_limiting")),
    ("CONTENT_FILTERING", None),
    ("DATA_CLASSIFICATION", None),
];

const TYPES: [&str; 8] = [
    "DATA_RESIDENCY",
    "COMPLIANCE",
    "SECURITY",
    "PRICING",
    "ACCESS_CONTROL",
    "RATE_LIMITING",
    "CONTENT_FILTERING",
    "DATA_CLASSIFICATION",
];

const COUNT: Form = Form::Integer {
    min: 0,
    max: i64::MAX,
};
const RATE: Form = Form::Number {
    min: 0.0,
    max: f64::MAX,
};

pub(in super::super) static SERVICE_POLICY: Shape = Shape {
    name: "ServicePolicy",
    about: "A typed rule of the policy engine API.",
    camel: false,
    fields: &[
        api_version(),
        kind(&["ServicePolicy"]),
        metadata(&METADATA),
        required("spec", Form::Object(&SPEC), "The rule."),
        optional(
            "tests",
            Form::List {
                items: &Form::Object(&TEST),
                at_least: 0,
            },
            "Decision tests; they travel in the bundle and run before it is activated.",
        ),
    ],
};

static SPEC: Shape = Shape {
    name: "ServiceSpec",
    about: "A typed rule, as the policy engine API carries it.",
    camel: true,
    fields: &[
        required("type", Form::OneOf(&TYPES), "Which rule this is."),
        required(
            "severity",
            Form::OneOf(&SEVERITIES),
            "How bad a violation is.",
        ),
        optional(
            "enabled",
            Form::Flag,
            "A disabled policy stays in the bundle and is not evaluated; by default true.",
        ),
        optional(
            "rule",
            Form::Object(&RULE),
            "Exactly the member that the type names.",
        ),
        optional(
            "metadata",
            STRING_MAP,
            "Strings; applies_from_level, certification_match, deny_patterns, max_payload_bytes and \
             classification_max steer the evaluation.",
        ),
    ],
};

static RULE: Shape = Shape {
    name: "Rule",
    about: "One typed rule.",
    camel: true,
    fields: &[
        optional(
            "data_residency",
            Form::Object(&DATA_RESIDENCY),
            "Where data may lie.",
        ),
        optional(
            "compliance",
            Form::Object(&COMPLIANCE),
            "What a service must be certified for.",
        ),
        optional(
            "security",
            Form::Object(&SECURITY),
            "How a service must be secured.",
        ),
        optional(
            "pricing",
            Form::Object(&PRICING),
            "What a service may cost.",
        ),
        optional(
            "access_control",
            Form::Object(&ACCESS_CONTROL),
            "Who may use a service.",
        ),
        optional(
            "rate_limiting",
            Form::Object(&RATE_LIMITING),
            "How much may be used.",
        ),
    ],
};

static DATA_RESIDENCY: Shape = Shape {
    name: "DataResidencyRule",
    about: "Where data may lie.",
    camel: true,
    fields: &[
        optional(
            "allowed_countries",
            STRINGS,
            "Only these, if any are given.",
        ),
        optional("blocked_countries", STRINGS, "None of these."),
        optional(
            "require_specification",
            Form::Flag,
            "At least one location must be named.",
        ),
        optional(
            "minimum_locations",
            Form::Integer {
                min: 0,
                max: i32::MAX as i64,
            },
            "At least as many locations.",
        ),
    ],
};

static COMPLIANCE: Shape = Shape {
    name: "ComplianceRule",
    about: "What a service must be certified for.",
    camel: true,
    fields: &[
        optional(
            "required_certifications",
            STRINGS,
            "All of these; any of them with certification_match=any.",
        ),
        optional(
            "require_gdpr_compliance",
            Form::Flag,
            "The service must be GDPR compliant.",
        ),
        optional(
            "require_hipaa_compliance",
            Form::Flag,
            "The service must be HIPAA compliant.",
        ),
        optional(
            "require_soc2_compliance",
            Form::Flag,
            "The service must be certified for SOC2.",
        ),
        optional(
            "minimum_compliance_level",
            Form::OneOf(&["", LEVELS[0], LEVELS[1], LEVELS[2], LEVELS[3]]),
            "The lowest level allowed.",
        ),
    ],
};

static SECURITY: Shape = Shape {
    name: "SecurityRule",
    about: "How a service must be secured.",
    camel: true,
    fields: &[
        optional(
            "require_https",
            Form::Flag,
            "The endpoint's URL must begin with https://.",
        ),
        optional(
            "require_authentication",
            Form::Flag,
            "The endpoint must name an authentication type.",
        ),
        optional(
            "allowed_authentication_types",
            STRINGS,
            "Only these, if any are given.",
        ),
        optional(
            "require_encryption_at_rest",
            Form::Flag,
            "Checked where the input says.",
        ),
        optional(
            "require_encryption_in_transit",
            Form::Flag,
            "Checked where the input says.",
        ),
        optional(
            "minimum_tls_version",
            Form::Integer { min: 0, max: 13 },
            "12 = TLS 1.2, 13 = TLS 1.3, 0 = any; checked where the input says.",
        ),
    ],
};

static PRICING: Shape = Shape {
    name: "PricingRule",
    about: "What a service may cost.",
    camel: true,
    fields: &[
        optional(
            "max_rate_per_token",
            RATE,
            "The highest rate of any tier per token.",
        ),
        optional(
            "max_rate_per_request",
            RATE,
            "The highest rate of any tier per request.",
        ),
        optional("require_free_tier", Form::Flag, "One tier must be free."),
        optional(
            "minimum_sla_for_enterprise",
            Form::Number {
                min: 0.0,
                max: 100.0,
            },
            "The lowest availability, in percent, of services with enterprise support.",
        ),
    ],
};

static ACCESS_CONTROL: Shape = Shape {
    name: "AccessControlRule",
    about: "Who may use a service.",
    camel: true,
    fields: &[
        optional(
            "allowed_user_roles",
            STRINGS,
            "One of these, if any are given.",
        ),
        optional("blocked_user_ids", STRINGS, "None of these."),
        optional("require_approval", Form::Flag, "An approval is needed."),
        optional(
            "allowed_ip_ranges",
            Form::List {
                items: &Form::Text(Syntax::Cidr),
                at_least: 0,
            },
            "CIDR ranges; the request must come from one of them, if any are given.",
        ),
    ],
};

static RATE_LIMITING: Shape = Shape {
    name: "RateLimitingRule",
    about: "How much may be used; 0 = not limited here.",
    camel: true,
    fields: &[
        optional("max_requests_per_minute", COUNT, "Requests per minute."),
        optional("max_requests_per_hour", COUNT, "Requests per hour."),
        optional("max_requests_per_day", COUNT, "Requests per day."),
        optional("max_tokens_per_request", COUNT, "Tokens per request."),
    ],
};

static TEST: Shape = Shape {
    name: "ServiceTest",
    about: "A decision test of a typed rule.",
    camel: false,
    fields: &[
        TEST_NAME,
        required(
            "input",
            Form::AnyObject,
            "The service to validate; for ACCESS_CONTROL {subject, action, resource, context}.",
        ),
        required("expect", Form::Object(&EXPECTATION), "What must come out."),
    ],
};

static EXPECTATION: Shape = Shape {
    name: "ServiceExpectation",
    about: "What the rule must give; what is left out is not compared.",
    camel: false,
    fields: &[COMPLIANT, VIOLATIONS, ALLOWED],
};
