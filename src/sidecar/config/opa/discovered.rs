//! A discovered configuration under the file that the process was started with: the file's keys win, and what the
//! discovered one was fetched and verified with may not change.

use serde_json::{Map, Value};

use super::{Bundle, Discovery, OpaConfig, Service, services, substitute};

/// Names the discovery bundle among sources, in status and on disk.
pub const DISCOVERY: &str = "discovery";

/// What holds once a discovery bundle was read.
#[derive(Debug)]
pub struct Discovered {
    pub config: OpaConfig,
    /// Keys that both have, where they differed.
    pub overridden: Vec<String>,
}

impl Discovery {
    /// The bundle that holds the configuration.
    #[must_use]
    pub fn bundle(&self) -> Bundle {
        Bundle {
            service: self.service.clone(),
            resource: self.resource.clone().unwrap_or_else(|| {
                let prefix = self.prefix.as_deref().unwrap_or("bundles");
                let name = self.name.as_deref().unwrap_or_default();
                format!("{}/{}", prefix.trim_matches('/'), name.trim_matches('/'))
            }),
            polling: self.polling,
            persist: self.persist,
            signing: self.signing.clone(),
            size_limit_bytes: 0,
            trigger: self.trigger,
        }
    }

    /// The steps below `data` to the document that is the configuration.
    #[must_use]
    pub fn path(&self) -> Vec<String> {
        let decision = self.decision.as_deref().or(self.name.as_deref());
        let steps = decision.unwrap_or_default().split('/');
        let steps = steps.filter(|step| !step.is_empty());
        steps.map(str::to_owned).collect()
    }
}

