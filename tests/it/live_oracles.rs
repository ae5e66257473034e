//! Live recording beside servers that share no code with ours: ffmpeg as an HTTP-FLV server, nginx with its RTMP module as an
//! HLS origin, and nginx handing out the HLS files that ffmpeg writes.
//!
//! The platform is simulated and gives their URLs. What they send runs as many times too fast as the clocks do, and is known
//! packet by packet: what was recorded must be a run of the source's packets, with none left out and none twice.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use archive::recording::{Container, Source};
use archive::sim::channels::Codec;
use archive::sim::moment::Moment;
use archive::sim::{Config, LiveUrls};
use archive::time_range::{GRID_SECONDS, RangeSet};

use crate::live_support::{asked, fast, gaps, record};
use crate::support::{Place, device, until, yesterday};

/// How many times too fast all clocks run.
const SPEED: f64 = 40.0;

/// How long is recorded, and what there is to record, in seconds: more, since HLS is served before it is asked for.
const RECORDED: i64 = 780;
const SOURCE: i64 = 960;

/// Seconds between two keyframes. HLS segments are as long, so that any stream can be cut as often.
const KEYFRAMES: i64 = 2;

/// Pictures a second.
const RATE: i64 = 5;

/// How far what is claimed may be from the footage, in seconds: with clocks that run this fast, half a second is long.
const SLACK: i64 = 20;

/// Where Debian has them. The first is in no ordinary user's search path.
const NGINX: &str = "/usr/sbin/nginx";
const RTMP_MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// A file's packets in their order, each as the hash of its data: of pictures, and of sound.
#[derive(Default)]
struct Packets {
    /// The earliest time of any, in seconds.
    first: Option<f64>,
    video: Vec<String>,
    audio: Vec<String>,
}

/// What the packets of a file are told by.
type Reader = fn(&Path) -> Packets;

/// A process that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // OK to ignore: it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn start(program: &str, arguments: &str) -> Self {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace()).stdin(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{program} is needed: {error}")))
    }

    /// Whether it takes connections on all of these ports. Asking by a connection would be one: there are servers that end
    /// with their first.
    fn listens(&self, ports: &[u16]) -> bool {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.0.id())).into_iter().flatten().flatten();
        let files: HashSet<PathBuf> = files.filter_map(|file| std::fs::read_link(file.path()).ok()).collect();
        let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells of sockets");
        let listening = |port: u16| {
            sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|socket| {
                // Its local address, its state, which is 10 when it listens, and its number.
                socket[1].ends_with(&format!(":{port:04X}"))
                    && socket[3] == "0A"
                    && files.contains(Path::new(&format!("socket:[{}]", socket[9])))
            })
        };
        ports.iter().all(|port| listening(*port))
    }
}

/// Starts a server on free ports, and waits until it takes connections on them.
async fn serve<const PORTS: usize>(start: impl Fn([u16; PORTS]) -> Server) -> (Server, [u16; PORTS]) {
    for _ in 0..10 {
        let free = [(); PORTS].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let ports = free.each_ref().map(|free| free.local_addr().expect("it has an address").port());
        drop(free);
        let mut server = start(ports);
        let (mut listens, mut ended) = (false, false);
        until("the server takes connections, or ends", || {
            listens = server.listens(&ports);
            ended = server.0.try_wait().expect("it can be asked").is_some();
            listens || ended
        })
        .await;
        if listens {
            return (server, ports);
        }
        // Somebody else took a port meanwhile.
    }
    panic!("the server does not start");
}

fn output(program: &str, arguments: &str, file: &Path) -> String {
    let (before, after) = arguments.split_once("FILE").unwrap_or((arguments, ""));
    let mut command = Command::new(program);
    command.args(before.split_whitespace()).arg(file).args(after.split_whitespace());
    let output = command.output().unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{program}, {}: {complaints}", file.display());
    String::from_utf8(output.stdout).expect("its output is text")
}

/// Pictures and sound full of noise, so that no two packets are alike.
fn make(encoder: &str, file: &Path) {
    let keyframes = KEYFRAMES * RATE;
    let arguments = format!(
        "-v error -nostdin -f lavfi -i testsrc=size=64x48:rate={RATE}:duration={SOURCE},noise=alls=16:allf=t \
         -f lavfi -i anoisesrc=sample_rate=8000:amplitude=0.1:seed=1:duration={SOURCE} -pix_fmt yuv420p \
         -c:v {encoder} -preset ultrafast -crf 28 -g {keyframes} -keyint_min {keyframes} -sc_threshold 0 \
         -c:a aac -aac_coder fast -b:a 16k"
    );
    output("ffmpeg", &arguments, file);
    let packets = as_they_are(file);
    assert_eq!(packets.video.len() as i64, SOURCE * RATE);
    for stream in [packets.video, packets.audio] {
        assert_eq!(stream.iter().collect::<HashSet<_>>().len(), stream.len(), "what is lost or doubled would not show");
    }
}

