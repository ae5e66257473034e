//! A PostgreSQL of a test program's own: made in a temporary folder, reached by a socket in it, gone with the process.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    /// What it is started with, as postgres takes it.
    options: String,
    /// Ends with the pipe to it, however this process ends, and stops the server then.
    _warden: Child,
}

/// The one of this process.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// The program, as a user that PostgreSQL takes: it refuses root.
fn command(program: &Path) -> Command {
    match is_root() {
        true => {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        }
        false => Command::new(program),
    }
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(done.is_ok_and(|status| status.success()), "{command:?} failed");
}

impl Server {
    /// Another one, for a test that does it harm. It goes with the value.
    pub fn start() -> Self {
        let server = Self::make();
        server.control(&["start", "-w"]);
        server
    }

    /// One that is reached over TLS too, at a port of this machine's, by who proves with a password that it may. Its certificate is
    /// its own, is in the file `server.crt` in its folder, and says that it is `localhost`.
    #[allow(dead_code, reason = "not all that use this file do so")]
    pub fn start_with_tls(password: &str) -> (Self, u16) {
        let mut server = Self::make();
        let (folder, data) = (server.folder.clone(), server.folder.join("data"));
        let mut making = command(Path::new("openssl"));
        making.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
        making.args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]);
        run(making.arg("-keyout").arg(data.join("server.key")).arg("-out").arg(data.join("server.crt")));
        std::fs::copy(data.join("server.crt"), folder.join("server.crt")).expect("a file can be copied");
        let may = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(data.join("pg_hba.conf"), may).expect("a file can be written");
        // Somebody else may take a port before the server does.
        let port = (0..5).find_map(|_| {
            let free = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
            let listening = format!("-c listen_addresses=127.0.0.1 -c port={free} -c ssl=on");
            server.options = format!("{listening} -k {}", folder.display());
            let mut starting = server.controlling(&["start", "-w"]);
            let started = starting.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
            started.is_ok_and(|status| status.success()).then_some(free)
        });
        let port = port.expect("a port is free");
        server.psql_at(port, "postgres", &format!("ALTER ROLE archive PASSWORD '{password}'"));
        (server, port)
    }

    /// One that is not started.
    fn make() -> Self {
        let programs = Command::new("sh")
            .args(["-c", "ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1"])
            .output()
            .expect("there is a shell");
        let programs = String::from_utf8(programs.stdout).expect("folders have names").trim().to_owned();
        // Elsewhere than on Debian they are among all other programs.
        let programs = if programs.is_empty() { PathBuf::from("/usr/bin") } else { PathBuf::from(programs) };
        // Short, since the name of a socket must be.
        let folder = std::env::temp_dir().join(format!("pg-{}-{}", std::process::id(), rand_suffix()));
        std::fs::create_dir(&folder).expect("a test needs a temporary folder");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let data = folder.join("data");
        run(command(&programs.join("initdb")).arg("-D").arg(&data).args([
            "-A",
            "trust",
            "-U",
            "archive",
            "-E",
            "UTF8",
            "--no-locale",
        ]));
        let warden = Command::new("sh")
            .args(["-c", "cat >/dev/null; \"$@\"; rm -rf \"$0\""])
            .arg(&folder)
            .args(stop_command(&programs, &data))
            // Of its own, so that who ends this process with its group does not end it too.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let options = format!("-c listen_addresses= -k {} -c max_connections=300", folder.display());
        Self { folder, programs, options, _warden: warden }
    }

    fn control(&self, arguments: &[&str]) {
        run(&mut self.controlling(arguments));
    }

    fn controlling(&self, arguments: &[&str]) -> Command {
        let mut control = command(&self.programs.join("pg_ctl"));
        control.arg("-D").arg(self.folder.join("data")).arg("-l").arg(self.folder.join("log"));
        control.arg("-o").arg(&self.options).args(arguments);
        control
    }

    /// The certificate of who vouches for [`Self::start_with_tls`]'s: itself.
    #[allow(dead_code, reason = "not all that use this file do so")]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    /// As a crash would: without a word to those who are connected.
    #[allow(dead_code, reason = "not all that use this file do so")]
    pub fn crash_and_restart(&self) {
        self.control(&["restart", "-m", "immediate", "-w"]);
    }

    /// It is away from now on, as after a crash.
    #[allow(dead_code, reason = "not all that use this file do so")]
    pub fn stop(&self) {
        self.control(&["stop", "-m", "immediate", "-w"]);
    }

    /// It is back.
    #[allow(dead_code, reason = "not all that use this file do so")]
    pub fn start_again(&self) {
        self.control(&["start", "-w"]);
    }

    /// The address of an empty database.
    pub fn database(&self) -> String {
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://archive@/{name}?host={}", self.folder.display())
    }

    /// What a person's statement gives in that database: a line per row, its columns between `|`.
    pub fn psql(&self, database: &str, statement: &str) -> String {
        self.psql_at(5432, database, statement)
    }

    /// The same of one that listens at a port of its own.
    pub fn psql_at(&self, port: u16, database: &str, statement: &str) -> String {
        let done = Command::new(self.programs.join("psql"))
            .args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "archive", "-h"])
            .arg(&self.folder)
            .args(["-p", &port.to_string(), "-d", database, "-c", statement])
            .output()
            .expect("psql is there");
        assert!(done.status.success(), "{statement}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("it is text")
    }
}

fn stop_command(programs: &Path, data: &Path) -> Vec<String> {
    let stop = command(&programs.join("pg_ctl"));
    let mut words = vec![stop.get_program().to_string_lossy().into_owned()];
    words.extend(stop.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.extend([
        "-D".to_owned(),
        data.display().to_string(),
        "-m".to_owned(),
        "immediate".to_owned(),
        "stop".to_owned(),
    ]);
    words
}

/// So that two programs with one number, one after the other, do not meet.
fn rand_suffix() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos())
}
