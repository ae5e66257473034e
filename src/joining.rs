//! Several recordings on one line of time: where each frame of each file stands in the film that is made of them.
//!
//! # The clock
//!
//! The film's time runs as the wall clock does, over gaps too: it begins with what was asked for (a keyframe before that, where a
//! recording has one), and what lies an hour later by the recordings' ranges stands an hour later in the film. Within a file,
//! time is what its timestamps say; its first frame is taken for the first moment of its range **\[unknown\]**: a recorder may
//! begin at a keyframe some seconds before.
//!
//! No frame of what was asked for is left out to make room. Where a file has more footage than its range, the next one either
//! begins with footage that the file has too, which is seen by its first keyframe, and the second showing is left out; or it
//! comes later than its clock says, and by how much is told. The first gap that is long enough sets it right again.
//!
//! Timestamps may restart, wrap around, or leap: a restart goes on where it was, and so does a leap to where no footage of the
//! file can be; any other leap is a hole in it and stays one.

use std::collections::VecDeque;

use crate::flv::TrackKind;

/// A step back by more than this, in milliseconds, is a restart of a track's clock; less is disorder. As in the judge's timeline.
const DISORDER: i64 = 500;
/// How far apart the two tracks' clocks may be when the second one begins, in milliseconds; beyond it they are not one clock.
const ONE_CLOCK: i64 = 20_000;
/// How much more footage than its range a file may have, in milliseconds: a leap further than that leads nowhere.
const OVERRUN: i64 = 20_000;
/// What is taken for the time from one frame to the next where nothing tells it, in milliseconds.
const SOME_STEP: i64 = 40;
/// No frame is shown for longer than this, in milliseconds, unless the next one says so: the slowest rate that recorders offer is
/// a frame in 16 s **\[unknown\]**.
const LONGEST_STEP: i64 = 20_000;
/// How many keyframes at a file's end are kept to know them again in the next one.
const TAIL: usize = 64;
/// How far from where the clock puts it the second showing of a keyframe may be, in milliseconds.
const AGAIN: i64 = 15_000;

/// Turns the timestamps of one file into milliseconds after its first frame.
#[derive(Clone, Copy, Debug)]
pub struct SourceClock {
    video: Own,
    audio: Own,
    /// No footage of the file can be later.
    latest: i64,
}

/// One track's.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// The last frame's timestamp as it was sent, and its time.
    last: Option<(u32, i64)>,
    /// The last step that was a usual one.
    step: i64,
}

impl SourceClock {
    /// For a file that is to hold so many milliseconds.
    pub fn new(range_milliseconds: i64) -> Self {
        let own = Own { last: None, step: SOME_STEP };
        Self { video: own, audio: own, latest: range_milliseconds.saturating_add(OVERRUN) }
    }

    /// The time of the next frame, by its timestamp in milliseconds modulo 2³². Never negative for the first frame of the file;
    /// sound that belongs before the first picture may be.
    pub fn time(&mut self, track: TrackKind, raw: u32) -> i64 {
        let (own, other) = match track {
            TrackKind::Video => (&mut self.video, self.audio.last),
            TrackKind::Audio => (&mut self.audio, self.video.last),
        };
        // OK to read a difference as signed: it is the one within 2³¹ ms, 24 days.
        let since = |last: u32| i64::from(raw.wrapping_sub(last).cast_signed());
        let time = match (own.last, other) {
            (Some((last, time)), _) => match since(last) {
                step if step < -DISORDER || time + step > self.latest => time + own.step,
                step => {
                    if (1..=LONGEST_STEP).contains(&step) {
                        own.step = step;
                    }
                    time + step
                }
            },
            (None, Some((last, time))) => time + Some(since(last)).filter(|step| step.abs() <= ONE_CLOCK).unwrap_or(0),
            (None, None) => 0,
        };
        own.last = Some((raw, time));
        time
    }

    /// The next frame of a file that tells its frames' times as they are: what this clock made of them once. Gives them back.
    pub fn known(&mut self, track: TrackKind, time: i64) -> i64 {
        let own = match track {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        };
        let step = time - own.last.map_or(time, |(_, last)| last);
        if (1..=LONGEST_STEP).contains(&step) {
            own.step = step;
        }
        // OK without its timestamp: a clock is told the times of all frames of a file, or of none.
        own.last = Some((0, time));
        time
    }

    /// How long a track's last frame is shown, in milliseconds, as far as its steps tell.
    pub fn step(&self, track: TrackKind) -> i64 {
        match track {
            TrackKind::Video => self.video.step,
            TrackKind::Audio => self.audio.step,
        }
    }
}

/// What a first reading found in a file. Times are milliseconds after the file's first frame.
#[derive(Clone, Debug)]
pub struct Survey {
    /// When the file's range begins, in milliseconds since 1970.
    pub starts: i64,
    /// Nothing before is wanted, but for what a decoder needs.
    from: i64,
    /// Nothing from here on is wanted.
    until: i64,
    has_pictures: bool,
    begins: Option<i64>,
    /// The end of the last frame that is wanted.
    ends: i64,
    first_key: Option<u64>,
    last_keys: VecDeque<(i64, u64)>,
}

impl Survey {
    /// Of a file whose range begins at `starts`, when what is wanted of it is `[from, until)`, all in milliseconds since 1970.
    pub fn new(starts: i64, from: i64, until: i64) -> Self {
        Self {
            starts,
            from: from - starts,
            until: until - starts,
            has_pictures: false,
            begins: None,
            ends: 0,
            first_key: None,
            last_keys: VecDeque::new(),
        }
    }

