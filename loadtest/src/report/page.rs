//! The page: what became of the goals, latency by percentile as curves, throughput and CPU as bars.
//! Plain HTML and SVG: no network, no script; light or dark as the reader's system is.

use std::fmt::Write as _;

use crate::result::{Figure, RunResult, ScenarioResult, Settings};
use crate::statistics::median;
use crate::verdict::{self, Outcome, Verdict};

use super::curves::{Curve, curves};
use super::{Summary, number, outcome, remarks, rounds_line, summaries};

/// The whole page.
#[must_use]
pub fn page(result: &RunResult) -> String {
    let mut html = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Lictor load test</title><style>{STYLE}</style></head><body><main><h1>What a decision costs</h1>"
    );
    facts(&mut html, result);
    goals(&mut html, &verdict::all(result));
    for (scenario, summary) in result.scenarios.iter().zip(summaries(result)) {
        section(&mut html, scenario, &summary, &result.settings);
    }
    html.push_str("</main></body></html>\n");
    html
}

fn facts(html: &mut String, result: &RunResult) {
    let (machine, settings) = (&result.machine, &result.settings);
    let mut facts = vec![
        (
            "machine",
            format!(
                "{}, {} cores, {} MiB",
                machine.cpu, machine.cores, machine.memory_mib
            ),
        ),
        ("kernel", machine.kernel.clone()),
        ("commit", machine.commit.clone()),
        (
            "measured",
            format!(
                "{} s a phase, until {} rounds were calm; server on core {}, generator on core {}",
                settings.seconds, settings.pairs, settings.server_core, settings.generator_core
            ),
        ),
    ];
    facts.extend(
        settings
            .versions
            .iter()
            .map(|(name, version)| (name.as_str(), version.clone())),
    );
    html.push_str("<dl>");
    for (name, value) in facts {
        let _ = write!(html, "<dt>{}<dd>{}", escape(name), escape(&value));
    }
    html.push_str("</dl>");
}

fn goals(html: &mut String, verdicts: &[Verdict]) {
    if verdicts.is_empty() {
        return;
    }
    html.push_str(
        "<section><h2>Goals</h2><p class=m>Ratios to the base of the same round: medians over the rounds that count, \
         with their 95 % confidence intervals.</p><div class=wide><table><thead><tr><th>what<th>figure<th>goal\
         <th class=n>measured<th class=n>interval<th>verdict</tr></thead><tbody>",
    );
    for verdict in verdicts {
        let class = match verdict.outcome {
            Outcome::Reached => "good",
            Outcome::NotReached => "bad",
            Outcome::NotMeasurableHere => "open",
        };
        let interval = if verdict.figure == "errors" {
            String::new()
        } else {
            let (low, high) = verdict.interval;
            format!("{} – {}", number(low, 3), number(high, 3))
        };
        let _ = write!(
            html,
            "<tr><td>{}<td>{}<td>{} {}<td class=n>{}<td class=n>{interval}<td><b class={class}>{}</b>{}</tr>",
            escape(&verdict.what),
            verdict.figure,
            verdict.bound,
            verdict.goal,
            number(
                verdict.measured,
                if verdict.figure == "errors" { 0 } else { 3 }
            ),
            verdict.outcome.text(),
            match &verdict.reason {
                Some(reason) => format!("<div class=m>{}</div>", escape(reason)),
                None => String::new(),
            }
        );
    }
    html.push_str("</tbody></table></div></section>");
}

fn section(html: &mut String, scenario: &ScenarioResult, summary: &Summary, settings: &Settings) {
    let _ = write!(
        html,
        "<section><h2>{}</h2><p>{}</p><p class=m>{}.</p>",
        escape(&scenario.name),
        escape(&scenario.question),
        escape(&rounds_line(summary, settings))
    );
    if let Some(failed) = &summary.failed {
        let _ = write!(
            html,
            "<p><b class=bad>not measured to its end</b> {}</p>",
            escape(failed)
        );
    }
    let systems = scenario.systems();
    if summary.rounds > 0 {
        html.push_str("<p class=legend>");
        for system in &systems {
            let _ = write!(
                html,
                "<span><i class={}></i>{}</span>",
                class(system),
                escape(system)
            );
        }
        html.push_str("</p><div class=two>");
        let bars = [
            ("Requests per second at saturation", Figure::Throughput),
            ("CPU microseconds per request", Figure::Cpu),
        ];
        for (label, figure) in bars {
            bar_chart(html, label, scenario, settings, &systems, figure);
        }
        html.push_str("</div>");
        let merged: Vec<_> = systems
            .iter()
            .filter_map(|system| Some((system, scenario.merged(settings, system)?)))
            .collect();
        let lines: Vec<_> = merged
            .iter()
            .map(|(system, histogram)| Curve {
                name: system,
                class: class(system),
                histogram,
            })
            .collect();
        curves(html, &lines);
        figures(html, summary);
    }
    html.push_str("<ul class=m>");
    for line in remarks(scenario, summary, settings) {
        let _ = write!(html, "<li>{}</li>", escape(&line));
    }
    for verdict in verdict::of(scenario, settings) {
        let _ = write!(
            html,
            "<li>{} {} {}: {} – {}</li>",
            verdict.figure,
            verdict.bound,
            verdict.goal,
            number(verdict.measured, 3),
            escape(&outcome(&verdict))
        );
    }
    html.push_str("</ul></section>");
}

/// The colour of a system, the same in every chart.
fn class(system: &str) -> &'static str {
    match system {
        crate::lictor::NAME => "c1",
        "opa" => "c2",
        "cerbos" => "c3",
        _ => "c0",
    }
}

