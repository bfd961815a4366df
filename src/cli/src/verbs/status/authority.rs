//! `GET /v1/status` as this command understands it, and how a person sees it. Fields that it does not know are passed over.

use comfy_table::{Cell, Color};
use countermark_bundle::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::age::{age, bar};
use crate::present;

/// What stands below every page.
pub const NOT_VERIFIED: &str =
    "As the server says; nothing here is verified. `countermark verify` and `countermark audit` believe nobody.";

/// The whole authority.
#[derive(Debug, Deserialize)]
pub struct Authority {
    software: String,
    now: Timestamp,
    started_at: Timestamp,
    ready: bool,
    takes_submissions: bool,
    /// Each by itself.
    pub namespaces: Vec<NamespaceStatus>,
    refusals: Vec<Refusal>,
}

/// One namespace.
#[derive(Debug, Deserialize)]
pub struct NamespaceStatus {
    origin: String,
    namespace: String,
    kind: String,
    state: String,
    ready: bool,
    size: Option<u64>,
    head_age_seconds: Option<u64>,
    max_head_age_seconds: u64,
    queued_submissions: u64,
    without_quorum_since: Option<Timestamp>,
    witnesses: Vec<Witness>,
    export: Option<Export>,
}

#[derive(Debug, Deserialize)]
struct Witness {
    name: String,
    cosigns: bool,
    last_success: Option<Timestamp>,
    last_failure: Option<Timestamp>,
    last_failure_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Export {
    state: String,
    exported_size: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    at: Timestamp,
    namespace: Option<String>,
    r#type: String,
    status: u16,
    count: u64,
}

impl Authority {
    /// Reads a server's document.
    pub fn read(document: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(document)
    }

    /// The whole of it, for a person, with colours.
    pub fn page(&self) -> String {
        let up = age(self.since(self.started_at));
        let state = if self.ready { present::good("ready") } else { present::bad("not ready") };
        let takes = if self.takes_submissions { "takes submissions" } else { "takes no submissions" };
        let mut page = format!("{}  up {up}  {state}  {takes}  {}\n", self.software, self.now);
        page += &section("Namespaces", &NAMESPACES, self.namespaces.iter().map(NamespaceStatus::row).collect());
        let witnesses: Vec<_> = self.namespaces.iter().flat_map(|namespace| self.witness_rows(namespace)).collect();
        if !witnesses.is_empty() {
            page +=
                &section("Witnesses", &["namespace", "witness", "cosigns", "last success", "last failure"], witnesses);
        }
        let refusals: Vec<_> = self.refusals.iter().map(|refusal| self.refusal_row(refusal)).collect();
        if !refusals.is_empty() {
            page += &section("Last refusals", &["ago", "namespace", "type", "status", "times"], refusals);
        }
        page + &format!("\n{}\n", present::dim(NOT_VERIFIED))
    }

    fn since(&self, then: Timestamp) -> u64 {
        self.now.unix().saturating_sub(then.unix())
    }

    fn witness_rows(&self, namespace: &NamespaceStatus) -> Vec<Vec<Cell>> {
        let row = |witness: &Witness| {
            let last = |then: Option<Timestamp>| then.map_or_else(|| "never".to_owned(), |then| age(self.since(then)));
            let failure = witness.last_failure.map_or_else(String::new, |then| {
                format!("{}, {} ago", witness.last_failure_reason.as_deref().unwrap_or("?"), age(self.since(then)))
            });
            let cosigns = if witness.cosigns { colour("yes", Color::Green) } else { colour("no", Color::Red) };
            vec![
                Cell::new(&namespace.namespace),
                Cell::new(&witness.name),
                cosigns,
                Cell::new(last(witness.last_success)),
                colour(&failure, Color::Yellow),
            ]
        };
        namespace.witnesses.iter().map(row).collect()
    }

