//! What authors are told about experiments.

use crate::policy::Body;

use super::{report, single, yaml};

#[test]
fn experiments_are_checked() {
    for (spec, expected) in [
        ("{variants: []}", "must not be empty"),
        ("{variants: [{name: A}]}", "the field `weight` is missing"),
        ("{variants: [{name: A, weight: 0}]}", "add up to 0"),
        (
            "{variants: [{name: A, weight: 4294967295}, {name: B, weight: 1}]}",
            "add up to 4294967296",
        ),
        (
            "{variants: [{name: A, weight: 1}, {name: A, weight: 1}]}",
            "`A` is there twice",
        ),
        (
            "{rollout: 101, variants: [{name: A, weight: 1}]}",
            "not between 0 and 100",
        ),
        (
            "{hash: md5, salt: s, variants: [{name: A}, {name: B}]}",
            "`salt` has no meaning",
        ),
        (
            "{hash: md5, variants: [{name: A}]}",
            "exactly the variants `A` and `B`",
        ),
        (
            "{hash: sha1, variants: [{name: A, weight: 1}]}",
            "none of `murmur3`, `md5`",
        ),
        (
            "{variants: [{name: blue, weight: 1}], overrides: {k: bleu}}",
            "did you mean `blue`?",
        ),
        (
            "{variants: [{name: A, weight: 1}], policies: {p: {Z: 1.0.0}}}",
            "spec.policies.p.Z: `Z` is no variant",
        ),
        (
            "{variants: [{name: A, weight: 1}], policies: {p: {A: '1'}}}",
            "no semantic version",
        ),
    ] {
        let report = single("Experiment", spec);
        assert!(report.contains(expected), "{spec}: {report}");
    }
    let md5 = "apiVersion: lictor.dev/v1\nkind: Experiment\nmetadata: {name: n}\n\
               spec: {hash: md5, variants: [{name: A}, {name: B}]}\n";
    let documents = yaml(md5);
    let Body::Experiment(experiment) = &documents[0].body else {
        panic!("an experiment")
    };
    assert_eq!((experiment.salt.as_str(), experiment.rollout), ("n", 100));
    let group = md5.replace("{name: n}", "{name: n, abTestGroup: A}");
    assert!(report(&group)[0].contains("unknown field `abTestGroup`"));
}
