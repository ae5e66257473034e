//! The way to the server: its address, the password, TLS, and how a connection is set up.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::ledger_place::LedgerUrl;

/// How many connections a process has at most. A commit takes milliseconds, and a host records some tens of windows a second.
const MOST_CONNECTIONS: usize = 4;

/// For how long one address is tried.
const CONNECT: Duration = Duration::from_secs(10);

/// After so long a server that does not acknowledge what was sent is away.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// What every connection is told first. A host that stands still with a transaction open, as a paused one does, must not keep
/// others waiting: the server ends it. To compile the view of coverage
/// takes seconds, and to run it milliseconds. Times are written in UTC, and a commit is answered when it is on the disk.
const SET_UP: &str = "
    SET idle_in_transaction_session_timeout = '30s';
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    SET TIME ZONE 'UTC';
    SET jit = off;
    SET client_min_messages = warning;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Connections to that address, none of which is made yet.
pub(super) fn pool(url: &LedgerUrl) -> Result<Pool, String> {
    let (mut config, root) = read(url.expose())?;
    if config.get_password().is_none()
        && let Some(password) = password(&config)
    {
        config.password(password);
    }
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match config.get_ssl_mode() {
        SslMode::Disable => Manager::from_config(config, NoTls, recycling),
        _ => Manager::from_config(config, MakeRustlsConnect::new(tls(root.as_deref())?), recycling),
    };
    let set_up = Hook::async_fn(|client, _| {
        Box::pin(async move { client.batch_execute(SET_UP).await.map_err(HookError::Backend) })
    });
    Pool::builder(manager)
        .max_size(MOST_CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .create_timeout(Some(CONNECT * 2))
        .post_create(set_up)
        .build()
        .map_err(|error| error.to_string())
}

/// The address as the driver reads it, and the file of the authorities that vouch for the server, if it names one.
///
/// Whoever encrypts also checks who is at the other end, so `require` is as strict as `verify-full`; with `prefer`, which is
/// what holds when nothing is said, a server that offers no encryption is talked to without.
fn read(url: &str) -> Result<(Config, Option<PathBuf>), String> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut root, mut rest) = (SslMode::Prefer, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", "disable")) => mode = SslMode::Disable,
            Some(("sslmode", "prefer")) => mode = SslMode::Prefer,
            Some(("sslmode", "require" | "verify-full")) => mode = SslMode::Require,
            Some(("sslmode", _)) => {
                return Err(
                    "sslmode is disable, prefer, require or verify-full, of which the last two are the same: the \
                            server's certificate is always checked, and its name in it"
                        .to_owned(),
                );
            }
            Some(("sslrootcert", file)) => root = Some(PathBuf::from(file.replace("%2F", "/"))),
            _ => rest.push(pair),
        }
    }
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    // OK to repeat the error: the driver's names the part that it does not understand, and no value.
    let mut config: Config = format!("{address}{query}")
        .parse()
        .map_err(|error: tokio_postgres::Error| format!("its address cannot be read: {}", super::told(&error)))?;
    config
        .ssl_mode(mode)
        .connect_timeout(CONNECT)
        .tcp_user_timeout(UNACKNOWLEDGED)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(2)
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_application_name().is_none() {
        config.application_name("archive");
    }
    if config.get_hosts().is_empty() {
        return Err("its address names no host: postgres://user@host/database".to_owned());
    }
    Ok((config, root))
}

/// Trusts what that file holds, or what this machine trusts.
fn tls(root: Option<&Path>) -> Result<ClientConfig, String> {
    let Some(root) = root else {
        return ClientConfig::with_platform_verifier()
            .map_err(|error| format!("cannot read this machine's TLS certificates: {error}"));
    };
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read sslrootcert {}: {error}", root.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(root).map_err(|error| cannot(&error))? {
        let certificate = certificate.map_err(|error| cannot(&error))?;
        roots.add(certificate).map_err(|error| cannot(&error))?;
    }
    Ok(ClientConfig::builder().with_root_certificates(Arc::new(roots)).with_no_client_auth())
}

/// The password that the address lacks: from PGPASSWORD, or from the file that psql reads.
fn password(config: &Config) -> Option<String> {
    if let Some(password) = env::var("PGPASSWORD").ok().filter(|password| !password.is_empty()) {
        return Some(password);
    }
    let file = match env::var_os("PGPASSFILE") {
        Some(file) => PathBuf::from(file),
        None => PathBuf::from(env::var_os("HOME")?).join(".pgpass"),
    };
    let text = fs::read_to_string(&file).ok()?;
    if is_open_to_others(&file) {
        tracing::warn!("{} was not read: others than its owner may (chmod 600)", file.display());
        return None;
    }
    let host = match config.get_hosts().first()? {
        Host::Tcp(host) => host.clone(),
        Host::Unix(_) => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user()?;
    of_line(&text, [&host, &port, config.get_dbname().unwrap_or(user), user])
}

fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

/// The fifth field of the first line whose first four say the same, or `*`. A backslash takes away what `:` and `\` mean.
fn of_line(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = vec![String::new()];
        let mut signs = line.chars();
        while let Some(sign) = signs.next() {
            match sign {
                ':' if fields.len() < 5 => fields.push(String::new()),
                sign => fields.last_mut()?.push(if sign == '\\' { signs.next()? } else { sign }),
            }
        }
        let is_it =
            fields.len() == 5 && wanted.iter().zip(&fields).all(|(wanted, field)| field == "*" || field == wanted);
        is_it.then(|| fields.pop()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_is_what_the_address_says() {
        let mode = |url| read(url).map(|(config, _)| config.get_ssl_mode());
        assert_eq!(mode("postgres://host/db"), Ok(SslMode::Prefer));
        assert_eq!(mode("postgres://host/db?sslmode=disable"), Ok(SslMode::Disable));
        assert_eq!(mode("postgres://host/db?sslmode=verify-full&application_name=x"), Ok(SslMode::Require));
        assert!(mode("postgres://host/db?sslmode=verify-ca").is_err());
        assert!(mode("postgres:///db").is_err());
    }

    #[test]
    fn a_password_comes_from_the_line_that_fits() {
        let text = "# mine\nother:5432:*:me:no\n*:5432:db:me:hu\\:sh:\\\\\n*:*:*:*:last\n";
        assert_eq!(of_line(text, ["host", "5432", "db", "me"]).as_deref(), Some("hu:sh:\\"));
        assert_eq!(of_line(text, ["host", "5433", "db", "me"]).as_deref(), Some("last"));
        assert_eq!(of_line("host:5432:db\n", ["host", "5432", "db", "me"]), None);
    }
}
