//! A platform that is broken, or means harm: each of its faults ends, costs little, harms nobody, and is said.

use std::time::Duration;

use archive::platform::guard::Guard;
use archive::platform::media::{MediaClient, Patience};

use crate::broken_server::{
    Act, FLV_HEADER, Fault, Observed, REFUSED, Server, WINDOW, gateway, head, observe, picture, recording, redirect,
    url,
};
use crate::support::{PATIENCE, until};

/// More memory than the program may take for one stream and one call, in MiB, whatever is sent: without optimization, and with
/// all that it does at its start.
const MOST_MEMORY: u64 = 96;

/// What a fault must come to: outcome or cause of the window, and what of it is said where.
struct Expected {
    /// The cause of the gap; nothing when the window is archived all the same.
    cause: Option<&'static str>,
    /// What the ledger says of the attempts, among other things.
    said: &'static [&'static str],
    /// The most calls of the gateway that it costs.
    calls: usize,
}

const fn gap(cause: &'static str, said: &'static [&'static str]) -> Expected {
    Expected { cause: Some(cause), said, calls: 2 }
}

/// Every fault, with what it must come to.
fn faults() -> Vec<(Fault, Expected)> {
    let slow = |head: &[u8]| vec![Act::Drip(head.to_vec(), Duration::from_millis(100))];
    let of_type = |kind: &str| head("200 OK", &[kind]);
    let flv = || of_type("content-type: video/x-flv");
    let forever = 1 << 20;
    let no_tag = |bytes: usize| {
        let size = u32::try_from(bytes).expect("24 bits").to_be_bytes();
        let mut tag = [&[9][..], &size[1..], &[0; 7]].concat();
        tag.resize(tag.len() + bytes, 0x17);
        tag
    };
    let lengthy = |claimed: usize| head("200 OK", &[&format!("content-length: {claimed}")]);
    let whole = recording(600);
    vec![
        // The gateway.
        (
            Fault::of_gateway("the gateway sends its headers slowly", slow(&[b'H'; 100])).soon_given_up(),
            gap("failed", &["cannot reach the platform", "timed out"]),
        ),
        (
            Fault::of_gateway("the gateway's body comes slowly", [vec![of_type("x: y")], slow(&[b' '; 100])].concat())
                .soon_given_up(),
            gap("failed", &["cannot reach the platform", "timed out"]),
        ),
        (
            Fault::of_gateway(
                "the gateway never ends its JSON",
                vec![of_type("x: y"), Act::Send(b"[0".into()), Act::Repeat(b",0".repeat(4096), forever)],
            ),
            gap("failed", &["more than 65536 bytes", "[0,0", "platform.url"]),
        ),
        (
            Fault::of_gateway(
                "the gateway sends 100 MB of JSON",
                vec![lengthy(100 << 20), Act::Repeat(vec![b'['; 1 << 20], 100)],
            ),
            gap("failed", &["more than 65536 bytes"]),
        ),
        (
            Fault::of_gateway("the gateway nests its JSON deeply", gateway(&"[".repeat(60_000))),
            gap("failed", &["no answer of the platform's but HTTP 200", "[[[["]),
        ),
        (
            Fault::of_gateway(
                "the gateway compresses its answer",
                vec![head("200 OK", &["content-encoding: gzip"]), Act::Send(GZIPPED.to_vec())],
            ),
            gap("failed", &["no answer of the platform's but HTTP 200"]),
        ),
        (
            Fault::of_gateway("the gateway sends on in a ring", redirect("http://{here}/m.api")),
            gap("failed", &["no answer of the platform's but HTTP 302"]),
        ),
        (
            Fault::of_gateway(
                "the gateway sends less than it announced",
                vec![lengthy(500), Act::Send(b"{\"stat\":".into())],
            ),
            gap("failed", &["cannot reach the platform"]),
        ),
        (
            Fault::of_gateway("the gateway speaks no HTTP", vec![Act::Send(b"\x16\x03\x01\x00\x02\x02\x28".into())]),
            gap("failed", &["cannot reach the platform"]),
        ),
        (
            Fault {
                at: "https://{here}/m.api",
                ..Fault::of_gateway("the gateway's TLS fails", vec![Act::Send(b"hello\r\n".into())])
            },
            Expected { calls: 0, ..gap("failed", &["cannot reach the platform"]) },
        ),
        (
            Fault {
                at: "http://nowhere.invalid/m.api",
                ..Fault::of_gateway("the gateway's name is not known", Vec::new())
            },
            Expected { calls: 0, ..gap("failed", &["cannot reach the platform", "dns"]) },
        ),
        (
            Fault::of_gateway(
                "the gateway's text moves the cursor",
                gateway("{\"stat\":{\"code\":-500,\"codename\":\"\\u001b[2J\\u202e\\u0007\"}}"),
            ),
            gap("failed", &["\\u{1b}[2J\\u{202e}\\u{7}"]),
        ),
        // Media.
        (
            Fault::of_media("the media server sends its headers slowly", slow(&[b'H'; 100])).soon_given_up(),
            gap("failed", &["sent nothing for 1 s"]),
        ),
        (
            Fault::of_media(
                "the media server never ends its headers",
                vec![
                    Act::Send(b"HTTP/1.1 200 OK\r\n".into()),
                    Act::Repeat(b"x: yyyyyyyyyyyyyyyy\r\n".repeat(100), forever),
                ],
            ),
            gap("failed", &["the connection to the media server failed"]),
        ),
        (
            Fault::of_media("the media server falls silent", vec![flv(), Act::Send(FLV_HEADER.into()), Act::Silence])
                .soon_given_up(),
            gap("cut short", &["sent nothing for 1 s"]),
        ),
        (
            Fault::of_media("the stream never becomes an FLV", vec![flv(), Act::Repeat(vec![b'x'; 1 << 16], forever)]),
            gap("failed", &["no FLV, but", "xxxx"]),
        ),
        (
            Fault::of_media(
                "the stream is an FLV's header and endless garbage",
                vec![flv(), Act::Send(FLV_HEADER.into()), Act::Repeat(vec![0xff; 1 << 16], forever)],
            ),
            gap("cut short", &["no camera sends that"]),
        ),
        (
            Fault::of_media(
                "the stream has tags of 16 MB",
                vec![flv(), Act::Send(FLV_HEADER.into()), Act::Repeat(no_tag((1 << 24) - 1), forever)],
            ),
            gap("cut short", &["no camera sends that"]),
        ),
        (
            Fault::of_media(
                "the stream is compressed",
                vec![head("200 OK", &["content-encoding: gzip"]), Act::Send(GZIPPED.to_vec())],
            ),
            gap("failed", &["no FLV, but", "\\u{1f}"]),
        ),
        (
            Fault::of_media(
                "the media server sends less than it announced",
                vec![lengthy(whole.len()), Act::Send(whole[..whole.len() / 40].to_vec())],
            ),
            gap("cut short", &["the connection to the media server failed"]),
        ),
        (
            // The rest is somebody else's answer, and is not waited for.
            Fault::of_media(
                "the media server sends more than it announced",
                vec![lengthy(whole.len()), Act::Send([&whole[..], b"HTTP/1.1 666"].concat())],
            ),
            Expected { cause: None, said: &[], calls: 1 },
        ),
        (
            Fault::of_url("the media server's TLS fails", "https://{here}/media/FLV_a.flv"),
            gap("failed", &["the connection to the media server failed"]),
        ),
        (
            Fault::of_url("the media server's name is not known", "http://nowhere.invalid/FLV_a.flv"),
            gap("failed", &["the connection to the media server failed", "dns"]),
        ),
        (
            Fault::of_media("the media server sends on in a ring", redirect("http://{here}/media/again")),
            gap("failed", &["sent the client on more than 5 times"]),
        ),
        (
            Fault::of_media("the media server sends on to a file", redirect("file:///etc/passwd")),
            gap("failed", &["HTTP 302"]),
        ),
        (
            Fault::of_media("the media server sends on to FTP", redirect("ftp://{here}/a.flv")),
            gap("failed", &["\"ftp\"", "neither http nor https"]),
        ),
        (
            Fault::of_media("the media server sends on to data", redirect("data:video/x-flv,FLV")),
            gap("failed", &["HTTP 302"]),
        ),
        (
            Fault::of_media(
                "the media server sends on to a cloud's metadata",
                redirect("http://169.254.169.254/latest/meta-data/"),
            ),
            gap("failed", &["\"169.254.169.254\" (169.254.169.254)", "never asked for media"]),
        ),
        (
            Fault::of_media("the media server sends on to nowhere", redirect("http://[::]:80/")),
            gap("failed", &["(::)", "never asked for media"]),
        ),
        (Fault::of_url("the URL is a file's", "file:///etc/passwd"), gap("failed", &["no http or https address"])),
        (Fault::of_url("the URL is an option's", "--output=/etc/passwd"), gap("failed", &["no http or https address"])),
        (
            Fault::of_url("the URL moves the cursor", "\u{1b}]0;title\u{7}\u{202e}"),
            gap("failed", &["\\u{1b}]0;title\\u{7}\\u{202e}"]),
        ),
        (
            Fault::of_url("the URL is a cloud's metadata", "http://169.254.169.254/latest/meta-data/"),
            gap("failed", &["link-local", "never asked for media"]),
        ),
        (
            Fault::of_url("the URL is a cloud's metadata in disguise", "http://[::ffff:a9fe:a9fe]/latest/meta-data/"),
            gap("failed", &["link-local", "never asked for media"]),
        ),
        (Fault::of_url("the URL is everybody's", "http://224.0.0.1/"), gap("failed", &["never asked for media"])),
        (Fault::of_url("the URL is nobody's", "http://0/"), gap("failed", &["(0.0.0.0)", "never asked for media"])),
        (
            // The gateway is behind a proxy, so nobody knows that it is on this machine.
            Fault {
                at: "http://gateway.example/m.api",
                environment: vec![("HTTP_PROXY", "http://{here}")],
                ..Fault::of_url("the URL is this machine's, and the gateway is not", "http://127.0.0.1:22/")
            },
            gap("failed", &["\"127.0.0.1\" (127.0.0.1)", "address of this machine", "media_hosts"]),
        ),
        (
            Fault {
                at: "http://gateway.example/m.api",
                environment: vec![("HTTP_PROXY", "http://{here}")],
                ..Fault::of_url("the URL is a neighbour's, and the gateway is not", "http://192.168.1.1/")
            },
            gap("failed", &["\"192.168.1.1\" (192.168.1.1)", "private network", "media_hosts"]),
        ),
        (
            Fault {
                at: "http://gateway.example/m.api",
                environment: vec![("HTTP_PROXY", "http://{here}")],
                settings: "media_hosts = [\"192.168.1.0/24\"]",
                ..Fault::of_url("the URL is a neighbour's, and the settings name it", "http://192.168.1.1/")
            },
            Expected { cause: None, said: &[], calls: 1 },
        ),
    ]
}

/// `printf FLV | gzip -n9`
const GZIPPED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\x73\xf3\x09\x03\0\xa8\xdc\x92\x55\x03\0\0\0";

fn assert_sound(name: &str, seen: &Observed, expected: &Expected) {
    let told = format!("{name}: {seen:#?}");
    let exit = if expected.cause.is_some() { 3 } else { 0 };
    assert_eq!(seen.exit, exit, "{told}");
    let causes: Vec<_> = seen.gaps.iter().map(|(cause, seconds, _)| (cause.as_str(), *seconds)).collect();
    assert_eq!(causes, expected.cause.map(|cause| (cause, WINDOW)).into_iter().collect::<Vec<_>>(), "{told}");
    for said in expected.said {
        assert!(seen.details().contains(said), "the ledger does not say {said:?}; {told}");
    }
    assert!(seen.calls <= expected.calls, "{} calls; {told}", seen.calls);
    assert!(seen.memory <= MOST_MEMORY, "{} MiB; {told}", seen.memory);
    let all = seen.stdout.clone() + &seen.stderr + &seen.details();
    assert!(!all.contains("panicked"), "{told}");
    let is_bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!all.contains(is_bad), "{told}");
}

