//! The page: latency by percentile as curves, throughput and CPU as bars. Plain SVG, no network, no script.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::result::{Measurement, RunResult, ScenarioResult};
use crate::statistics::median;

use super::verdicts;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 56.0;
const COLOURS: [&str; 6] = [
    "#6b7280", "#0f766e", "#b45309", "#7c3aed", "#be123c", "#1d4ed8",
];
/// The curve's points: 1 / (1 - quantile).
const QUANTILES: [f64; 12] = [
    0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999,
];

/// The whole page.
#[must_use]
pub fn page(result: &RunResult) -> String {
    let machine = &result.machine;
    let mut html = String::from(HEAD);
    let _ = write!(
        html,
        "<h1>What a decision costs</h1><p class=m>{} · {} cores · {} MiB · kernel {} · commit {} · {} rounds of {} s · server on core {}, generator on core {}</p>",
        escape(&machine.cpu),
        machine.cores,
        machine.memory_mib,
        escape(&machine.kernel),
        escape(&machine.commit),
        result.settings.rounds,
        result.settings.seconds,
        result.settings.server_core,
        result.settings.generator_core
    );
    for (program, version) in &result.settings.versions {
        let _ = write!(
            html,
            "<p class=m>{}: {}</p>",
            escape(program),
            escape(version)
        );
    }
    for scenario in &result.scenarios {
        section(&mut html, scenario, result.settings.steal_limit);
    }
    html.push_str("</main></body></html>\n");
    html
}

fn section(html: &mut String, scenario: &ScenarioResult, steal_limit: f64) {
    let systems = scenario.systems();
    let calm = scenario.calm(steal_limit).count();
    let _ = write!(
        html,
        "<section><h2>{}</h2><p>{}</p><p class=m>{calm} of {} rounds were calm and count.</p>",
        escape(&scenario.name),
        escape(&scenario.question),
        scenario.rounds.len()
    );
    html.push_str("<div class=legend>");
    for (system, colour) in systems.iter().zip(COLOURS.iter().cycle()) {
        let _ = write!(
            html,
            "<span><i style=\"background:{colour}\"></i>{}</span>",
            escape(system)
        );
    }
    html.push_str("</div>");
    curves(html, scenario, &systems, steal_limit);
    bars(
        html,
        "requests per second at saturation",
        scenario,
        &systems,
        steal_limit,
        |measurement| measurement.throughput,
    );
    bars(
        html,
        "CPU microseconds per request",
        scenario,
        &systems,
        steal_limit,
        |measurement| measurement.cpu_micros_per_request,
    );
    html.push_str("<ul>");
    for line in verdicts(scenario, steal_limit) {
        let _ = write!(html, "<li>{}</li>", escape(&line));
    }
    for (peer, reason) in &scenario.missing {
        let _ = write!(
            html,
            "<li>{} was not measured: {}</li>",
            escape(peer),
            escape(reason)
        );
    }
    html.push_str("</ul></section>");
}

fn merged(scenario: &ScenarioResult, system: &str, steal_limit: f64) -> Option<Histogram<u64>> {
    let mut all: Option<Histogram<u64>> = None;
    for measurement in scenario
        .calm(steal_limit)
        .filter_map(|round| round.systems.get(system))
    {
        let histogram = measurement.latencies.decode();
        match &mut all {
            // Equal bounds: adding cannot fail.
            Some(sum) => drop(sum.add(&histogram)),
            None => all = Some(histogram),
        }
    }
    all
}

