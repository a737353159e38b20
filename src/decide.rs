//! The one door from a transport to a decision: load once, evaluate within the budget, fail closed.
//!
//! Every door goes through [`Worker`]. No lock and no await lies between the load and the decision; a panic in
//! an evaluation is caught here, answered as internal, and counted. Every decision, and every failure to make one,
//! is told to the observer and, where there is a decision log, recorded.

mod error;
mod http_key;
mod input;
mod kind;
mod question;
mod recording;
mod search;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::decision_log::Log;
use crate::engine::{
    AccessRequest, Content, Context, DuplicateMembers, EvaluateError, HttpAccess, HttpRequest,
    Limits, Program, RegoInput, RegoMachine, RegoSegment, RegoSetting, RegoValue, Scratch,
};
use crate::model::{Access, Consumption, PolicyId, Timestamp, Validation, VariantAnswer};
use crate::snapshot::{Reader, WorkerReader};

pub use error::DecideError;
pub use kind::{Kind, Observer, Outcome, Traced, Tracer};
pub use question::{Answered, FlagAnswer, Flags, Origin, Question, RegoAnswer};
pub use search::{Found, Search};

use error::deciding;
use input::Input;
use question::nanos_since;
use recording::{Made, Recording};

/// Decides for one serving thread. Not shared; owns the thread's scratch memory.
#[derive(Debug)]
pub struct Worker {
    reader: WorkerReader,
    limits: Limits,
    observer: Arc<dyn Observer>,
    /// None where there are no spans.
    tracer: Option<Arc<dyn Tracer>>,
    recording: Recording,
    scratch: Scratch,
    machine: RegoMachine,
    /// Of decision ids: the thread's own, so that an id costs neither a lock nor a system call.
    random: StdRng,
    /// Ids that were made, from a random number on.
    ids: u64,
}

/// One decision in progress: all that an evaluation may look at.
struct Evaluation<'a> {
    program: &'a Program,
    context: Context<'a>,
    scratch: &'a Scratch,
    answered: Answered<'a>,
}

impl<'a> Evaluation<'a> {
    const fn rego_setting(&'a self, input: &'a RegoInput) -> RegoSetting<'a> {
        RegoSetting {
            input,
            data: self.program.data(),
            limits: &self.context.limits,
            now: self.context.now,
        }
    }
}

impl Worker {
    #[must_use]
    pub fn new(reader: &Reader, limits: Limits, observer: Arc<dyn Observer>) -> Self {
        let mut random: StdRng = rand::make_rng();
        Self {
            reader: reader.worker(),
            limits,
            observer,
            tracer: None,
            recording: Recording::default(),
            scratch: Scratch::default(),
            machine: RegoMachine::default(),
            ids: random.next_u64(),
            random,
        }
    }

    /// This worker with its decisions recorded.
    #[must_use]
    pub fn recorded(mut self, log: &Log) -> Self {
        self.recording = Recording::to(log);
        self
    }

    /// This worker with its decisions told to a tracer.
    #[must_use]
    pub fn traced(mut self, tracer: Arc<dyn Tracer>) -> Self {
        self.tracer = Some(tracer);
        self
    }

    /// Whether anybody looks at what [`Self::record_result`] is given.
    #[must_use]
    pub fn keeps_results(&self) -> bool {
        self.recording.keeps_results()
    }

    /// A `UUIDv7` of this moment, from the thread's own generator.
    pub fn fresh_id(&mut self, now: Timestamp) -> Uuid {
        // RFC 9562, 5.7 and 6.2: 48 bits of time, the version, a counter of 12 bits; the variant, 62 random bits.
        self.ids = self.ids.wrapping_add(1);
        let millis = u64::try_from(now.unix_millis()).unwrap_or(0);
        let high = millis << 16 | 0x7000 | self.ids & 0x0fff;
        let low = 1 << 63 | self.random.next_u64() >> 2;
        Uuid::from_u64_pair(high, low)
    }

    /// Completes the record of the last decision with what was answered, as JSON text.
    pub fn record_result(&mut self, result: &[u8]) {
        self.recording.result(result);
    }

