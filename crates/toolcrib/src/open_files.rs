//! How many files and connections this process may have open: what the system allows, which is more than what it begins with.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// No more than this is asked for: some programs that are started by us go through all that they could have open.
const MOST: u64 = 65_536;
/// What is left for children, other servers, databases and files.
const OURS: u64 = 512;

/// Has as many clients' connections allowed as the config wants, or as the system lets us have.
pub(crate) fn make_room_for(connections: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(MOST, |maximum| maximum.min(MOST));
    let mut allowed = current;
    if current.is_some_and(|current| current < wanted) {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
            Ok(()) => allowed = Some(wanted),
            Err(error) => tracing::debug!(%error, "no more files may be open than at the start"),
        }
    }
    let possible = room(allowed);
    if possible < connections {
        tracing::warn!(
            "the system lets this process have {} files and connections open, so {possible} clients may be connected at once, not {connections}: raise the limit (ulimit -n)",
            allowed.unwrap_or_default()
        );
    }
    connections.min(possible)
}

/// Half of it at least is for clients.
fn room(allowed: Option<u64>) -> usize {
    allowed.map_or(usize::MAX, |allowed| usize::try_from(allowed.saturating_sub(OURS).max(allowed / 2)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_is_left() {
        assert_eq!([room(None), room(Some(65_536)), room(Some(1024)), room(Some(256))], [usize::MAX, 65_024, 512, 128]);
        assert_eq!(make_room_for(10), 10);
    }
}
