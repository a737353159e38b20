//! Latency by percentile, both axes logarithmic: microseconds over 1 / (1 - quantile), so that each
//! further nine has the same room.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::page::escape;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
/// Nines that are shown.
const NINES: f64 = 4.0;
const POINTS: u32 = 80;

/// One system's latencies.
#[derive(Debug)]
pub struct Curve<'a> {
    pub name: &'a str,
    pub class: &'static str,
    pub histogram: &'a Histogram<u64>,
}

impl Curve<'_> {
    fn micros(&self, quantile: f64) -> f64 {
        (self.histogram.value_at_quantile(quantile) as f64 / 1e3).max(1.0)
    }
}

/// Where values lie in the drawing.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn x(nines: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * nines / NINES
    }

    fn y(&self, micros: f64) -> f64 {
        let share = (micros.log10() - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
    }
}

/// Draws the curves; nothing where there is no latency.
pub fn curves(html: &mut String, curves: &[Curve<'_>]) {
    let quantiles: Vec<(f64, f64)> = (0..=POINTS)
        .map(|point| {
            let nines = NINES * f64::from(point) / f64::from(POINTS);
            (nines, 1.0 - 10_f64.powf(-nines))
        })
        .collect();
    let all = || {
        curves
            .iter()
            .flat_map(|curve| quantiles.iter().map(|(_, it)| curve.micros(*it)))
    };
    let scale = Scale {
        low: all().fold(f64::INFINITY, f64::min).log10().floor(),
        high: all().fold(1.0, f64::max).log10().ceil(),
    };
    if !scale.low.is_finite() || scale.high <= scale.low {
        return;
    }
    let _ = write!(
        html,
        "<figure><figcaption>Latency from the intended moment, by percentile</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"latency by percentile\">"
    );
    grid(html, &scale);
    for curve in curves {
        let points: Vec<String> = quantiles
            .iter()
            .map(|(nines, quantile)| {
                format!(
                    "{:.1},{:.1}",
                    Scale::x(*nines),
                    scale.y(curve.micros(*quantile))
                )
            })
            .collect();
        let _ = write!(
            html,
            "<polyline class={} points=\"{}\"><title>{}: p50 {:.0}, p99 {:.0}, p99.9 {:.0} us</title></polyline>",
            curve.class,
            points.join(" "),
            escape(curve.name),
            curve.micros(0.5),
            curve.micros(0.99),
            curve.micros(0.999)
        );
    }
    html.push_str("</svg></figure>");
}

fn grid(html: &mut String, scale: &Scale) {
    let decades = scale.low as i32..=scale.high as i32;
    for decade in decades {
        let micros = 10_f64.powi(decade);
        let y = scale.y(micros);
        let label = if micros < 1e3 {
            format!("{micros:.0} us")
        } else if micros < 1e6 {
            format!("{:.0} ms", micros / 1e3)
        } else {
            format!("{:.0} s", micros / 1e6)
        };
        let _ = write!(
            html,
            "<line class=g x1={LEFT} x2={:.1} y1={y:.1} y2={y:.1} /><text x={:.1} y={:.1} text-anchor=end>{label}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0
        );
    }
    for (nines, label) in [
        (0.0, "min"),
        (0.301, "p50"),
        (1.0, "p90"),
        (2.0, "p99"),
        (3.0, "p99.9"),
        (4.0, "p99.99"),
    ] {
        let x = Scale::x(nines);
        let anchor = if nines < NINES { "middle" } else { "end" };
        let _ = write!(
            html,
            "<line class=g x1={x:.1} x2={x:.1} y1={TOP} y2={:.1} /><text x={x:.1} y={:.1} text-anchor={anchor}>{label}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - 8.0
        );
    }
}
