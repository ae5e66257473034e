//! One track's frames along time: how much footage they are, whatever their timestamps do.
//!
//! Timestamps start anywhere, wrap at 2³², restart, jump over holes and stand still. So footage is the sum of the steps
//! from frame to frame, and a step that is a jump counts as one usual step rather than as its size: a hole is then
//! missing from the sum, and a restart adds nothing.

use super::report::Jumps;

/// How much longer than usual a step must be to be a jump, in milliseconds. Ordinary jitter, and a frame or two lost at
/// any rate from 5 a second up, stay below it.
const BEYOND_USUAL: i64 = 500;
/// A step longer than this is a jump even where nothing else is known, in milliseconds: the slowest rate that recorders
/// offer is a frame in 16 s **\[unknown\]**.
const LONGEST_STEP: i64 = 20_000;
/// How many steps tell what is usual. Enough for a majority to outvote a few holes, few enough to follow a camera that
/// changes its rate.
const RECENT: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeline {
    pub frames: u64,
    pub first: i64,
    pub last: i64,
    pub backward: Jumps,
    pub forward: Jumps,
    /// The last frame's timestamp as it was sent.
    raw: u32,
    /// The latest steps that may be usual, oldest overwritten first.
    recent: [u16; RECENT],
    /// Steps ever written to `recent`.
    steps: u64,
    /// The median of `recent`, the lower one of two.
    usual: i64,
    /// The upper one of two: where long and short steps alternate, the long ones are usual too.
    upper: i64,
    /// The last step that was no jump.
    previous: i64,
    /// A step that is longer than usual, until the next one tells whether it is a jump or a slower rate.
    held: Option<i64>,
    /// Milliseconds of all steps that are decided.
    footage: i64,
    /// Milliseconds of all steps, each taken to be a usual one.
    counted: i64,
    /// Jumps that came before anything was usual; they count as usual steps once it is known what those are.
    early_jumps: i64,
    /// The same of all steps.
    early_steps: i64,
}

impl Timeline {
    /// The next frame, by its 32-bit timestamp in milliseconds.
    pub fn frame(&mut self, raw: u32) {
        if self.frames == 0 {
            self.first = i64::from(raw);
            self.last = self.first;
        } else {
            // OK to read the difference as signed: it is the one within 2³¹ ms, 24 days.
            let step = i64::from(raw.wrapping_sub(self.raw).cast_signed());
            self.last += step;
            self.step(step);
            self.counted += self.usual;
            self.early_steps += i64::from(self.steps == 0);
        }
        self.raw = raw;
        self.frames += 1;
    }

    fn step(&mut self, step: i64) {
        if step < -BEYOND_USUAL {
            self.decide_held(0);
            self.backward.add(-step);
            self.count_as_usual();
        } else if step <= 0 {
            // Frames out of order, or several with one timestamp: what one step takes the next one gives back.
            self.footage += step;
        } else {
            self.forward_step(step);
        }
    }

    fn forward_step(&mut self, step: i64) {
        let usual_before = self.upper.max(self.previous);
        self.remember(step);
        self.decide_held(step);
        if step > LONGEST_STEP {
            self.jump(step);
        } else if step > self.previous.max(usual_before) + BEYOND_USUAL || self.frames == 1 {
            self.held = Some(step);
        } else {
            self.accept(step);
        }
    }

    /// A long step whose next one is as long is a slower rate; any other is a jump.
    fn decide_held(&mut self, next: i64) {
        match self.held.take() {
            Some(held) if next + BEYOND_USUAL >= held => self.accept(held),
            Some(held) => self.jump(held),
            None => {}
        }
    }

    fn accept(&mut self, step: i64) {
        self.footage += step;
        self.previous = step;
    }

    fn jump(&mut self, step: i64) {
        self.forward.add(step);
        self.count_as_usual();
    }

    fn count_as_usual(&mut self) {
        self.footage += self.usual;
        self.early_jumps += i64::from(self.steps == 0);
    }

    fn remember(&mut self, step: i64) {
        // OK: `LONGEST_STEP` fits; what is longer is never usual.
        let Some(step) = u16::try_from(step).ok().filter(|&step| i64::from(step) <= LONGEST_STEP) else { return };
        // OK: less than `RECENT`.
        let at = (self.steps % RECENT as u64) as usize;
        let unchanged = self.steps >= RECENT as u64 && self.recent[at] == step;
        self.recent[at] = step;
        self.steps += 1;
        if unchanged {
            return;
        }
        let mut sorted = self.recent;
        let known = usize::try_from(self.steps).map_or(RECENT, |steps| steps.min(RECENT));
        let sorted = &mut sorted[..known];
        sorted.sort_unstable();
        self.usual = i64::from(sorted[(known - 1) / 2]);
        self.upper = i64::from(sorted[known / 2]);
    }

    /// The timeline as it is when no frame follows: what was held is decided. A single step is all that is known, so it
    /// is the usual one.
    pub fn ended(mut self) -> Self {
        self.decide_held(if self.frames == 2 { LONGEST_STEP } else { 0 });
        self
    }

    /// Milliseconds from one frame to the next, usually, of late.
    pub fn usual(&self) -> i64 {
        self.usual
    }

    /// Milliseconds of footage, the last frame shown for as long as a usual one.
    pub fn footage(&self) -> i64 {
        (self.footage + self.usual * (self.early_jumps + 1)).max(0)
    }

