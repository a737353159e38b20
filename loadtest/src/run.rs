//! Runs a scenario: alternating rounds, every system once per round, closed loop and then open loop.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::disturb::Disturber;
use crate::generator::{Address, Pace, Plan, PreparedRequest, run as generate};
use crate::lictor::{self, NAME};
use crate::machine::CpuReading;
use crate::peers::{self, Peer};
use crate::recording::{Recording, StoredHistogram};
use crate::result::{Loop, Measurement, OpenLoop, Round, Settings};
use crate::scenario::{Against, Disturbance, Load, Protocol, RequestSpec, Scenario};
use crate::schedule::Schedule;
use crate::system::System;

/// How many times longer a soak is than another measurement.
const SOAK: u32 = 10;
/// How much longer a measurement at half of saturation is that has no closed loop beside it.
const HALF: u32 = 2;
/// How many times more connections an overload has to wait on.
const OVERLOAD_CONNECTIONS: usize = 8;
const WARM_UP: Duration = Duration::from_millis(300);

/// A system with what it is asked. Two may be the same process, one of them disturbed.
#[derive(Debug)]
struct Subject {
    name: String,
    system: Rc<System>,
    requests: Rc<[PreparedRequest]>,
    disturber: Option<Disturber>,
}

/// A scenario whose systems run.
#[derive(Debug)]
pub struct Running {
    scenario: Scenario,
    subjects: Vec<Subject>,
    /// Peers that are not there, and why.
    pub missing: BTreeMap<String, String>,
    /// What is measured, by name.
    pub versions: BTreeMap<String, String>,
    /// Half of the base's saturation, where the scenario asks for nothing else.
    half: Option<f64>,
    rounds: usize,
    /// Beside the measured: what the sidecar forwards writes to.
    _upstream: Option<System>,
    /// Removed when the systems have ended.
    _scratch: TempDir,
}

/// Where and with what to start a scenario's systems.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The folder with `scenarios/` and `policies/`.
    pub root: &'a Path,
    pub lictor: &'a Path,
    pub server_core: usize,
    pub generator_core: usize,
    pub peers: bool,
}

impl Running {
    /// Starts the base, the sidecar and the peers of a scenario.
    ///
    /// # Errors
    ///
    /// Where one of them does not start or answer; peers that are not there are no error.
    pub fn start(mut scenario: Scenario, with: Start<'_>) -> Result<Self> {
        let scratch = TempDir::new().context("making a scratch folder")?;
        let path = scratch.path();
        let protocol = asked_over(&scenario);
        let requests = prepare(&scenario.requests, protocol);
        let probe = requests.first().context("a scenario asks nothing")?;
        let upstream = if scenario.config.contains("$UPSTREAM") {
            let upstream = start_upstream(with, path)?;
            scenario.config = scenario
                .config
                .replace("$UPSTREAM", &upstream.address.to_string());
            Some(upstream)
        } else {
            None
        };
        let mut subjects = Vec::new();
        let mut versions = BTreeMap::new();
        let base = scenario.against.name();
        match &scenario.against {
            Against::Floor => {
                // Behind Envoy a probe must be asked over gRPC to learn that the floor is up.
                let direct = floors(&scenario.prepared());
                let floor = System::start_floor(
                    with.server_core,
                    scenario.transport,
                    scenario.protocol,
                    &direct[0],
                    path,
                )?;
                let floor = behind(&scenario, floor, with, probe, path)?;
                subjects.push(subject(base, floor, &floors(&requests), None));
            }
            Against::Undisturbed => {}
            Against::Policies(policies) => {
                let mut other = scenario.clone();
                other.policies = policies.clone();
                let (system, _) = start_lictor(&other, base, with, probe, &path.join(base))?;
                subjects.push(subject(base, system, &requests, None));
            }
        }
        let (system, disturber) = start_lictor(&scenario, NAME, with, probe, &path.join(NAME))?;
        let system = Rc::new(system);
        if matches!(scenario.against, Against::Undisturbed) {
            subjects.push(Subject {
                name: base.into(),
                system: Rc::clone(&system),
                requests: Rc::clone(&requests),
                disturber: None,
            });
        }
        subjects.push(Subject {
            name: NAME.into(),
            system,
            requests: Rc::clone(&requests),
            disturber,
        });
        if scenario.behind_envoy {
            let envoy = Peer::Envoy;
            versions.insert("envoy".into(), envoy.version(&envoy.program()?));
        }
        let mut missing = BTreeMap::new();
        for (name, spec) in scenario.peers.iter().filter(|_| with.peers) {
            let peer = Peer::named(name)?;
            match peer.program() {
                Err(error) => {
                    missing.insert(name.clone(), format!("{error:#}"));
                }
                Ok(program) => {
                    versions.insert(name.clone(), peer.version(&program));
                    let requests = prepare(&spec.requests, Protocol::Http);
                    let probe = requests
                        .first()
                        .with_context(|| format!("peer `{name}` is asked nothing"))?;
                    let policies = with.root.join("policies");
                    let system = peer.start(spec, &policies, with.server_core, probe, path)?;
                    subjects.push(subject(name, system, &requests, None));
                }
            }
        }
        Ok(Self {
            scenario,
            subjects,
            missing,
            versions,
            half: None,
            rounds: 0,
            _upstream: upstream,
            _scratch: scratch,
        })
    }

