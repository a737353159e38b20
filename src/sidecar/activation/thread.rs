//! The thread of an activation: of a low priority, so that requests go first where cores are few.

use tokio::sync::oneshot;

use crate::snapshot::lower_priority;

/// The work panicked, or no thread could be had for it.
#[derive(Debug)]
pub(super) struct Failed;

/// Does the work on a thread of its own. Its priority can be lowered but not raised again, so it ends with the work.
pub(super) async fn apart<T, W>(work: W) -> Result<T, Failed>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let (done, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name("activation".to_owned());
    let begun = thread.spawn(move || {
        lower_priority();
        // Nobody waits any more where the sidecar stops.
        let _ = done.send(work());
    });
    if let Err(error) = begun {
        tracing::error!(%error, "no thread for an activation");
        return Err(Failed);
    }
    outcome.await.map_err(|_| Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told() {
        assert!(apart(|| panic!("on purpose")).await.is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_thread_steps_back() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let own = priority();
        assert_eq!(apart(priority).await.unwrap(), (own + 10).min(19));
        assert_eq!(priority(), own);
    }
}