/// What comes of each fault, which must end soon, cost little, and be said: for the table of faults, whose test this is too.
pub async fn observe_all() -> Vec<(&'static str, Observed)> {
    // A few at a time: each of them waits for most of its time.
    use futures::StreamExt as _;
    let runs = faults().into_iter().enumerate().map(|(at, (fault, expected))| async move {
        let seen = observe(&fault).await;
        assert_sound(fault.name, &seen, &expected);
        (at, fault.name, seen)
    });
    let mut seen: Vec<_> = futures::stream::iter(runs).buffer_unordered(6).collect().await;
    seen.sort_by_key(|&(at, ..)| at);
    seen.into_iter().map(|(_, name, seen)| (name, seen)).collect()
}

/// Ten hours of footage for a window of ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_goes_on_past_its_window_is_ended_and_kept() {
    const PICTURE: usize = 2000;
    let footage: Vec<u8> = (0..36_000).flat_map(|second| picture(second * 1000, PICTURE)).collect();
    let endless = vec![head("200 OK", &[]), Act::Send(FLV_HEADER.into()), Act::Send(footage)];
    let seen = observe(&Fault::of_media("the stream goes on past its window", endless)).await;
    assert_eq!((seen.exit, seen.gaps.len(), seen.opened), (0, 0, 1), "{seen:#?}");
    let [(bytes, note)] = &seen.recordings[..] else { panic!("{seen:#?}") };
    // Its window and a minute, and what comes before it is looked at.
    assert!(*bytes < 660 * PICTURE as u64 + (4 << 20), "{bytes} bytes were kept");
    assert!(note.contains("more than its time"), "{note}");
}