    /// How long a round takes, about.
    #[must_use]
    pub fn round_seconds(&self, seconds: f64) -> f64 {
        let phases = match self.scenario.load {
            Load::Saturation | Load::Overload => 2.0,
            Load::Half => f64::from(HALF),
            Load::Soak => 1.0 + f64::from(SOAK),
        };
        phases * seconds * self.subjects.len() as f64
    }

    /// Measures every system once, the one that was second last time first. `each` hears whose turn it is.
    ///
    /// # Errors
    ///
    /// Where a system ends or cannot be reached.
    pub fn round(&mut self, settings: &Settings, mut each: impl FnMut(&str)) -> Result<Round> {
        let duration = Duration::from_secs_f64(settings.seconds);
        if self.rounds == 0 {
            self.warm_up(duration)?;
        }
        for subject in &mut self.subjects {
            if let Some(disturber) = &mut subject.disturber {
                disturber.prepare(open_for(self.scenario.load, duration))?;
            }
        }
        let (before, ours) = (CpuReading::now()?, self.cpu_micros()?);
        let mut systems = BTreeMap::new();
        let count = self.subjects.len();
        for turn in 0..count {
            let index = (turn + self.rounds) % count;
            each(&self.subjects[index].name);
            let measurement = self.measure(index, duration);
            let name = self.subjects[index].name.clone();
            let measurement = measurement.with_context(|| format!("measuring {name}"))?;
            systems.insert(name, measurement);
        }
        self.rounds += 1;
        let now = CpuReading::now()?;
        Ok(Round {
            steal: now.steal_since(&before),
            others: now.others_since(&before, self.cpu_micros()? - ours),
            systems,
        })
    }

    fn warm_up(&mut self, duration: Duration) -> Result<()> {
        for subject in &self.subjects {
            self.closed(subject, WARM_UP)
                .with_context(|| format!("warming {} up", subject.name))?;
        }
        if self.scenario.load == Load::Half {
            let (recording, _) = self.closed(&self.subjects[0], duration)?;
            self.half = Some(recording.throughput() / 2.0);
        }
        Ok(())
    }

    fn measure(&mut self, index: usize, duration: Duration) -> Result<Measurement> {
        let load = self.scenario.load;
        let closed = if self.half.is_some() {
            None
        } else {
            let (recording, cpu) = self.closed(&self.subjects[index], duration)?;
            Some(Loop::of(&recording, cpu))
        };
        let saturation = closed.as_ref().map_or(0.0, |closed| closed.throughput);
        let rate = match (self.half, load) {
            (Some(half), _) => half,
            (None, Load::Overload) => saturation * 3.0,
            (None, _) => saturation / 2.0,
        };
        if rate < 1.0 {
            bail!("not one expected answer at saturation");
        }
        if let Some(disturber) = &mut self.subjects[index].disturber {
            disturber.start()?;
        }
        let subject = &self.subjects[index];
        let connections = self.scenario.connections
            * if load == Load::Overload {
                OVERLOAD_CONNECTIONS
            } else {
                1
            };
        let pace = Pace::Open(Schedule::constant(rate, open_for(load, duration)));
        let open = phase(subject, connections, pace);
        if let Some(disturber) = &mut self.subjects[index].disturber {
            disturber.stop()?;
        }
        let (open, cpu) = open?;
        let subject = &self.subjects[index];
        settle(&subject.system)?;
        Ok(Measurement {
            closed,
            open: Some(OpenLoop {
                figures: Loop::of(&open, cpu),
                rate,
                late: open.late,
                latencies: StoredHistogram::encode(&open.latencies),
                service: StoredHistogram::encode(&open.service),
            }),
            resident_kib: subject.system.reading()?.resident_kib,
        })
    }

    fn closed(&self, subject: &Subject, duration: Duration) -> Result<(Recording, f64)> {
        phase(subject, self.scenario.connections, Pace::Closed(duration))
    }