/// Starts ffmpeg, sending a file as it is.
fn send(file: &Path, to: &str) -> Server {
    let pace = format!("-v fatal -nostdin -readrate {SPEED} -i {} -c copy {to}", file.display());
    Server::start("ffmpeg", &pace)
}

/// Starts nginx in a folder: gives its RTMP and its HTTP port. What is published as `live/NAME` is HLS in `hls/NAME.m3u8`, and
/// what is in `hls` is served.
async fn nginx(folder: &Path) -> (Server, [u16; 2]) {
    std::fs::create_dir(folder.join("hls")).expect("a folder can be made");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {name};")).concat();
    // One process of the current user, which leaves nothing behind when it is killed.
    let start = |[rtmp, http]: [u16; 2]| {
        let path = folder.display();
        let configuration = format!(
            "daemon off; master_process off; pid nginx.pid; error_log error.log; load_module {RTMP_MODULE};
             events {{}}
             rtmp {{ server {{ listen 127.0.0.1:{rtmp}; application live {{
                live on; hls on; hls_path {path}/hls; hls_fragment {KEYFRAMES}s; hls_playlist_length 2m; hls_cleanup off; }} }} }}
             http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{http}; root hls; }} }}"
        );
        std::fs::write(folder.join("nginx.conf"), configuration).expect("a file can be written");
        Server::start(NGINX, &format!("-e {path}/error.log -p {path} -c {path}/nginx.conf"))
    };
    serve(start).await
}

/// Packets as they are, without a complaint of ffprobe's.
fn as_they_are(file: &Path) -> Packets {
    let arguments = "-v error -show_data_hash md5 -show_entries packet=codec_type,dts_time,data_hash -of default=nw=1";
    let mut packets = Packets::default();
    let mut is_video = false;
    for line in output("ffprobe", arguments, file).lines() {
        match line.split_once('=') {
            Some(("codec_type", kind)) => is_video = kind == "video",
            Some(("dts_time", time)) => {
                let time: f64 = time.parse().unwrap_or_else(|error| panic!("{}: {time:?}: {error}", file.display()));
                packets.first = Some(packets.first.map_or(time, |first| first.min(time)));
            }
            Some(("data_hash", hash)) if is_video => packets.video.push(hash.to_owned()),
            Some(("data_hash", hash)) => packets.audio.push(hash.to_owned()),
            _other => {}
        }
    }
    packets
}

/// Packets as they are in any container: in MPEG-TS, pictures have start codes, delimiters and repeated parameter sets, and
/// sound has ADTS headers. All these are left out, and the slices and the coded sound remain.
fn bare(file: &Path, pictures: &str) -> Packets {
    // From a packet on that begins no picture, too.
    let arguments = format!(
        "-v error -nostdin -i FILE -map 0:v -map 0:a -c copy -copyinkf -bsf:v {pictures} -bsf:a aac_adtstoasc \
         -f framehash -hash md5 -"
    );
    let mut packets = Packets::default();
    for line in output("ffmpeg", &arguments, file).lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        match fields[0] {
            "0" => packets.video.push(fields[5].to_owned()),
            _ => packets.audio.push(fields[5].to_owned()),
        }
    }
    packets
}

fn bare_h264(file: &Path) -> Packets {
    bare(file, "h264_mp4toannexb,filter_units=remove_types=6-9")
}

fn bare_h265(file: &Path) -> Packets {
    bare(file, "hevc_mp4toannexb,filter_units=remove_types=32-40")
}

/// A platform whose cameras are elsewhere, on a clock that begins a minute before a mark.
async fn place(cameras: &[(i64, Codec, LiveUrls)]) -> Place {
    let numbers: Vec<i64> = cameras.iter().map(|(number, ..)| *number).collect();
    let mut config = Config { live_from: Moment::At((yesterday() + 540).into()), ..fast(SPEED, &numbers) };
    for (camera, (_, codec, urls)) in config.stores[0].nvrs[0].cameras.iter_mut().zip(cameras) {
        (camera.codec, camera.live_urls) = (*codec, Some(urls.clone()));
    }
    Place::new(config).await
}

/// The recorded packets are a run of the source's.
fn assert_run(what: &str, recorded: &[String], source: &[String]) {
    let begin = source.iter().position(|hash| *hash == recorded[0]);
    let begin = begin.unwrap_or_else(|| panic!("{what}: its first packet is not the source's"));
    let same = recorded.iter().zip(&source[begin..]).take_while(|(recorded, source)| recorded == source).count();
    assert_eq!(same, recorded.len(), "{what}: from packet {begin} of the source on, only so many are the same");
}

