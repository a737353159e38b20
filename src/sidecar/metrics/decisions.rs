//! Decisions and their durations: two additions for each, from which the page makes its counters and histograms when it is
//! asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::decide::{Kind, Outcome};

/// Upper bounds in nanoseconds of what is counted together: all that a histogram below shows.
const BOUNDS: [u64; 22] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// Fine enough to tell microseconds apart.
const DECISION_BUCKETS: [u64; 15] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    50_000_000,
    250_000_000,
    1_000_000_000,
];
/// Those of the policy engine's dashboards.
const VALIDATION_BUCKETS: [u64; 11] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// Words of `result` that the policy engine's dashboards know, by [`Outcome`].
const RESULTS: [&str; Outcome::ALL.len()] = ["compliant", "non_compliant", "error"];

/// What is counted.
#[derive(Clone, Debug)]
pub(super) struct Decisions {
    cells: Arc<[[Cell; Outcome::ALL.len()]; Kind::ALL.len()]>,
}

/// Of one kind and outcome.
#[derive(Debug, Default)]
struct Cell {
    /// By bound; the last are longer than all of them.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What some cells hold together.
#[derive(Clone, Debug, Default)]
struct Sum {
    counts: [u64; BOUNDS.len() + 1],
    nanos: u64,
}

impl Decisions {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let decisions = Self {
            cells: Arc::default(),
        };
        let descriptions = [
            ("lictor_decisions_total", "Decisions by kind and outcome."),
            ("lictor_decision_duration_seconds", "Time of a decision."),
            ("policy_engine_validations_total", "Validations by result."),
            (
                "policy_engine_validation_duration_seconds",
                "Time of a validation.",
            ),
        ];
        let labels: [&[&str]; 4] = [&["kind", "outcome"], &["kind"], &["result"], &["result"]];
        let described = descriptions.into_iter().zip(labels);
        let described = described.map(|((name, help), labels)| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        });
        registry.register(Box::new(Page {
            decisions: decisions.clone(),
            descriptions: described.collect::<prometheus::Result<_>>()?,
        }))?;
        Ok(decisions)
    }

    /// A decision took so long.
    #[inline]
    pub(super) fn add(&self, kind: Kind, outcome: Outcome, nanos: u64) {
        let bound = BOUNDS.iter().position(|bound| nanos <= *bound);
        let bound = bound.unwrap_or(BOUNDS.len());
        let cells = self.cells.get(kind as usize);
        if let Some(cell) = cells.and_then(|cells| cells.get(outcome as usize))
            && let Some(count) = cell.counts.get(bound)
        {
            count.fetch_add(1, Ordering::Relaxed);
            cell.nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    fn sums(&self) -> Vec<(Kind, [Sum; Outcome::ALL.len()])> {
        let kinds = Kind::ALL.into_iter().zip(self.cells.iter());
        kinds
            .map(|(kind, cells)| (kind, cells.each_ref().map(Cell::sum)))
            .collect()
    }
}

impl Cell {
    fn sum(&self) -> Sum {
        Sum {
            counts: self
                .counts
                .each_ref()
                .map(|count| count.load(Ordering::Relaxed)),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

impl Sum {
    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn counter(&self, labels: Vec<LabelPair>) -> Metric {
        let mut counter = Counter::default();
        counter.set_value(self.total() as f64);
        let mut metric = Metric::from_label(labels);
        metric.set_counter(counter);
        metric
    }

    /// `buckets` are some of [`BOUNDS`].
    fn histogram(&self, buckets: &[u64], labels: Vec<LabelPair>) -> Metric {
        let shown = buckets.iter().map(|shown| {
            let within = BOUNDS.iter().zip(self.counts);
            let within = within.filter(|(bound, _)| *bound <= shown);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*shown as f64 / 1e9);
            bucket.set_cumulative_count(within.map(|(_, count)| count).sum());
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(shown.collect());
        histogram.set_sample_count(self.total());
        histogram.set_sample_sum(self.nanos as f64 / 1e9);
        let mut metric = Metric::from_label(labels);
        metric.set_histogram(histogram);
        metric
    }
}

/// Makes what the page shows.
struct Page {
    decisions: Decisions,
    /// Of the decisions, their durations, the validations and their durations.
    descriptions: Vec<Desc>,
}

impl Collector for Page {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let sums = self.decisions.sums();
        let (mut decisions, mut durations) = (Vec::new(), Vec::new());
        let (mut validations, mut validation_durations) = (Vec::new(), Vec::new());
        for (kind, outcomes) in &sums {
            let mut all = Sum::default();
            for (index, (outcome, sum)) in Outcome::ALL.into_iter().zip(outcomes).enumerate() {
                let labels = [("kind", kind.as_str()), ("outcome", outcome.as_str())];
                decisions.push(sum.counter(labels.map(label).to_vec()));
                for (all, count) in all.counts.iter_mut().zip(sum.counts) {
                    *all += count;
                }
                all.nanos += sum.nanos;
                if *kind == Kind::Validate
                    && let Some(result) = RESULTS.get(index)
                {
                    let labels = vec![label(("result", *result))];
                    validations.push(sum.counter(labels.clone()));
                    validation_durations.push(sum.histogram(&VALIDATION_BUCKETS, labels));
                }
            }
            let labels = vec![label(("kind", kind.as_str()))];
            durations.push(all.histogram(&DECISION_BUCKETS, labels));
        }
        let families = [
            (MetricType::COUNTER, decisions),
            (MetricType::HISTOGRAM, durations),
            (MetricType::COUNTER, validations),
            (MetricType::HISTOGRAM, validation_durations),
        ];
        let described = self.descriptions.iter().zip(families);
        described
            .map(|(description, (kind, metrics))| {
                let mut family = MetricFamily::default();
                family.set_name(description.fq_name.clone());
                family.set_help(description.help.clone());
                family.set_field_type(kind);
                family.set_metric(metrics);
                family
            })
            .collect()
    }
}

fn label((name, value): (&str, &str)) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::telemetry;

    #[test]
    fn every_bound_that_is_shown_is_counted() {
        assert!(BOUNDS.is_sorted());
        for shown in DECISION_BUCKETS.iter().chain(&VALIDATION_BUCKETS) {
            assert!(BOUNDS.contains(shown), "{shown}");
        }
    }

    #[test]
    fn a_duration_counts_in_each_bucket_that_it_fits_in() {
        let registry = telemetry::registry().unwrap();
        let decisions = Decisions::register(&registry).unwrap();
        for nanos in [0, 1_000, 1_001, 7_000_000, 20_000_000_000] {
            decisions.add(Kind::Validate, Outcome::Positive, nanos);
        }
        decisions.add(Kind::Validate, Outcome::Error, 5_000_000);
        decisions.add(Kind::Access, Outcome::Negative, 1);
        let page = String::from_utf8(telemetry::render(&registry)).unwrap();
        let seconds = "lictor_decision_duration_seconds";
        let old = "policy_engine_validation_duration_seconds";
        for line in [
            "lictor_decisions_total{kind=\"validate\",outcome=\"positive\"} 5".to_owned(),
            "lictor_decisions_total{kind=\"validate\",outcome=\"negative\"} 0".to_owned(),
            "lictor_decisions_total{kind=\"access\",outcome=\"negative\"} 1".to_owned(),
            format!("{seconds}_bucket{{kind=\"validate\",le=\"0.000001\"}} 2"),
            format!("{seconds}_bucket{{kind=\"validate\",le=\"0.000002\"}} 3"),
            format!("{seconds}_bucket{{kind=\"validate\",le=\"0.0025\"}} 3"),
            format!("{seconds}_bucket{{kind=\"validate\",le=\"0.01\"}} 5"),
            format!("{seconds}_bucket{{kind=\"validate\",le=\"1\"}} 5"),
            format!("{seconds}_bucket{{kind=\"validate\",le=\"+Inf\"}} 6"),
            format!("{seconds}_count{{kind=\"validate\"}} 6"),
            format!("{seconds}_sum{{kind=\"validate\"}} 20.012002001"),
            "policy_engine_validations_total{result=\"compliant\"} 5".to_owned(),
            "policy_engine_validations_total{result=\"error\"} 1".to_owned(),
            format!("{old}_bucket{{result=\"compliant\",le=\"0.005\"}} 3"),
            format!("{old}_bucket{{result=\"compliant\",le=\"0.01\"}} 4"),
            format!("{old}_bucket{{result=\"error\",le=\"0.005\"}} 1"),
            format!("{old}_count{{result=\"compliant\"}} 5"),
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line}\nin\n{page}"
            );
        }
    }
}
