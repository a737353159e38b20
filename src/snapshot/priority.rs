//! What prepares and drops snapshots steps back: requests go first where cores are few.

/// How far, as `nice` counts. A thread of this priority waits as long as requests leave no time (a wake-up of a serving thread was
/// measured to be as prompt as beside 19), and still gets a tenth of a core that they would have for themselves, so that
/// a new revision comes about ten times later there, not a hundred times. At 5 requests wait milliseconds for it.
#[cfg(target_os = "linux")]
const STEP: i32 = 10;

/// Gives the calling thread a low priority. It cannot be raised again.
#[cfg(target_os = "linux")]
pub fn lower_priority() {
    // Nobody named is the calling thread. Whoever asks may lower it; where a sandbox forbids the call, it stays as it is.
    let own = rustix::process::getpriority_process(None).unwrap_or(0);
    let _ = rustix::process::setpriority_process(None, (own + STEP).min(19));
}

/// Only Linux has priorities of threads.
#[cfg(not(target_os = "linux"))]
pub fn lower_priority() {}
