//! onMetaData: what a file claims of itself. A claim is never a fact: duration is often wrong, zero or missing.

/// How deep values may be nested before the rest is not read.
const DEEPEST: u32 = 4;

/// What onMetaData says. Each is missing when it was not sent, was no number, or lay beyond the bytes that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Claims {
    /// Seconds.
    pub duration: Option<f64>,
    /// Pixels.
    pub width: Option<f64>,
    /// Pixels.
    pub height: Option<f64>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
}

/// Reads the first bytes of a script tag's body; nothing when it is another script tag.
pub(super) fn on_meta_data(body: &[u8]) -> Option<Claims> {
    let mut reader = Reader { rest: body };
    let mut name = reader.name()?;
    // Some servers pass on the wrapping of the stream's publisher.
    if name == b"@setDataFrame" {
        name = reader.name()?;
    }
    if name != b"onMetaData" {
        return None;
    }
    let mut claims = Claims::default();
    // OK to stop at the first oddity: what was read before it was well formed.
    let _ = reader.claims(&mut claims);
    Some(claims)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(bytes)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn short_text(&mut self) -> Option<&'a [u8]> {
        let length = self.array()?;
        self.take(usize::from(u16::from_be_bytes(length)))
    }

    /// A string with its type before it.
    fn name(&mut self) -> Option<&'a [u8]> {
        match self.array()? {
            [2] => self.short_text(),
            _ => None,
        }
    }

    fn claims(&mut self, claims: &mut Claims) -> Option<()> {
        match self.array()? {
            [3] => {}
            // An ECMA array is an object with a count, which many writers get wrong.
            [8] => drop(self.take(4)?),
            _ => return None,
        }
        while let Some(key) = self.key()? {
            let value = self.value(0)?;
            match key {
                b"duration" => claims.duration = value,
                b"width" => claims.width = value,
                b"height" => claims.height = value,
                b"framerate" => claims.frame_rate = value,
                _ => {}
            }
        }
        Some(())
    }

    /// The next key of an object; an inner nothing at its end.
    fn key(&mut self) -> Option<Option<&'a [u8]>> {
        let key = self.short_text()?;
        if key.is_empty() && self.rest.first() == Some(&9) {
            self.take(1)?;
            return Some(None);
        }
        Some(Some(key))
    }

    /// Steps over a value; an inner number when it is one worth having.
    fn value(&mut self, depth: u32) -> Option<Option<f64>> {
        if depth > DEEPEST {
            return None;
        }
        match self.array()? {
            [0] => {
                let number = f64::from_be_bytes(self.array()?);
                return Some((number.is_finite() && number >= 0.0).then_some(number));
            }
            [1] => drop(self.take(1)?),
            [2] => drop(self.short_text()?),
            [3] => self.skip_object(depth)?,
            // Null and undefined.
            [5 | 6] => {}
            [7] => drop(self.take(2)?),
            [8] => {
                self.take(4)?;
                self.skip_object(depth)?;
            }
            [10] => {
                // OK whatever the count says: each value takes a byte at least, and there are few.
                for _ in 0..u32::from_be_bytes(self.array()?) {
                    self.value(depth + 1)?;
                }
            }
            [11] => drop(self.take(10)?),
            [12] => {
                let length = usize::try_from(u32::from_be_bytes(self.array()?)).ok()?;
                self.take(length)?;
            }
            _ => return None,
        }
        Some(None)
    }

    fn skip_object(&mut self, depth: u32) -> Option<()> {
        while self.key()?.is_some() {
            self.value(depth + 1)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(kind: &[u8], text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len()).expect("the tests' own texts are short");
        [kind, &length.to_be_bytes(), text.as_bytes()].concat()
    }

    fn number(key: &str, value: f64) -> Vec<u8> {
        [text(&[], key), vec![0], value.to_be_bytes().to_vec()].concat()
    }

    #[test]
    fn claims_are_found_among_other_values() {
        let nested = [text(&[], "keyframes"), vec![3], number("duration", 9.0), vec![0, 0, 9]].concat();
        let list = [text(&[], "times"), vec![10, 0, 0, 0, 2, 5, 1, 1]].concat();
        let body = [
            text(&[2], "onMetaData"),
            vec![8, 0, 0, 0, 99],
            text(&[], "encoder"),
            text(&[2], "x"),
            nested,
            list,
            number("duration", 600.0),
            number("width", 64.0),
            number("height", f64::NAN),
            number("framerate", 1.0),
            vec![0, 0, 9],
        ]
        .concat();
        let expected = Claims { duration: Some(600.0), width: Some(64.0), height: None, frame_rate: Some(1.0) };
        assert_eq!(on_meta_data(&body), Some(expected));
        assert_eq!(on_meta_data(&[text(&[2], "@setDataFrame"), body].concat()), Some(expected));
    }

    #[test]
    fn other_scripts_claim_nothing() {
        assert_eq!(on_meta_data(&text(&[2], "onTextData")), None);
        assert_eq!(on_meta_data(b""), None);
    }

    #[test]
    fn a_tower_of_objects_and_a_boundless_array_are_survived() {
        let tower = [text(&[2], "onMetaData"), vec![3], [0, 1, b'a', 3].repeat(60)].concat();
        assert_eq!(on_meta_data(&tower), Some(Claims::default()));
        let array = [text(&[2], "onMetaData"), vec![3, 0, 1, b'a', 10, 255, 255, 255, 255, 5, 5]].concat();
        assert_eq!(on_meta_data(&array), Some(Claims::default()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(noise in proptest::collection::vec(any::<u8>(), 0..256)) {
            let claims = on_meta_data(&[text(&[2], "onMetaData"), noise].concat());
            prop_assert!(claims.is_some());
        }
    }
}
