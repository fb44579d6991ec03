//! Puts what the benches printed into the guide: its figures as a table, and the peers as a plot.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml > peers.txt
//! cargo bench --bench contention > contention.txt
//! cargo run --manifest-path benches/peers/Cargo.toml --bin render -- peers.txt contention.txt
//! ```
//!
//! It reads the lines that `benches/rounds` writes for it, of whichever benches it is given: those
//! that begin with `=` are figures, those that begin with `~` bars. Where there are none of a kind,
//! what the guide has stays.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn main() {
    let printed: Vec<String> =
        std::env::args().skip(1).map(|path| fs::read_to_string(path).unwrap()).collect();
    let rows = |mark: &str| -> Vec<Vec<&str>> {
        let lines = printed.iter().flat_map(|text| text.lines());
        let lines = lines.filter_map(|line| line.strip_prefix(mark));
        lines.map(|line| line.split('|').map(str::trim).collect()).collect()
    };
    let (figures, bars) = (rows("= "), rows("~ "));
    assert!(!figures.is_empty() || !bars.is_empty(), "nothing to render was given");

    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/guide");
    if !figures.is_empty() {
        let page = guide.join("performance.md");
        let text = fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        fs::write(page, [before, BEGIN, "\n\n", &table(&figures), "\n", END, after].concat())
            .unwrap();
    }
    if !bars.is_empty() {
        fs::write(guide.join("performance.svg"), plot(&bars)).unwrap();
    }
}

/// What stands between them in the page is written here.
const BEGIN: &str = "<!-- figures -->";
const END: &str = "<!-- end of figures -->";

fn table(figures: &[Vec<&str>]) -> String {
    let mut table =
        "| what | measured | aimed at | the same beside itself |\n|---|---|---|---|\n".to_owned();
    for row in figures {
        writeln!(table, "| {} |", row.join(" | ")).unwrap();
    }
    table
}

/// Bars on a logarithmic scale, fastest first. It has the colours of the page around it, and no
/// empty line: Markdown would end it there.
fn plot(bars: &[Vec<&str>]) -> String {
    let mut bars: Vec<Bar<'_>> = bars.iter().map(|row| Bar::read(row)).collect();
    bars.sort_by(|one, other| one.nanos.total_cmp(&other.nanos));
    let height = bars.len() as f64 * LINE + 40.0;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="100%" role="img" aria-label="nanoseconds of one verification, by crate" font-family="sans-serif" font-size="12" fill="currentColor">"#
    );
    svg.push('\n');
    for (nanos, name) in [(100.0, "100 ns"), (1e3, "1 µs"), (1e4, "10 µs"), (1e5, "100 µs")] {
        let x = place(nanos);
        let bottom = height - 30.0;
        writeln!(
            svg,
            r#"<path d="M{x:.0} 0V{bottom:.0}" stroke="currentColor" stroke-opacity="0.25"/><text x="{x:.0}" y="{:.0}" text-anchor="middle">{name}</text>"#,
            height - 14.0
        )
        .unwrap();
    }
    for (number, bar) in bars.iter().enumerate() {
        let y = number as f64 * LINE;
        let (middle, end) = (y + 14.0, place(bar.nanos));
        writeln!(
            svg,
            r#"<text x="{:.0}" y="{middle:.0}" text-anchor="end">{}</text><rect x="{LABELS}" y="{:.0}" width="{:.0}" height="14" fill="{}"/><text x="{:.0}" y="{middle:.0}">{}</text>"#,
            LABELS - 6.0,
            bar.name,
            y + 3.0,
            end - LABELS,
            if bar.revokes { "#3a7ca5" } else { "#b0b0b0" },
            end + 4.0,
            bar.time()
        )
        .unwrap();
    }
    svg.push_str("</svg>\n");
    svg
}

const WIDTH: f64 = 800.0;
/// What the names take on the left.
const LABELS: f64 = 330.0;
/// From the top of one bar to the top of the next.
const LINE: f64 = 22.0;

/// Where a time is on the scale, which begins at 20 ns and leaves room for the last bar's figure.
fn place(nanos: f64) -> f64 {
    let decades = (nanos / 20.0).log10().max(0.0);
    LABELS + decades / 4.2 * (WIDTH - LABELS - 60.0)
}

struct Bar<'a> {
    name: &'a str,
    nanos: f64,
    /// The crate, or its caller, can end a token before its time.
    revokes: bool,
}

impl<'a> Bar<'a> {
    fn read(row: &[&'a str]) -> Self {
        let [name, nanos, revokes] = row else {
            panic!("not a bar: {row:?}");
        };
        Self { name, nanos: nanos.parse().unwrap(), revokes: *revokes != "no" }
    }

    fn time(&self) -> String {
        if self.nanos < 1_000.0 {
            format!("{:.0} ns", self.nanos)
        } else {
            format!("{:.1} µs", self.nanos / 1_000.0)
        }
    }
}