    fn refusal_row(&self, refusal: &Refusal) -> Vec<Cell> {
        let status = refusal.status.to_string();
        vec![
            Cell::new(age(self.since(refusal.at))),
            Cell::new(refusal.namespace.as_deref().unwrap_or("–")),
            Cell::new(&refusal.r#type),
            if refusal.status >= 500 { colour(&status, Color::Red) } else { Cell::new(status) },
            Cell::new(refusal.count),
        ]
    }
}

const NAMESPACES: [&str; 8] = ["name", "kind", "state", "size", "head age", "quorum", "queue", "export"];

impl NamespaceStatus {
    /// Reads the document of one namespace.
    pub fn read(document: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(document)
    }

    /// The whole of it in one line, for a log file or a program.
    pub fn line(&self) -> String {
        let or_none = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
        format!(
            "{} {} {} size={} head_age_seconds={}/{} cosigning={}/{} quorum={} queued={} export={}",
            self.origin,
            self.state,
            if self.ready { "ready" } else { "not-ready" },
            or_none(self.size),
            or_none(self.head_age_seconds),
            self.max_head_age_seconds,
            self.cosigning(),
            self.witnesses.len(),
            if self.without_quorum_since.is_some() { "missing" } else { "met" },
            self.queued_submissions,
            self.export.as_ref().map_or("none", |export| export.state.as_str()),
        )
    }

    fn cosigning(&self) -> usize {
        self.witnesses.iter().filter(|witness| witness.cosigns).count()
    }

    fn row(&self) -> Vec<Cell> {
        let state = match self.state.as_str() {
            "serving" | "frozen" => Color::Green,
            "reloading" => Color::Yellow,
            _ => Color::Red,
        };
        vec![
            Cell::new(&self.namespace),
            Cell::new(&self.kind),
            colour(&self.state, state),
            Cell::new(self.size.map_or_else(|| "–".to_owned(), |size| size.to_string())),
            self.head_age(),
            self.quorum(),
            Cell::new(self.queued_submissions),
            self.export.as_ref().map_or_else(|| Cell::new("–"), Export::cell),
        ]
    }

    fn head_age(&self) -> Cell {
        let limit = self.max_head_age_seconds;
        let Some(seconds) = self.head_age_seconds else { return colour("no head yet", Color::Yellow) };
        let state = match seconds {
            old if old >= limit => Color::Red,
            old if old >= limit / 2 => Color::Yellow,
            _ => Color::Green,
        };
        colour(&format!("{} {} of {}", bar(seconds, limit), age(seconds), age(limit)), state)
    }

