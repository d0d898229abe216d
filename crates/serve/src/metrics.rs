//! What is counted, for Prometheus (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use serde_json::Value;

use crate::clock::now_ms;
use crate::store::{CountRow, Ended};

/// Names of types beyond these are counted as `other`: they come from outside, and each is kept for as long as the process lives.
const MAX_NAMES: usize = 300;
const OTHER: &str = "other";

/// All that is counted by this process.
pub(crate) struct Metrics {
    registry: Registry,
    deliveries: Family<Delivered, Counter>,
    answers: Histogram,
    exports: Family<StateLabel, Counter>,
    seconds: Histogram,
    bytes: Counter,
    records: Family<TypeLabel, Counter>,
    /// The types that are counted by their names.
    types: Mutex<HashSet<String>>,
    rejects: Family<FaultLabel, Counter>,
    callbacks: Family<Outcome, Counter>,
    waiting: Family<StateLabel, Gauge>,
    oldest: Family<StateLabel, Gauge<f64, AtomicU64>>,
    resident: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Delivered {
    mode: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TypeLabel {
    resource_type: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FaultLabel {
    fault: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let answers = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
        let seconds = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];
        let mut metrics = Self {
            registry: Registry::with_prefix("fhirline"),
            deliveries: Family::default(),
            answers: Histogram::new(answers),
            exports: Family::default(),
            seconds: Histogram::new(seconds),
            bytes: Counter::default(),
            records: Family::default(),
            types: Mutex::default(),
            rejects: Family::default(),
            callbacks: Family::default(),
            waiting: Family::default(),
            oldest: Family::default(),
            resident: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("deliveries", "Deliveries by what became of them", self.deliveries.clone());
        registry.register_with_unit(
            "delivery_answer",
            "Time until a delivery was answered",
            Unit::Seconds,
            self.answers.clone(),
        );
        registry.register("export_attempts", "Attempts by how they ended", self.exports.clone());
        registry.register_with_unit(
            "export_attempt",
            "Time of attempts",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register_with_unit("source", "Stored bytes read", Unit::Bytes, self.bytes.clone());
        registry.register("records", "Records delivered", self.records.clone());
        registry.register("rejects", "Records in quarantine", self.rejects.clone());
        registry.register("callbacks", "Messages about ends of exports", self.callbacks.clone());
        registry.register("exports", "Exports by state, of all processes", self.waiting.clone());
        registry.register_with_unit(
            "exports_oldest",
            "Time since the export of a state that changed longest ago was changed",
            Unit::Seconds,
            self.oldest.clone(),
        );
        registry.register_with_unit("resident", "Memory of this process", Unit::Bytes, self.resident.clone());
    }

    /// A delivery was answered. `mode` and `outcome` are words of this program.
    pub(crate) fn delivered(&self, mode: &str, outcome: &str, after: Duration) {
        let label = Delivered { mode: mode.to_owned(), outcome: outcome.to_owned() };
        self.deliveries.get_or_create(&label).inc();
        self.answers.observe(after.as_secs_f64());
    }

    /// An attempt has ended.
    pub(crate) fn export_ended(&self, ended: &Ended, after: Duration) {
        let state = match ended {
            Ended::Again { .. } => "again",
            Ended::Stopped => "stopped",
            ended => ended.state().name(),
        };
        self.exports.get_or_create(&StateLabel { state: state.to_owned() }).inc();
        self.seconds.observe(after.as_secs_f64());
        if let Ended::Finished { report, .. } = ended {
            self.finished(report);
        }
    }

    fn finished(&self, account: &Value) {
        self.bytes.inc_by(account["sources"]["stored_bytes"].as_u64().unwrap_or_default());
        for one in account["types"].as_array().into_iter().flatten() {
            let resource_type = self.type_of(one["type"].as_str().unwrap_or(OTHER));
            self.records
                .get_or_create(&TypeLabel { resource_type })
                .inc_by(one["records"].as_u64().unwrap_or_default());
        }
        for one in account["faults"].as_array().into_iter().flatten() {
            let fault = one["fault"].as_str().unwrap_or(OTHER).to_owned();
            self.rejects
                .get_or_create(&FaultLabel { fault })
                .inc_by(one["records"].as_u64().unwrap_or_default());
        }
    }

    /// The name by which a type is counted.
    fn type_of(&self, name: &str) -> String {
        let mut known = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) || known.len() < MAX_NAMES {
            known.insert(name.to_owned());
            return name.to_owned();
        }
        OTHER.to_owned()
    }

    /// A message was sent, or was not.
    pub(crate) fn called_back(&self, told: bool) {
        let outcome = if told { "told" } else { "failed" };
        self.callbacks.get_or_create(&Outcome { outcome: outcome.to_owned() }).inc();
    }

    /// Everything as text, with what the store counts.
    pub(crate) fn text(&self, counts: &[CountRow]) -> String {
        self.waiting.clear();
        self.oldest.clear();
        for row in counts {
            let label = StateLabel { state: row.name.clone() };
            self.waiting.get_or_create(&label).set(row.count);
            let since = row.oldest_at.map_or(0, |oldest| now_ms() - oldest);
            self.oldest.get_or_create(&label).set(since as f64 / 1000.0);
        }
        self.resident.set(i64::try_from(fhirline::resident_bytes().unwrap_or_default()).unwrap_or_default());
        let mut out = String::new();
        // Writing to a text cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_from_outside_do_not_fill_the_memory() {
        let metrics = Metrics::new();
        for export in 0..10 {
            let types: Vec<Value> = (0..100)
                .map(|number| serde_json::json!({ "type": format!("Type{export}x{number}"), "records": 1 }))
                .collect();
            metrics.finished(&serde_json::json!({ "types": types }));
        }
        let text = metrics.text(&[]);
        assert_eq!(text.matches("fhirline_records_total{").count(), MAX_NAMES + 1);
        assert!(text.contains("fhirline_records_total{resource_type=\"other\"} 700"), "{text}");
    }
}
