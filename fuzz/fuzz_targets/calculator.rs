//! Whatever expression is typed, the calculator answers it: no panic, and no more than the work that it allows itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tokio::runtime::Runtime;
use toolcrib_contract::Json;
use toolcrib_testkit::{OpenGate, TestGate};

static GATE: LazyLock<(Runtime, OpenGate)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime");
    let gate = toolcrib_tools::ready(Default::default()).expect("the defaults are sound").tools.into_iter().fold(TestGate::default(), |gate, (spec, tool)| gate.entry(spec, tool)).open();
    (runtime, gate)
});

fuzz_target!(|expression: &str| {
    let (runtime, gate) = &*GATE;
    let arguments = Json::object().with_str("expression", expression).finish();
    runtime.block_on(gate.call("calculator", arguments.as_str())).expect("a result or an error of the expression");
});
