//! Metrics as the JSON of their protobuf messages, which is how OPA's status shows them: 64-bit integers are text.

use prometheus::proto::{Metric, MetricFamily, MetricType};
use serde_json::{Map, Value, json};

/// Every family by its name.
pub(super) fn families(all: &[MetricFamily]) -> Value {
    let all = all.iter().map(|family| {
        let kind = family.get_field_type();
        let metrics = family.get_metric().iter().map(|metric| one(metric, kind));
        let shown = json!({
            "name": family.name(),
            "help": family.help(),
            "type": match kind {
                MetricType::COUNTER => "COUNTER",
                MetricType::GAUGE => "GAUGE",
                MetricType::SUMMARY => "SUMMARY",
                MetricType::HISTOGRAM => "HISTOGRAM",
                MetricType::UNTYPED => "UNTYPED",
            },
            "metric": metrics.collect::<Vec<_>>(),
        });
        (family.name().to_owned(), shown)
    });
    Value::Object(all.collect())
}

fn one(metric: &Metric, kind: MetricType) -> Value {
    let mut out = Map::new();
    let labels = metric.get_label().iter();
    let labels: Vec<Value> = labels
        .map(|label| json!({"name": label.name(), "value": label.value()}))
        .collect();
    if !labels.is_empty() {
        out.insert("label".to_owned(), labels.into());
    }
    let (name, value) = match kind {
        MetricType::COUNTER => (
            "counter",
            json!({"value": number(metric.get_counter().get_value())}),
        ),
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            let buckets = histogram.get_bucket().iter().map(|bucket| {
                json!({
                    "cumulativeCount": bucket.cumulative_count().to_string(),
                    "upperBound": number(bucket.upper_bound()),
                })
            });
            let shown = json!({
                "sampleCount": histogram.get_sample_count().to_string(),
                "sampleSum": number(histogram.get_sample_sum()),
                "bucket": buckets.collect::<Vec<_>>(),
            });
            ("histogram", shown)
        }
        _ => (
            "gauge",
            json!({"value": number(metric.get_gauge().get_value())}),
        ),
    };
    out.insert(name.to_owned(), value);
    Value::Object(out)
}

/// Whole numbers without a point; what JSON has no number for is text, as in protobuf's JSON.
fn number(value: f64) -> Value {
    // Exact below 2^53.
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return json!(value as i64);
    }
    if value.is_finite() {
        return json!(value);
    }
    json!(if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    })
}

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts, IntCounter, Registry};

    use super::*;

    #[test]
    fn families_are_protobuf_json() {
        let registry = Registry::new();
        let counter = IntCounter::new("asked", "How often.").unwrap();
        counter.inc_by(3);
        let options = HistogramOpts::new("took", "How long.").buckets(vec![0.5]);
        let took = Histogram::with_opts(options).unwrap();
        took.observe(0.25);
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(took)).unwrap();
        assert_eq!(
            families(&registry.gather()),
            json!({
                "asked": {
                    "name": "asked", "help": "How often.", "type": "COUNTER",
                    "metric": [{"counter": {"value": 3}}],
                },
                "took": {
                    "name": "took", "help": "How long.", "type": "HISTOGRAM",
                    "metric": [{"histogram": {
                        "sampleCount": "1", "sampleSum": 0.25,
                        "bucket": [{"cumulativeCount": "1", "upperBound": 0.5}],
                    }}],
                },
            })
        );
        assert_eq!(number(f64::INFINITY), json!("Infinity"));
    }
}
