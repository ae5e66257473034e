//! How an answer looks: the gateway's frame around a method's data, in the forms that clients have seen.

use serde_json::{Map, Value, json};

use crate::instant::Instant;
use crate::platform::wire::STAT_CODES;
use crate::sim::draw::draw;

/// A parameter of the method itself is missing or wrong. The vendor wrote no code down for it; this one is made up.
pub const PARAMETER_ERROR: i64 = 103_501;
/// The range is malformed, empty or longer than ten minutes. Made up as well.
pub const RANGE_ERROR: i64 = 103_502;

/// The vendor's name of a `stat.code`.
fn name(code: i64) -> &'static str {
    match code {
        PARAMETER_ERROR => "PARAMETER_ERROR",
        RANGE_ERROR => "TIME_RANGE_ERROR",
        _ => STAT_CODES.iter().find(|known| known.number == code).map_or("UNDOCUMENTED", |known| known.name),
    }
}

/// A whole answer. Numbers come as numbers or as strings, and `data` of a failure is null, missing or empty, as `seed` and
/// the call's number have it. **\[sdk\]**: clients have seen all of these.
pub fn answer(seed: u64, call: u64, code: i64, data: Option<Value>, now: Instant) -> Value {
    let form = draw(&[seed, call]);
    let number = |bit: u32, number: i64| if form >> bit & 1 == 0 { json!(number) } else { json!(number.to_string()) };
    let mut whole = Map::new();
    let stat = json!({
        "cid": format!("{:016x}", draw(&[seed, call, 1])),
        "code": number(0, code),
        "codename": name(code),
        "systime": number(1, now.as_millis()),
    });
    whole.insert("stat".into(), stat);
    whole.insert("result".into(), json!(if code == 0 { "ok" } else { name(code) }));
    match data {
        Some(data) => {
            whole.insert("data".into(), data);
        }
        None if form >> 2 & 3 == 0 => {}
        None if form >> 2 & 3 == 1 => {
            whole.insert("data".into(), json!({}));
        }
        None => {
            whole.insert("data".into(), Value::Null);
        }
    }
    Value::Object(whole)
}

/// `data` of `startRecReqDown`: `result` is a string in the vendor's table, and a number now and then. **\[doc\]**
pub fn download(seed: u64, call: u64, result: i64, url: Option<&str>) -> Value {
    let as_number = draw(&[seed, call, 2]).is_multiple_of(4);
    let result = if as_number { json!(result) } else { json!(result.to_string()) };
    match url {
        Some(url) => json!({ "result": result, "url": url }),
        None => json!({ "result": result }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::wire::{Answer, Download};

    #[test]
    fn every_form_reads_the_same_and_all_forms_occur() {
        let now = Instant::from_millis(1_795_176_000_000);
        let mut forms = std::collections::BTreeSet::new();
        for call in 0..200 {
            let whole = answer(1, call, -4, None, now);
            let data = whole.get("data").map_or("missing".to_owned(), Value::to_string);
            forms.insert((whole["stat"]["code"].is_string(), whole["stat"]["systime"].is_string(), data));
            let read: Answer = serde_json::from_value(whole).expect("an answer");
            assert_eq!((read.stat.code, read.stat.systime), (Some(-4), Some(now.as_millis())));
        }
        assert_eq!(forms.len(), 2 * 2 * 3);
    }

    #[test]
    fn a_result_comes_as_a_string_and_as_a_number() {
        let forms: Vec<Value> = (0..50).map(|call| download(1, call, -4, None)).collect();
        assert!(
            forms.iter().any(|form| form["result"].is_string()) && forms.iter().any(|form| form["result"].is_i64())
        );
        for form in forms {
            let read: Download = serde_json::from_value(form).expect("a download");
            assert_eq!((read.result, read.url.as_str()), (Some(-4), ""));
        }
    }
}
