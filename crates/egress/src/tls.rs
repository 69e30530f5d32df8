//! TLS to servers that the config names and that speak no HTTP: databases, and what replicas share.

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{fmt, path::Path, sync::Arc};

/// TLS that trusts the certificates in this file (PEM), or else those that the system trusts. The certificate of a server is always checked.
///
/// # Errors
/// Why the certificates cannot be read, in one sentence.
pub fn client_config(roots: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let Some(path) = roots else {
        return Ok(builder.with_platform_verifier().map_err(|error| error.to_string())?.with_no_client_auth());
    };
    let unreadable = |error: &dyn fmt::Display| format!("the certificates in {} cannot be read: {error}", path.display());
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
        store.add(certificate.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))?;
    }
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}
