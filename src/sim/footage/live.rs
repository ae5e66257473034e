//! A camera's live stream as FLV, second by second and without an end.

use super::{AUDIO, CLIP, CLIP_SECONDS, FILE_HEADER, Picture, SCRIPT, Second, VIDEO, metadata, tag, write_second};
use crate::device::DeviceId;
use crate::time_range::UtcSecond;

/// Seconds from one keyframe of the clip to the next.
pub const KEYFRAME_SECONDS: u32 = 2;

/// The FLV of a live stream from a keyframe on. Second T shows what a recording shows of second T, pictures and sound
/// alike, when that recording begins at a multiple of eight seconds, as every mark of the ten-minute grid is.
#[derive(Clone, Debug)]
pub struct LiveFootage {
    device: DeviceId,
    picture: Picture,
    began: UtcSecond,
    /// Where the clip stands in the first second. The stream's clock begins there too, so that the sound does as well.
    phase: u64,
    /// The timestamp at which the stream's clock is 0.
    zero: u32,
}

impl LiveFootage {
    /// The stream that a viewer gets who comes in second `now`: it begins at the last keyframe. `timestamp_at` gives the
    /// timestamp of the first picture from the second that it shows, in milliseconds.
    pub fn new(device: DeviceId, picture: Picture, now: UtcSecond, timestamp_at: impl Fn(UtcSecond) -> u32) -> Self {
        let began = now - now.get().rem_euclid(i64::from(KEYFRAME_SECONDS));
        let phase = began.get().rem_euclid(i64::from(CLIP_SECONDS)).unsigned_abs();
        // OK to cut: a phase is less than eight seconds.
        let zero = timestamp_at(began).wrapping_sub(phase as u32 * 1000);
        Self { device, picture, began, phase, zero }
    }

    /// The first second that it shows.
    pub fn began(&self) -> UtcSecond {
        self.began
    }

    /// What comes before the first second: the file's header, metadata, configurations.
    pub fn preface(&self) -> Vec<u8> {
        let mut bytes = FILE_HEADER.to_vec();
        let texts = [("device", self.device.to_string()), ("start", self.began.to_string())];
        tag(&mut bytes, SCRIPT, 0, &metadata(None, self.picture, &texts));
        tag(&mut bytes, VIDEO, self.timestamp(0), self.picture.clip().video_config);
        tag(&mut bytes, AUDIO, self.timestamp(0), CLIP.audio_config);
        bytes
    }

    /// The pictures and the sound of the `n`th second.
    pub fn second(&self, n: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let at = self.phase + n;
        write_second(&mut bytes, Second { at, in_stretch: at }, self.picture.clip(), self.zero, &[]);
        bytes
    }

    /// Changes the size of the pictures from the `n`th second on, which must begin with a keyframe: a multiple of
    /// [`KEYFRAME_SECONDS`]. Gives the new configuration, to be sent before it.
    pub fn change(&mut self, n: u64) -> Vec<u8> {
        self.picture = match self.picture {
            Picture::Large => Picture::Small,
            Picture::Small => Picture::Large,
        };
        let mut bytes = Vec::new();
        tag(&mut bytes, VIDEO, self.timestamp(n), self.picture.clip().video_config);
        bytes
    }

    fn timestamp(&self, n: u64) -> u32 {
        self.zero.wrapping_add(super::wrapped((self.phase + n) * 1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::footage::{Footage, Hole};
    use crate::time_range::TimeRange;

    /// A mark of the grid.
    const GRID: UtcSecond = UtcSecond::new(1_795_176_000);

    fn live(picture: Picture, now: UtcSecond, first: u32) -> LiveFootage {
        LiveFootage::new(DeviceId::new(5).expect("not negative"), picture, now, |_| first)
    }

    #[test]
    fn a_second_shows_what_a_recording_shows_of_it() {
        let window = TimeRange::new(GRID, GRID + 600).expect("ten minutes");
        let device = DeviceId::new(5).expect("not negative");
        let recorded = Footage::new(device, window, &window.into(), Hole::Squeeze, 0);
        for now in [0, 1, 5, 7, 314] {
            let began = now - now % 2;
            // OK: less than ten minutes.
            let stream = live(Picture::Large, GRID + now, began as u32 * 1000);
            assert_eq!(stream.began(), GRID + began);
            for n in 0..20 {
                let piece = 1 + began as usize + n as usize;
                assert_eq!(stream.second(n), recorded.piece(piece), "second {n} from {now}");
            }
        }
    }

    #[test]
    fn timestamps_begin_where_they_are_told_to_and_wrap() {
        let stream = live(Picture::Small, GRID + 7, u32::MAX - 999);
        let timestamp = |bytes: &[u8]| u32::from_be_bytes([bytes[7], bytes[4], bytes[5], bytes[6]]);
        assert_eq!(timestamp(&stream.second(0)), u32::MAX - 999);
        assert_eq!(stream.timestamp(0), u32::MAX - 999);
        assert_eq!(timestamp(&stream.second(1)[..]), 0);
        // Fifty days and more of it.
        assert_eq!(stream.timestamp(5_000_000), u32::MAX.wrapping_add(5_000_000u64.wrapping_mul(1000) as u32) - 999);
    }

    #[test]
    fn a_changed_picture_begins_with_its_configuration_on_a_keyframe() {
        let mut stream = live(Picture::Large, GRID, 0);
        assert_eq!(stream.change(4)[11..13], [0x17, 0]);
        assert_ne!(Picture::Small.clip().video_config, CLIP.video_config);
        assert_eq!(stream.second(4)[11], 0x17);
        assert_eq!(Picture::Small.clip().pictures.len(), CLIP.pictures.len());
    }
}
