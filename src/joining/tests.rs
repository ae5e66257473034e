//! Timestamps as cameras send them, and files as recorders cut them.

use proptest::prelude::*;

use super::*;

const VIDEO: TrackKind = TrackKind::Video;
const AUDIO: TrackKind = TrackKind::Audio;

/// Times of pictures with these timestamps in a file of ten minutes.
fn times(raw: &[u32]) -> Vec<i64> {
    let mut clock = SourceClock::new(600_000);
    raw.iter().map(|&raw| clock.time(VIDEO, raw)).collect()
}

/// A file of ten minutes that has so many milliseconds of pictures, a keyframe every two seconds, each with its own bytes,
/// which begin with number `first`.
fn survey(starts: i64, milliseconds: i64, first: u64, asked: (i64, i64)) -> Survey {
    let mut survey = Survey::new(starts, asked.0, asked.1);
    for time in (0..milliseconds).step_by(200) {
        if time % 2000 == 0 {
            survey.keyframe(time, first + time.unsigned_abs() / 2000);
        }
        survey.frame(VIDEO, time, 200);
    }
    survey
}

#[test]
fn a_files_time_begins_with_its_first_frame_whatever_the_camera_counts_from() {
    assert_eq!(times(&[86_400_000, 86_400_040, 86_400_080]), [0, 40, 80]);
    assert_eq!(times(&[u32::MAX - 39, 0, 40]), [0, 40, 80]);
}

#[test]
fn a_restart_and_a_leap_to_nowhere_go_on_and_a_hole_stays_a_hole() {
    assert_eq!(times(&[0, 700, 1400, 0, 700]), [0, 700, 1400, 2100, 2800]);
    assert_eq!(times(&[300_000, 300_040, 0, 40]), [0, 40, 80, 120]);
    assert_eq!(times(&[0, 86_400_000, 86_400_040]), [0, 40, 80]);
    assert_eq!(times(&[0, 40, 300_000, 300_040]), [0, 40, 300_000, 300_040]);
}

#[test]
fn sound_keeps_its_distance_from_the_pictures() {
    let mut clock = SourceClock::new(600_000);
    assert_eq!(clock.time(VIDEO, 5000), 0);
    assert_eq!(clock.time(AUDIO, 4990), -10);
    assert_eq!(clock.time(AUDIO, 5054), 54);
    // Counted from something else.
    let mut clock = SourceClock::new(600_000);
    assert_eq!((clock.time(VIDEO, 5_000_000), clock.time(AUDIO, 7), clock.time(AUDIO, 71)), (0, 0, 64));
}

#[test]
fn a_film_begins_with_the_last_keyframe_before_what_was_asked_and_ends_with_it() {
    let asked = (1_005_500, 1_100_000);
    let plan = plan(asked.0, asked.1, &[survey(1_000_000, 600_000, 0, asked)]);
    let place = plan.places[0].expect("it has footage");
    assert_eq!((plan.zero, plan.length), (1_004_000, 96_000));
    assert_eq!((place.begins, place.until, place.offset, place.late), (4000, 100_000, -4000, 0));
    assert_eq!(place.ends, 96_000);
}

#[test]
fn the_clock_runs_on_over_gaps() {
    let asked = (0, 3_600_000);
    let files = [survey(600_000, 600_000, 0, asked), survey(2_400_000, 595_000, 1000, asked)];
    let plan = plan(asked.0, asked.1, &files);
    let places: Vec<_> = plan.places.iter().flatten().map(|place| (place.offset, place.ends, place.late)).collect();
    assert_eq!((plan.zero, plan.length), (0, 3_600_000));
    assert_eq!(places, [(600_000, 1_200_000, 0), (2_400_000, 2_995_000, 0)]);
}

#[test]
fn what_a_file_has_beyond_its_range_moves_the_next_one_until_there_is_room() {
    let asked = (0, 2_400_000);
    let files =
        [survey(0, 603_000, 0, asked), survey(600_000, 600_000, 1000, asked), survey(1_800_000, 600_000, 2000, asked)];
    let late: Vec<_> = plan(asked.0, asked.1, &files).places.iter().flatten().map(|place| place.late).collect();
    assert_eq!(late, [0, 3000, 0]);
}

#[test]
fn what_two_files_have_is_shown_once() {
    let asked = (0, 1_200_000);
    // The second one begins with what the first one has from its 598th second on.
    let files = [survey(0, 604_000, 0, asked), survey(600_000, 600_000, 299, asked)];
    let plan = plan(asked.0, asked.1, &files);
    let places: Vec<_> = plan.places.iter().flatten().copied().collect();
    assert_eq!((places[0].until, places[0].again, places[0].ends), (598_000, 6000, 598_000));
    assert_eq!((places[1].offset, places[1].late), (598_000, -2000));
}

