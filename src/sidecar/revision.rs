//! Reads after writes, on every door of ours: an answer from at least a given revision.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::api::ErrorCode;
use crate::model::Revision;

use super::shared::Shared;

/// The header (of a gRPC call: the metadata) that names the revision: by its number, or whole.
pub const MIN_REVISION: &str = "x-lictor-min-revision";
/// Seconds that a request may ask to wait, with `prefer: wait=N`.
const MAX_WAIT: u64 = 30;

/// From which revision on a request wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub number: u64,
    /// Seconds it will wait for it.
    pub wait: u64,
}

/// Why a request is not answered from the revision it wants. The words may be told to its caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    #[error("the header `{MIN_REVISION}` is there twice")]
    Twice,
    #[error("`{MIN_REVISION}` must be a number or a revision")]
    Invalid,
    #[error("too many requests wait for a revision already")]
    Busy,
    #[error("revision {wanted} is not reached, the active one is {}", active.as_deref().unwrap_or("none"))]
    NotReached { wanted: u64, active: Option<String> },
}

impl RevisionError {
    /// The code to answer with.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Twice | Self::Invalid => ErrorCode::InvalidRequest,
            Self::Busy => ErrorCode::NotReady,
            Self::NotReached { .. } => ErrorCode::RevisionNotReached,
        }
    }

    /// The revision that could have answered.
    #[must_use]
    pub fn active(&self) -> Option<&str> {
        match self {
            Self::NotReached { active, .. } => active.as_deref(),
            _ => None,
        }
    }
}

impl Wanted {
    /// What a request's headers ask for; None where they do not.
    ///
    /// # Errors
    ///
    /// [`RevisionError::Twice`], [`RevisionError::Invalid`].
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, RevisionError> {
        let mut values = headers.get_all(MIN_REVISION).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(RevisionError::Twice);
        }
        let mut preferences = headers.get_all("prefer").iter();
        let seconds = preferences.find_map(wait).unwrap_or(0);
        Self::parse(value, seconds).map(Some)
    }

    /// A header's value, and the seconds that its request will wait.
    ///
    /// # Errors
    ///
    /// [`RevisionError::Invalid`].
    pub fn parse(value: &HeaderValue, wait: u64) -> Result<Self, RevisionError> {
        let text = value.to_str().unwrap_or_default();
        let number = text
            .parse()
            .ok()
            .and_then(|number: i64| u64::try_from(number).ok());
        let named = || text.parse().ok().map(|revision: Revision| revision.number);
        match number.or_else(named) {
            Some(number) => Ok(Self {
                number,
                wait: wait.min(MAX_WAIT),
            }),
            None => Err(RevisionError::Invalid),
        }
    }
}

/// The seconds of `wait=N` in a `prefer` header.
#[must_use]
pub fn wait(prefer: &HeaderValue) -> Option<u64> {
    prefer
        .to_str()
        .ok()?
        .split([',', ';'])
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            let value = value.trim().trim_matches('"');
            name.trim()
                .eq_ignore_ascii_case("wait")
                .then(|| value.parse().ok())?
        })
}

/// Returns once a revision with at least that number is active.
///
/// # Errors
///
/// [`RevisionError::Busy`], [`RevisionError::NotReached`].
pub async fn reach(shared: &Shared, wanted: Wanted) -> Result<(), RevisionError> {
    if active(shared).0 >= wanted.number {
        return Ok(());
    }
    if wanted.wait > 0 {
        let Ok(_waiting) = shared.waiters.try_acquire() else {
            return Err(RevisionError::Busy);
        };
        let mut draining = shared.draining.clone();
        tokio::select! {
            () = shared.reader.reached(wanted.number) => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(wanted.wait)) => {}
            () = draining.started() => {}
        }
    }
    let (number, active) = active(shared);
    if number >= wanted.number {
        return Ok(());
    }
    Err(RevisionError::NotReached {
        wanted: wanted.number,
        active,
    })
}

fn active(shared: &Shared) -> (u64, Option<String>) {
    let current = shared.reader.load();
    current.snapshot.as_ref().map_or((0, None), |snapshot| {
        (snapshot.number, Some(snapshot.name.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_asked_for_in_both_forms() {
        for (value, prefer, expected) in [
            ("7", "wait=3", Ok((7, 3))),
            ("7-0123456789ab", "respond-async, wait=90", Ok((7, 30))),
            ("7", "waiting=3", Ok((7, 0))),
            ("-7", "", Err(RevisionError::Invalid)),
            ("seven", "", Err(RevisionError::Invalid)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(MIN_REVISION, HeaderValue::from_static(value));
            headers.insert("prefer", HeaderValue::from_static(prefer));
            let wanted = Wanted::read(&headers);
            let wanted = wanted.map(|wanted| wanted.map(|it| (it.number, it.wait)).unwrap());
            assert_eq!(wanted, expected, "{value}");
        }
        assert_eq!(Wanted::read(&HeaderMap::new()), Ok(None));
        let mut twice = HeaderMap::new();
        twice.append(MIN_REVISION, HeaderValue::from_static("1"));
        twice.append(MIN_REVISION, HeaderValue::from_static("1"));
        assert_eq!(Wanted::read(&twice), Err(RevisionError::Twice));
    }
}