    /// Validates; `encode` turns the decision into the reply while it is borrowed.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn validate<R>(
        &mut self,
        input: &[u8],
        question: &Question<'_>,
        encode: impl FnOnce(&Answered<'_>, &Validation<'_>) -> R,
    ) -> Result<R, DecideError> {
        self.decide(Kind::Validate, Input::Json(input), question, |with| {
            let answer = with.program.validate(input, &with.context, with.scratch)?;
            let outcome = Outcome::positive_if(answer.compliant());
            Ok((outcome, encode(&with.answered, &answer)))
        })
    }

    /// Decides access.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn access<R>(
        &mut self,
        request: AccessRequest<'_>,
        question: &Question<'_>,
        encode: impl FnOnce(&Answered<'_>, &Access<'_>) -> R,
    ) -> Result<R, DecideError> {
        self.decide(Kind::Access, Input::Access(request), question, |with| {
            let answer = with.program.access(request, &with.context, with.scratch)?;
            let outcome = Outcome::positive_if(answer.allowed);
            Ok((outcome, encode(&with.answered, &answer)))
        })
    }

    /// Decides about an HTTP request.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn http<R>(
        &mut self,
        request: &HttpRequest<'_>,
        question: &Question<'_>,
        encode: impl FnOnce(&Answered<'_>, &HttpAccess<'_>) -> R,
    ) -> Result<R, DecideError> {
        self.decide(Kind::Http, Input::Http(request), question, |with| {
            let answer = with.program.http(request, &with.context, with.scratch)?;
            let outcome = Outcome::positive_if(answer.access.allowed);
            Ok((outcome, encode(&with.answered, &answer)))
        })
    }

    /// Asks for the Rego document at a path below `data`.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn rego<R>(
        &mut self,
        path: &[RegoSegment<'_>],
        input: &RegoInput,
        question: &Question<'_>,
        encode: impl FnOnce(&Answered<'_>, &RegoAnswer) -> R,
    ) -> Result<R, DecideError> {
        let mut machine = std::mem::take(&mut self.machine);
        let result = self.decide(Kind::Rego, Input::None, question, |with| {
            let rego = with.program.rego();
            let value = rego.document(path, &with.rego_setting(input), &mut machine)?;
            let answer = RegoAnswer { value };
            let outcome = Outcome::positive_if(answer.holds());
            Ok((outcome, encode(&with.answered, &answer)))
        });
        if self.limits.rego_prints {
            for line in machine.take_prints() {
                self.observer.printed(&line);
            }
        }
        // What a panic may have left half done is not used again.
        if !matches!(result, Err(DecideError::Internal)) {
            self.machine = machine;
        }
        result
    }

    /// As [`Worker::rego`] for a question about the door itself, which is no decision: nothing of it is recorded.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn rego_aside<R>(
        &mut self,
        path: &[RegoSegment<'_>],
        input: &RegoInput,
        question: &Question<'_>,
        encode: impl FnOnce(&Answered<'_>, &RegoAnswer) -> R,
    ) -> Result<R, DecideError> {
        let recording = std::mem::take(&mut self.recording);
        let result = self.rego(path, input, question, encode);
        self.recording = recording;
        result
    }

    /// Asks Rego a query: `encode` gets an object of variables for each way in which it holds.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn rego_query<R>(
        &mut self,
        query: &str,
        input: &RegoInput,
        question: &Question<'_>,
        encode: impl FnOnce(&Answered<'_>, &[RegoValue]) -> R,
    ) -> Result<R, DecideError> {
        let mut prints = Vec::new();
        let result = self.decide(Kind::Query, Input::None, question, |with| {
            let rego = with.program.rego();
            let bindings = rego.query(query, &with.rego_setting(input), &mut prints)?;
            let outcome = Outcome::positive_if(!bindings.is_empty());
            Ok((outcome, encode(&with.answered, &bindings)))
        });
        if self.limits.rego_prints {
            for line in prints {
                self.observer.printed(&line);
            }
        }
        result
    }

    /// Validates a consumption.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn consumption<R>(
        &mut self,
        input: &[u8],
        question: &Question<'_>,
        encode: impl FnOnce(&Answered<'_>, &Consumption<'_>) -> R,
    ) -> Result<R, DecideError> {
        self.decide(Kind::Consumption, Input::Json(input), question, |with| {
            let program = with.program;
            let answer = program.consumption(input, &with.context, with.scratch)?;
            let outcome = Outcome::positive_if(answer.allowed);
            Ok((outcome, encode(&with.answered, &answer)))
        })
    }

    /// Assigns a variant.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn variant<R>(
        &mut self,
        input: &[u8],
        question: &Question<'_>,
        encode: impl FnOnce(&Answered<'_>, &VariantAnswer<'_>) -> R,
    ) -> Result<R, DecideError> {
        self.decide(Kind::Variant, Input::Json(input), question, |with| {
            let answer = with.program.variant(input, &with.context, with.scratch)?;
            let outcome = Outcome::positive_if(answer.variant.is_some());
            Ok((outcome, encode(&with.answered, &answer)))
        })
    }

    /// Assigns the variants that are flags: one experiment's, or those of all.
    ///
    /// # Errors
    ///
    /// [`DecideError`]; where all are asked for, what is wrong with one is its own answer.
    pub fn flags<R>(
        &mut self,
        flags: &Flags<'_>,
        question: &Question<'_>,
        encode: impl FnOnce(&Answered<'_>, &[(&str, FlagAnswer<'_>)]) -> R,
    ) -> Result<R, DecideError> {
        let input = Input::Unread(flags.context.unwrap_or(b"{}"));
        self.decide(Kind::Variant, input, question, |with| {
            let ask = |name| {
                let (key, details) = (flags.targeting_key, flags.context);
                let program = with.program;
                program.flag(name, key, details, &with.context, with.scratch)
            };
            let answers: Vec<_> = match flags.name {
                Some(name) => vec![(name, Ok(ask(name)?))],
                None => with
                    .program
                    .experiments()
                    .map(|name| (name, ask(name)))
                    .collect(),
            };
            let assigned = |(_, answer): &(&str, FlagAnswer<'_>)| {
                answer
                    .as_ref()
                    .is_ok_and(|flag| flag.answer.variant.is_some())
            };
            let outcome = Outcome::positive_if(answers.iter().any(assigned));
            Ok((outcome, encode(&with.answered, &answers)))
        })
    }

    /// The content that a client gets (None = 404).
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn content<R>(
        &mut self,
        policy: PolicyId,
        client: Option<&str>,
        now: Timestamp,
        encode: impl FnOnce(&Answered<'_>, Option<&Content<'_>>) -> R,
    ) -> Result<R, DecideError> {
        let question = Question {
            now,
            claims: None,
            principal: "",
            duplicates: DuplicateMembers::Refuse,
            explain: false,
            origin: Origin::UNKNOWN,
        };
        self.decide(Kind::Content, Input::None, &question, |with| {
            let answer = with.program.content(policy, client);
            let outcome = Outcome::positive_if(answer.is_some());
            Ok((outcome, encode(&with.answered, answer.as_ref())))
        })
    }

    /// Hands out every policy's active version.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn policies<R>(
        &mut self,
        question: &Question<'_>,
        encode: impl FnOnce(&Answered<'_>, &[(PolicyId, Content<'_>)]) -> R,
    ) -> Result<R, DecideError> {
        self.decide(Kind::Content, Input::None, question, |with| {
            let policies = with.program.policies();
            Ok((Outcome::Positive, encode(&with.answered, &policies)))
        })
    }

    /// Takes down a violation that a client reports, JSON text that was read. It is an event of the decision log, whether
    /// or not decisions are made.
    pub fn report(&mut self, report: &[u8], question: &Question<'_>) {
        let started = Instant::now();
        let decision_id = self.fresh_id(question.now);
        let current = self.reader.load();
        let snapshot = current.snapshot.as_deref();
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let (kind, outcome) = (Kind::Report, Outcome::Negative);
        self.observer.decided(kind, outcome, nanos);
        let made = Made {
            decision_id,
            kind,
            outcome,
            revision: snapshot.map_or("", |snapshot| &snapshot.name),
            error: "",
            nanos,
        };
        self.recording.record(&made, Input::Json(report), question);
    }

    /// Lets go of a retired snapshot and hands records over. To be called once a second or so, also where there are
    /// no requests.
    pub fn release_retired(&mut self) {
        let current = self.reader.load();
        let snapshot = current.snapshot.as_deref();
        self.machine
            .release(snapshot.map(|snapshot| snapshot.program.rego()));
        self.recording.flush();
    }

    /// Loads once, runs `evaluate` on it, tells the observer and the log.
    fn decide<R>(
        &mut self,
        kind: Kind,
        input: Input<'_>,
        question: &Question<'_>,
        evaluate: impl FnOnce(&Evaluation<'_>) -> Result<(Outcome, R), EvaluateError>,
    ) -> Result<R, DecideError> {
        let (started, took) = (Instant::now(), Cell::new(None));
        let decision_id = self.fresh_id(question.now);
        self.scratch.reset();
        let snapshot = deciding(self.reader.load());
        let result = match &snapshot {
            Ok(snapshot) => {
                let evaluation = Evaluation {
                    program: &snapshot.program,
                    context: Context {
                        now: question.now,
                        claims: question.claims,
                        principal: question.principal,
                        duplicates: question.duplicates,
                        explain: question.explain,
                        limits: self.limits,
                    },
                    scratch: &self.scratch,
                    answered: Answered {
                        snapshot,
                        decision_id,
                        started,
                        took: &took,
                    },
                };
                // What a panic may have left half done is the scratch alone, and that is thrown away below.
                match catch_unwind(AssertUnwindSafe(|| evaluate(&evaluation))) {
                    Ok(result) => result.map_err(DecideError::from),
                    Err(payload) => {
                        self.scratch = Scratch::default();
                        self.observer.panicked(kind, panic_message(&*payload));
                        Err(DecideError::Internal)
                    }
                }
            }
            Err(not_now) => Err(DecideError::from(*not_now)),
        };
        let nanos = took.get().unwrap_or_else(|| nanos_since(started));
        let outcome = result
            .as_ref()
            .map_or(Outcome::Error, |(outcome, _)| *outcome);
        self.observer.decided(kind, outcome, nanos);
        let error = result.as_ref().map_or_else(DecideError::word, |_| "");
        let revision = snapshot.map_or("", |snapshot| &snapshot.name);
        if let Some(tracer) = &self.tracer {
            tracer.decided(&Traced {
                traceparent: question.origin.traceparent,
                decision_id,
                kind,
                outcome,
                revision,
                door: question.origin.door,
                error,
                nanos,
            });
        }
        let made = Made {
            decision_id,
            kind,
            outcome,
            revision,
            error,
            nanos,
        };
        self.recording.record(&made, input, question);
        result.map(|(_, reply)| reply)
    }
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests;
