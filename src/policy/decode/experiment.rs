//! Decodes an Experiment.

use super::super::cursor::{Cursor, Errors};
use super::super::document::{Experiment, ExperimentHash, Variant};
use super::super::suggest::suggestion;
use super::{check_unique, string_map, version};

/// Percent of keys that take part where nothing else is said.
const EVERYONE: u32 = 100;

pub(super) fn decode(root: &Cursor<'_>, errors: &mut Errors) -> Experiment {
    let spec = root.at("spec");
    let variants = spec.at("variants");
    let hash = match spec.at("hash").text() {
        "md5" => ExperimentHash::Md5,
        _ => ExperimentHash::Murmur3,
    };
    check_unique(
        &variants,
        "name",
        |variant, _| variant.at("name").text().to_owned(),
        errors,
    );
    match hash {
        ExperimentHash::Md5 => check_md5(&spec, errors),
        ExperimentHash::Murmur3 => check_weights(&variants, errors),
    }
    check_variant_names(&spec, errors);
    let metadata = root.at("metadata");
    let salt = spec.at("salt").optional_text().map(str::to_owned);
    Experiment {
        key: spec.optional_expression("key", &errors.file),
        hash,
        salt: salt.unwrap_or_else(|| metadata.at("name").text().to_owned()),
        rollout: if spec.has("rollout") {
            spec.at("rollout").number()
        } else {
            EVERYONE
        },
        audience: spec.optional_expression("audience", &errors.file),
        variants: variants
            .items()
            .map(|variant| Variant {
                name: variant.at("name").text().to_owned(),
                weight: match hash {
                    ExperimentHash::Md5 => 1,
                    ExperimentHash::Murmur3 => variant.at("weight").number(),
                },
            })
            .collect(),
        overrides: string_map(&spec.at("overrides")),
        policies: spec
            .at("policies")
            .entries()
            .map(|(policy, versions)| {
                let versions = versions
                    .entries()
                    .map(|(variant, text)| (variant.to_owned(), version(&text)))
                    .collect();
                (policy.to_owned(), versions)
            })
            .collect(),
    }
}

/// The registry's rule knows two halves and nothing else.
fn check_md5(spec: &Cursor<'_>, errors: &mut Errors) {
    for field in ["salt", "rollout"] {
        if spec.has(field) {
            errors.push(
                &spec.at(field),
                format!("`{field}` has no meaning with the hash `md5`: leave it out"),
            );
        }
    }
    let variants = spec.at("variants");
    let mut names: Vec<String> = Vec::new();
    for variant in variants.items() {
        if variant.has("weight") {
            errors.push(
                &variant.at("weight"),
                "weights have no meaning with the hash `md5`: leave them out",
            );
        }
        names.push(variant.at("name").text().to_owned());
    }
    names.sort();
    if spec.has("variants") && names != ["A", "B"] {
        errors.push(
            &variants,
            "the hash `md5` has exactly the variants `A` and `B`",
        );
    }
}

fn check_weights(variants: &Cursor<'_>, errors: &mut Errors) {
    let mut sum: u64 = 0;
    for variant in variants.items() {
        if !variant.has("weight") {
            errors.push(&variant, "the field `weight` is missing");
        }
        sum = sum.saturating_add(variant.at("weight").number());
    }
    let complete = variants.items().all(|variant| variant.has("weight"));
    if complete && variants.items().next().is_some() && sum == 0 {
        errors.push(
            variants,
            "the weights add up to 0: no key could get a variant",
        );
    }
    if sum > u64::from(u32::MAX) {
        errors.push(
            variants,
            format!("the weights add up to {sum}, more than {}", u32::MAX),
        );
    }
}

/// Reports overrides and versions of variants that do not exist.
fn check_variant_names(spec: &Cursor<'_>, errors: &mut Errors) {
    let mut names: Vec<String> = Vec::new();
    for variant in spec.at("variants").items() {
        names.push(variant.at("name").text().to_owned());
    }
    let mut check = |name: &str, place: &Cursor<'_>| {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            let hint = suggestion(name, names.iter().map(String::as_str));
            errors.push(
                place,
                format!("`{name}` is no variant of this experiment{hint}"),
            );
        }
    };
    for (_, variant) in spec.at("overrides").entries() {
        check(variant.text(), &variant);
    }
    for (_, versions) in spec.at("policies").entries() {
        for (variant, place) in versions.entries() {
            check(variant, &place);
        }
    }
}
