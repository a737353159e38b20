//! The shapes of an Experiment and of Rego content.

use super::super::syntax::Syntax;
use super::common::{
    ID, LABELS, STATUS, STRING_MAP, TEST_NAME, VERSION, api_version, kind, metadata,
};
use super::{Form, Shape, optional, required};

pub(in super::super) static EXPERIMENT: Shape = Shape {
    name: "Experiment",
    about: "Assigns keys to variants.",
    camel: false,
    fields: &[
        api_version(),
        kind(&["Experiment"]),
        metadata(&METADATA),
        required("spec", Form::Object(&SPEC), "How keys are assigned."),
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

static METADATA: Shape = Shape {
    name: "ExperimentMetadata",
    about: "What identifies an experiment.",
    camel: false,
    fields: &[
        required(
            "name",
            Form::Text(Syntax::Token),
            "Unique per tenant; letters, digits and -_.!#$%&'*+^`|~, because it names a header.",
        ),
        ID,
        VERSION,
        STATUS,
        LABELS,
    ],
};

static SPEC: Shape = Shape {
    name: "ExperimentSpec",
    about: "How keys are assigned to variants.",
    camel: false,
    fields: &[
        optional(
            "key",
            Form::Expression,
            "CEL; what a unit of assignment is. By default the key that each door names.",
        ),
        optional(
            "hash",
            Form::OneOf(&["murmur3", "md5"]),
            "murmur3 (default), or md5, the registry's rule with exactly the variants A and B.",
        ),
        optional(
            "salt",
            Form::Text(Syntax::NonEmpty),
            "By default the experiment's name. Not with md5.",
        ),
        optional(
            "rollout",
            Form::Integer { min: 0, max: 100 },
            "Percent of keys in the experiment at all; by default 100. Not with md5.",
        ),
        optional(
            "audience",
            Form::Expression,
            "CEL; who takes part. By default everyone.",
        ),
        required(
            "variants",
            Form::List {
                items: &Form::Object(&VARIANT),
                at_least: 1,
            },
            "The variants, in the order of their buckets.",
        ),
        optional(
            "overrides",
            STRING_MAP,
            "Variant by key, before everything else.",
        ),
        optional(
            "policies",
            Form::Map {
                names: Syntax::Name,
                values: &Form::Map {
                    names: Syntax::NonEmpty,
                    values: &Form::Text(Syntax::Version),
                },
            },
            "By policy name: the version that each variant runs.",
        ),
    ],
};

static VARIANT: Shape = Shape {
    name: "Variant",
    about: "One variant.",
    camel: false,
    fields: &[
        required(
            "name",
            Form::Text(Syntax::NonEmpty),
            "Unique within the experiment.",
        ),
        optional(
            "weight",
            Form::Integer {
                min: 0,
                max: u32::MAX as i64,
            },
            "How many buckets the variant has; the sum of all is the number of buckets. Not with md5.",
        ),
    ],
};

static TEST: Shape = Shape {
    name: "ExperimentTest",
    about: "A decision test of an experiment.",
    camel: false,
    fields: &[
        TEST_NAME,
        required("key", Form::Text(Syntax::NonEmpty), "The key to assign."),
        optional("context", Form::AnyObject, "What the audience is told."),
        required("expect", Form::Object(&EXPECTATION), "What must come out."),
    ],
};

static EXPECTATION: Shape = Shape {
    name: "ExperimentExpectation",
    about: "The assignment.",
    camel: false,
    fields: &[required(
        "variant",
        Form::OrNull(&Form::Text(Syntax::NonEmpty)),
        "The variant; null = not in the experiment.",
    )],
};

pub(in super::super) static REGO: Shape = Shape {
    name: "Rego",
    about: "Rego modules and their data.",
    camel: false,
    fields: &[
        required(
            "modules",
            Form::Map {
                names: Syntax::RegoPath,
                values: &Form::Text(Syntax::NonEmpty),
            },
            "Rego source by path.",
        ),
        optional("data", Form::AnyObject, "The data document beside them."),
        optional(
            "metadata",
            Form::Object(&REGO_METADATA),
            "What identifies the policy.",
        ),
    ],
};

static REGO_METADATA: Shape = Shape {
    name: "RegoMetadata",
    about: "What identifies a Rego policy; by default its name is that of its file.",
    camel: false,
    fields: &[
        required(
            "name",
            Form::Text(Syntax::Name),
            "Unique per tenant; at most 255 characters.",
        ),
        ID,
        VERSION,
        STATUS,
        LABELS,
    ],
};
