//! Traces: where a call stands among the calls that led to it, and what becomes of it, for those who look at that elsewhere.

use crate::{
    audit::{Origin, Outcome},
    call::{CallerId, Kind},
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The longest `tracestate` that is passed on, in bytes (W3C Trace Context, section 3.3.1.5).
const MAX_STATE_BYTES: usize = 512;

/// A place in a trace, to which others add (W3C Trace Context).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: [u8; 16],
    /// The span within it that whatever follows belongs to.
    pub span: [u8; 8],
    /// Whether the trace is kept.
    pub is_sampled: bool,
    /// What those before us want to hear again, as they wrote it (`tracestate`).
    pub state: Option<Arc<str>>,
}

impl Trace {
    /// Reads `traceparent`, and what comes with it.
    ///
    /// ```
    /// use toolcrib_contract::Trace;
    ///
    /// let written = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let trace = Trace::parse(written, Some("vendor=1")).unwrap();
    /// assert!(trace.is_sampled && trace.id_text() == "4bf92f3577b34da6a3ce929d0e0e4736" && trace.parent_text() == written);
    /// assert!(Trace::parse("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None).is_none());
    /// ```
    #[must_use]
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut parts = parent.trim().split('-');
        let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = digits::<1>(version)?;
        // Later versions may add parts; 255 is none.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let (id, span, [flags]) = (digits::<16>(id)?, digits::<8>(span)?, digits::<1>(flags)?);
        let state = state.filter(|state| !state.is_empty() && state.len() <= MAX_STATE_BYTES).map(Into::into);
        (id != [0; 16] && span != [0; 8]).then_some(Self { id, span, is_sampled: flags & 1 == 1, state })
    }

    /// The same as `traceparent`.
    #[must_use]
    pub fn parent_text(&self) -> String {
        format!("00-{}-{}-{:02x}", self.id_text(), hex(&self.span), u8::from(self.is_sampled))
    }

    /// The name of the trace: 32 hexadecimal digits.
    #[must_use]
    pub fn id_text(&self) -> String {
        hex(&self.id)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// So many bytes in lower-case hexadecimal digits.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.len() == 2 * N && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    is_hex.then_some(bytes)
}

/// What a trace tells of one call.
#[derive(Debug, Clone)]
pub struct CallSpan {
    /// The name of the call, as in its record.
    pub call: Box<str>,
    /// Where it stands.
    pub trace: Trace,
    /// The span that led to it, if any is known.
    pub parent: Option<[u8; 8]>,
    /// When it arrived.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Who asked.
    pub caller: CallerId,
    /// Where it came from.
    pub origin: Origin,
    /// What kind of thing was called.
    pub kind: Kind,
    /// Which one.
    pub name: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The steps on its way, in the order in which they ended.
    pub steps: Vec<StepSpan>,
}

/// What a trace tells of one step of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSpan {
    /// The step.
    pub name: &'static str,
    /// Its span.
    pub span: [u8; 8],
    /// When it began, and when it ended, after the call arrived.
    pub from: Duration,
    /// See `from`.
    pub until: Duration,
}

/// Takes traces. The gate tells it of each call that it wants to hear of.
pub trait Tracing: Send + Sync + fmt::Debug {
    /// Where a call stands that was led to from here. It is told of if that is sampled.
    fn begin(&self, parent: Option<&Trace>) -> Trace;

    /// A call has ended. Called from `Drop` too, so it must not block.
    fn ended(&self, call: CallSpan);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_a_place_is_one() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert!(!Trace::parse(good, None).unwrap().is_sampled);
        assert!(Trace::parse(&format!("cc{}-more", &good[2..]), None).is_some(), "a later version");
        for bad in [
            "",
            "00",
            &good[..50],
            &format!("{good}-more"),
            &format!("ff{}", &good[2..]),
            &good.to_uppercase(),
            &good.replace("00f067aa0ba902b7", "0000000000000000"),
            &good.replace('4', "g"),
        ] {
            assert_eq!(Trace::parse(bad, None), None, "{bad}");
        }
        assert_eq!(Trace::parse(good, Some(&"x".repeat(513))).unwrap().state, None);
    }
}
