//! Events that wait to be sent: in bounded memory, then in a bounded folder, oldest first. What finds no room is counted.
//!
//! A file goes only when all of it was delivered, so events may be sent twice after a crash and are never lost by one.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of events that lie together, in memory and in one file.
const PIECE: usize = 1024 * 1024;
const SUFFIX: &str = ".jsonl";

/// See the module.
#[derive(Debug)]
pub(super) struct Spool {
    memory: VecDeque<Piece>,
    memory_bytes: usize,
    memory_limit: usize,
    folder: Option<Folder>,
    /// The oldest piece, while it is being sent.
    current: Option<Current>,
    /// Events for which there was no room.
    lost: u64,
}

/// Lines of JSON, each with its line end.
#[derive(Debug, Default)]
struct Piece {
    lines: Vec<u8>,
    count: u64,
}

#[derive(Debug)]
struct Current {
    lines: Vec<u8>,
    sent: usize,
    file: Option<PathBuf>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    limit: u64,
    bytes: u64,
    /// By name, which is by age.
    files: VecDeque<(PathBuf, u64)>,
    next: u64,
}

impl Spool {
    /// With what an earlier process left in the folder, which is made where it is missing.
    pub(super) fn open(memory_limit: usize, folder: Option<(&Path, u64)>) -> io::Result<Self> {
        let folder = folder
            .map(|(path, limit)| Folder::open(path, limit))
            .transpose()?;
        Ok(Self {
            memory: VecDeque::new(),
            memory_bytes: 0,
            memory_limit,
            folder,
            current: None,
            lost: 0,
        })
    }

    /// Takes an event: one line without its end.
    pub(super) fn push(&mut self, event: &[u8]) {
        let last = self.memory.back();
        if last.is_none_or(|piece| piece.lines.len() + event.len() >= PIECE) {
            self.memory.push_back(Piece::default());
        }
        if let Some(piece) = self.memory.back_mut() {
            piece.lines.extend_from_slice(event);
            piece.lines.push(b'\n');
            piece.count += 1;
            self.memory_bytes += event.len() + 1;
        }
        while self.memory_bytes > self.memory_limit {
            let Some(oldest) = self.memory.pop_front() else {
                return;
            };
            self.memory_bytes -= oldest.lines.len();
            self.store(&oldest);
        }
    }

    /// Events to send next: whole lines of about `most` bytes, at least one. They stay until [`Self::delivered`].
    pub(super) fn next(&mut self, most: usize) -> Option<&[u8]> {
        if self.current.is_none() {
            self.current = self.oldest();
        }
        let current = self.current.as_ref()?;
        let left = current.lines.get(current.sent..)?;
        let within = left.get(..most.min(left.len())).unwrap_or(left);
        let end = within.iter().rposition(|byte| *byte == b'\n');
        let end = end.or_else(|| left.iter().position(|byte| *byte == b'\n'))?;
        left.get(..=end)
    }

    /// The first `bytes` of what [`Self::next`] gave need not be sent again.
    pub(super) fn delivered(&mut self, bytes: usize) {
        let Some(current) = &mut self.current else {
            return;
        };
        current.sent += bytes;
        if current.sent < current.lines.len() {
            return;
        }
        let file = self.current.take().and_then(|current| current.file);
        if let (Some(file), Some(folder)) = (file, &mut self.folder) {
            folder.remove(&file);
        }
    }

    /// Events lost since this was last asked.
    pub(super) const fn take_lost(&mut self) -> u64 {
        std::mem::replace(&mut self.lost, 0)
    }

    /// Moves what is in memory to the folder; without one it is lost.
    pub(super) fn retire(&mut self) {
        if let Some(current) = self.current.take()
            && current.file.is_none()
        {
            let lines = current.lines.get(current.sent..).unwrap_or_default();
            self.store(&Piece::of(lines.to_vec()));
        }
        while let Some(piece) = self.memory.pop_front() {
            self.store(&piece);
        }
        self.memory_bytes = 0;
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> u64 {
        let stored = self.folder.as_ref().map_or(0, |folder| folder.bytes);
        stored + self.memory_bytes as u64
    }

    fn oldest(&mut self) -> Option<Current> {
        while let Some(folder) = &mut self.folder
            && let Some((path, _)) = folder.files.front().cloned()
        {
            // Taken away by somebody: nothing to send.
            let (lines, broken) = fs::read(&path).map_or_else(|_| (Vec::new(), 0), whole);
            self.lost += broken;
            if !lines.is_empty() {
                return Some(Current {
                    lines,
                    sent: 0,
                    file: Some(path),
                });
            }
            folder.remove(&path);
        }
        let piece = self.memory.pop_front()?;
        self.memory_bytes -= piece.lines.len();
        Some(Current {
            lines: piece.lines,
            sent: 0,
            file: None,
        })
    }

    fn store(&mut self, piece: &Piece) {
        let Some(folder) = &mut self.folder else {
            self.lost += piece.count;
            return;
        };
        let in_use = self
            .current
            .as_ref()
            .and_then(|current| current.file.clone());
        match folder.store(&piece.lines, in_use.as_deref()) {
            Ok(displaced) => self.lost += displaced,
            Err(error) => {
                tracing::error!(%error, "decision events cannot be kept on disk");
                self.lost += piece.count;
            }
        }
    }
}

impl Piece {
    fn of(lines: Vec<u8>) -> Self {
        Self {
            count: count(&lines),
            lines,
        }
    }
}

impl Folder {
    fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else {
                continue;
            };
            if let Ok(number) = name.parse::<u64>() {
                files.push((number, entry.path(), entry.metadata()?.len()));
            }
        }
        files.sort();
        Ok(Self {
            path: path.to_owned(),
            limit,
            bytes: files.iter().map(|(.., size)| size).sum(),
            next: files
                .last()
                .map_or(0, |(number, ..)| number.saturating_add(1)),
            files: files
                .into_iter()
                .map(|(_, path, size)| (path, size))
                .collect(),
        })
    }

    /// Events that had to go for it.
    fn store(&mut self, lines: &[u8], in_use: Option<&Path>) -> io::Result<u64> {
        let size = lines.len() as u64;
        let mut displaced = 0;
        while self.bytes + size > self.limit {
            let oldest = self.files.iter().find(|(path, _)| Some(&**path) != in_use);
            let Some((path, _)) = oldest.cloned() else {
                return Ok(displaced + count(lines));
            };
            displaced += fs::read(&path).map_or(0, |lines| count(&lines));
            self.remove(&path);
        }
        let path = self.path.join(format!("{:020}{SUFFIX}", self.next));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        self.next += 1;
        io::Write::write_all(&mut file, lines)?;
        self.bytes += size;
        self.files.push_back((path, size));
        Ok(displaced)
    }

    fn remove(&mut self, path: &Path) {
        // A file that does not go is sent again after a restart.
        drop(fs::remove_file(path));
        if let Some(index) = self.files.iter().position(|(known, _)| known == path)
            && let Some((_, size)) = self.files.remove(index)
        {
            self.bytes -= size;
        }
    }
}

