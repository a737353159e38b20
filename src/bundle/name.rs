//! Which names a file in a bundle may have.

/// Why `name` is no name of a file in a bundle's second member; None where it is.
///
/// Beyond what keeps paths inside the bundle, this refuses the names that OPA would read as a second signature
/// file, a second manifest or a delta.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.len() > 255 {
        return Some("is longer than 255 bytes");
    }
    if name.starts_with('/') || name.contains('\\') || name.contains(':') {
        return Some("is not a relative path with `/` between its parts");
    }
    if name.chars().any(char::is_control) {
        return Some("has a control character");
    }
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some("has an empty, `.` or `..` part");
    }
    if name.ends_with("signatures.json") {
        return Some("would be read as a signature file");
    }
    if name.ends_with(".manifest") && name != ".manifest" {
        return Some("would be read as a manifest");
    }
    if base(name) == "patch.json" {
        return Some("would be read as a delta");
    }
    None
}

/// The part behind the last slash.
pub(super) fn base(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, base)| base)
}

/// The part behind the last dot of the base name; empty where there is none.
pub(super) fn extension(name: &str) -> &str {
    base(name)
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_names_pass() {
        for name in [
            ".manifest",
            "data.json",
            "a/b/data.json",
            "a b/ü.rego",
            "lictor/policies/x/1.0.0.json",
        ] {
            assert_eq!(fault(name), None, "{name}");
        }
        for name in [
            "",
            "/a",
            "a/",
            "a//b",
            "./a",
            "a/./b",
            "../a",
            "a/..",
            "a\\b",
            "C:/a",
            "a\0b",
            "a\nb",
            ".signatures.json",
            "x/.signatures.json",
            "x.manifest",
            "a/.manifest",
            "patch.json",
            "a/patch.json",
        ] {
            assert!(fault(name).is_some(), "{name}");
        }
        assert!(fault(&"x".repeat(256)).is_some());
    }
}
