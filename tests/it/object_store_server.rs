//! A server that speaks S3, for tests: moto's, which keeps parts, their order, their least size and `If-None-Match` as Amazon's
//! does, and everything in memory.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use archive::vault::{Bucket, Place};

/// The bucket that is there.
pub const BUCKET: &str = "chain";

/// What a client needs to know. The server believes anybody.
pub const CREDENTIALS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "key-of-the-store"),
    ("AWS_SECRET_ACCESS_KEY", "secret-of-the-store"),
    ("AWS_REGION", "us-east-1"),
];

pub struct Server {
    process: Child,
    address: String,
}

impl Server {
    pub fn start() -> Self {
        let mut command = Command::new("moto_server");
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("moto_server is needed: {error}"));
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let address = lines.by_ref().find_map(|line| {
            let line = line.expect("its words are text");
            Some(line.split_once("Running on http://")?.1.trim().to_owned())
        });
        let address = address.expect("it says where it listens");
        // It tells of each request, and would be held up if nobody listened.
        std::thread::spawn(move || lines.for_each(drop));
        let server = Self { process, address };
        server.empty();
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Forgets everything; the bucket is there, with nothing in it.
    pub fn empty(&self) {
        assert!(self.ask("POST", "/moto-api/reset").starts_with("HTTP/1.1 200"));
        assert!(self.ask("PUT", &format!("/{BUCKET}")).starts_with("HTTP/1.1 200"));
    }

    pub fn place(&self, prefix: &str, spool: &Path) -> Place {
        let bucket =
            Bucket { name: BUCKET.into(), prefix: prefix.into(), endpoint: Some(self.url()), spool: spool.to_owned() };
        Place::in_bucket(&bucket).expect("nobody is asked yet")
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        all(&self.ask("GET", &format!("/{BUCKET}?list-type=2&max-keys=1000")), "Key")
    }

    /// The keys of uploads that are neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        all(&self.ask("GET", &format!("/{BUCKET}?uploads")), "Key")
    }

    /// Deletes an object behind everybody's back.
    pub fn lose(&self, key: &str) {
        assert!(self.ask("DELETE", &format!("/{BUCKET}/{}", key.replace('+', "%2B"))).starts_with("HTTP/1.1 204"));
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        // It knows by the name of the service in the signature what is meant.
        let signed = "Authorization: AWS4-HMAC-SHA256 Credential=x/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
        let length = "Content-Length: 0\r\nConnection: close";
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {}\r\n{signed}\r\n{length}\r\n\r\n", self.address)
            .expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn all(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
}
