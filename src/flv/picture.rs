//! Picture size out of the decoder configurations of H.264 and H.265: bounded bytes in, width and height out.

/// Reads bits, most significant first. Nothing is copied and nothing is read beyond the end.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    at: usize,
    /// Whether 00 00 03 stands for 00 00, as it does inside a NAL unit.
    escaped: bool,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, escaped: false }
    }

    fn of_nal_unit(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, escaped: true }
    }

    fn bit(&mut self) -> Option<u32> {
        let index = self.at / 8;
        if self.escaped && self.at.is_multiple_of(8) && index >= 2 && self.bytes.get(index - 2..=index)? == [0, 0, 3] {
            self.at += 8;
        }
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = (byte >> (7 - self.at % 8)) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    /// The next `count` bits, 32 at most.
    pub fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some((value << 1) | self.bit()?))
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.bit().map(|_| ()))
    }

    /// An unsigned Exp-Golomb number, below 2³¹.
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 30 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }

    /// A signed one: 0, 1, -1, 2, -2, …
    fn signed(&mut self) -> Option<i32> {
        // OK: below 2³¹, so that the half of it, rounded up, fits.
        let code = self.unsigned()?;
        let half = code.div_ceil(2) as i32;
        Some(if code % 2 == 1 { half } else { -half })
    }
}

fn length_prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first_chunk::<2>()?;
    // The last unit may reach beyond the bytes that are kept; its beginning is what is wanted.
    Some(rest.split_at(usize::from(u16::from_be_bytes(length)).min(rest.len())))
}

/// Width and height from an AVCDecoderConfigurationRecord; nothing when it does not tell.
pub(super) fn avc_size(record: &[u8]) -> Option<(u16, u16)> {
    let count = record.get(5)? & 31;
    let (unit, _) = length_prefixed(record.get(6..)?)?;
    if count == 0 { None } else { avc_unit_size(unit) }
}

/// Width and height from a NAL unit of H.264; nothing when it is no SPS.
pub(crate) fn avc_unit_size(unit: &[u8]) -> Option<(u16, u16)> {
    let (&first, sps) = unit.split_first()?;
    (first & 31 == 7).then(|| avc_sps(&mut Bits::of_nal_unit(sps)))?
}

