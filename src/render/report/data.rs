//! The picture as the page's script reads it.
//!
//! JSON, in which each camera's time is a text: base64 of pairs of numbers, a state's and a length's, from the start of the
//! range on. State 0 is time that was never asked for, state n the n-th of the list; what is frequent comes first there. A
//! length is twice the number of ten minutes, or, where it is not whole ten minutes, twice the number of seconds and one
//! more. A number is written in bytes of seven bits, the low ones first, all but its last with the eighth bit set.

use std::collections::BTreeMap;

use chrono::Offset as _;
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::picture::{Picture, State, Stretch};
use crate::recording::Source;
use crate::time_range::{GRID_SECONDS, TimeRange, UtcSecond};
use crate::window::Cause;

/// The version of what is described above.
const VERSION: u32 = 1;

/// All of it, fit to stand in an element of the page.
pub(super) fn json(picture: &Picture) -> Result<String, serde_json::Error> {
    let states = states(picture);
    let numbers: BTreeMap<&State, u64> = states.iter().zip(1..).map(|(state, number)| (*state, number)).collect();
    let mut nvrs: Vec<&str> = Vec::new();
    let mut nvr_numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut zones: BTreeMap<&str, Tz> = BTreeMap::from([(picture.zone.name(), picture.zone)]);
    let mut groups = Vec::new();
    for group in &picture.groups {
        let mut cameras = Vec::new();
        for camera in &group.cameras {
            zones.insert(camera.zone.name(), camera.zone);
            let nvr = *nvr_numbers.entry(camera.nvr.as_str()).or_insert_with(|| {
                nvrs.push(camera.nvr.as_str());
                nvrs.len() - 1
            });
            let time = base64(&encoded(&camera.stretches, picture.range, &numbers));
            let totals = &camera.totals;
            cameras.push(json!([
                camera.device,
                camera.name,
                camera.zone.name(),
                nvr,
                totals.asked_seconds,
                totals.archived_seconds,
                time
            ]));
        }
        let totals = &group.totals;
        groups.push(json!([group.name, totals.asked_seconds, totals.archived_seconds, cameras]));
    }
    let keeps: BTreeMap<&str, i64> =
        picture.losing.iter().map(|losing| (losing.nvr.as_str(), losing.keeps.seconds)).collect();
    let offsets: BTreeMap<&str, Value> =
        zones.iter().map(|(name, zone)| (*name, json!(offsets(*zone, picture.range)))).collect();
    let totals = &picture.totals;
    let missing: BTreeMap<&str, i64> =
        totals.missing_seconds.iter().map(|(cause, &seconds)| (cause.as_str(), seconds)).collect();
    let data = json!({
        "version": VERSION,
        "made": picture.made,
        "from": picture.range.start(),
        "to": picture.range.end(),
        "zone": picture.zone.name(),
        "offsets": offsets,
        "causes": Cause::ALL.map(Cause::as_str),
        "states": states.into_iter().map(state).collect::<Vec<Value>>(),
        "archived": totals.archived_seconds,
        "pruned": totals.pruned_seconds,
        "missing": missing,
        "nvrs": nvrs,
        "keeps": nvrs.iter().map(|nvr| keeps.get(nvr)).collect::<Vec<_>>(),
        "groups": groups,
    });
    // So that no text in it can end the element, or begin another. OK because JSON has this character in texts only.
    Ok(serde_json::to_string(&data)?.replace('<', "\\u003c"))
}

/// Every state that occurs, the most frequent first, so that their numbers are short.
fn states(picture: &Picture) -> Vec<&State> {
    let mut counts: BTreeMap<&State, usize> = BTreeMap::new();
    for stretch in picture.cameras().flat_map(|camera| &camera.stretches) {
        *counts.entry(&stretch.state).or_default() += 1;
    }
    let mut states: Vec<(&State, usize)> = counts.into_iter().collect();
    states.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    states.into_iter().map(|(state, _)| state).collect()
}

fn state(state: &State) -> Value {
    match state {
        State::Windows { quarters, container } => json!(["windows", quarters, container.extension()]),
        State::File { quarters, container, source } => {
            json!(["file", quarters, container.extension(), u8::from(*source == Source::Live)])
        }
        State::Named { path } => json!(["named", path]),
        State::Missing { cause, attempts, last_code } => json!(["missing", cause, attempts, last_code]),
        State::Pruned => json!(["pruned"]),
    }
}

fn encoded(stretches: &[Stretch], range: TimeRange, numbers: &BTreeMap<&State, u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |state: u64, seconds: i64| {
        let seconds = seconds.unsigned_abs();
        let grid = GRID_SECONDS.unsigned_abs();
        varint(&mut bytes, state);
        varint(&mut bytes, if seconds.is_multiple_of(grid) { seconds / grid * 2 } else { seconds * 2 + 1 });
    };
    let mut at = range.start();
    for stretch in stretches {
        if at < stretch.range.start() {
            put(0, stretch.range.start() - at);
        }
        put(numbers.get(&stretch.state).copied().unwrap_or(0), stretch.range.seconds());
        at = stretch.range.end();
    }
    bytes
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        // OK to cut off: the low seven bits, and the eighth set.
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            // Each byte needs one digit more than there are bytes.
            let filled = digit <= three.len();
            text.push(if filled { char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]) } else { '=' });
        }
    }
    text
}

/// From when on a zone is how many seconds east of UTC, over a range; the first one holds at its start.
fn offsets(zone: Tz, range: TimeRange) -> Vec<(UtcSecond, i32)> {
    const HOUR: i64 = 3600;
    let at = |second: UtcSecond| {
        chrono::TimeZone::offset_from_utc_datetime(&zone, &second.to_datetime().naive_utc()).fix().local_minus_utc()
    };
    let mut steps = vec![(range.start(), at(range.start()))];
    let mut hour = range.start();
    while hour < range.end() {
        let (next, before) = (hour + HOUR, at(hour));
        if at(next) != before {
            // The first second of the new offset: no zone changes its clocks twice in an hour.
            let (mut no, mut yes) = (hour, next);
            while yes - no > 1 {
                let middle = no + (yes - no) / 2;
                if at(middle) == before { no = middle } else { yes = middle }
            }
            steps.push((yes, at(yes)));
        }
        hour = next;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_usual_one() {
        let coded = [&b""[..], b"f", b"fo", b"foo", b"foob", b"fooba", b"foobar"].map(base64);
        assert_eq!(coded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn numbers_are_short_when_they_are_small() {
        let mut bytes = Vec::new();
        [0, 127, 128, 300].into_iter().for_each(|number| varint(&mut bytes, number));
        assert_eq!(bytes, [0, 127, 0x80, 1, 0xac, 2]);
    }

    #[test]
    fn a_zones_clock_changes_are_told() {
        let range = TimeRange::new(UtcSecond::new(1_792_800_000), UtcSecond::new(1_793_000_000)).expect("a range");
        let berlin = offsets(chrono_tz::Europe::Berlin, range);
        assert_eq!(berlin, [(range.start(), 7200), (UtcSecond::new(1_792_890_000), 3600)]);
    }
}
