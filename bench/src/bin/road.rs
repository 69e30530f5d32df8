//! Calls `echo` so many times, in one process and without a socket, for a profiler to look at: `road (bare|modern|legacy) NUMBER`.

use toolcrib_bench::{LEGACY, MODERN, MODERN_HEADERS, bare, door, result_of, send, session};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [way, number] = words.as_slice() else { panic!("road (bare|modern|legacy) NUMBER") };
    let number: usize = number.parse().expect("a number of calls");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (_shutdown, signal) = tokio::sync::watch::channel(false);
    runtime.block_on(async {
        let router = door(signal).router();
        let session = session(&router).await;
        let of_session = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
        let floor = bare(result_of(&router, &MODERN_HEADERS, MODERN).await);
        let (router, headers, body): (_, &[(&str, &str)], _) = match way.as_str() {
            "bare" => (&floor, &MODERN_HEADERS, MODERN),
            "modern" => (&router, &MODERN_HEADERS, MODERN),
            "legacy" => (&router, &of_session, LEGACY),
            other => panic!("{other} is not known"),
        };
        for _ in 0..number {
            send(router, headers, body).await;
        }
    });
}
