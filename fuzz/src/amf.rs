//! AMF0: what an FLV's metadata claims, read where the parser reads it.

use archive::flv::{Claims, End};

use super::flv::report;

/// How much of a script tag the parser looks at.
const READ: usize = 256;
const KEYS: [&str; 6] = ["duration", "width", "height", "framerate", "encoder", ""];

/// The input is the body of a script tag, what follows the name `onMetaData` in one, and a plan of one.
pub fn holds(input: &[u8]) {
    let input = &input[..input.len().min(4_000)];
    let named = [&text("onMetaData")[..], input].concat();
    for body in [input, &named] {
        let claims = claims_of(body);
        stand_in(body, &claims);
        assert_eq!(claims, claims_of(&body[..body.len().min(READ)]), "what lies beyond is not read");
        let wrapped = [&text("@setDataFrame")[..], body].concat();
        if wrapped.len() <= READ && !body.starts_with(&text("@setDataFrame")) {
            assert_eq!(claims_of(&wrapped), claims, "the wrapping changes nothing");
        }
    }
    let (body, claims) = planned(input);
    if body.len() <= READ {
        assert_eq!(claims_of(&body), claims, "{body:?}");
    }
}

/// What a file claims of which this is the only script tag.
fn claims_of(body: &[u8]) -> Claims {
    let size = u32::try_from(body.len()).expect("short");
    let mut file = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    file.push(18);
    file.extend_from_slice(&size.to_be_bytes()[1..]);
    file.extend_from_slice(&[0; 7]);
    file.extend_from_slice(body);
    file.extend_from_slice(&(size + 11).to_be_bytes());
    let report = report(&file);
    assert_eq!((report.tags.script, report.end, report.good_bytes), (1, End::Boundary, file.len() as u64));
    report.claims
}

/// A claim is a number that stands in the body behind its name; neither negative nor infinite.
fn stand_in(body: &[u8], claims: &Claims) {
    let all = [claims.duration, claims.width, claims.height, claims.frame_rate];
    for (name, value) in KEYS.into_iter().zip(all) {
        let Some(value) = value else { continue };
        assert!(value.is_finite() && value >= 0.0, "{name} {value}");
        let written = [&key(name)[..], &[0], &value.to_be_bytes()].concat();
        assert!(body.windows(written.len()).any(|window| window == written), "{name} {value} stands nowhere");
    }
}

/// A text without its type, as keys are written.
fn key(name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len()).expect("short");
    [&length.to_be_bytes(), name.as_bytes()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[2], &key(text)[..]].concat()
}

/// The metadata that the input plans, and what it claims.
fn planned(input: &[u8]) -> (Vec<u8>, Claims) {
    let mut plan = Plan { rest: input };
    let mut body = text("onMetaData");
    body.extend_from_slice(if plan.byte().is_multiple_of(2) { &[3] } else { &[8, 0, 0, 0, 9] });
    let mut claims = Claims::default();
    // A key without a name, before a value that begins with a 9, would be the end of the object: no type is 9.
    while !plan.rest.is_empty() && body.len() <= READ {
        let name = KEYS[usize::from(plan.byte()) % KEYS.len()];
        body.extend_from_slice(&key(name));
        let number = plan.value(&mut body, 0);
        let claim = number.filter(|number| number.is_finite() && *number >= 0.0);
        match name {
            "duration" => claims.duration = claim,
            "width" => claims.width = claim,
            "height" => claims.height = claim,
            "framerate" => claims.frame_rate = claim,
            _ => {}
        }
    }
    body.extend_from_slice(&[0, 0, 9]);
    (body, claims)
}

struct Plan<'a> {
    rest: &'a [u8],
}

impl Plan<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        byte
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Writes a value; when it is a number, that.
    fn value(&mut self, body: &mut Vec<u8>, depth: u32) -> Option<f64> {
        let nested = if depth < 3 { 12 } else { 9 };
        match self.byte() % nested {
            0 | 1 => {
                let number = f64::from_be_bytes(self.bytes());
                body.push(0);
                body.extend_from_slice(&number.to_be_bytes());
                return Some(number);
            }
            2 => body.extend_from_slice(&[1, self.byte()]),
            3 => body.extend_from_slice(&text(&"x".repeat(usize::from(self.byte() % 20)))),
            4 => body.push(5),
            5 => body.push(6),
            6 => body.extend_from_slice(&[7, 0, self.byte()]),
            7 => {
                body.push(11);
                body.extend_from_slice(&self.bytes::<10>());
            }
            8 => {
                let length = self.byte() % 20;
                body.extend_from_slice(&[12, 0, 0, 0, length]);
                body.extend(std::iter::repeat_n(b'x', usize::from(length)));
            }
            9 => {
                body.push(3);
                self.fields(body, depth);
            }
            10 => {
                body.extend_from_slice(&[8, 0, 0, 0, self.byte()]);
                self.fields(body, depth);
            }
            _ => {
                let count = self.byte() % 4;
                body.extend_from_slice(&[10, 0, 0, 0, count]);
                for _ in 0..count {
                    self.value(body, depth + 1);
                }
            }
        }
        None
    }

    fn fields(&mut self, body: &mut Vec<u8>, depth: u32) {
        for _ in 0..self.byte() % 4 {
            body.extend_from_slice(&key(KEYS[usize::from(self.byte()) % KEYS.len()]));
            self.value(body, depth + 1);
        }
        body.extend_from_slice(&[0, 0, 9]);
    }
}
