//! How many files this process may have open, which connections count among.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a stream has open: its connection, its file, the connection on which the platform was asked for it, and a folder while
/// it is published.
const PER_STREAM: u64 = 4;

/// What else is open: the ledger's files, locks, what threads wait on, certificates while they are read.
const RESERVE: u64 = 64;

/// What so many streams need.
pub fn needed(streams: usize) -> u64 {
    RESERVE.saturating_add(PER_STREAM.saturating_mul(streams as u64))
}

/// How many of the streams that are asked for can be had within that limit; one at least.
pub fn streams(limit: u64, asked: usize) -> usize {
    let room = limit.saturating_sub(RESERVE) / PER_STREAM;
    usize::try_from(room).unwrap_or(usize::MAX).clamp(1, asked.max(1))
}

/// Raises this process's limit as far as `needed`, if it may and must. Gives the limit that holds then.
pub fn raise(needed: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (current, maximum) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let wanted = needed.min(maximum);
    if wanted <= current {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }) {
        Ok(()) => wanted,
        // OK to go on: the limit that holds is told, and whoever asks makes do with it.
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_streams_are_had_as_the_limit_has_room_for() {
        for (limit, asked, had) in [
            (1024, 16, 16),
            (1024, 240, 240),
            (1024, 241, 240),
            (256, 256, 48),
            (128, 16, 16),
            (127, 16, 15),
            (71, 16, 1),
            (0, 16, 1),
            (u64::MAX, 10_000, 10_000),
            (1024, 0, 1),
        ] {
            assert_eq!(streams(limit, asked), had, "{asked} streams within {limit}");
        }
    }

    #[test]
    fn what_is_needed_is_enough() {
        for asked in [1, 2, 16, 255, 10_000] {
            assert_eq!(streams(needed(asked), asked), asked);
            assert!(asked == 1 || streams(needed(asked) - 1, asked) < asked);
        }
    }

    #[test]
    fn a_limit_that_is_enough_stays_as_it_is() {
        let before = getrlimit(Resource::Nofile).current;
        assert_eq!(raise(1), before.unwrap_or(u64::MAX));
        assert_eq!(getrlimit(Resource::Nofile).current, before);
    }
}