impl OpaConfig {
    /// Lays this file over a discovered document; `variable` looks up the process's variables.
    ///
    /// # Errors
    ///
    /// Everything wrong with what would hold, and changes that are not allowed.
    pub fn discovered(
        &self,
        document: &Value,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Discovered, String> {
        let text = substitute(&document.to_string(), variable);
        let parsed: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let Value::Object(mut sections) = parsed else {
            return Err("the discovered configuration is no mapping of sections".to_owned());
        };
        // It is the file's alone.
        sections.remove(DISCOVERY);
        self.check_unchanged(&sections)?;
        let mut overridden = Vec::new();
        if let Value::Object(own) = &self.raw.0 {
            lay_over(&mut sections, own, "", &mut overridden);
        }
        if let Some(Value::Object(labels)) = sections.get_mut("labels") {
            labels.insert("id".to_owned(), self.id());
        } else {
            let labels = Map::from_iter([("id".to_owned(), self.id())]);
            sections.insert("labels".to_owned(), labels.into());
        }
        let mut config = Self::from_raw(Value::Object(sections))?;
        for (section, is_same) in [
            ("distributed_tracing", config.tracing == self.tracing),
            ("plugins.envoy_ext_authz_grpc", config.envoy == self.envoy),
        ] {
            if !is_same {
                config.warnings.push(format!(
                    "`{section}`: read at the start alone: put it into the file that the process is started with"
                ));
            }
        }
        Ok(Discovered { config, overridden })
    }

    /// One process has one id, whatever it is told.
    fn id(&self) -> Value {
        let id = self.labels.get("id");
        id.cloned().unwrap_or_default().into()
    }

    fn check_unchanged(&self, sections: &Map<String, Value>) -> Result<(), String> {
        let read = |name: &str| sections.get(name).filter(|section| !section.is_null());
        if let Some(services) = read("services") {
            let services: services::Services =
                serde_json::from_value(services.clone()).map_err(|error| error.to_string())?;
            let own = self.discovery.as_ref();
            let own = own.and_then(|discovery| self.service(&discovery.service));
            if let Some((name, own)) = own
                && let Some(theirs) = services.by_name()?.get(name)
                && !same(own, theirs)
            {
                return Err("updates to the discovery service are not allowed".to_owned());
            }
        }
        if let Some(keys) = read("keys") {
            let keys: std::collections::BTreeMap<String, super::VerificationKey> =
                serde_json::from_value(keys.clone()).map_err(|error| error.to_string())?;
            let changed = |(name, key)| self.keys.get(name).is_some_and(|own| own != key);
            if keys.iter().any(changed) {
                return Err(
                    "updates to keys specified in the boot configuration are not allowed"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }
}

/// The name stands in lists of services alone.
fn same(own: &Service, theirs: &Service) -> bool {
    let mut named = Service {
        name: own.name.clone(),
        ..theirs.clone()
    };
    if let (Some(own), Some(theirs)) = (&own.credentials.oauth2, &mut named.credentials.oauth2) {
        // Found by its name, which is compared.
        theirs.key.clone_from(&own.key);
    }
    *own == named
}

/// Lays `own` over `found`, mapping by mapping.
fn lay_over(
    found: &mut Map<String, Value>,
    own: &Map<String, Value>,
    prefix: &str,
    overridden: &mut Vec<String>,
) {
    for (name, value) in own {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match (found.get_mut(name), value) {
            (Some(Value::Object(found)), Value::Object(own)) => {
                lay_over(found, own, &path, overridden);
            }
            (Some(there), own) => {
                if there != own {
                    overridden.push(path);
                }
                *there = own.clone();
            }
            (None, own) => {
                found.insert(name.clone(), own.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mutate::hold;

    const BOOT: &str = "
services: {acme: {url: https://example.com}}
labels: {app: shop}
keys: {one: {key: k}}
discovery: {resource: d.tar.gz, decision: /a/b/}
bundles: {main: {resource: from-boot}}
";

    fn boot() -> OpaConfig {
        OpaConfig::parse(BOOT, |_| None).unwrap()
    }

    fn discovered(document: &Value) -> Result<Discovered, String> {
        boot().discovered(document, |name| (name == "HOST").then(|| "h".to_owned()))
    }

    /// Whatever is discovered: what it was fetched and verified with stays as it was.
    #[test]
    fn mutated_documents_change_nothing_that_they_were_fetched_with() {
        let examples = [
            r#"{"labels":{"app":"other","region":"${HOST}","id":"x"},"bundles":{"main":{"resource":"r","persist":true},"more":{}},"discovery":{"resource":"elsewhere"},"default_decision":"a/b"}"#,
            r#"{"services":{"acme":{"url":"https://example.com"},"logs":{"url":"https://l.example"}},"decision_logs":{"service":"logs"},"status":{"service":"acme"}}"#,
            r#"{"services":[{"name":"acme","url":"https://elsewhere.com"}],"keys":{"one":{"key":"other"},"two":{"key":"k2"}},"plugins":{}}"#,
        ];
        let boot = boot();
        hold(&examples, |text| {
            let Ok(document) = serde_json::from_slice(text) else {
                return;
            };
            let found = boot.discovered(&document, |_| Some("value".to_owned()));
            let Ok(found) = found.map_err(|error| assert!(!error.is_empty())) else {
                return;
            };
            let config = found.config;
            assert_eq!(config.services["acme"].url, "https://example.com");
            assert_eq!(config.keys["one"], boot.keys["one"]);
            assert_eq!(config.labels.get("id"), boot.labels.get("id"));
            let (own, theirs) = (&boot.discovery, &config.discovery);
            let [own, theirs] = [own, theirs].map(|it| it.as_ref().unwrap());
            assert_eq!(
                (own.path(), &own.resource),
                (theirs.path(), &theirs.resource)
            );
        });
    }

    #[test]
    fn the_file_wins_and_what_it_overrides_is_named() {
        let found = discovered(&json!({
            "labels": {"app": "other", "region": "${HOST}", "id": "x"},
            "bundles": {"main": {"resource": "r", "persist": true}, "more": {}},
            "discovery": {"resource": "elsewhere"},
            "default_decision": "a/b",
        }))
        .unwrap();
        assert_eq!(found.overridden, ["bundles.main.resource", "labels.app"]);
        let config = found.config;
        assert_eq!(config.labels["app"], "shop");
        assert_eq!(config.labels["region"], "h");
        assert_ne!(config.labels["id"], "x");
        let main = &config.bundles["main"];
        assert_eq!((main.resource.as_str(), main.persist), ("from-boot", true));
        assert!(config.bundles.contains_key("more"));
        assert_eq!(config.default_decision, "a/b");
        let discovery = config.discovery.unwrap();
        assert_eq!(discovery.resource.as_deref(), Some("d.tar.gz"));
        assert_eq!(discovery.path(), ["a", "b"]);
    }

    #[test]
    fn what_it_was_fetched_with_may_not_change() {
        for (document, error) in [
            (
                json!({"services": {"acme": {"url": "https://elsewhere.com"}}}),
                "updates to the discovery service are not allowed",
            ),
            (
                json!({"services": [{"name": "acme", "url": "https://example.com", "headers": {"a": "b"}}]}),
                "updates to the discovery service are not allowed",
            ),
            (
                json!({"keys": {"one": {"key": "other"}}}),
                "updates to keys specified in the boot configuration are not allowed",
            ),
            (json!([]), "no mapping of sections"),
            (json!({"bundels": {}}), "did you mean"),
            (
                json!({"bundles": {"x": {"service": "nobody"}}}),
                "no service `nobody`",
            ),
            (json!({"plugins": {"mine": {}}}), "plugins cannot be loaded"),
        ] {
            let found = discovered(&document).unwrap_err();
            assert!(found.contains(error), "{document}: {found}");
        }
        let same =
            json!({"services": {"acme": {"url": "https://example.com"}, "b": {"url": "http://b"}}});
        assert_eq!(discovered(&same).unwrap().config.services.len(), 2);
    }
}
