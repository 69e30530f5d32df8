//! How often a call asks for memory. That does not depend on the machine, so it may be asserted: who adds an allocation to the way of a call
//! finds out here, and either takes it out again or says why it is worth it, by the number below.

use toolcrib_bench::{Way, Ways};

/// What a call may ask for, the request and its answer included, which are made here, too.
const BARE: u64 = 33;
const MODERN_CALL: u64 = 55;
const LEGACY_CALL: u64 = 49;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// How many calls are made: what is asked for only now and then counts for nothing.
const CALLS: u64 = 200;

#[test]
fn a_call_asks_for_no_more_memory_than_it_did() {
    let _counting = dhat::Profiler::builder().testing().build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (_shutdown, signal) = tokio::sync::watch::channel(false);
    runtime.block_on(async {
        let ways = Ways::open(signal).await;
        let counted = async |way| {
            ways.call(way).await;
            let before = dhat::HeapStats::get().total_blocks;
            for _ in 0..CALLS {
                ways.call(way).await;
            }
            (dhat::HeapStats::get().total_blocks - before) / CALLS
        };
        let found = (counted(Way::Bare).await, counted(Way::Modern).await, counted(Way::Legacy).await);
        assert_eq!(found, (BARE, MODERN_CALL, LEGACY_CALL), "allocations of a bare handler, a modern call, and one in a session");
    });
}
