//! Query parameters as OPA understands them.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// How much of a trace is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Explain {
    #[default]
    Off,
    Notes,
    Fails,
    Full,
    Debug,
}

/// What a request asks for beside the thing itself.
#[derive(Debug, Default)]
pub(super) struct Parameters<'q> {
    pub pretty: bool,
    pub provenance: bool,
    pub metrics: bool,
    pub instrument: bool,
    pub strict_builtin_errors: bool,
    pub bundles: bool,
    pub plugins: bool,
    pub explain: Explain,
    pub exclude_plugin: Vec<Cow<'q, str>>,
    /// JSON text; the last one given.
    pub input: Option<Cow<'q, str>>,
    /// The last one given.
    pub query: Option<Cow<'q, str>>,
}

/// A parameter that is true or false: given once and empty, or `true` at least once.
#[derive(Clone, Copy, Default)]
struct Switch {
    given: usize,
    first_is_empty: bool,
    is_true: bool,
}

impl Switch {
    fn add(&mut self, value: &str) {
        self.first_is_empty |= self.given == 0 && value.is_empty();
        self.given += 1;
        self.is_true |= value.eq_ignore_ascii_case("true");
    }

    const fn holds(self) -> bool {
        self.is_true || (self.given == 1 && self.first_is_empty)
    }
}

impl<'q> Parameters<'q> {
    /// Reads a query string.
    pub(super) fn read(query: Option<&'q str>) -> Self {
        let mut parameters = Self::default();
        let Some(query) = query.filter(|query| !query.is_empty()) else {
            return parameters;
        };
        let mut switches = [Switch::default(); 8];
        let [
            pretty,
            provenance,
            metrics,
            instrument,
            strict,
            bundle,
            bundles,
            plugins,
        ] = &mut switches;
        for (name, value) in pairs(query) {
            match name.as_ref() {
                "pretty" => pretty.add(&value),
                "provenance" => provenance.add(&value),
                "metrics" => metrics.add(&value),
                "instrument" => instrument.add(&value),
                "strict-builtin-errors" => strict.add(&value),
                "bundle" => bundle.add(&value),
                "bundles" => bundles.add(&value),
                "plugins" => plugins.add(&value),
                "exclude-plugin" => parameters.exclude_plugin.push(value),
                "explain" => parameters.explain(&value),
                "input" => parameters.input = Some(value),
                "q" => parameters.query = Some(value),
                _ => {}
            }
        }
        parameters.pretty = pretty.holds();
        parameters.provenance = provenance.holds();
        parameters.metrics = metrics.holds() || instrument.holds();
        parameters.instrument = instrument.holds();
        parameters.strict_builtin_errors = strict.holds();
        parameters.bundles = bundle.holds() || bundles.holds();
        parameters.plugins = plugins.holds();
        parameters
    }

    /// The first that is known counts.
    fn explain(&mut self, value: &str) {
        if self.explain == Explain::Off {
            self.explain = match value {
                "notes" => Explain::Notes,
                "fails" => Explain::Fails,
                "full" => Explain::Full,
                "debug" => Explain::Debug,
                _ => Explain::Off,
            };
        }
    }
}

/// Decoded names and values as Go's `url.ParseQuery` gives them: a pair with a semicolon or a broken escape is left
/// out.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.contains(';'))
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(name, true)?, unescape(value, true)?))
        })
}

/// Percent-decodes; None where an escape is broken. In a query `+` is a blank.
pub(super) fn unescape(text: &str, in_query: bool) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    if !bytes
        .iter()
        .any(|byte| *byte == b'%' || (in_query && *byte == b'+'))
    {
        return Some(text.into());
    }
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(rest, b'%')) {
        let digits = bytes.get(at + found + 1..at + found + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        at += found + 3;
    }
    let spaced = if in_query && text.contains('+') {
        Cow::Owned(text.replace('+', " "))
    } else {
        Cow::Borrowed(text)
    };
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8_lossy();
    Some(Cow::Owned(decoded.into_owned()))
}

fn memchr(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_where_it_is_given_bare_or_true() {
        for (query, expected) in [
            ("pretty", true),
            ("pretty=", true),
            ("pretty=true", true),
            ("pretty=TRUE", true),
            ("pretty=1", false),
            ("pretty=false", false),
            ("pretty=false&pretty=true", true),
            ("pretty&pretty", false),
            ("prettyx", false),
            ("%70retty", true),
            ("pretty;x", false),
            ("pretty=%zz", false),
            ("", false),
        ] {
            assert_eq!(Parameters::read(Some(query)).pretty, expected, "{query}");
        }
        assert!(!Parameters::read(None).pretty);
        let both = Parameters::read(Some("instrument&bundle"));
        assert!(both.metrics && both.instrument && both.bundles);
    }

    #[test]
    fn the_first_known_explanation_and_the_last_text_count() {
        let parameters = Parameters::read(Some(
            "explain=off&explain=full&explain=notes&q=a&q=b%20c+d&input=1&input=%7B%7D&exclude-plugin=x&exclude-plugin=y",
        ));
        assert_eq!(parameters.explain, Explain::Full);
        assert_eq!(parameters.query.as_deref(), Some("b c d"));
        assert_eq!(parameters.input.as_deref(), Some("{}"));
        assert_eq!(parameters.exclude_plugin, ["x", "y"]);
    }
}
