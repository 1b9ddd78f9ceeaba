//! What a scraper sees: `/metrics` fetched over HTTP and the Prometheus text format read back.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// The samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Vec<Sample>);

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Where a quantile of a histogram lies: between two boundaries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// Not below this, in the histogram's unit.
    pub above: f64,
    /// Not above this; infinite in the last bucket.
    pub up_to: f64,
}

impl Metrics {
    /// Fetches them.
    ///
    /// # Errors
    /// When nobody answers with status 200 and readable metrics.
    pub fn scrape(address: SocketAddr) -> anyhow::Result<Self> {
        let (status, body) = http_get(address, "/metrics")?;
        if status != 200 {
            bail!("{address}/metrics answers {status}: {body}");
        }
        Self::parse(&body)
    }

    /// Reads the text format.
    ///
    /// # Errors
    /// Names the first line that is not in it.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        text.lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| sample(line).with_context(|| format!("not a sample: {line}")))
            .collect::<anyhow::Result<_>>()
            .map(Self)
    }

    /// The sum over all series of `name` that have these labels; `None` when there is no such series.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut values = self.matching(name, labels).map(|sample| sample.value).peekable();
        values.peek()?;
        Some(values.sum())
    }

    /// The values that `label` takes in the series of `name`.
    #[must_use]
    pub fn values(&self, name: &str, label: &str) -> Vec<&str> {
        let mut values: Vec<&str> =
            self.matching(name, &[]).filter_map(|s| s.labels.get(label)).map(String::as_str).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// All names of series.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|sample| sample.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// All series with all their labels, as name, label, value: for looking for what must not be there.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().flat_map(|sample| {
            sample.labels.iter().map(|(label, value)| (sample.name.as_str(), label.as_str(), value.as_str()))
        })
    }

    /// How many measurements the histogram `name` holds.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(&format!("{name}_count"), labels).unwrap_or(0.0) as u64
    }

    /// The finite upper boundaries of the histogram `name`, ascending.
    #[must_use]
    pub fn boundaries(&self, name: &str) -> Vec<f64> {
        let mut boundaries: Vec<f64> =
            self.buckets(name, &[]).keys().map(|b| f64::from_bits(*b)).filter(|b| b.is_finite()).collect();
        boundaries.sort_by(f64::total_cmp);
        boundaries
    }

    /// Between which boundaries the quantile `q` (0..=1) of the histogram `name` lies.
    #[must_use]
    pub fn quantile(&self, name: &str, labels: &[(&str, &str)], q: f64) -> Option<Quantile> {
        // Positive numbers order like their bits.
        let buckets = self.buckets(name, labels);
        let total = *buckets.values().last()?;
        let mut above = 0.0;
        for (bits, cumulated) in &buckets {
            let up_to = f64::from_bits(*bits);
            if total > 0.0 && *cumulated >= q * total {
                return Some(Quantile { above, up_to });
            }
            above = up_to;
        }
        None
    }

    fn buckets(&self, name: &str, labels: &[(&str, &str)]) -> BTreeMap<u64, f64> {
        let mut buckets = BTreeMap::new();
        for sample in self.matching(&format!("{name}_bucket"), labels) {
            if let Some(Ok(boundary)) = sample.labels.get("le").map(|le| le.parse::<f64>()) {
                *buckets.entry(boundary.to_bits()).or_insert(0.0) += sample.value;
            }
        }
        buckets
    }

    fn matching(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| {
            sample.name == name
                && labels.iter().all(|(k, v)| sample.labels.get(*k).is_some_and(|found| found == v))
        })
    }
}

/// A GET without any library, as a person with netcat would do it: the status and the body.
///
/// # Errors
/// When nobody listens or the answer is not HTTP.
pub fn http_get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    const LIMIT: Duration = Duration::from_secs(20);
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAccept: */*\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Ok((status, if chunked { unchunk(body)? } else { body.to_owned() }))
}

fn unchunk(mut body: &str) -> anyhow::Result<String> {
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n").context("a chunk without its length")?;
        let length = usize::from_str_radix(length.trim(), 16)?;
        if length == 0 {
            return Ok(whole);
        }
        whole.push_str(rest.get(..length).context("a short chunk")?);
        body = rest.get(length + 2..).context("a chunk without its end")?;
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = match line.split_once('}') {
        Some((series, value)) => (series, value),
        None => line.split_once(' ')?,
    };
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let mut parsed = BTreeMap::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, quoted) = rest.split_once("=\"")?;
        let (text, after) = quoted_text(quoted)?;
        parsed.insert(label.to_owned(), text);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(Sample {
        name: name.to_owned(),
        labels: parsed,
        value: value.split_whitespace().next()?.parse().ok()?,
    })
}

/// The text up to the closing quote, unescaped, and what follows it.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                escaped => out.push(escaped),
            },
            plain => out.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP ptt_takes_total Takes\n# TYPE ptt_takes_total counter\n\
        ptt_takes_total{outcome=\"text\"} 3\nptt_takes_total{outcome=\"tap\"} 1\n\nup 1\n\
        odd{a=\"with \\\"quotes\\\", and \\\\\",b=\"2\"} 0.5\n\
        s_bucket{stage=\"x\",le=\"0.001\"} 1\ns_bucket{stage=\"x\",le=\"0.005\"} 9\n\
        s_bucket{stage=\"x\",le=\"+Inf\"} 10\ns_count{stage=\"x\"} 10\ns_sum{stage=\"x\"} 0.04\n";

    #[test]
    fn the_text_format_is_read() {
        let metrics = Metrics::parse(TEXT).unwrap();
        assert_eq!(metrics.sum("ptt_takes_total", &[]), Some(4.0));
        assert_eq!(metrics.sum("ptt_takes_total", &[("outcome", "tap")]), Some(1.0));
        assert_eq!(metrics.sum("ptt_takes_total", &[("outcome", "lost")]), None);
        assert_eq!(metrics.sum("up", &[]), Some(1.0));
        assert_eq!(metrics.values("ptt_takes_total", "outcome"), ["tap", "text"]);
        assert_eq!(metrics.sum("odd", &[("a", "with \"quotes\", and \\"), ("b", "2")]), Some(0.5));
        assert!(Metrics::parse("no number").is_err());
    }

    #[test]
    fn a_quantile_lies_in_its_bucket() {
        let metrics = Metrics::parse(TEXT).unwrap();
        let between = |above, up_to| Some(Quantile { above, up_to });
        assert_eq!(metrics.quantile("s", &[("stage", "x")], 0.1), between(0.0, 0.001));
        assert_eq!(metrics.quantile("s", &[("stage", "x")], 0.5), between(0.001, 0.005));
        assert_eq!(metrics.quantile("s", &[], 0.99), between(0.005, f64::INFINITY));
        assert_eq!(metrics.quantile("s", &[("stage", "y")], 0.5), None);
        assert_eq!(metrics.count("s", &[]), 10);
        assert_eq!(metrics.boundaries("s"), [0.001, 0.005]);
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(unchunk("4\r\nptt_\r\na\r\ntakes 12.5\r\n0\r\n\r\n").unwrap(), "ptt_takes 12.5");
        assert!(unchunk("ff\r\nshort").is_err());
    }
}