    /// Frames times their usual interval, as it was around each of them.
    pub fn counted(&self) -> i64 {
        if self.frames == 0 { 0 } else { self.counted + self.usual * (self.early_steps + 1) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_steps(start: u32, steps: impl IntoIterator<Item = i64>) -> Timeline {
        let mut timeline = Timeline::default();
        let mut now = start;
        timeline.frame(now);
        for step in steps {
            // OK: the timestamps of a file wrap, and so do those of a test.
            now = now.wrapping_add(step as u32);
            timeline.frame(now);
        }
        timeline.ended()
    }

    fn footage(steps: impl IntoIterator<Item = i64>) -> i64 {
        of_steps(0, steps).footage()
    }

    fn repeat(step: i64, count: usize) -> impl Iterator<Item = i64> + Clone {
        std::iter::repeat_n(step, count)
    }

    #[test]
    fn a_steady_rate_from_any_start_is_its_frames_times_its_interval() {
        for start in [0, 86_400_000, u32::MAX - 300_000] {
            let timeline = of_steps(start, repeat(1000, 599));
            assert_eq!((timeline.footage(), timeline.counted()), (600_000, 600_000), "from {start}");
            assert_eq!(timeline.last - timeline.first, 599_000, "from {start}");
            assert_eq!((timeline.forward.count, timeline.backward.count), (0, 0), "from {start}");
        }
    }

    #[test]
    fn a_hole_is_not_footage_wherever_it_is() {
        for at in [0, 1, 2, 3, 300, 598, 599] {
            for hole in [1600, 10_000, 300_000] {
                let steps = repeat(1000, at).chain([hole]).chain(repeat(1000, 599 - at));
                let timeline = of_steps(7, steps);
                assert_eq!(timeline.footage(), 601_000, "{hole} ms after {at} steps");
                // A shorter one that comes first is taken for the usual step, until the second step.
                if at > 0 || hole > LONGEST_STEP {
                    assert_eq!(timeline.counted(), 601_000, "{hole} ms after {at} steps");
                }
                assert_eq!((timeline.forward.count, timeline.forward.largest), (1, hole), "after {at} steps");
            }
        }
    }

    #[test]
    fn a_restart_adds_one_interval() {
        let timeline = of_steps(0, repeat(1000, 299).chain([-299_000]).chain(repeat(1000, 299)));
        assert_eq!(timeline.footage(), 600_000);
        assert_eq!((timeline.backward.count, timeline.backward.total), (1, 299_000));
    }

    #[test]
    fn a_changing_rate_is_footage_in_full() {
        let day_and_night = repeat(40, 2500).chain(repeat(1000, 100)).chain(repeat(40, 2500)).chain(repeat(4000, 25));
        let timeline = of_steps(0, day_and_night.clone());
        assert_eq!(timeline.footage(), day_and_night.sum::<i64>() + 4000);
        assert_eq!(timeline.forward.count, 0);
    }

    #[test]
    fn frames_out_of_order_and_frames_with_one_timestamp_change_nothing() {
        assert_eq!(footage([40, 40, -20, 100, 40, 40]), 280);
        assert_eq!(footage(std::iter::repeat_n([0, 0, 0, 1000], 599).flatten()), 600_000);
    }

    #[test]
    fn long_and_short_steps_in_turn_are_soon_usual() {
        let steps = std::iter::repeat_n([40, 960], 600).flatten();
        let footage = footage(steps);
        assert!((595_000..=601_000).contains(&footage), "{footage}");
    }

    #[test]
    fn two_frames_far_apart_are_two_frames() {
        assert_eq!(footage([1000]), 2000);
        assert_eq!(footage([300_000]), 0);
        assert_eq!(footage([]), 0);
    }

    #[test]
    fn dropped_frames_show_in_the_count_and_not_in_the_footage() {
        let steps = std::iter::repeat_n([40, 40, 80], 1000).flatten();
        let timeline = of_steps(0, steps);
        assert_eq!(timeline.footage(), 160_040);
        assert_eq!(timeline.counted(), 120_040);
    }

    proptest! {
        #[test]
        fn footage_is_never_more_than_what_passed_forward(
            start: u32,
            steps in proptest::collection::vec(prop_oneof![-400_000..400_000_i64, 20..60_i64, 900..1100_i64], 0..200),
        ) {
            let timeline = of_steps(start, steps.iter().copied());
            let forward: i64 = steps.iter().filter(|&&step| step > 0).sum();
            // A restart and the last frame count as a usual interval each.
            let added = (steps.iter().filter(|&&step| step <= 0).count() as i64 + 1) * LONGEST_STEP;
            prop_assert!(timeline.footage() <= forward + added);
            prop_assert_eq!(timeline.last - timeline.first, steps.iter().sum::<i64>());
        }

        #[test]
        fn jitter_below_the_threshold_changes_nothing(
            start: u32,
            interval in 20..2000_i64,
            jitter in proptest::collection::vec(-9..=9_i64, 2..300),
        ) {
            let steps: Vec<_> = jitter.iter().map(|jitter| interval + jitter).collect();
            let timeline = of_steps(start, steps.iter().copied());
            prop_assert_eq!(timeline.forward.count, 0);
            let exact = steps.iter().sum::<i64>() + interval;
            prop_assert!((timeline.footage() - exact).abs() <= 9);
        }
    }
}
