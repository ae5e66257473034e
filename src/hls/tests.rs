//! Playlists as servers write them, as they should not, and noise.

use proptest::prelude::*;

use super::*;

fn base() -> Url {
    Url::parse("http://media.example:5581/hls/x/index.m3u8?token=1").expect("a URL")
}

/// A playlist of segments of 4 s from `first` on, one for each line, which may bring tags of its own.
fn playlist(first: u64, lines: &[&str]) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for line in lines {
        let (tags, uri) = line.rsplit_once('\n').unwrap_or(("", line));
        text.push_str(&format!("{tags}\n#EXTINF:4.000,\n{uri}\n"));
    }
    text
}

/// The same with the segments' numbers as their names.
fn numbered(range: std::ops::Range<u64>) -> String {
    let names: Vec<_> = range.clone().map(|number| format!("{number}.ts")).collect();
    playlist(range.start, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

#[track_caller]
fn take(follower: &mut Follower, text: &str) -> Polled {
    follower.take(text.as_bytes(), &base()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn seams(polled: &Polled) -> Vec<(u64, Seam)> {
    polled.segments.iter().map(|segment| (segment.sequence, segment.seam)).collect()
}

fn refusal(text: &str) -> PlaylistError {
    Follower::new().take(text.as_bytes(), &base()).expect_err(text)
}

#[test]
fn everything_is_new_at_first_and_then_what_was_added() {
    let mut follower = Follower::new();
    let polled = take(&mut follower, &numbered(3..6));
    assert_eq!(seams(&polled), [(3, Seam::First), (4, Seam::None), (5, Seam::None)]);
    assert_eq!(polled.segments[0].url.as_str(), "http://media.example:5581/hls/x/3.ts");
    assert_eq!((polled.segments[0].milliseconds, polled.segments[0].map.clone()), (4000, None));
    assert_eq!((polled.next_poll, polled.ended), (Duration::from_secs(4), false));

    let polled = take(&mut follower, &numbered(3..6));
    assert_eq!((polled.segments, polled.next_poll), (vec![], Duration::from_secs(2)));

    let polled = take(&mut follower, &(numbered(5..8) + "#EXT-X-ENDLIST"));
    assert_eq!((seams(&polled), polled.ended), (vec![(6, Seam::None), (7, Seam::None)], true));
}

#[test]
fn segments_that_were_never_seen_are_counted() {
    let mut follower = Follower::new();
    take(&mut follower, &numbered(0..3));
    let polled = take(&mut follower, &numbered(10..12));
    assert_eq!(seams(&polled), [(10, Seam::Skipped { segments: 7 }), (11, Seam::None)]);
}

#[test]
fn numbers_that_go_back_are_a_restart_and_everything_is_new() {
    let mut follower = Follower::new();
    take(&mut follower, &numbered(100..105));
    // No segment yet: nothing can be said.
    assert_eq!(take(&mut follower, &numbered(0..0)).segments, []);
    let polled = take(&mut follower, &numbered(0..2));
    assert_eq!(seams(&polled), [(0, Seam::Restarted), (1, Seam::None)]);
    assert_eq!(seams(&take(&mut follower, &numbered(0..3))), [(2, Seam::None)]);

    // So soon after the last start that the numbers meet, under other names.
    let other = playlist(0, &["b-0.ts", "b-1.ts"]);
    assert_eq!(seams(&take(&mut follower, &other)), [(0, Seam::Restarted), (1, Seam::None)]);
    // So late after it that the numbers are ahead again.
    let mut follower = Follower::new();
    take(&mut follower, &numbered(5..8));
    assert_eq!(seams(&take(&mut follower, &numbered(0..9)))[0], (0, Seam::Restarted));
}

#[test]
fn an_older_playlist_out_of_a_cache_brings_nothing() {
    let mut follower = Follower::new();
    take(&mut follower, &numbered(100..105));
    let older = numbered(99..103).replace(".ts", ".ts?signature=2");
    assert_eq!(take(&mut follower, &older).segments, []);
    assert_eq!(seams(&take(&mut follower, &numbered(101..106))), [(105, Seam::None)]);
}

#[test]
fn a_map_is_that_of_all_segments_behind_it() {
    let mut follower = Follower::new();
    let text = playlist(
        0,
        &[
            "#EXT-X-MAP:URI=\"a.mp4\"\n0.m4s",
            "1.m4s",
            "#EXT-X-MAP:URI=\"/b.mp4\"\n2.m4s",
            "#EXT-X-DISCONTINUITY\n3.m4s",
        ],
    );
    let polled = take(&mut follower, &text);
    let maps: Vec<_> =
        polled.segments.iter().map(|segment| segment.map.as_ref().expect("each has one").path()).collect();
    assert_eq!(maps, ["/hls/x/a.mp4", "/hls/x/a.mp4", "/b.mp4", "/b.mp4"]);
    assert_eq!(seams(&polled), [(0, Seam::First), (1, Seam::None), (2, Seam::Map), (3, Seam::Discontinuity)]);

    // The next playlist begins with its map again; whether it is another one is seen from the segment before.
    let same = playlist(3, &["#EXT-X-MAP:URI=\"/b.mp4\"\n3.m4s", "4.m4s"]);
    assert_eq!(seams(&take(&mut follower, &same)), [(4, Seam::None)]);
    let other = playlist(5, &["#EXT-X-MAP:URI=\"a.mp4\"\n5.m4s"]);
    assert_eq!(seams(&take(&mut follower, &other)), [(5, Seam::Map)]);
}

#[test]
fn titles_comments_and_unknown_tags_are_no_segments() {
    let text = "#EXTM3U\r\n#EXT-X-TARGETDURATION:2\r\n#EXT-X-INDEPENDENT-SEGMENTS\r\n# made, by = \"us\r\n\
                #EXT-X-PROGRAM-DATE-TIME:yesterday\r\n#EXTINF:2.002,Front door, \u{95e8}, left\r\n0.ts\r\n\
                #EXT-X-PART:DURATION=1,URI=\"part\r\n#EXTINF:1.9\r\nhttps://other.example/1.ts\r\n";
    let polled = take(&mut Follower::new(), text);
    let found: Vec<_> = polled.segments.iter().map(|segment| (segment.url.as_str(), segment.milliseconds)).collect();
    assert_eq!(found, [("http://media.example:5581/hls/x/0.ts", 2002), ("https://other.example/1.ts", 1900)]);
}

#[test]
fn of_variants_the_one_with_the_highest_bandwidth_is_taken_and_the_first_of_equals() {
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"b\"\n\
                  #EXT-X-STREAM-INF:BANDWIDTH=100,CODECS=\"a,b\"\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=900\nhigh/index.m3u8\n\
                  #EXT-X-STREAM-INF:BANDWIDTH=900\nother.m3u8\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9000,URI=\"i.m3u8\"\n";
    let expected = Url::parse("http://media.example:5581/hls/x/high/index.m3u8").expect("a URL");
    assert_eq!(Playlist::read(master.as_bytes(), &base()), Ok(Playlist::Variant(expected)));
    assert_eq!(refusal(master), PlaylistError::Nested);
    assert_eq!(refusal("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n"), PlaylistError::NoVariant);
    assert!(matches!(refusal("#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"a\"\nx\n"), PlaylistError::Unreadable(_)));
}

#[test]
fn what_cannot_be_recorded_is_refused() {
    let with = |tags: &str| playlist(0, &["0.ts", &format!("{tags}\n1.ts"), "2.ts"]);
    let method = Untrusted::new("AES-128");
    assert_eq!(refusal(&with("#EXT-X-KEY:METHOD=AES-128,URI=\"key\"")), PlaylistError::Encrypted { method });
    take(&mut Follower::new(), &with("#EXT-X-KEY:METHOD=NONE"));
    assert_eq!(refusal(&with("#EXT-X-BYTERANGE:100@0")), PlaylistError::ByteRange);
    assert_eq!(refusal(&with("#EXT-X-MAP:URI=\"a\",BYTERANGE=\"100@0\"")), PlaylistError::ByteRange);
    assert_eq!(refusal(&with("#EXT-X-I-FRAMES-ONLY")), PlaylistError::KeyframesOnly);
    for unreadable in ["#EXT-X-KEY:URI=\"key\"", "#EXT-X-KEY:METHOD", "#EXT-X-MAP:URI=\"a", "#EXT-X-MAP:URI=a"] {
        assert!(matches!(refusal(&with(unreadable)), PlaylistError::Unreadable(_)), "{unreadable}");
    }
    for uri in ["file:///etc/passwd", "data:,x", "rtsp://host/x", "http://", "javascript:1", "ftp://host/1.ts"] {
        assert_eq!(refusal(&playlist(0, &[uri])), PlaylistError::NotHttp { uri: Untrusted::new(uri) });
        let map = format!("#EXT-X-MAP:URI=\"{uri}\"\n0.ts");
        assert_eq!(refusal(&playlist(0, &[&map])), PlaylistError::NotHttp { uri: Untrusted::new(uri) });
    }
    for body in ["", "<html>", "{\"code\":1}", "#EXT", " #EXTM3U\n"] {
        assert_eq!(refusal(body), PlaylistError::NotPlaylist(Untrusted::new(body)), "{body}");
    }
}

#[test]
fn absurd_numbers_are_refused_or_bounded() {
    let with = |duration: &str| playlist(0, &["0.ts"]).replace("4.000", duration);
    let digits = "9".repeat(400);
    for duration in ["0", "-1", "inf", "NaN", "60.01", "3155760000", "1e3", "", &digits] {
        let uri = Untrusted::new("0.ts");
        assert_eq!(refusal(&with(duration)), PlaylistError::Duration { uri }, "{duration}");
    }
    assert_eq!(refusal("#EXTM3U\n0.ts\n"), PlaylistError::Duration { uri: Untrusted::new("0.ts") });
    assert_eq!(take(&mut Follower::new(), &with("60")).segments[0].milliseconds, 60_000);
    assert_eq!(take(&mut Follower::new(), &with("0.0001")).segments[0].milliseconds, 1);

    let poll = |target: &str| {
        let text = playlist(0, &["0.ts"]).replace("TARGETDURATION:4", &format!("TARGETDURATION:{target}"));
        take(&mut Follower::new(), &text).next_poll
    };
    assert_eq!(poll(&u64::MAX.to_string()), LONGEST_POLL);
    assert_eq!(poll("0"), Duration::from_secs(4), "that of the segments instead");
    let empty = "#EXTM3U\n#EXT-X-TARGETDURATION:0\n";
    assert_eq!(take(&mut Follower::new(), empty).next_poll, SHORTEST_POLL);

    assert_eq!(refusal(&playlist(u64::MAX, &["0.ts"])), PlaylistError::Numbers);
    let last = take(&mut Follower::new(), &playlist(u64::MAX - 1, &["0.ts"]));
    assert_eq!(seams(&last), [(u64::MAX - 1, Seam::First)]);
    let beyond = playlist(0, &["0.ts"]).replace("SEQUENCE:0", &format!("SEQUENCE:{digits}"));
    assert!(matches!(refusal(&beyond), PlaylistError::Unreadable(_)));
    let many = format!("#EXTM3U\n{}", "#EXTINF:1,\na\n".repeat(70_000));
    assert_eq!(refusal(&many), PlaylistError::TooLong);
}

#[test]
fn of_a_playlist_that_goes_far_back_the_end_is_kept_and_followed() {
    let mut follower = Follower::new();
    let begun = take(&mut follower, &numbered(0..2_000));
    let first = begun.segments[0].sequence;
    assert!((1_000..1_900).contains(&first), "{first}");
    let expected: Vec<_> =
        (first..2_000).map(|number| (number, if number == first { Seam::First } else { Seam::None })).collect();
    assert_eq!(seams(&begun), expected);
    assert_eq!(begun.segments[0].url.path(), format!("/hls/x/{first}.ts"));
    // From other addresses, of which fewer or more are kept.
    for (more, from) in [("?token=1234567890", 2_000), ("", 2_002), ("?token=1234567890", 2_004)] {
        let next = take(&mut follower, &numbered(1..from + 2).replace(".ts", &format!(".ts{more}")));
        assert_eq!(seams(&next), [(from, Seam::None), (from + 1, Seam::None)]);
    }
    // What was not kept was never there.
    let leapt = take(&mut follower, &numbered(1_800..4_006));
    let Seam::Skipped { segments } = leapt.segments[0].seam else { panic!("{:?}", leapt.segments[0]) };
    assert_eq!(leapt.segments[0].sequence, 2_006 + segments);
    assert_eq!(leapt.segments.last().map(|segment| segment.sequence), Some(4_005));
    // However long the addresses are, there is the last one.
    let long = "a".repeat(4_000);
    let names: Vec<_> = (0..60).map(|number| format!("{long}/{number}.ts")).collect();
    let long = take(&mut Follower::new(), &playlist(0, &names.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!((1..40).contains(&long.segments.len()) && long.segments.last().is_some_and(|last| last.sequence == 59));
}

#[test]
fn an_error_changes_nothing() {
    let mut follower = Follower::new();
    take(&mut follower, &numbered(0..3));
    follower.take(b"<html>", &base()).expect_err("no playlist");
    assert_eq!(seams(&take(&mut follower, &numbered(1..4))), [(3, Seam::None)]);
}

/// Words that playlists are made of, so that noise gets further than its first line.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "#EXTM3U",
        "\n",
        "\r\n",
        "#EXTINF:",
        "4.0",
        ",",
        "a.ts",
        "#EXT-X-MEDIA-SEQUENCE:",
        "18446744073709551615",
        "7",
        "#EXT-X-MAP:URI=\"",
        "\"",
        "=",
        "#EXT-X-KEY:METHOD=",
        "NONE",
        "AES-128",
        "#EXT-X-STREAM-INF:BANDWIDTH=",
        "-1",
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-BYTERANGE:",
        "#EXT-X-TARGETDURATION:",
        "http://",
        "\u{95e8}",
        ":",
        " ",
        "#",
        "@",
    ]);
    let piece = prop_oneof![
        8 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_survived(first in noise(), second in noise(), headed: bool) {
        let mut follower = Follower::new();
        for body in [first, second] {
            let body = if headed { [&b"#EXTM3U\n"[..], &body].concat() } else { body };
            let Ok(polled) = follower.take(&body, &base()) else { continue };
            prop_assert!(polled.next_poll >= SHORTEST_POLL && polled.next_poll <= LONGEST_POLL);
            for segment in polled.segments {
                prop_assert!((1..=60_000).contains(&segment.milliseconds));
                prop_assert!(matches!(segment.url.scheme(), "http" | "https"));
            }
        }
    }

    #[test]
    fn every_segment_is_given_once_or_counted_as_skipped(
        start in 0..1000_u64,
        listed in 2..8_u64,
        polls in prop::collection::vec((0..20_u64, any::<bool>()), 1..60),
    ) {
        let mut follower = Follower::new();
        let mut end = start + 1;
        let mut expected = None;
        for (added, from_cache) in polls {
            end += added;
            // A cache may answer with the playlist as it was one segment ago.
            let shown = if from_cache && end > start + 1 { end - 1 } else { end };
            let polled = take(&mut follower, &numbered(shown.saturating_sub(listed).max(start)..shown));
            for segment in polled.segments {
                match (segment.seam, expected) {
                    (Seam::First, None) => {}
                    (Seam::None, Some(next)) => prop_assert_eq!(segment.sequence, next),
                    (Seam::Skipped { segments }, Some(next)) => prop_assert_eq!(segment.sequence, next + segments),
                    (seam, _) => prop_assert!(false, "{:?}", seam),
                }
                prop_assert_eq!(segment.url.path(), format!("/hls/x/{}.ts", segment.sequence));
                expected = Some(segment.sequence + 1);
            }
            prop_assert!(expected.is_some_and(|next| next >= shown), "{expected:?} {shown}");
        }
    }
}
