//! The bundle's data document in a compact form: an arena of tagged references, built in one
//! streaming pass, looked up without unpacking.

/// The data document of a snapshot: one object.
#[derive(Debug, Default)]
pub struct Data {}

/// A list or map inside a [`Data`].
#[derive(Clone, Copy, Debug)]
pub struct DataRef<'a> {
    _data: &'a Data,
}

/// Builds a [`Data`] from files as they come out of an archive.
#[derive(Debug, Default)]
pub struct DataBuilder {}

/// Data that cannot become part of the document.
#[derive(Debug, thiserror::Error)]
#[error("{message} (at byte {offset})")]
pub struct DataError {
    pub message: String,
    /// In the file.
    pub offset: u64,
}

impl DataBuilder {
    /// Adds the JSON text that `reader` yields at `path` (the segments of the file's folder).
    /// Files are merged; two values at one place, or a duplicate member inside a file, are errors.
    ///
    /// # Errors
    ///
    /// Text that is no JSON, too deep, duplicate members, clashes; read errors of `reader`.
    pub fn add(
        &mut self,
        _path: &[&str],
        _reader: &mut dyn std::io::Read,
    ) -> Result<(), DataError> {
        todo!()
    }

    /// The finished document.
    #[must_use]
    pub fn finish(self) -> Data {
        todo!()
    }
}

impl Data {
    /// Bytes this keeps resident.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        todo!()
    }
}
