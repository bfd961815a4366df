//! The verbs of the services, mounted unchanged: `countermark witness serve` is `countermark-witness serve`.

use anyhow::Context as _;

use crate::failure::ChildFailure;

/// Keeps a service's own exit code.
fn with_code<E: std::error::Error + Send + Sync + 'static>(error: E, code: u8) -> anyhow::Error {
    let message = countermark_service::lifecycle::with_causes(&error);
    anyhow::Error::new(error).context(ChildFailure { code, message })
}

/// `countermark log …`
pub async fn log(command: countermark_log::command::Command) -> anyhow::Result<()> {
    countermark_log::command::run(command).await.map_err(|error| {
        let code = error.exit_code();
        with_code(error, code)
    })
}

/// `countermark witness …`
pub async fn witness(command: countermark_witness::command::Command) -> anyhow::Result<()> {
    countermark_witness::command::run(command).await.map_err(|error| {
        let code = error.exit_code();
        with_code(error, code)
    })
}

/// `countermark countersigner …`
pub async fn countersigner(command: countermark_countersigner::command::Command) -> anyhow::Result<()> {
    countermark_countersigner::command::run(command).await.map_err(|error| {
        let code = error.exit_class().code();
        with_code(error, code)
    })
}

/// `countermark vault …`
pub async fn vault(command: countermark_vault::command::Command) -> anyhow::Result<()> {
    countermark_vault::command::run(command).await.map_err(|error| {
        let code = error.exit_code();
        with_code(error, code)
    })
}

/// Installs the one TLS provider of the process, once.
pub fn install_tls() -> anyhow::Result<()> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .ok()
            .context("the TLS provider was installed twice at once")?;
    }
    Ok(())
}
