//! Searches: the candidates of one snapshot, each of them decided about as if it had been asked for.

use std::time::{Duration, Instant};

use crate::engine::{AccessRequest, Candidate, Context, EvaluateError, Scratch};
use crate::model::{Access, Sought};

use super::input::Input;
use super::{Answered, DecideError, Kind, Outcome, Question, Worker};

/// How long one page may take: a thread serves others, too.
const PAGE_TIME: Duration = Duration::from_millis(50);

/// A search, read and checked. The sought entity's own text is empty.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    pub sought: Sought,
    /// The type that is searched; for actions that of the resource.
    pub kind: &'a str,
    /// Properties that every candidate has where the bundle does not say otherwise: names and JSON texts.
    pub sent: &'a [(&'a str, &'a str)],
    /// JSON texts.
    pub subject: &'a [u8],
    pub action: &'a [u8],
    pub resource: &'a [u8],
    pub context: Option<&'a [u8]>,
    /// The first candidate to look at.
    pub from: usize,
    /// Results of one page at most.
    pub limit: usize,
}

/// One page of results.
#[derive(Debug)]
pub struct Found<'a> {
    pub entities: Vec<Candidate<'a>>,
    /// The candidate to go on with; None at the end.
    pub next: Option<usize>,
}

impl Worker {
    /// Searches: `allowed` says what an answer means, `encode` turns the page into the reply. A page may end before
    /// its limit, when its time is over; what was not looked at is not left out but next.
    ///
    /// # Errors
    ///
    /// [`DecideError`]; [`EvaluateError::NotFound`] where the bundle lists nothing of what is sought.
    pub fn search<R>(
        &mut self,
        search: &Search<'_>,
        body: &[u8],
        question: &Question<'_>,
        allowed: impl Fn(&Access<'_>) -> bool,
        encode: impl FnOnce(&Answered<'_>, &Found<'_>) -> R,
    ) -> Result<R, DecideError> {
        self.decide(Kind::Search, Input::Unread(body), question, |with| {
            let end = with.answered.started + PAGE_TIME;
            let Some(candidates) = with.program.candidates(search.sought, search.kind) else {
                return Err(EvaluateError::NotFound(
                    match search.sought {
                        Sought::Subject => "data.authzen.subjects",
                        Sought::Action => "data.authzen.actions",
                        Sought::Resource => "data.authzen.resources",
                    }
                    .to_owned(),
                ));
            };
            let mut found = Found {
                entities: Vec::new(),
                next: None,
            };
            // Reset for each candidate, unlike the decision's own.
            let mut scratch = Scratch::default();
            let mut text = String::new();
            let context = Context {
                explain: false,
                ..with.context
            };
            for index in search.from..candidates.len() {
                if found.entities.len() >= search.limit
                    || (index > search.from && Instant::now() > end)
                {
                    found.next = Some(index);
                    break;
                }
                let Some(candidate) = candidates.get(index) else {
                    continue;
                };
                text.clear();
                candidate.write(&mut text, search.sought, search.sent);
                let request = search.about(text.as_bytes());
                scratch.reset();
                match with.program.access(request, &context, &scratch) {
                    Ok(access) if allowed(&access) => found.entities.push(candidate),
                    Ok(_) => {}
                    Err(error) if search.blames_the_candidate(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            let outcome = Outcome::positive_if(!found.entities.is_empty());
            Ok((outcome, encode(&with.answered, &found)))
        })
    }
}

impl<'a> Search<'a> {
    /// The question about one candidate.
    const fn about(&self, candidate: &'a [u8]) -> AccessRequest<'a> {
        let (mut subject, mut action, mut resource) = (self.subject, self.action, self.resource);
        match self.sought {
            Sought::Subject => subject = candidate,
            Sought::Action => action = candidate,
            Sought::Resource => resource = candidate,
        }
        AccessRequest::Parts {
            subject,
            action,
            resource,
            context: self.context,
        }
    }

    /// Whether a question could not be decided because of what the bundle lists: nobody is allowed anything in the
    /// name of such an entity.
    fn blames_the_candidate(&self, error: &EvaluateError) -> bool {
        matches!(error, EvaluateError::InvalidRequest { pointer, .. }
            if pointer.strip_prefix('/').is_some_and(|rest| rest.starts_with(self.sought.as_str())))
    }
}