/// A name in a URL is looked up, and what it leads to is what counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_this_machine_is_asked_where_the_gateway_is_here_too() {
    let by_name =
        |at| Fault { at, ..Fault::of_gateway("the URL has a name", url("http://localhost:{port}/FLV_a.flv")) };
    for at in ["http://{here}/m.api", "http://localhost:{port}/m.api"] {
        let seen = observe(&by_name(at)).await;
        assert_eq!((seen.exit, seen.opened), (0, 1), "{at}: {seen:#?}");
    }
}

#[test]
fn the_faults_have_names_of_their_own() {
    let mut names: Vec<_> = faults().into_iter().map(|(fault, _)| fault.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

/// What a playlist names is no more trusted than what the platform names.
#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_leads_to_no_address_that_is_not_asked_for_media() {
    let given = |name: &str, url: &str| {
        gateway(&serde_json::json!({ "stat": { "code": 0 }, "data": { name: url } }).to_string())
    };
    let of_live = |name, given, media| Fault { live: true, media, ..Fault::of_gateway(name, given) };
    let text = |text: &str| vec![head("200 OK", &[]), Act::Send(format!("#EXTM3U\n{text}\n").into_bytes())];
    let segment = |lines: &str| text(&format!("#EXT-X-TARGETDURATION:1\n{lines}\n#EXT-X-ENDLIST"));
    let hls = || given("hls", "http://{here}/index.m3u8");
    let faults = [
        of_live("a segment is a cloud's metadata", hls(), segment("#EXTINF:1,\nhttp://169.254.169.254/latest")),
        of_live(
            "an initialization is a cloud's metadata",
            hls(),
            segment("#EXT-X-MAP:URI=\"http://169.254.169.254/a\"\n#EXTINF:1,\nb.m4s"),
        ),
        of_live(
            "a variant is a cloud's metadata",
            hls(),
            text("#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://169.254.169.254/b.m3u8"),
        ),
        of_live("the playlist is sent on to a cloud's metadata", hls(), redirect("http://169.254.169.254/a.m3u8")),
        of_live("the live stream is a cloud's metadata", given("flv", "http://169.254.169.254/a.flv"), Vec::new()),
    ];
    let seen = futures::future::join_all(faults.iter().map(observe)).await;
    for (fault, seen) in faults.iter().zip(seen) {
        // It was told to end.
        assert_eq!(seen.exit, 5, "{}: {seen:#?}", fault.name);
        assert_eq!(seen.recordings, [], "{}", fault.name);
        assert!(seen.stderr.contains("169.254.169.254") && seen.stderr.contains(REFUSED), "{}: {seen:#?}", fault.name);
    }
}

/// What ends with its connection is handed on in small pieces, so whoever waits between them would be slower than the footage.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_length_is_not_taken_for_one_that_gathers() {
    let endless = vec![head("200 OK", &[]), Act::Send(recording(600))];
    let server = Server::start(&Fault::of_media("it ends with its connection", endless)).await;
    let url = format!("http://{}/FLV_a.flv", server.here);
    let patience = Patience { connect: PATIENCE, first_byte: PATIENCE, stall: PATIENCE };
    let media = MediaClient::new(patience, Guard::new(&url.parse().expect("a URL"), &[])).expect("a client");
    let stream = media.open(&url, 0).await.expect("it opens").expect("it has a beginning");
    assert!(!stream.gathers && !stream.is_file);
}

/// Each stream has a connection of its own, and leaves none behind, however many hosts there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_hosts_leave_no_connection_behind() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (open, served) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&open), Arc::clone(&served));
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (open, served) = (Arc::clone(&counts.0), Arc::clone(&counts.1));
            open.fetch_add(1, Ordering::SeqCst);
            served.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let mut request = [0; 4096];
                // It would be kept for another request.
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nFLV";
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    let patience = Patience { connect: PATIENCE, first_byte: PATIENCE, stall: PATIENCE };
    let gateway = format!("http://127.0.0.1:{port}/").parse().expect("a URL");
    let media = MediaClient::new(patience, Guard::new(&gateway, &[])).expect("a client");
    for host in 0..1000 {
        // All of 127/8 is this machine.
        let url = format!("http://127.0.{}.{}:{port}/FLV_a.flv", host / 250, 1 + host % 250);
        let mut stream = media.open(&url, 0).await.expect("it opens").expect("it has a beginning");
        assert_eq!(stream.next().await.expect("it comes").as_deref(), Some(&b"FLV"[..]), "{url}");
    }
    assert_eq!(served.load(Ordering::SeqCst), 1000);
    until("every connection is closed", || open.load(Ordering::SeqCst) == 0).await;
    serving.abort();
}
