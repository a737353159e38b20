//! Steps 11 and 12: the one pass over the second member.
//!
//! Compressed bytes are copied, hashed, and only then decompressed, so that what was hashed is what was
//! read even if the file changes underneath.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::GzDecoder;

use crate::bundle::hash::{self, Hasher};
use crate::bundle::manifest::POLICIES;
use crate::bundle::ustar::{self, BLOCK};
use crate::bundle::{Code, Digest, Manifest, Step, gzip, name};

use super::{Entry, Limits, Signed, VerifiedBundle, VerifyError};

/// What every archive may decompress to, whatever its ratio.
const RATIO_FREE_BYTES: u64 = 1024 * 1024;

pub(super) fn read<E: From<VerifyError>>(
    bundle: &VerifiedBundle<'_>,
    limits: &Limits,
    hash_files: bool,
    each: &mut dyn FnMut(&Manifest, Entry<'_>) -> Result<(), E>,
) -> Result<Manifest, E> {
    let mut archive = Archive::open(bundle.rest, limits)?;
    let signed = &bundle.signed;
    let manifest = manifest(signed, &mut archive, hash_files)?;
    let mut seen = 1;
    let mut previous = String::new();
    while let Some(header) = archive.next()? {
        let name = header.name.as_str();
        if let Some(fault) = name::fault(name) {
            return Err(
                unsafe_archive(format!("the name `{}` {fault}", name.escape_debug())).into(),
            );
        }
        if name <= previous.as_str() || name == ".manifest" {
            return Err(unsafe_archive(format!(
                "`{name}` is there twice or not in its sorted place"
            ))
            .into());
        }
        let listed = signed
            .files
            .get(name)
            .ok_or_else(|| mismatch(format!("`{name}` is not listed in the signature")))?;
        seen += 1;
        entry(
            &mut archive,
            name,
            header.size,
            hash_files.then_some(listed),
            &manifest,
            each,
        )?;
        previous = header.name;
    }
    if seen < signed.files.len() {
        let count = signed.files.len() - seen;
        return Err(mismatch(format!("{count} files listed in the signature are missing")).into());
    }
    if archive.finish() != signed.claims.rest_sha256 {
        let text = "the archive changed while it was read";
        return Err(VerifyError::new(Step::SecondMember, Code::Tampered, text).into());
    }
    Ok(manifest)
}

/// Reads the manifest, which comes first, and holds it against the claims.
fn manifest(
    signed: &Signed,
    archive: &mut Archive<'_>,
    hash_files: bool,
) -> Result<Manifest, VerifyError> {
    let bytes = archive.manifest()?;
    if hash_files {
        let listed = signed
            .files
            .get(".manifest")
            .ok_or_else(unlisted_manifest)?;
        check_hash(".manifest", &bytes, listed)?;
    }
    check_manifest(signed, &bytes)
}

/// The manifest's file, and nothing else, of a second member that nothing is known about.
pub(super) fn first_file(rest: &[u8], limits: &Limits) -> Result<Vec<u8>, VerifyError> {
    Archive::open(rest, limits)?.manifest()
}

pub(super) fn parse_manifest(bytes: &[u8]) -> Result<Manifest, VerifyError> {
    Manifest::parse(bytes).map_err(|error| mismatch(format!("`.manifest`: {error}")))
}

fn unlisted_manifest() -> VerifyError {
    mismatch("`.manifest` is not listed in the signature".to_owned())
}

fn check_manifest(signed: &Signed, bytes: &[u8]) -> Result<Manifest, VerifyError> {
    if !signed.files.contains_key(".manifest") {
        return Err(unlisted_manifest());
    }
    let manifest = parse_manifest(bytes)?;
    if manifest.revision != signed.claims.revision {
        return Err(mismatch(format!(
            "the manifest's revision `{}` is not the signed `{}`",
            manifest.revision, signed.claims.revision
        )));
    }
    for policy in &manifest.policies {
        if !signed.files.contains_key(&policy.path) {
            return Err(mismatch(format!(
                "policy `{}` is not listed in the signature",
                policy.path
            )));
        }
    }
    let policies = signed
        .files
        .keys()
        .filter(|name| name.starts_with(POLICIES));
    let stored = policies.count();
    if stored != manifest.policies.len() {
        return Err(mismatch(format!(
            "{stored} policies are signed, the manifest lists {}",
            manifest.policies.len()
        )));
    }
    Ok(manifest)
}

/// Step 12 over the files of an unpacked bundle.
pub(super) fn check_unpacked(
    signed: &Signed,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<(), VerifyError> {
    let manifest = files
        .get(".manifest")
        .map(Vec::as_slice)
        .unwrap_or_default();
    check_manifest(signed, manifest)?;
    for (name, content) in files {
        let listed = signed.files.get(name);
        let listed =
            listed.ok_or_else(|| mismatch(format!("`{name}` is not listed in the signature")))?;
        check_hash(name, content, listed)?;
    }
    match signed.files.keys().find(|name| !files.contains_key(*name)) {
        Some(missing) => Err(mismatch(format!("`{missing}` is signed and missing"))),
        None => Ok(()),
    }
}

/// Hands one entry on, and afterwards reads what was left of it.
fn entry<E: From<VerifyError>>(
    archive: &mut Archive<'_>,
    name: &str,
    size: u64,
    listed: Option<&Digest>,
    manifest: &Manifest,
    each: &mut dyn FnMut(&Manifest, Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let outcome = match listed {
        Some(listed) if hash::structured(name) => {
            let bytes = archive.whole_entry()?;
            check_hash(name, &bytes, listed)?;
            let reader = &mut bytes.as_slice();
            each(manifest, Entry { name, size, reader })
        }
        Some(listed) => {
            let mut hashed = Hashed {
                inner: archive.entry(),
                hasher: Hasher::default(),
            };
            let outcome = each(
                manifest,
                Entry {
                    name,
                    size,
                    reader: &mut hashed,
                },
            );
            let drained = io::copy(&mut hashed, &mut io::sink());
            let found = hashed.hasher.finish();
            archive.check()?;
            drained.map_err(|error| unsafe_archive(error.to_string()))?;
            if found != *listed {
                return Err(hash_mismatch(name, &found, listed).into());
            }
            outcome
        }
        None => each(
            manifest,
            Entry {
                name,
                size,
                reader: &mut archive.entry(),
            },
        ),
    };
    // A reader's failure is the archive's fault, whatever became of it in `each`.
    archive.check()?;
    outcome
}

fn check_hash(name: &str, content: &[u8], listed: &Digest) -> Result<(), VerifyError> {
    let found =
        hash::file(name, content).map_err(|error| mismatch(format!("`{name}`: {error}")))?;
    if found == *listed {
        Ok(())
    } else {
        Err(hash_mismatch(name, &found, listed))
    }
}

fn hash_mismatch(name: &str, found: &Digest, listed: &Digest) -> VerifyError {
    mismatch(format!(
        "`{name}` hashes to {}, signed is {}",
        hex::encode(found),
        hex::encode(listed)
    ))
}

fn mismatch(detail: String) -> VerifyError {
    VerifyError::new(Step::Manifest, Code::ManifestMismatch, detail)
}

fn unsafe_archive(detail: String) -> VerifyError {
    VerifyError::new(Step::Decompression, Code::UnsafeArchive, detail)
}

/// The second member, decompressed and cut into entries within limits.
struct Archive<'a> {
    decoder: GzDecoder<BufReader<Hashed<&'a [u8]>>>,
    /// Bytes that may still be decompressed.
    budget: u64,
    entries: usize,
    entry_bytes: u64,
    /// Bytes of the current entry still to be read, and of padding behind them.
    left: u64,
    padding: usize,
    /// The first thing that went wrong while an entry was read.
    failure: Option<VerifyError>,
}

impl<'a> Archive<'a> {
    fn open(rest: &'a [u8], limits: &Limits) -> Result<Self, VerifyError> {
        if !gzip::plain_header(rest) {
            return Err(unsafe_archive(
                "the second member has no plain gzip header".to_owned(),
            ));
        }
        let by_ratio = (rest.len() as u64)
            .saturating_mul(limits.ratio)
            .saturating_add(RATIO_FREE_BYTES);
        let source = Hashed {
            inner: rest,
            hasher: Hasher::default(),
        };
        Ok(Self {
            decoder: GzDecoder::new(BufReader::with_capacity(64 * 1024, source)),
            budget: limits.total_bytes.min(by_ratio),
            entries: limits.entries,
            entry_bytes: limits.entry_bytes,
            left: 0,
            padding: 0,
            failure: None,
        })
    }

    /// The next header; None once the archive has ended as it must: two zero blocks, then nothing, neither in this
    /// member nor behind it.
    fn next(&mut self) -> Result<Option<ustar::Header>, VerifyError> {
        io::copy(&mut self.entry(), &mut io::sink()).ok();
        self.check()?;
        let mut padding = [0; BLOCK];
        let padding = &mut padding[..self.padding];
        self.fill(padding)?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(unsafe_archive("a file is not padded with zeros".to_owned()));
        }
        self.padding = 0;
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        if block.iter().all(|&byte| byte == 0) {
            self.end()?;
            return Ok(None);
        }
        let header = ustar::decode(&block).map_err(unsafe_archive)?;
        if self.entries == 0 {
            return Err(unsafe_archive("too many files".to_owned()));
        }
        if header.size > self.entry_bytes {
            let name = header.name.escape_debug();
            return Err(unsafe_archive(format!(
                "`{name}` has {} bytes, at most {}",
                header.size, self.entry_bytes
            )));
        }
        self.entries -= 1;
        self.left = header.size;
        self.padding = ustar::padding(header.size);
        Ok(Some(header))
    }

    fn end(&mut self) -> Result<(), VerifyError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        if block.iter().any(|&byte| byte != 0) {
            return Err(unsafe_archive(
                "one zero block does not end an archive".to_owned(),
            ));
        }
        match self.decompress(&mut [0]) {
            Ok(0) => {}
            Ok(_) => {
                return Err(unsafe_archive(
                    "bytes after the end of the archive".to_owned(),
                ));
            }
            Err(error) => return Err(unsafe_archive(error.to_string())),
        }
        match self.decoder.get_mut().fill_buf() {
            Ok([]) => Ok(()),
            _ => Err(unsafe_archive(
                "bytes after the second gzip member".to_owned(),
            )),
        }
    }

    /// SHA-256 of the compressed bytes that were read.
    fn finish(self) -> Digest {
        self.decoder.into_inner().into_inner().hasher.finish()
    }

    /// The first file, which must be the manifest.
    fn manifest(&mut self) -> Result<Vec<u8>, VerifyError> {
        let first = self.next()?;
        if first.is_none_or(|header| header.name != ".manifest") {
            return Err(unsafe_archive(
                "`.manifest` is not the first file".to_owned(),
            ));
        }
        self.whole_entry()
    }

    /// What is left of the current entry.
    fn whole_entry(&mut self) -> Result<Vec<u8>, VerifyError> {
        let mut bytes = Vec::new();
        let read = self.entry().read_to_end(&mut bytes);
        self.check()?;
        read.map(|_| bytes)
            .map_err(|error| unsafe_archive(error.to_string()))
    }

    /// A reader of the current entry.
    const fn entry(&mut self) -> EntryReader<'_, 'a> {
        EntryReader(self)
    }

    /// What went wrong while an entry was read.
    fn check(&mut self) -> Result<(), VerifyError> {
        self.failure.take().map_or(Ok(()), Err)
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), VerifyError> {
        while !buffer.is_empty() {
            match self.decompress(buffer) {
                Ok(0) => return Err(unsafe_archive("the archive ends too early".to_owned())),
                Ok(count) => buffer = buffer.get_mut(count..).unwrap_or_default(),
                Err(error) => return Err(unsafe_archive(error.to_string())),
            }
        }
        Ok(())
    }

    fn decompress(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.budget = self.budget.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other("decompresses to more than the limit in total or by ratio")
        })?;
        Ok(count)
    }
}

struct EntryReader<'r, 'a>(&'r mut Archive<'a>);

impl Read for EntryReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let archive = &mut *self.0;
        let most = usize::try_from(archive.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = archive
            .decompress(&mut buffer[..most])
            .and_then(|count| match count {
                0 => Err(io::Error::other("the archive ends inside a file")),
                count => Ok(count),
            });
        match read {
            Ok(count) => {
                archive.left -= count as u64;
                Ok(count)
            }
            Err(error) => {
                archive
                    .failure
                    .get_or_insert_with(|| unsafe_archive(error.to_string()));
                Err(error)
            }
        }
    }
}

/// Hashes what passes.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        io::Write::write_all(&mut self.hasher, buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}