/// Of a file's lines those that are events, and how many are not: a process that was killed leaves half a line, and a
/// service refuses a whole upload for one.
fn whole(bytes: Vec<u8>) -> (Vec<u8>, u64) {
    let is_event = |line: &[u8]| {
        line.first() == Some(&b'{')
            && line.ends_with(b"\n")
            && std::str::from_utf8(line).is_ok()
            && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
    };
    let lines = || bytes.split_inclusive(|byte| *byte == b'\n');
    let broken = lines().filter(|line| !is_event(line)).count() as u64;
    if broken == 0 {
        return (bytes, 0);
    }
    let kept: Vec<&[u8]> = lines().filter(|line| is_event(line)).collect();
    (kept.concat(), broken)
}

/// Lines, each with its end.
pub(super) fn count(lines: &[u8]) -> u64 {
    // One more piece than there are line ends.
    lines.split(|byte| *byte == b'\n').count() as u64 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(spool: &mut Spool) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(lines) = spool.next(1) {
            let line = String::from_utf8(lines.to_vec()).unwrap();
            let length = lines.len();
            events.push(line.trim_end().to_owned());
            spool.delivered(length);
        }
        events
    }

    #[test]
    fn events_come_out_in_order_from_memory_and_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(PIECE, Some((folder.path(), 100 << 20))).unwrap();
        let long = "x".repeat(300_000);
        let events: Vec<String> = (0..12).map(|n| format!("{{\"{n}\":\"{long}\"}}")).collect();
        for event in &events {
            spool.push(event.as_bytes());
        }
        assert!(spool.bytes() > PIECE as u64);
        assert_eq!(drain(&mut spool), events);
        assert_eq!(spool.bytes(), 0);
        assert_eq!(spool.take_lost(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_process_left_is_sent_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(PIECE, Some((folder.path(), 1 << 20))).unwrap();
        let events = [r#"{"a":1}"#, r#"{"b":1}"#, r#"{"c":1}"#];
        for event in events {
            spool.push(event.as_bytes());
        }
        let sent = spool.next(1).map(<[u8]>::len).unwrap();
        spool.delivered(sent);
        spool.retire();
        drop(spool);
        let mut spool = Spool::open(PIECE, Some((folder.path(), 1 << 20))).unwrap();
        assert_eq!(drain(&mut spool), events[1..]);
    }

    #[test]
    fn what_is_broken_on_disk_is_counted_and_holds_up_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let left = |number: &str, text: &[u8]| {
            fs::write(folder.path().join(format!("{number}{SUFFIX}")), text).unwrap();
        };
        left("1", b"half an event");
        left(
            "2",
            b"{\"a\":1}\n\xff\xfe\n\n[1]\n{\"b\":\n{\"c\":1}\n{\"d\":1}",
        );
        left("3", b"");
        left("18446744073709551615", b"{\"e\":1}\n");
        left("-1", b"{}\n");
        let mut spool = Spool::open(PIECE, Some((folder.path(), 1 << 20))).unwrap();
        spool.push(br#"{"f":1}"#);
        let whole = [r#"{"a":1}"#, r#"{"c":1}"#, r#"{"e":1}"#, r#"{"f":1}"#];
        assert_eq!(drain(&mut spool), whole);
        assert_eq!(spool.take_lost(), 6);
        assert_eq!(spool.bytes(), 0);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let mut spool = Spool::open(10, None).unwrap();
        for _ in 0..5 {
            spool.push(b"12345678901");
        }
        assert_eq!(spool.take_lost(), 5);
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(0, Some((folder.path(), 30))).unwrap();
        for event in [r#"{"n":1234}"#, r#"{"n":2234}"#, r#"{"n":3234}"#] {
            spool.push(event.as_bytes());
        }
        assert_eq!(spool.take_lost(), 1);
        assert_eq!(drain(&mut spool), [r#"{"n":2234}"#, r#"{"n":3234}"#]);
    }
}
