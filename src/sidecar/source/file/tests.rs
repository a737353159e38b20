use super::*;
use crate::bundle::{Builder, SigningKey};
use crate::model::Timestamp;

fn bundle(tenant: &str, number: u64) -> Vec<u8> {
    let at = Timestamp::from_unix_seconds;
    let mut builder = Builder::new(
        tenant.parse().unwrap(),
        number,
        at(0),
        at(1000),
        String::new(),
    );
    builder.file("data.json".into(), b"{}".to_vec());
    builder
        .build(&[&SigningKey::from_seed("k", &[1; 32])])
        .unwrap()
}

fn fetch(source: &FileSource, conditions: &Conditions) -> Result<Fetched, FetchError> {
    source.fetch(conditions, || Download::into_memory(1 << 20))
}

fn bytes(fetched: Result<Fetched, FetchError>) -> Vec<u8> {
    match fetched.unwrap() {
        Fetched::New(received) => received.archive.bytes().to_vec(),
        Fetched::Unchanged { .. } => panic!("unchanged"),
    }
}

#[test]
fn a_file_is_read_when_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle");
    let source = FileSource::new(path.clone(), "acme".parse().unwrap());
    assert_eq!(
        fetch(&source, &Conditions::default()).unwrap_err().code(),
        "unreadable"
    );
    fs::write(&path, "one").unwrap();
    assert_eq!(bytes(fetch(&source, &Conditions::default())), b"one");
    let mut conditions = Conditions::default();
    conditions.set_active(Sha256::digest(b"one").into(), None);
    let unchanged = fetch(&source, &conditions).unwrap();
    assert!(matches!(
        unchanged,
        Fetched::Unchanged {
            confirms_active: true
        }
    ));
    fs::write(&path, "other").unwrap();
    assert_eq!(bytes(fetch(&source, &conditions)), b"other");
    conditions.add(Some(Sha256::digest(b"other").into()), None);
    let refused = fetch(&source, &conditions).unwrap();
    assert!(matches!(
        refused,
        Fetched::Unchanged {
            confirms_active: false
        }
    ));
    // Forgotten: the same file is offered again.
    assert_eq!(bytes(fetch(&source, &Conditions::default())), b"other");
}

#[test]
fn of_a_folder_the_highest_number_of_this_tenant_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let source = FileSource::new(dir.path().to_owned(), "acme".parse().unwrap());
    let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    put("rubbish.tar.gz", b"rubbish");
    put("other.tar.gz", &bundle("other", 99));
    put("acme-100.unfinished", &bundle("acme", 100));
    assert_eq!(
        fetch(&source, &Conditions::default()).unwrap_err().code(),
        "no_bundle"
    );
    put("z.tar.gz", &bundle("acme", 2));
    put("a.tar.gz", &bundle("acme", 10));
    assert_eq!(
        bytes(fetch(&source, &Conditions::default())),
        bundle("acme", 10)
    );
    put("z.tar.gz", &bundle("acme", 11));
    assert_eq!(
        bytes(fetch(&source, &Conditions::default())),
        bundle("acme", 11)
    );
    fs::remove_file(dir.path().join("z.tar.gz")).unwrap();
    assert_eq!(
        bytes(fetch(&source, &Conditions::default())),
        bundle("acme", 10)
    );
}

#[test]
fn a_file_above_the_limit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle");
    fs::write(&path, [0; 11]).unwrap();
    let source = FileSource::new(path, "acme".parse().unwrap());
    let refused = source.fetch(&Conditions::default(), || Download::into_memory(10));
    assert_eq!(refused.unwrap_err().code(), "too_large");
}
