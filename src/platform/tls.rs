//! This machine's TLS roots, for every client of this process.

use std::sync::LazyLock;

use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;

/// A builder of clients that trust what this machine trusts. To read its certificates is to open some hundred files, so the first
/// one does it for all.
pub fn builder() -> reqwest::ClientBuilder {
    static TLS: LazyLock<Result<ClientConfig, rustls::Error>> = LazyLock::new(|| {
        let mut config = ClientConfig::with_platform_verifier()?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    });
    let builder = reqwest::Client::builder();
    match &*TLS {
        Ok(config) => builder.tls_backend_preconfigured(config.clone()),
        // It then reads them itself, and says what is wrong with them when it is built.
        Err(_) => builder,
    }
}