/// Latency by percentile, both axes logarithmic: microseconds over 1 / (1 - quantile).
fn curves(html: &mut String, scenario: &ScenarioResult, systems: &[String], steal_limit: f64) {
    let histograms: Vec<_> = systems
        .iter()
        .map(|system| merged(scenario, system, steal_limit))
        .collect();
    let micros = |histogram: &Histogram<u64>, quantile| {
        (histogram.value_at_quantile(quantile) as f64 / 1e3).max(1.0)
    };
    let values = || {
        histograms.iter().flatten().flat_map(|histogram| {
            QUANTILES
                .iter()
                .map(|quantile| micros(histogram, *quantile))
        })
    };
    let (low, high) = (
        values().fold(f64::INFINITY, f64::min).log10().floor(),
        values().fold(1.0, f64::max).log10().ceil(),
    );
    if !low.is_finite() || high <= low {
        return;
    }
    let x =
        |quantile: f64| MARGIN + (WIDTH - 2.0 * MARGIN) * (1.0 / (1.0 - quantile)).log10() / 4.0;
    let y = |value: f64| {
        HEIGHT - MARGIN / 2.0 - (HEIGHT - MARGIN) * (value.log10() - low) / (high - low)
    };
    let _ = write!(
        html,
        "<h3>latency at half of saturation, by percentile (microseconds)</h3><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img>"
    );
    let mut decade = low;
    while decade <= high {
        let (line, label) = (y(10_f64.powf(decade)), 10_f64.powf(decade));
        let _ = write!(
            html,
            "<line class=g x1={MARGIN} x2={} y1={line:.1} y2={line:.1} /><text x={} y={:.1} text-anchor=end>{label}</text>",
            WIDTH - MARGIN,
            MARGIN - 6.0,
            line + 4.0
        );
        decade += 1.0;
    }
    for (quantile, label) in [
        (0.0, "0"),
        (0.5, "50"),
        (0.9, "90"),
        (0.99, "99"),
        (0.999, "99.9"),
        (0.9999, "99.99"),
    ] {
        let _ = write!(
            html,
            "<text x={:.1} y={} text-anchor=middle>{label}</text>",
            x(quantile),
            HEIGHT - 6.0
        );
    }
    for (histogram, colour) in histograms.iter().zip(COLOURS.iter().cycle()) {
        let Some(histogram) = histogram else { continue };
        let points: Vec<String> = QUANTILES
            .iter()
            .map(|quantile| format!("{:.1},{:.1}", x(*quantile), y(micros(histogram, *quantile))))
            .collect();
        let _ = write!(
            html,
            "<polyline fill=none stroke=\"{colour}\" stroke-width=2 points=\"{}\" />",
            points.join(" ")
        );
    }
    html.push_str("</svg>");
}

fn bars(
    html: &mut String,
    label: &str,
    scenario: &ScenarioResult,
    systems: &[String],
    steal_limit: f64,
    figure: impl Fn(&Measurement) -> f64 + Copy,
) {
    let values: Vec<f64> = systems
        .iter()
        .map(|system| median(&scenario.figures(steal_limit, system, figure)))
        .collect();
    let top = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .fold(0.0, f64::max);
    if top <= 0.0 {
        return;
    }
    let height = 26.0 * systems.len() as f64 + 8.0;
    let _ = write!(
        html,
        "<h3>{label}</h3><svg viewBox=\"0 0 {WIDTH} {height}\" role=img>"
    );
    for (index, ((system, value), colour)) in systems
        .iter()
        .zip(&values)
        .zip(COLOURS.iter().cycle())
        .enumerate()
    {
        if value.is_finite() {
            let (line, length) = (26.0 * index as f64 + 4.0, (WIDTH - 240.0) * value / top);
            let _ = write!(
                html,
                "<text x=84 y={:.1} text-anchor=end>{}</text><rect x=92 y={line:.1} width={length:.1} height=18 fill=\"{colour}\" rx=3 /><text x={:.1} y={:.1}>{}</text>",
                line + 13.0,
                escape(system),
                98.0 + length,
                line + 13.0,
                if *value < 100.0 {
                    format!("{value:.2}")
                } else {
                    format!("{value:.0}")
                }
            );
        }
    }
    html.push_str("</svg>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Lictor load test</title><style>\
body{font:15px/1.5 system-ui,sans-serif;color:#111827;background:#f9fafb;margin:0}main{max-width:780px;margin:0 auto;padding:32px 16px}\
section{background:#fff;border:1px solid #e5e7eb;border-radius:10px;padding:8px 24px 16px;margin:24px 0}h1{font-size:26px}h2{font-size:19px}\
h3{font-size:13px;font-weight:600;color:#374151;margin:18px 0 2px}.m{color:#6b7280;font-size:13px;margin:2px 0}svg{width:100%;height:auto}\
svg text{font-size:12px;fill:#4b5563}.g{stroke:#e5e7eb}.legend span{margin-right:18px;font-size:13px}.legend i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px}\
</style></head><body><main>";
