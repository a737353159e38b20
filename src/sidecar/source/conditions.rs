//! What a source is told that we have already.

use crate::bundle::Digest;

/// The active bundle, and those that were refused or are kept here.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    active: Option<Known>,
    others: Vec<Known>,
}

/// A bundle by its digest and the tag under which its source gave it.
#[derive(Clone, Debug)]
struct Known {
    /// None where nothing of it was received.
    digest: Option<Digest>,
    tag: String,
}

impl Conditions {
    /// Names the active bundle. Without a tag it is called as our own control plane would.
    pub fn set_active(&mut self, digest: Digest, tag: Option<&str>) {
        self.active = Some(Known {
            digest: Some(digest),
            tag: tag.map_or_else(|| tag_of(&digest), str::to_owned),
        });
    }

    /// Names another bundle that is not wanted.
    pub fn add(&mut self, digest: Option<Digest>, tag: Option<&str>) {
        let tag = tag
            .map(str::to_owned)
            .or_else(|| digest.as_ref().map(tag_of));
        if let Some(tag) = tag {
            self.others.push(Known { digest, tag });
        }
    }

    /// The value of `If-None-Match`; None where nothing is known.
    #[must_use]
    pub fn if_none_match(&self) -> Option<String> {
        let tags: Vec<&str> = self.all().map(|known| known.tag.as_str()).collect();
        (!tags.is_empty()).then(|| tags.join(", "))
    }

    /// Whether an answer "not modified" with this tag means that the source has the active bundle.
    #[must_use]
    pub fn confirms_active(&self, tag: Option<&str>) -> bool {
        match (&self.active, tag) {
            (None, _) => false,
            (Some(active), Some(tag)) => weak(&active.tag) == weak(tag),
            // The answer does not say which one it has.
            (Some(_), None) => self.others.is_empty(),
        }
    }

    /// Whether this bundle is named; and if so, whether it is the active one.
    #[must_use]
    pub fn knows(&self, digest: &Digest) -> Option<bool> {
        let same = |known: &Known| known.digest.as_ref() == Some(digest);
        if self.active.as_ref().is_some_and(same) {
            Some(true)
        } else {
            self.others.iter().any(same).then_some(false)
        }
    }

    fn all(&self) -> impl Iterator<Item = &Known> {
        self.active.iter().chain(&self.others)
    }
}

/// The entity tag that our own control plane gives an archive.
pub(super) fn tag_of(digest: &Digest) -> String {
    format!("\"sha256:{}\"", hex::encode(digest))
}

/// `If-None-Match` compares weakly.
fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The SHA-256 that an entity tag of ours announces.
pub(super) fn announced(tag: &str) -> Option<Digest> {
    let digits = tag.strip_prefix("\"sha256:")?.strip_suffix('"')?;
    let mut digest = [0; 32];
    hex::decode_to_slice(digits, &mut digest).ok()?;
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_listed_and_foreign_tags_go_back_verbatim() {
        let mut conditions = Conditions::default();
        assert_eq!(conditions.if_none_match(), None);
        conditions.set_active([1; 32], None);
        conditions.add(Some([2; 32]), Some("W/\"their, own\""));
        let ours = format!("\"sha256:{}\"", "01".repeat(32));
        let expected = format!("{ours}, W/\"their, own\"");
        assert_eq!(conditions.if_none_match(), Some(expected));
        assert_eq!(announced(&ours), Some([1; 32]));
        assert_eq!(announced("\"abc\""), None);
    }

    #[test]
    fn not_modified_confirms_only_what_it_names() {
        let mut conditions = Conditions::default();
        assert!(!conditions.confirms_active(Some("\"a\"")));
        conditions.set_active([1; 32], Some("\"a\""));
        assert!(conditions.confirms_active(None));
        assert!(conditions.confirms_active(Some("W/\"a\"")));
        conditions.add(Some([2; 32]), Some("\"b\""));
        assert!(!conditions.confirms_active(None));
        assert!(!conditions.confirms_active(Some("\"b\"")));
    }

    #[test]
    fn a_known_digest_is_told_apart() {
        let mut conditions = Conditions::default();
        conditions.set_active([1; 32], None);
        conditions.add(Some([2; 32]), None);
        conditions.add(None, None);
        assert_eq!(conditions.knows(&[1; 32]), Some(true));
        assert_eq!(conditions.knows(&[2; 32]), Some(false));
        assert_eq!(conditions.knows(&[3; 32]), None);
    }
}
