//! A way to a server that a test can cut, and mend: between the program and PostgreSQL or an object store.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// How it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Connections break, and new ones do at once.
    Broken,
    /// Nobody hears anything any more, and nobody is told: what is sent on a connection that was there or is made now is lost, and
    /// such a connection stays dead when the way is mended. So it is behind a firewall that was restarted.
    Silent,
}

pub struct Way {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: Server,
    cut: Mutex<Option<Cut>>,
    connections: Mutex<Vec<Arc<Connection>>>,
}

enum Server {
    Socket(PathBuf),
    Port(String),
}

/// One connection from the program, with the one to the server if there is any.
struct Connection {
    program: TcpStream,
    server: Option<End>,
    is_dead: AtomicBool,
}

enum End {
    Socket(UnixStream),
    Port(TcpStream),
}

impl Way {
    /// To what listens at a socket.
    pub fn to_socket(socket: &Path) -> Self {
        Self::to(Server::Socket(socket.to_owned()))
    }

    /// To what listens at `host:port`.
    pub fn to_port(address: &str) -> Self {
        Self::to(Server::Port(address.to_owned()))
    }

    fn to(to: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it has one");
        let shared = Arc::new(Shared { to, cut: Mutex::default(), connections: Mutex::default() });
        let on = Arc::clone(&shared);
        // Until the process ends, as the server does.
        std::thread::spawn(move || {
            for program in listener.incoming() {
                on.take(program.expect("it listens"));
            }
        });
        Self { address, shared }
    }

    /// Where the program is to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn cut(&self, how: Cut) {
        // In this order, so that none is made between the two.
        *self.shared.cut.lock().expect("no test panics with it") = Some(how);
        for connection in self.shared.connections.lock().expect("no test panics with it").iter() {
            match how {
                Cut::Broken => connection.close(),
                Cut::Silent => connection.is_dead.store(true, Ordering::SeqCst),
            }
        }
    }

    pub fn mend(&self) {
        *self.shared.cut.lock().expect("no test panics with it") = None;
    }
}

impl Shared {
    fn take(&self, program: TcpStream) {
        let cut = self.cut.lock().expect("no test panics with it");
        let server = match (*cut, &self.to) {
            (Some(Cut::Broken), _) => return,
            (Some(Cut::Silent), _) => None,
            (None, Server::Socket(socket)) => UnixStream::connect(socket).ok().map(End::Socket),
            (None, Server::Port(address)) => TcpStream::connect(address).ok().map(End::Port),
        };
        if cut.is_none() && server.is_none() {
            // Nobody is there, cut or not.
            return;
        }
        let is_dead = AtomicBool::new(server.is_none());
        let connection = Arc::new(Connection { program, server, is_dead });
        self.connections.lock().expect("no test panics with it").push(Arc::clone(&connection));
        drop(cut);
        let back = Arc::clone(&connection);
        std::thread::spawn(move || back.move_back());
        std::thread::spawn(move || connection.move_there());
    }
}

impl Connection {
    fn move_there(&self) {
        match &self.server {
            Some(End::Socket(server)) => self.copy(&self.program, server),
            Some(End::Port(server)) => self.copy(&self.program, server),
            None => self.copy(&self.program, std::io::sink()),
        }
    }

    fn move_back(&self) {
        match &self.server {
            Some(End::Socket(server)) => self.copy(server, &self.program),
            Some(End::Port(server)) => self.copy(server, &self.program),
            None => {}
        }
    }

    /// What is sent on a dead connection is swallowed; so is its end.
    fn copy(&self, mut from: impl Read, mut to: impl Write) {
        let mut buffer = [0; 16 << 10];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            let is_dead = self.is_dead.load(Ordering::SeqCst);
            if read == 0 || (!is_dead && to.write_all(&buffer[..read]).is_err()) {
                if !is_dead {
                    self.close();
                }
                return;
            }
        }
    }

    /// OK to ignore failures: then it was closed before.
    fn close(&self) {
        let _ = self.program.shutdown(Shutdown::Both);
        let _ = match &self.server {
            Some(End::Socket(server)) => server.shutdown(Shutdown::Both),
            Some(End::Port(server)) => server.shutdown(Shutdown::Both),
            None => Ok(()),
        };
    }
}