    fn quorum(&self) -> Cell {
        let (cosigning, all) = (self.cosigning(), self.witnesses.len());
        if self.without_quorum_since.is_some() {
            return colour(&format!("missing, {cosigning} of {all}"), Color::Red);
        }
        let state = if cosigning < all { Color::Yellow } else { Color::Green };
        if all == 0 { Cell::new("–") } else { colour(&format!("{cosigning} of {all}"), state) }
    }
}

impl Export {
    fn cell(&self) -> Cell {
        let size = self.exported_size.map_or_else(String::new, |size| format!(" at {size}"));
        let state = match self.state.as_str() {
            "following" => Color::Green,
            "retrying" => Color::Yellow,
            _ => Color::Red,
        };
        colour(&format!("{}{size}", self.state), state)
    }
}

fn colour(text: &str, colour: Color) -> Cell {
    Cell::new(text).fg(colour)
}

fn section(name: &str, header: &[&str], rows: Vec<Vec<Cell>>) -> String {
    format!("\n{}\n{}\n", present::bold(name), present::coloured_table(header, rows))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    fn document() -> Value {
        let witness = |name: &str, cosigns: bool| {
            let failure = if cosigns { Value::Null } else { json!("2026-11-21T00:00:30Z") };
            json!({"name": name, "url": "https://w", "cosigns": cosigns, "last_success": "2026-11-21T00:00:00Z",
                "last_failure": failure, "last_failure_reason": if cosigns { Value::Null } else { json!("timeout") }})
        };
        json!({
            "software": "countermark-log 0.1.0", "now": "2026-11-21T00:01:00Z", "started_at": "2026-11-20T00:01:00Z",
            "ready": true, "takes_submissions": true, "a field of a later version": 1,
            "namespaces": [{
                "origin": "log.example/backup", "namespace": "backup", "kind": "fleet-keys", "state": "serving",
                "ready": true, "size": 5, "head_age_seconds": 43_300, "max_head_age_seconds": 86_400,
                "queued_submissions": 3, "without_quorum_since": null,
                "witnesses": [witness("w0.example", true), witness("w1.example", false)],
                "export": {"state": "retrying", "exported_size": 4},
            }],
            "refusals": [{"at": "2026-11-21T00:00:50Z", "namespace": null, "type": "fault", "status": 500, "count": 7}],
            "refusal_counts": {"fault": 7},
        })
    }

    /// The rows of the plain page, with single spaces.
    fn plain(page: &str) -> Vec<String> {
        let text = anstream::adapter::strip_str(page).to_string();
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_person_sees_namespaces_witnesses_and_refusals() {
        let lines = plain(&Authority::read(&document()).unwrap().page());
        for line in [
            "countermark-log 0.1.0 up 24 h ready takes submissions 2026-11-21T00:01:00Z",
            "backup fleet-keys serving 5 ▓▓▓▓▓░░░ 12 h of 24 h 1 of 2 3 retrying at 4",
            "backup w0.example yes 60 s",
            "backup w1.example no 60 s timeout, 30 s ago",
            "10 s – fault 500 7",
            NOT_VERIFIED,
        ] {
            assert!(lines.iter().any(|found| found == line), "{line:?} is not in {lines:#?}");
        }
    }

    #[test]
    fn what_is_bad_is_red_and_what_is_near_is_yellow() {
        let coloured = |document: &Value, what: &str| {
            let page = Authority::read(document).unwrap().page();
            let line = page.lines().find(|line| line.contains(what)).unwrap().to_owned();
            let before = line.split(what).next().unwrap();
            before.rsplit('\u{1b}').next().unwrap().split('m').next().unwrap().to_owned()
        };
        let [green, yellow, red] = [Color::Green, Color::Yellow, Color::Red].map(|colour| {
            let styled = present::coloured_table(&[], vec![vec![super::colour("x", colour)]]);
            styled.split('x').next().unwrap().rsplit('\u{1b}').next().unwrap().split('m').next().unwrap().to_owned()
        });
        let mut document = document();
        assert_eq!(coloured(&document, "▓"), yellow);
        document["namespaces"][0]["head_age_seconds"] = json!(5);
        assert_eq!(coloured(&document, "▓"), green);
        document["namespaces"][0]["head_age_seconds"] = json!(86_400);
        assert_eq!(coloured(&document, "▓"), red);
        document["namespaces"][0]["without_quorum_since"] = json!("2026-11-21T00:00:00Z");
        assert_eq!(coloured(&document, "missing, 1 of 2"), red);
        for (state, colour) in [("serving", green), ("reloading", yellow), ("stopped", red.clone()), ("new", red)] {
            document["namespaces"][0]["state"] = json!(state);
            assert_eq!(coloured(&document, state), colour, "{state}");
        }
    }

    #[test]
    fn a_line_says_all_of_a_namespace_and_what_is_malformed_is_refused() {
        let mut document = document();
        let authority = Authority::read(&document).unwrap();
        let expected = "log.example/backup serving ready size=5 head_age_seconds=43300/86400 cosigning=1/2 quorum=met \
                        queued=3 export=retrying";
        assert_eq!(authority.namespaces[0].line(), expected);
        document["namespaces"][0].as_object_mut().unwrap().remove("origin");
        assert!(Authority::read(&document).is_err());
    }
}