fn avc_sps(bits: &mut Bits) -> Option<(u16, u16)> {
    let profile = bits.take(8)?;
    // Constraint flags and level.
    bits.skip(16)?;
    bits.unsigned()?;
    let mut chroma = 1;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma = bits.unsigned()?;
        if chroma == 3 && bits.take(1)? == 1 {
            chroma = 0;
        }
        // Bit depths, then the bypass flag.
        bits.unsigned()?;
        bits.unsigned()?;
        bits.skip(1)?;
        if bits.take(1)? == 1 {
            skip_scaling_lists(bits, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    bits.unsigned()?;
    match bits.unsigned()? {
        0 => {
            bits.unsigned()?;
        }
        1 => {
            bits.skip(1)?;
            bits.signed()?;
            bits.signed()?;
            // 255 is the most that the standard allows.
            let count = bits.unsigned().filter(|&count| count < 256)?;
            (0..count).try_for_each(|_| bits.signed().map(|_| ()))?;
        }
        _ => {}
    }
    // Reference frames, and whether there may be gaps in their numbers.
    bits.unsigned()?;
    bits.skip(1)?;
    let width = u64::from(bits.unsigned()?) * 16 + 16;
    let units = u64::from(bits.unsigned()?) * 16 + 16;
    // Interlaced pictures are counted in fields.
    let fields = 2 - u64::from(bits.take(1)?);
    if fields == 2 {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    let (across, down) = chroma_steps(chroma);
    cropped(bits, (width, units * fields), (across, down * fields))
}

fn skip_scaling_lists(bits: &mut Bits, count: u32) -> Option<()> {
    for list in 0..count {
        if bits.take(1)? == 0 {
            continue;
        }
        let (mut last, mut next) = (8_i32, 8_i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = last.wrapping_add(bits.signed()?) & 255;
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// Width and height from an HEVCDecoderConfigurationRecord; nothing when it does not tell.
pub(super) fn hevc_size(record: &[u8]) -> Option<(u16, u16)> {
    let arrays = *record.get(22)?;
    let mut rest = record.get(23..)?;
    for _ in 0..arrays {
        let (&[kind, high, low], after) = rest.split_first_chunk::<3>()?;
        rest = after;
        for _ in 0..u16::from_be_bytes([high, low]) {
            let (unit, after) = length_prefixed(rest)?;
            rest = after;
            if kind & 63 == 33 {
                return hevc_sps(&mut Bits::of_nal_unit(unit.get(2..)?));
            }
        }
    }
    None
}

/// Width and height from a NAL unit of H.265; nothing when it is no SPS.
pub(crate) fn hevc_unit_size(unit: &[u8]) -> Option<(u16, u16)> {
    let (&[first, _], sps) = unit.split_first_chunk::<2>()?;
    ((first >> 1) & 63 == 33).then(|| hevc_sps(&mut Bits::of_nal_unit(sps)))?
}

fn hevc_sps(bits: &mut Bits) -> Option<(u16, u16)> {
    bits.skip(4)?;
    let layers = bits.take(3)?;
    bits.skip(1)?;
    skip_profile(bits, layers)?;
    bits.unsigned()?;
    let mut chroma = bits.unsigned()?;
    if chroma == 3 && bits.take(1)? == 1 {
        chroma = 0;
    }
    let size = (u64::from(bits.unsigned()?), u64::from(bits.unsigned()?));
    cropped(bits, size, chroma_steps(chroma))
}

/// `profile_tier_level()`: 88 bits and a level, then the same for each sub-layer that has them.
fn skip_profile(bits: &mut Bits, layers: u32) -> Option<()> {
    bits.skip(96)?;
    if layers == 0 {
        return Some(());
    }
    let flags = bits.take(16)?;
    for layer in 0..layers {
        if (flags >> (15 - 2 * layer)) & 1 == 1 {
            bits.skip(88)?;
        }
        if (flags >> (14 - 2 * layer)) & 1 == 1 {
            bits.skip(8)?;
        }
    }
    Some(())
}

/// How many pixels one step of cropping is, across and down, by `chroma_format_idc`.
const fn chroma_steps(chroma: u32) -> (u64, u64) {
    match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    }
}

fn cropped(bits: &mut Bits, (width, height): (u64, u64), (across, down): (u64, u64)) -> Option<(u16, u16)> {
    let mut crop = [0; 4];
    if bits.take(1)? == 1 {
        for side in &mut crop {
            *side = u64::from(bits.unsigned()?);
        }
    }
    let [left, right, top, bottom] = crop;
    let width = u16::try_from(width.checked_sub((left + right) * across)?).ok()?;
    let height = u16::try_from(height.checked_sub((top + bottom) * down)?).ok()?;
    (width > 0 && height > 0).then_some((width, height))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As ffmpeg writes them for a picture of 64×48.
    const AVC: &str = "0142c00affe100166742c00ada11ec0440000003004000000300a3c489a801000568ce039c80";
    /// As x264 writes them in its High profile, for 1920×1080: cropped from 1088 lines.
    const AVC_HIGH: &str =
        "01640028ffe1001b67640028acd940780227e5c044000003000400000300083c60c65801000668ebe3cb22c0fdf8f800";

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).expect("the tests' own constants are hexadecimal")
    }

    #[test]
    fn exp_golomb_numbers_are_read() {
        // 1, 010, 011, 00100, 00101
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([0, 1, 2, 3, 4].map(|_| bits.unsigned().unwrap()), [0, 1, 2, 3, 4]);
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([0; 5].map(|_| bits.signed().unwrap()), [0, 1, -1, 2, -2]);
        assert_eq!(Bits::new(&[0; 100]).unsigned(), None);
    }

    #[test]
    fn an_escape_byte_is_not_part_of_the_number() {
        let mut bits = Bits::of_nal_unit(&[0, 0, 3, 1, 7]);
        assert_eq!(bits.take(32), Some(0x0000_0107));
        assert_eq!(bits.take(1), None);
    }

    #[test]
    fn sizes_are_read_from_real_configurations() {
        assert_eq!(avc_size(&bytes(AVC)), Some((64, 48)));
        assert_eq!(avc_size(&bytes(AVC_HIGH)), Some((1920, 1080)));
    }

    #[test]
    fn a_configuration_that_ends_early_tells_nothing() {
        for length in 0..15 {
            assert_eq!(avc_size(&bytes(AVC)[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(noise in proptest::collection::vec(any::<u8>(), 0..256)) {
            for (width, height) in [avc_size(&noise), hevc_size(&noise)].into_iter().flatten() {
                prop_assert!(width > 0 && height > 0);
            }
        }

        #[test]
        fn mutations_of_a_real_configuration_are_survived(at in 0..38_usize, to in any::<u8>()) {
            let mut record = bytes(AVC);
            record[at] = to;
            avc_size(&record);
            hevc_size(&record);
        }
    }
}
