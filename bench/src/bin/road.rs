//! Calls `echo` so many times, in one process and without a socket, for a profiler to look at: `road (bare|modern|legacy) NUMBER`.

use toolcrib_bench::{Way, Ways};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [way, number] = words.as_slice() else { panic!("road (bare|modern|legacy) NUMBER") };
    let way = match way.as_str() {
        "bare" => Way::Bare,
        "modern" => Way::Modern,
        "legacy" => Way::Legacy,
        other => panic!("{other} is not known"),
    };
    let number: usize = number.parse().expect("a number of calls");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (_shutdown, signal) = tokio::sync::watch::channel(false);
    runtime.block_on(async {
        let ways = Ways::open(signal).await;
        for _ in 0..number {
            ways.call(way).await;
        }
    });
}
