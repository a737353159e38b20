//! The shape of an AccessPolicy.

use super::super::syntax::Syntax;
use super::common::{
    ALLOWED, CHOICES, METADATA, STRING, TEST_NAME, VARIABLES, api_version, kind, metadata,
};
use super::{Field, Form, Shape, optional, required};

const HEADER_NAMES: Form = Form::List {
    items: &Form::Text(Syntax::Token),
    at_least: 1,
};
const HEADERS: Form = Form::Map {
    names: Syntax::Token,
    values: &Form::Expression,
};
const EXPRESSIONS: Form = Form::Map {
    names: Syntax::NonEmpty,
    values: &Form::Expression,
};

pub(in super::super) static ACCESS_POLICY: Shape = Shape {
    name: "AccessPolicy",
    about: "Says who may do what; deny wins, and nothing matching is a denial.",
    camel: false,
    fields: &[
        api_version(),
        kind(&["AccessPolicy"]),
        metadata(&METADATA),
        required("spec", Form::Object(&SPEC), "The rules."),
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
    name: "AccessSpec",
    about: "Rules about actions on resources, and about HTTP requests.",
    camel: false,
    fields: &[
        optional(
            "resources",
            CHOICES,
            "The resource types that `rules` are about; \"*\" = any.",
        ),
        optional(
            "variables",
            VARIABLES,
            "Expressions by name, used as vars.NAME and evaluated at most once.",
        ),
        optional(
            "roles",
            EXPRESSIONS,
            "Derived roles: who holds one, as CEL.",
        ),
        optional(
            "rules",
            Form::List {
                items: &Form::Object(&RULE),
                at_least: 1,
            },
            "Rules about actions on resources.",
        ),
        optional(
            "http",
            Form::List {
                items: &Form::Object(&HTTP_RULE),
                at_least: 1,
            },
            "Rules about HTTP requests.",
        ),
    ],
};

const RULE_ID: Field = optional(
    "id",
    Form::Text(Syntax::NonEmpty),
    "Unique in its list; decisions name the rule by it.",
);
const EFFECT: Field = required(
    "effect",
    Form::OneOf(&["allow", "deny"]),
    "What a match means.",
);
const ROLES: Field = optional(
    "roles",
    CHOICES,
    "Any of these; left out: no role is needed.",
);
const CONDITION: Field = optional("condition", Form::Expression, "CEL; must hold, too.");
const REASON: Field = optional("reason", STRING, "Said in the decision.");

static RULE: Shape = Shape {
    name: "AccessRule",
    about: "One rule about actions on resources.",
    camel: false,
    fields: &[
        RULE_ID,
        EFFECT,
        optional(
            "actions",
            CHOICES,
            "Any of these; left out or \"*\": every action.",
        ),
        ROLES,
        CONDITION,
        REASON,
    ],
};

static HTTP_RULE: Shape = Shape {
    name: "HttpRule",
    about: "One rule about HTTP requests.",
    camel: false,
    fields: &[
        RULE_ID,
        EFFECT,
        optional(
            "methods",
            Form::List {
                items: &Form::Text(Syntax::Method),
                at_least: 1,
            },
            "Any of these; left out: every method.",
        ),
        optional(
            "paths",
            Form::List {
                items: &Form::Text(Syntax::PathTemplate),
                at_least: 1,
            },
            "Templates: {id} is one segment, a last {rest*} is the rest; left out: every path.",
        ),
        optional(
            "hosts",
            Form::List {
                items: &Form::Text(Syntax::Host),
                at_least: 1,
            },
            "Any of these; left out: every host.",
        ),
        ROLES,
        CONDITION,
        REASON,
        optional(
            "on_allow",
            Form::Object(&ON_ALLOW),
            "Changes to a request that is let through.",
        ),
        optional(
            "on_deny",
            Form::Object(&ON_DENY),
            "The reply to a request that is refused.",
        ),
    ],
};

static ON_ALLOW: Shape = Shape {
    name: "OnAllow",
    about: "Changes to a request that is let through; values are CEL.",
    camel: false,
    fields: &[
        optional("set_headers", HEADERS, "Request headers to set."),
        optional("append_headers", HEADERS, "Request headers to add."),
        optional("remove_headers", HEADER_NAMES, "Request headers to remove."),
        optional("set_response_headers", HEADERS, "Response headers to set."),
        optional("set_query", EXPRESSIONS, "Query parameters to set."),
        optional("remove_query", CHOICES, "Query parameters to remove."),
        optional("metadata", EXPRESSIONS, "Dynamic metadata for Envoy."),
    ],
};

static ON_DENY: Shape = Shape {
    name: "OnDeny",
    about: "The reply to a request that is refused; header values and body are CEL.",
    camel: false,
    fields: &[
        optional(
            "status",
            Form::Integer { min: 300, max: 503 },
            "A redirect (3xx), 401, 403, 404, 429 or 503; by default 403.",
        ),
        optional("headers", HEADERS, "Response headers."),
        optional("body", Form::Expression, "The body, as text."),
        optional("metadata", EXPRESSIONS, "Dynamic metadata for Envoy."),
    ],
};

static TEST: Shape = Shape {
    name: "AccessTest",
    about: "A decision test of an access policy: `input`, or `http` with an optional `jwt`.",
    camel: false,
    fields: &[
        TEST_NAME,
        optional("input", Form::Object(&ACCESS_INPUT), "An access request."),
        optional("http", Form::Object(&HTTP_INPUT), "An HTTP request."),
        optional(
            "jwt",
            Form::AnyObject,
            "Claims of the token that came with the HTTP request.",
        ),
        required("expect", Form::Object(&EXPECTATION), "What must come out."),
    ],
};

static ACCESS_INPUT: Shape = Shape {
    name: "AccessInput",
    about: "An AuthZEN access request.",
    camel: false,
    fields: &[
        required(
            "subject",
            Form::AnyObject,
            "Who asks: type, id, properties.",
        ),
        required(
            "action",
            Form::AnyObject,
            "What is asked for: name, properties.",
        ),
        required(
            "resource",
            Form::AnyObject,
            "On what: type, id, properties.",
        ),
        optional("context", Form::AnyObject, "Anything else."),
    ],
};

static HTTP_INPUT: Shape = Shape {
    name: "HttpInput",
    about: "An HTTP request in canonical form.",
    camel: false,
    fields: &[
        required("method", Form::Text(Syntax::Method), "The method."),
        required(
            "path",
            Form::Text(Syntax::NonEmpty),
            "The path, with the query where there is one.",
        ),
        optional(
            "headers",
            Form::Map {
                names: Syntax::Token,
                values: &STRING,
            },
            "Request headers.",
        ),
        optional("host", STRING, "The host, without the port."),
        optional("scheme", Form::OneOf(&["http", "https"]), "The scheme."),
        optional("body", Form::Any, "The parsed body."),
        optional(
            "source",
            Form::Object(&PEER),
            "Who sent it, as Envoy says it.",
        ),
        optional(
            "destination",
            Form::Object(&PEER),
            "Where Envoy received it.",
        ),
    ],
};

static PEER: Shape = Shape {
    name: "HttpPeer",
    about: "One end of a connection.",
    camel: false,
    fields: &[
        optional("principal", STRING, "Its verified identity."),
        optional("service", STRING, "Its service."),
        optional("address", STRING, "Its address."),
        optional(
            "port",
            Form::Integer {
                min: 0,
                max: 65_535,
            },
            "Its port.",
        ),
        optional(
            "labels",
            Form::Map {
                names: Syntax::NonEmpty,
                values: &STRING,
            },
            "Its labels.",
        ),
    ],
};

static EXPECTATION: Shape = Shape {
    name: "AccessExpectation",
    about: "What the decision must be; what is left out is not compared.",
    camel: false,
    fields: &[
        ALLOWED,
        optional("rule", STRING, "The id of the rule that decided."),
        optional(
            "status",
            Form::Integer { min: 200, max: 503 },
            "The HTTP status; 200 where the request is allowed.",
        ),
        optional(
            "headers",
            Form::Map {
                names: Syntax::Token,
                values: &STRING,
            },
            "Request headers that an allow sets.",
        ),
    ],
};