#[test]
fn a_file_without_anything_that_is_wanted_has_no_place() {
    let asked = (0, 600_000);
    let files = [Survey::new(0, asked.0, asked.1), survey(300_000, 300_000, 0, asked)];
    let plan = plan(asked.0, asked.1, &files);
    assert_eq!((plan.places[0], plan.places[1].map(|place| place.offset)), (None, Some(300_000)));
    assert_eq!((plan.zero, plan.length), (0, 600_000));
}

#[test]
fn sound_begins_where_it_was_asked_for_and_not_with_the_first_keyframe() {
    let file = |starts: i64, asked: (i64, i64)| {
        let mut survey = Survey::new(starts, asked.0, asked.1);
        survey.frame(AUDIO, 0, 64);
        survey.keyframe(8000, 1);
        survey.frame(VIDEO, 8000, 40);
        survey
    };
    let begins = |asked: (i64, i64), files: &[Survey]| {
        let places = plan(asked.0, asked.1, files).places;
        places.into_iter().flatten().map(|place| (place.begins, place.sound_begins)).collect::<Vec<_>>()
    };
    let asked = (3000, 20_000);
    assert_eq!(begins(asked, &[file(0, asked)]), [(8000, 3000)]);
    let asked = (9000, 20_000);
    assert_eq!(begins(asked, &[file(0, asked)]), [(8000, 8000)]);
    // The file before shows for two seconds more.
    let asked = (0, 700_000);
    assert_eq!(begins(asked, &[survey(0, 602_000, 5, asked), file(600_000, asked)]), [(0, 0), (8000, 2000)]);
}

#[test]
fn sound_alone_begins_where_it_was_asked_for() {
    let mut survey = Survey::new(0, 1000, 5000);
    (0..100).for_each(|n| survey.frame(AUDIO, n * 64, 64));
    assert_eq!(survey.begins(), Some(1024));
}

#[test]
fn packets_of_sound_stand_one_behind_the_other_and_their_gaps_stay() {
    let mut ticks = Ticks::new(16_000, AUDIO);
    let placed: Vec<_> = [0, 63, 130, 192, 5000, 5064].map(|time| ticks.place(time, 1024)).to_vec();
    assert_eq!(placed, [0, 1024, 2048, 3072, 80_000, 81_024]);
}

proptest! {
    #[test]
    fn no_frame_comes_before_the_one_before_it(
        scale in prop_oneof![Just(1000_u32), Just(8000), Just(48_000)],
        is_sound: bool,
        length in 0..5000_i64,
        raw in prop::collection::vec(prop_oneof![any::<u32>(), 0..2000_u32], 1..200),
    ) {
        let track = if is_sound { AUDIO } else { VIDEO };
        let (mut clock, mut ticks) = (SourceClock::new(600_000), Ticks::new(scale, track));
        let placed: Vec<i64> = raw.iter().map(|&raw| ticks.place(clock.time(track, raw), length)).collect();
        prop_assert!(placed.windows(2).all(|pair| pair[0] < pair[1]));
        let durations: i64 = placed.windows(2).map(|pair| pair[1] - pair[0]).sum();
        prop_assert_eq!(placed[0] + durations, placed[placed.len() - 1]);
    }

    #[test]
    fn files_never_overlap_and_no_footage_is_lost(
        lengths in prop::collection::vec((0..200_000_i64, 1..640_000_i64, 0..3_u64), 1..12),
        from in 0..400_000_i64,
    ) {
        let (mut starts, mut spans) = (0, Vec::new());
        for &(gap, milliseconds, keys) in &lengths {
            starts += gap;
            spans.push((starts, milliseconds, keys * 290));
            starts += 600_000;
        }
        let asked = (from, starts);
        let surveys: Vec<_> =
            spans.iter().map(|&(starts, milliseconds, keys)| survey(starts, milliseconds, keys, asked)).collect();
        let plan = plan(asked.0, asked.1, &surveys);
        let mut cursor = 0;
        for (place, survey) in plan.places.iter().zip(&surveys) {
            let Some(place) = place else {
                prop_assert!(survey.begins().is_none());
                continue;
            };
            prop_assert!(place.offset + place.begins >= cursor, "{place:?} before {cursor}");
            prop_assert!(place.ends >= place.offset + place.begins);
            // What is left out at the end is what comes again.
            prop_assert_eq!(place.offset + survey.ends.max(place.begins) - place.again, place.ends);
            cursor = place.ends;
        }
        prop_assert!(plan.length >= cursor && plan.zero <= from);
    }
}
