//! With failpoints: the place that `FAILPOINT` names (`<place>`, or `<place>:<n>` for its n-th
//! passing) kills the process as `kill -9` would.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The armed place, and how many passings are left until it kills.
struct Armed {
    place: String,
    left: AtomicUsize,
}

fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let read = || {
        let text = std::env::var("FAILPOINT").ok()?;
        let (place, passings) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Armed {
            place: place.to_owned(),
            left: AtomicUsize::new(passings.parse().ok()?),
        })
    };
    ARMED.get_or_init(read).as_ref()
}

/// Kills the process where this place is the armed one.
pub fn hit(place: &str) {
    let Some(armed) = armed().filter(|armed| armed.place == place) else {
        return;
    };
    if armed.left.fetch_sub(1, Ordering::SeqCst) == 1 {
        // A signal to the own process is delivered before the call returns.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
