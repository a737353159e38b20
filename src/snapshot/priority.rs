//! What prepares and drops snapshots steps back: requests go first where cores are few.

/// Gives the calling thread the lowest priority. It cannot be raised again.
#[cfg(target_os = "linux")]
pub fn lower_priority() {
    // Nobody named is the calling thread. Whoever asks may lower it; where a sandbox forbids the call, it stays as it is.
    let _ = rustix::process::setpriority_process(None, 19);
}

/// Only Linux has priorities of threads.
#[cfg(not(target_os = "linux"))]
pub fn lower_priority() {}
