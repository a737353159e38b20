//! The program's code in memory: what only starting needed is given back.
//!
//! Most of what a start runs (the command line, settings, tables, the first activation) never runs again, but stays
//! resident: the kernel maps sixteen pages around each that was touched. The pages stay in the page cache; each that is needed
//! again costs a fault without I/O.

use std::ops::Range;

/// Unmaps the program's own code; what runs again comes back by itself.
pub fn forget_startup() {
    let (Ok(maps), Ok(program)) = (
        std::fs::read_to_string("/proc/self/maps"),
        std::fs::read_link("/proc/self/exe"),
    ) else {
        return;
    };
    for range in code(&maps, &program.to_string_lossy()) {
        drop_pages(&range);
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "advice about memory that only the linker knows")]
fn drop_pages(range: &Range<usize>) {
    use rustix::mm::{Advice, madvise};
    let start = std::ptr::without_provenance_mut(range.start);
    // SAFETY: the range is a private mapping of the program's file that can be read and run and not written: its
    // pages are the file's, nobody has changed them, and a dropped one is read from the file again when it is needed.
    if let Err(error) = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) } {
        tracing::debug!(%error, "the code of the start stays in memory");
    }
}

#[cfg(not(target_os = "linux"))]
fn drop_pages(_: &Range<usize>) {}

/// Where the code of this file lies: mappings that can be run and not written.
fn code<'m>(maps: &'m str, program: &str) -> impl Iterator<Item = Range<usize>> + 'm {
    let program = program.to_owned();
    maps.lines().filter_map(move |line| {
        let mut words = line.splitn(6, ' ');
        let (range, rights) = (words.next()?, words.next()?);
        let path = words.nth(3)?.trim_start();
        if rights != "r-xp" || path != program {
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
    fn only_the_programs_own_code_is_found() {
        let maps = "\
55d0c0000000-55d0c0400000 r--p 00000000 fe:01 1234                       /usr/bin/a program
55d0c0400000-55d0c1200000 r-xp 00400000 fe:01 1234                       /usr/bin/a program
55d0c1200000-55d0c1300000 r--p 01200000 fe:01 1234                       /usr/bin/a program
55d0c1300000-55d0c1301000 rw-p 01300000 fe:01 1234                       /usr/bin/a program
7f0000000000-7f0000100000 r-xp 00000000 fe:01 99                         /usr/lib/libc.so.6
7f0000200000-7f0000201000 r-xp 00000000 00:00 0                          [vdso]
7f0000300000-7f0000301000 rwxp 00000000 00:00 0 
";
        let found: Vec<_> = code(maps, "/usr/bin/a program").collect();
        assert_eq!(found, vec![0x55d0_c040_0000..0x55d0_c120_0000]);
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
        assert!(code(&maps, &program.to_string_lossy()).count() > 0);
    }
}