fn bar_chart(
    html: &mut String,
    label: &str,
    scenario: &ScenarioResult,
    settings: &Settings,
    systems: &[String],
    figure: Figure,
) {
    const WIDTH: f64 = 360.0;
    const LINE: f64 = 28.0;
    const NAMES: f64 = 84.0;
    const NUMBERS: f64 = 64.0;
    let value = |system: &String| median(&scenario.figures(settings, system, figure));
    let values: Vec<(&String, f64)> = systems
        .iter()
        .map(|system| (system, value(system)))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let top = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    if top <= 0.0 {
        return;
    }
    let height = LINE * values.len() as f64;
    let _ = write!(
        html,
        "<figure><figcaption>{label}</figcaption><svg viewBox=\"0 0 {WIDTH} {height}\" role=img aria-label=\"{label}\">"
    );
    for (place, (system, value)) in values.iter().enumerate() {
        let at = LINE * place as f64;
        let length = ((WIDTH - NAMES - NUMBERS) * value / top).max(1.0);
        let text = number(*value, if *value < 100.0 { 2 } else { 0 });
        let _ = write!(
            html,
            "<text x={:.1} y={:.1} text-anchor=end>{}</text><rect class={} x={NAMES} y={:.1} width={length:.1} height=16 rx=3 />\
             <text class=v x={:.1} y={:.1}>{text}</text>",
            NAMES - 8.0,
            at + 18.0,
            escape(system),
            class(system),
            at + 6.0,
            NAMES + length + 6.0,
            at + 18.0,
        );
    }
    html.push_str("</svg></figure>");
}

fn figures(html: &mut String, summary: &Summary) {
    html.push_str(
        "<div class=wide><table><thead><tr><th>system<th class=n>req/s<th class=n>CPU us<th class=n>/ base\
         <th class=n>p50 us<th class=n>p99 us<th class=n>p99.9 us<th class=n>failures<th class=n>RSS MiB\
         </tr></thead><tbody>",
    );
    for system in &summary.systems {
        let _ = write!(html, "<tr><td>{}", escape(&system.name));
        for (value, digits) in [
            (system.requests_per_second, 0),
            (system.cpu_micros, 2),
            (system.over_base, 2),
            (system.p50_micros, 0),
            (system.p99_micros, 0),
            (system.p999_micros, 0),
            (system.failures as f64, 0),
            (system.resident_mib, 1),
        ] {
            let _ = write!(html, "<td class=n>{}", number(value, digits));
        }
    }
    html.push_str("</tbody></table></div>");
}

/// Text inside HTML or an attribute.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#14181f;--soft:#5b6472;--line:#e3e6eb;\
--c0:#8a93a1;--c1:#2a6fdb;--c2:#d9622b;--c3:#7b4fd0;--good:#0f7a46;--bad:#b3261e;--open:#8a5a00}\
@media(prefers-color-scheme:dark){:root{--page:#0f1216;--card:#181c22;--ink:#e8ebf0;--soft:#9aa4b2;--line:#2c333d;\
--c0:#7d8796;--c1:#6ea8ff;--c2:#ff9a66;--c3:#b79bff;--good:#5fd39a;--bad:#ff8a80;--open:#e6b45c}}\
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0}\
main{max-width:880px;margin:0 auto;padding:32px 16px 64px}h1{font-size:27px;margin:0 0 12px}h2{font-size:19px;margin:0 0 4px}\
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:20px 24px;margin:20px 0}\
p{margin:4px 0}.m{color:var(--soft);font-size:13px}ul.m{padding-left:18px;margin:12px 0 0}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;font-size:13px;color:var(--soft);margin:0}dd{margin:0;color:var(--ink);overflow-wrap:anywhere}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px;margin-top:12px}\
th{text-align:left;font-weight:600;color:var(--soft)}th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}\
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}b.good{color:var(--good)}b.bad{color:var(--bad)}b.open{color:var(--open)}\
.legend{margin:14px 0 0;font-size:13px}.legend span{margin-right:18px;white-space:nowrap}.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}\
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:0 32px}figure{margin:16px 0 0}\
figcaption{font-size:13px;font-weight:600;margin-bottom:4px}svg{width:100%;height:auto;display:block}\
svg text{font:12px system-ui,sans-serif;fill:var(--soft)}svg text.v{fill:var(--ink)}.g{stroke:var(--line)}\
.c0{fill:var(--c0);background:var(--c0);stroke:var(--c0)}.c1{fill:var(--c1);background:var(--c1);stroke:var(--c1)}\
.c2{fill:var(--c2);background:var(--c2);stroke:var(--c2)}.c3{fill:var(--c3);background:var(--c3);stroke:var(--c3)}\
polyline{fill:none!important;stroke-width:2;stroke-linejoin:round}rect{stroke:none!important}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    #[test]
    fn what_comes_from_outside_is_text_on_the_page() {
        let mut machine = Machine::read(std::path::Path::new("."));
        machine.cpu = "<script>alert(1)</script>".into();
        let settings = Settings {
            pairs: 1,
            seconds: 1.0,
            server_core: 0,
            generator_core: 1,
            steal_limit: 0.03,
            others_limit: 0.05,
            versions: std::collections::BTreeMap::from([("<b>".to_owned(), "\"".to_owned())]),
        };
        let html = page(&RunResult::new(machine, settings));
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;b&gt;") && html.contains("&quot;"));
        assert!(
            !html.contains("http:") && !html.contains("https:"),
            "no network"
        );
    }
}