    /// A picture that a decoder can begin with, at that time, by a hash of its bytes.
    pub fn keyframe(&mut self, time: i64, hash: u64) {
        if time >= self.until {
            return;
        }
        if !self.has_pictures || (time <= self.from && self.begins.is_none_or(|begins| begins < time)) {
            // Sound counts for nothing where there are pictures.
            self.begins = Some(time);
            self.first_key = Some(hash);
            self.has_pictures = true;
            self.last_keys.clear();
        }
        if self.last_keys.len() == TAIL {
            self.last_keys.pop_front();
        }
        self.last_keys.push_back((time, hash));
    }

    /// A frame that can be used, also a keyframe; it is shown for `step` if it is the last.
    pub fn frame(&mut self, track: TrackKind, time: i64, step: i64) {
        if track == TrackKind::Audio
            && !self.has_pictures
            && self.begins.is_none()
            && (self.from..self.until).contains(&time)
        {
            self.begins = Some(time);
        }
        let counts = track == TrackKind::Video || !self.has_pictures;
        if counts && time < self.until {
            self.ends = self.ends.max(time + step);
        }
    }

    /// The time of its first frame that is wanted; nothing when there is none.
    pub fn begins(&self) -> Option<i64> {
        self.begins.filter(|begins| *begins < self.until)
    }
}

/// Where a file stands in the film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Pictures before this time of the file are left out.
    pub begins: i64,
    /// Sound before this time of the file is left out.
    pub sound_begins: i64,
    /// Frames from this time of the file on are left out.
    pub until: i64,
    /// What is to be added to a time of the file to have the film's.
    pub offset: i64,
    /// Where in the film its last picture ends, unless something comes earlier.
    pub ends: i64,
    /// By how much later than the clock says its frames are shown; less than zero where they are shown earlier.
    pub late: i64,
    /// How much of its end is left out, since the next file begins with it.
    pub again: i64,
}

/// The film's plan. Times of the film are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// When the film begins, in milliseconds since 1970.
    pub zero: i64,
    /// How long it is.
    pub length: i64,
    /// Where each file stands; nothing for one that has nothing that is wanted.
    pub places: Vec<Option<Place>>,
}

/// Plans the film of `[from, until)`, in milliseconds since 1970, by what was found in its files, which come in the order of
/// their ranges.
pub fn plan(from: i64, until: i64, surveys: &[Survey]) -> Plan {
    let first = surveys.iter().find_map(|survey| Some(survey.starts + survey.begins()?));
    let zero = first.map_or(from, |first| first.min(from));
    let mut places: Vec<Option<Place>> = Vec::with_capacity(surveys.len());
    // The file before, and where the film has come to.
    let (mut before, mut cursor) = (None::<usize>, 0);
    for (index, survey) in surveys.iter().enumerate() {
        let Some(begins) = survey.begins() else {
            places.push(None);
            continue;
        };
        let on_time = survey.starts - zero;
        // Sound needs no keyframe, so it may begin before the pictures; not where the file before still shows.
        let (mut offset, mut sound_begins) = (on_time, begins.min(survey.from.max(cursor - on_time)));
        if on_time + begins < cursor {
            sound_begins = begins;
            offset = cursor - begins;
            let place = before.and_then(|before| places[before].as_mut().map(|place| (place, &surveys[before])));
            if let Some((place, earlier)) = place
                && let Some(time) = shown_before(earlier, place, survey.first_key, on_time + begins)
            {
                place.again = place.ends - place.offset - time;
                place.until = time;
                place.ends = place.offset + time;
                offset = place.ends - begins;
            }
        }
        let ends = offset + survey.ends.max(begins);
        let late = offset - on_time;
        places.push(Some(Place { begins, sound_begins, until: survey.until, offset, ends, late, again: 0 }));
        (before, cursor) = (Some(index), ends);
    }
    Plan { zero, length: cursor.max(until - zero), places }
}

/// The time in the earlier file of the keyframe with which the next one begins, if it has it near where the clock says.
fn shown_before(earlier: &Survey, place: &Place, key: Option<u64>, expected: i64) -> Option<i64> {
    let apart = |time: i64| (place.offset + time - expected).abs();
    let same = earlier.last_keys.iter().filter(|(_, hash)| Some(*hash) == key).map(|(time, _)| *time);
    same.filter(|&time| time > place.begins && apart(time) <= AGAIN).min_by_key(|&time| apart(time))
}

/// Puts a track's frames on its clock of so many ticks a second: each is later than the one before, wherever their times come from.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    scale: i64,
    /// How far from its time a frame may stand, in ticks, when it stands where the one before ends.
    slack: i64,
    /// Where the last frame stands, and where it ends.
    last: Option<(i64, i64)>,
}

impl Ticks {
    /// Sound's packets have a length of their own, while their timestamps are rounded to milliseconds, and senders date them by
    /// when they come: they stand one behind the other as long as that is true to 100 ms.
    pub fn new(scale: u32, track: TrackKind) -> Self {
        let scale = i64::from(scale);
        let slack = if track == TrackKind::Audio { scale / 10 } else { -1 };
        Self { scale, slack, last: None }
    }

    /// Where a frame stands whose time in the film is this many milliseconds, and that is so many ticks long.
    pub fn place(&mut self, milliseconds: i64, length: i64) -> i64 {
        let wanted = milliseconds.saturating_mul(self.scale) / 1000;
        let at = match self.last {
            None => wanted.max(0),
            Some((_, end)) if (wanted - end).abs() <= self.slack => end,
            Some((last, _)) => wanted.max(last + 1),
        };
        self.last = Some((at, at + length.max(1)));
        at
    }
}

#[cfg(test)]
mod tests;
