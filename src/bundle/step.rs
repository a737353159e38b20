//! The steps from bytes to a snapshot, and the closed set of words for their failures.

/// A step on the way from bytes to a snapshot, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Step {
    ArchiveSize = 1,
    ArchiveDigest = 2,
    SignatureMember = 3,
    Format = 4,
    Signatures = 5,
    Tenant = 6,
    ConstitutionalHash = 7,
    Number = 8,
    Time = 9,
    SecondMember = 10,
    Decompression = 11,
    Manifest = 12,
    Parse = 13,
    Compile = 14,
    SelfTest = 15,
    Persist = 16,
    Swap = 17,
}

/// What failed, as status, metric and log say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    TooLarge,
    DigestMismatch,
    Malformed,
    UnknownFormat,
    Untrusted,
    WrongTenant,
    WrongConstitutionalHash,
    Stale,
    Expired,
    NotYetValid,
    Tampered,
    UnsafeArchive,
    ManifestMismatch,
    InvalidPolicy,
    DoesNotCompile,
    RegoUnsupported,
    SelfTestFailed,
    NotPersisted,
}

impl Step {
    /// From 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl Code {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::DigestMismatch => "digest_mismatch",
            Self::Malformed => "malformed",
            Self::UnknownFormat => "unknown_format",
            Self::Untrusted => "untrusted",
            Self::WrongTenant => "wrong_tenant",
            Self::WrongConstitutionalHash => "wrong_constitutional_hash",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Tampered => "tampered",
            Self::UnsafeArchive => "unsafe_archive",
            Self::ManifestMismatch => "manifest_mismatch",
            Self::InvalidPolicy => "invalid_policy",
            Self::DoesNotCompile => "does_not_compile",
            Self::RegoUnsupported => "rego_unsupported",
            Self::SelfTestFailed => "self_test_failed",
            Self::NotPersisted => "not_persisted",
        }
    }
}
