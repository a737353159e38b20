//! The program's code and constants in memory: what only starting needed is given back.
//!
//! Most of what a start runs and reads (the linker's tables, the command line, settings, the first activation) never is
//! again, but stays resident: the kernel maps sixteen pages around each that was touched. The pages stay in the page cache; each that is needed
//! again costs a fault without I/O.

use std::ops::Range;

/// Unmaps the program's own code and constants; what is needed again comes back by itself.
pub fn forget_startup() {
    let (Ok(maps), Ok(program)) = (
        std::fs::read_to_string("/proc/self/maps"),
        std::fs::read_link("/proc/self/exe"),
    ) else {
        return;
    };
    for range in unwritten(&maps, &program.to_string_lossy()) {
        drop_pages(&range);
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "advice about memory that only the linker knows")]
fn drop_pages(range: &Range<usize>) {
    use rustix::mm::{Advice, madvise};
    let start = std::ptr::without_provenance_mut(range.start);
    // SAFETY: the range is a private mapping of the program's file whose pages are the file's: code, and the segment with
    // the file's head, which the linker never relocates (what it does relocate lies in segments that could be written
    // before). A dropped page is read from the file again when it is needed.
    if let Err(error) = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) } {
        tracing::debug!(%error, "the code of the start stays in memory");
    }
}

#[cfg(not(target_os = "linux"))]
fn drop_pages(_: &Range<usize>) {}

/// Where this file is mapped as it is: code, and the segment that begins with the file.
fn unwritten<'m>(maps: &'m str, program: &str) -> impl Iterator<Item = Range<usize>> + 'm {
    let program = program.to_owned();
    maps.lines().filter_map(move |line| {
        let mut words = line.splitn(6, ' ');
        let (range, rights, offset) = (words.next()?, words.next()?, words.next()?);
        let path = words.nth(2)?.trim_start();
        let is_code = rights == "r-xp";
        let is_head = rights == "r--p" && offset.bytes().all(|digit| digit == b'0');
        if path != program || !(is_code || is_head) {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some(number(start)?..number(end)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_programs_own_and_as_in_its_file_is_found() {
        let maps = "\
55d0c0000000-55d0c0400000 r--p 00000000 fe:01 1234                       /usr/bin/a program
55d0c0400000-55d0c1200000 r-xp 00400000 fe:01 1234                       /usr/bin/a program
55d0c1200000-55d0c1300000 r--p 01200000 fe:01 1234                       /usr/bin/a program
55d0c1300000-55d0c1301000 rw-p 01300000 fe:01 1234                       /usr/bin/a program
7f0000000000-7f0000100000 r-xp 00000000 fe:01 99                         /usr/lib/libc.so.6
7f0000200000-7f0000201000 r-xp 00000000 00:00 0                          [vdso]
7f0000300000-7f0000301000 rwxp 00000000 00:00 0 
";
        let found: Vec<_> = unwritten(maps, "/usr/bin/a program").collect();
        let (head, code) = (
            0x55d0_c000_0000..0x55d0_c040_0000,
            0x55d0_c040_0000..0x55d0_c120_0000,
        );
        assert_eq!(found, vec![head, code]);
    }

    #[test]
    fn code_that_was_forgotten_runs_as_before() {
        for round in 0..3 {
            forget_startup();
            assert_eq!(
                format!("{:?}", vec![round; 2]),
                format!("[{round}, {round}]")
            );
        }
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let program = std::fs::read_link("/proc/self/exe").unwrap();
        assert!(unwritten(&maps, &program.to_string_lossy()).count() > 0);
    }
}
