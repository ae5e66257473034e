//! A PostgreSQL of a test program's own: made in a temporary folder, reached by a socket in it, gone with the process.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
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
        let server = Self { folder, programs, _warden: warden };
        server.control(&["start", "-w"]);
        server
    }

    fn control(&self, arguments: &[&str]) {
        let options = format!("-c listen_addresses= -k {} -c max_connections=300", self.folder.display());
        run(command(&self.programs.join("pg_ctl"))
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-l")
            .arg(self.folder.join("log"))
            .arg("-o")
            .arg(options)
            .args(arguments));
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
        let done = Command::new(self.programs.join("psql"))
            .args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "archive", "-h"])
            .arg(&self.folder)
            .args(["-d", database, "-c", statement])
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
