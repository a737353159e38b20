//! The key of an HTTP request, asked before the decision: the same bounds, the same net for panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::engine::{Context, HttpKey, HttpRequest, Scratch};

use super::{DecideError, Kind, Question, Worker, panic_message};

impl Worker {
    /// The key of a request; None where it has none.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn http_key<'a>(
        &self,
        key: &'a HttpKey,
        request: &HttpRequest<'a>,
        question: &Question<'a>,
        scratch: &'a Scratch,
    ) -> Result<Option<&'a str>, DecideError> {
        let context = Context {
            now: question.now,
            claims: question.claims,
            principal: question.principal,
            duplicates: question.duplicates,
            explain: false,
            limits: self.limits,
        };
        // What a panic may have left half done is the scratch alone, which serves this request only.
        match catch_unwind(AssertUnwindSafe(|| key.of(request, &context, scratch))) {
            Ok(result) => result.map_err(DecideError::from),
            Err(payload) => {
                self.observer.panicked(Kind::Http, panic_message(&*payload));
                Err(DecideError::Internal)
            }
        }
    }
}