    /// What this process and the systems have used so far.
    fn cpu_micros(&self) -> Result<f64> {
        let own = crate::machine::ProcessReading::of(std::process::id())?.cpu_micros;
        let systems = self.subjects.iter().enumerate().filter(|(index, subject)| {
            let earlier = self.subjects.iter().take(*index);
            !earlier
                .into_iter()
                .any(|it| Rc::ptr_eq(&it.system, &subject.system))
        });
        systems
            .map(|(_, subject)| subject.system.reading().map(|it| it.cpu_micros))
            .try_fold(own, |sum, used| Ok(sum + used?))
    }
}

/// What the generator recorded, and the microseconds that the system used meanwhile.
fn phase(subject: &Subject, connections: usize, pace: Pace) -> Result<(Recording, f64)> {
    let before = subject.system.reading()?.cpu_micros;
    let recording = generate(&Plan {
        address: subject.system.address.clone(),
        requests: Rc::clone(&subject.requests),
        connections,
        pace,
    })?;
    let spent = subject.system.reading()?.cpu_micros - before;
    Ok((recording, spent))
}

const fn open_for(load: Load, duration: Duration) -> Duration {
    duration.saturating_mul(match load {
        Load::Saturation | Load::Overload => 1,
        Load::Half => HALF,
        Load::Soak => SOAK,
    })
}

/// Waits until a system has nothing to do any more: what a disturbance left must not hit whoever is next.
fn settle(system: &System) -> Result<()> {
    const LOOK: Duration = Duration::from_millis(40);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let before = system.reading()?.cpu_micros;
        std::thread::sleep(LOOK);
        let busy = (system.reading()?.cpu_micros - before) / 1e6 / LOOK.as_secs_f64();
        if busy < 0.1 || Instant::now() > deadline {
            return Ok(());
        }
    }
}

/// What the generator speaks: behind Envoy plain HTTP, whatever Envoy speaks to the system.
const fn asked_over(scenario: &Scenario) -> Protocol {
    if scenario.behind_envoy {
        Protocol::Http
    } else {
        scenario.protocol
    }
}

fn prepare(requests: &[RequestSpec], protocol: Protocol) -> Rc<[PreparedRequest]> {
    let prepared = requests.iter().map(|request| request.prepare(protocol));
    prepared.collect()
}

/// Requests as a floor answers them: it refuses none.
fn floors(requests: &[PreparedRequest]) -> Rc<[PreparedRequest]> {
    let each = |request: &PreparedRequest| PreparedRequest {
        expected: vec![0, 200],
        ..request.clone()
    };
    requests.iter().map(each).collect()
}

fn subject(
    name: &str,
    system: System,
    requests: &Rc<[PreparedRequest]>,
    disturber: Option<Disturber>,
) -> Subject {
    Subject {
        name: name.into(),
        system: Rc::new(system),
        requests: Rc::clone(requests),
        disturber,
    }
}

/// A system, or the Envoy before it.
fn behind(
    scenario: &Scenario,
    system: System,
    with: Start<'_>,
    probe: &PreparedRequest,
    scratch: &Path,
) -> Result<System> {
    if scenario.behind_envoy {
        peers::envoy_before(system, with.server_core, probe, scratch)
    } else {
        Ok(system)
    }
}

fn start_upstream(with: Start<'_>, scratch: &Path) -> Result<System> {
    let folder = scratch.join("upstream");
    std::fs::create_dir_all(&folder)?;
    let probe = RequestSpec::get("/").prepare(Protocol::Http);
    let core = with.generator_core;
    let transport = crate::generator::Transport::Tcp;
    System::start_floor(core, transport, Protocol::Http, &probe, &folder)
}

/// Builds a scenario's bundle and starts the sidecar on it, and what will disturb it.
fn start_lictor(
    scenario: &Scenario,
    name: &str,
    with: Start<'_>,
    probe: &PreparedRequest,
    scratch: &Path,
) -> Result<(System, Option<Disturber>)> {
    std::fs::create_dir_all(scratch)?;
    let prepared = lictor::prepare(with.root, scenario, with.lictor, scratch)?;
    let probe_itself = &scenario.prepared()[0];
    let core = with.server_core;
    let system = lictor::start(&prepared, name, with.lictor, core, probe_itself, scratch)?;
    let disturber = match scenario.disturbance {
        Disturbance::None => None,
        Disturbance::Swaps => Some(Disturber::swaps(
            prepared.builder,
            scratch.join("prepared"),
            prepared.watched,
            prepared.admin,
        )),
        Disturbance::Outage => prepared.served.as_ref().map(Disturber::outage),
        Disturbance::SlowClients => match prepared.address {
            Address::Tcp(address) => Some(Disturber::slow_clients(address)),
            Address::Unix(_) => bail!("slow clients come over TCP"),
        },
    };
    Ok((behind(scenario, system, with, probe, scratch)?, disturber))
}