/// What was recorded of a camera is what it should be: in pieces from mark to mark, without a hole, with the source's packets.
async fn assert_recorded(place: &Place, number: i64, container: Container, source: &Path, reader: Reader) {
    let (asked, pieces, missing) = (asked(place, number).await, place.recordings(&[number]).await, gaps(place).await);
    let covered: RangeSet = pieces.iter().map(|piece| piece.range).collect();
    let [covered] = covered.ranges() else { panic!("there are holes: {pieces:?}, {missing:?}") };
    // Where pictures are out of order, the last one that a segment should show may be in the segment behind it.
    assert!((0..=1).contains(&(asked.end() - covered.end())), "{missing:?}");
    let calls = place.platform.calls();
    let calls = calls.iter().filter(|call| call.device == Some(device(number))).count();
    assert_eq!(calls, 1, "the stream goes on");
    assert!(pieces.len() >= 3, "{pieces:?}");
    for (index, piece) in pieces.iter().enumerate() {
        let past = piece.range.start().get().rem_euclid(GRID_SECONDS);
        assert!(index == 0 || past <= KEYFRAMES, "{} begins {past} s after the mark", piece.path);
        assert!(piece.range.seconds() <= GRID_SECONDS + KEYFRAMES, "{}", piece.path);
        assert!(piece.source == Source::Live && piece.path.ends_with(container.extension()), "{piece:?}");
    }
    let mut recorded = Packets::default();
    for piece in &pieces {
        let file = place.root().join(&piece.path);
        // Each is a file of its own, whatever becomes of the others.
        let alone = as_they_are(&file);
        assert!(container != Container::Flv || alone.first == Some(0.0), "{} begins at {:?}", piece.path, alone.first);
        let packets = reader(&file);
        assert_eq!((packets.video.len(), packets.audio.len()), (alone.video.len(), alone.audio.len()));
        recorded.video.extend(packets.video);
        recorded.audio.extend(packets.audio);
    }
    let source = reader(source);
    assert_run("pictures", &recorded.video, &source.video);
    assert_run("sound", &recorded.audio, &source.audio);
    let footage = recorded.video.len() as i64 / RATE;
    assert!((footage - covered.seconds()).abs() <= SLACK, "{footage} s of footage, claimed for {covered}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ffmpeg"]
async fn what_ffmpeg_sends_as_http_flv_is_recorded_packet_by_packet() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = folder.path().join("source.flv");
    make("libx264", &source);
    let url = |port: u16| format!("http://127.0.0.1:{port}/live.flv");
    // It begins to send when the recording asks for it.
    let start = |[port]: [u16; 1]| send(&source, &format!("-f flv -listen 1 {}", url(port)));
    let (_ffmpeg, [port]) = serve(start).await;
    let place = place(&[(1, Codec::H264, LiveUrls { flv: url(port), ..LiveUrls::default() })]).await;
    record(&place, &[1], RECORDED).await;
    place.assert_true(&[1]).await;
    assert_recorded(&place, 1, Container::Flv, &source, as_they_are).await;
}

/// Camera 1 is published to nginx, which makes MPEG-TS of it. Cameras 2 and 3 send H.265, which RTMP does not have: ffmpeg
/// writes their HLS, as MPEG-TS and as fragmented MP4, and nginx serves the files.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ffmpeg, and nginx with its RTMP module"]
async fn what_nginx_serves_as_hls_is_recorded_packet_by_packet() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (h264, h265) = (folder.path().join("source.flv"), folder.path().join("source.mp4"));
    std::thread::scope(|scope| {
        scope.spawn(|| make("libx264", &h264));
        make("libx265 -tag:v hvc1 -x265-params log-level=none", &h265);
    });
    let (_nginx, [rtmp, http]) = nginx(folder.path()).await;
    let playlists = ["rtmp", "ts", "mp4"].map(|name| folder.path().join(format!("hls/{name}.m3u8")));
    let hls = format!("-f hls -hls_time {KEYFRAMES} -hls_list_size 60 -hls_flags delete_segments+temp_file");
    let [_, ts, mp4] = playlists.each_ref().map(|playlist| playlist.display());
    let _publishers = [
        send(&h264, &format!("-f flv rtmp://127.0.0.1:{rtmp}/live/rtmp")),
        send(&h265, &format!("{hls} {ts} -c copy -tag:v hvc1 {hls} -hls_segment_type fmp4 {mp4}")),
    ];
    until("there are playlists", || playlists.iter().all(|playlist| playlist.exists())).await;
    let url = |name| LiveUrls { hls: format!("http://127.0.0.1:{http}/{name}.m3u8"), ..LiveUrls::default() };
    let cameras = [(1, Codec::H264, url("rtmp")), (2, Codec::H265, url("ts")), (3, Codec::H265, url("mp4"))];
    let place = place(&cameras).await;
    record(&place, &[1, 2, 3], RECORDED).await;
    place.assert_true(&[1, 2, 3]).await;
    assert_recorded(&place, 1, Container::MpegTs, &h264, bare_h264).await;
    assert_recorded(&place, 2, Container::MpegTs, &h265, bare_h265).await;
    assert_recorded(&place, 3, Container::Mp4, &h265, as_they_are).await;
}
