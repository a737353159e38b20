use super::*;

fn cache(dir: &Path) -> Cache {
    let cache = Cache::new(
        dir.join("cache"),
        "acme".parse().unwrap(),
        Limits::default(),
    );
    cache.prepare().unwrap();
    cache
}

fn received(cache: &Cache, bytes: &[u8]) -> Archive {
    let mut download = cache.download();
    download.write(bytes).unwrap();
    download.finish().unwrap()
}

fn mark(number: u64, payload: u8) -> Mark {
    Mark {
        tenant: "acme".parse().unwrap(),
        number,
        payload: [payload; 32],
    }
}

fn stored(cache: &Cache) -> Vec<u8> {
    cache.archive().unwrap().unwrap().bytes().to_vec()
}

#[test]
fn the_folder_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("cache")).unwrap();
    let cache = cache(dir.path());
    let mode = fs::metadata(cache.dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn archive_and_mark_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path());
    assert_eq!(cache.mark(), MarkFile::Absent);
    assert!(cache.archive().unwrap().is_none());
    let archive = received(&cache, b"one");
    let persisted = cache.persist(&archive, &mark(1, 1)).unwrap();
    assert_eq!(persisted, Persisted::Written);
    assert_eq!(cache.mark(), MarkFile::Present(mark(1, 1)));
    assert_eq!(stored(&cache), b"one");
    let again = cache.persist(&archive, &mark(1, 1)).unwrap();
    assert_eq!(again, Persisted::AlreadyThere);
    assert_eq!(
        fs::read_dir(cache.dir()).unwrap().count(),
        3,
        "archive, mark, lock"
    );
}

#[test]
fn the_mark_only_grows() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path());
    cache
        .persist(&received(&cache, b"five"), &mark(5, 1))
        .unwrap();
    for behind in [mark(4, 1), mark(5, 2)] {
        let refused = cache.persist(&received(&cache, b"other"), &behind);
        assert!(matches!(refused, Err(PersistError::Overtaken(5))));
    }
    assert_eq!(cache.mark(), MarkFile::Present(mark(5, 1)));
    assert_eq!(stored(&cache), b"five");
}

#[test]
fn a_mark_whose_archive_is_gone_gets_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path());
    let archive = received(&cache, b"one");
    cache.persist(&archive, &mark(1, 1)).unwrap();
    fs::remove_file(cache.archive_path()).unwrap();
    let persisted = cache.persist(&archive, &mark(1, 1)).unwrap();
    assert_eq!(persisted, Persisted::Written);
    assert_eq!(stored(&cache), b"one");
}

#[test]
fn an_unreadable_mark_is_told_apart_from_none_and_can_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path());
    let texts = [
        "",
        "{",
        r#"{"tenant":"other","number":1,"payload":"00"}"#,
        r#"{"tenant":"acme","number":1,"payload":"00"}"#,
    ];
    for text in texts {
        fs::write(cache.mark_path(), text).unwrap();
        assert!(matches!(cache.mark(), MarkFile::Unreadable(_)), "{text}");
    }
    cache
        .persist(&received(&cache, b"one"), &mark(1, 1))
        .unwrap();
    assert_eq!(cache.mark(), MarkFile::Present(mark(1, 1)));
}

#[test]
fn what_a_killed_process_left_is_removed_but_not_what_a_living_one_writes() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path());
    let abandoned = cache.dir().join(".abandoned.tmp");
    fs::write(&abandoned, "half").unwrap();
    let living = received(&cache, b"one");
    cache.prepare().unwrap();
    assert!(!abandoned.exists());
    cache.persist(&living, &mark(1, 1)).unwrap();
    assert_eq!(stored(&cache), b"one");
}

#[test]
fn a_folder_that_cannot_be_written_fails_and_keeps_the_archive_for_a_retry() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    fs::write(&blocked, "").unwrap();
    let cache = Cache::new(blocked.clone(), "acme".parse().unwrap(), Limits::default());
    assert!(cache.prepare().is_err());
    let archive = received(&cache, b"one");
    assert!(cache.persist(&archive, &mark(1, 1)).is_err());
    fs::remove_file(&blocked).unwrap();
    cache.prepare().unwrap();
    cache.persist(&archive, &mark(1, 1)).unwrap();
    assert_eq!(stored(&cache), b"one");
}

#[test]
fn a_lock_that_is_never_given_back_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let holder = File::create(&path).unwrap();
    holder.lock().unwrap();
    let waiting = File::open(&path).unwrap();
    let refused = lock_within(&waiting, Duration::from_millis(30)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
}
