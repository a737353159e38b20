//! Reads after writes: an answer from at least a given revision.

use std::time::Duration;

use crate::api::ErrorCode;

use super::asked::Wanted;
use super::error::Failure;
use crate::sidecar::shared::Shared;

/// Returns once a revision with at least that number is active.
pub(super) async fn reach(shared: &Shared, wanted: Wanted) -> Result<(), Failure> {
    if active(shared).0 >= wanted.number {
        return Ok(());
    }
    if wanted.wait > 0 {
        let Ok(_waiting) = shared.waiters.try_acquire() else {
            return Err(Failure::new(
                ErrorCode::NotReady,
                "too many requests wait for a revision already",
            ));
        };
        let mut draining = shared.draining.clone();
        tokio::select! {
            () = shared.reader.reached(wanted.number) => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(wanted.wait)) => {}
            () = draining.started() => {}
        }
    }
    let (number, revision) = active(shared);
    if number >= wanted.number {
        return Ok(());
    }
    let now = if revision.is_empty() {
        "none"
    } else {
        &revision
    };
    let detail = format!(
        "revision {} is not reached, the active one is {now}",
        wanted.number
    );
    let mut failure = Failure::new(ErrorCode::RevisionNotReached, detail);
    failure.revision = Some(revision).filter(|revision| !revision.is_empty());
    Err(failure)
}

fn active(shared: &Shared) -> (u64, String) {
    let current = shared.reader.load();
    current
        .snapshot
        .as_ref()
        .map_or_else(Default::default, |snapshot| {
            (snapshot.number, snapshot.name.clone())
        })
}
