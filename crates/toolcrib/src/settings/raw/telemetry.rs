//! What was written about whom to tell what is measured.

use super::Reader;
use crate::settings::document::{Node, Spanned};

/// The block `telemetry.otlp`.
#[derive(Debug)]
pub(in crate::settings) struct Otlp {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) endpoint: Option<Spanned<String>>,
    pub(in crate::settings) headers: Vec<(String, Spanned<String>)>,
    pub(in crate::settings) traces: Option<Spanned<bool>>,
    pub(in crate::settings) metrics: Option<Spanned<bool>>,
    pub(in crate::settings) metrics_every_secs: Option<Spanned<f64>>,
    pub(in crate::settings) logs: Option<Spanned<bool>>,
    pub(in crate::settings) sample: Option<Spanned<f64>>,
    pub(in crate::settings) service: Option<Spanned<String>>,
    pub(in crate::settings) attributes: Vec<(String, Spanned<String>)>,
}

const TELEMETRY: &[&str] = &["otlp"];
const OTLP: &[&str] = &["endpoint", "headers", "traces", "metrics", "metricsEvery", "logs", "sample", "service", "attributes"];

impl Reader<'_> {
    pub(super) fn telemetry(&mut self, node: &Node<'_>) -> Option<Otlp> {
        let mut otlp = None;
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "otlp" => otlp = Some(self.otlp(&node)),
                _ => self.faults.add(node.unknown(&key, TELEMETRY)),
            }
        }
        otlp
    }

    fn otlp(&mut self, node: &Node<'_>) -> Otlp {
        let mut otlp = Otlp {
            place: node.place(),
            endpoint: None,
            headers: Vec::new(),
            traces: None,
            metrics: None,
            metrics_every_secs: None,
            logs: None,
            sample: None,
            service: None,
            attributes: Vec::new(),
        };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "endpoint" => otlp.endpoint = self.text(&node),
                "headers" => otlp.headers = self.texts(&node),
                "traces" => otlp.traces = self.flag(&node),
                "metrics" => otlp.metrics = self.flag(&node),
                "metricsEvery" => otlp.metrics_every_secs = node.scalar("a number of seconds", self.faults),
                "logs" => otlp.logs = self.flag(&node),
                "sample" => otlp.sample = node.scalar("a number from 0 to 1", self.faults),
                "service" => otlp.service = self.text(&node),
                "attributes" => otlp.attributes = self.texts(&node),
                _ => self.faults.add(node.unknown(&key, OTLP)),
            }
        }
        otlp
    }
}
