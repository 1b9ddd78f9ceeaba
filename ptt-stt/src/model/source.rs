//! The server that a model is fetched from: which addresses are allowed, and what its failures are called.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{StatusCode, Uri};

use super::catalog;
use super::error::ModelError;
use super::pull::PullOptions;

/// The address of a model's file.
#[derive(Debug)]
pub struct Source {
    url: String,
    /// This machine: plain http is allowed, and nothing else is followed from there.
    local: bool,
    connect: Duration,
    stall: Duration,
}

impl Source {
    /// The file named like `model` below the given or the published address.
    ///
    /// # Errors
    /// [`ModelError::Insecure`] for plain http to another machine.
    pub fn new(options: &PullOptions, model: &Path) -> Result<Self, ModelError> {
        let base = options.url.as_deref().unwrap_or(catalog::DEFAULT_URL);
        let file = model.file_name().unwrap_or_default().to_string_lossy();
        let url = if base.ends_with(".bin") {
            base.to_owned()
        } else {
            format!("{}/{file}", base.trim_end_matches('/'))
        };
        let parsed: Option<Uri> = url.parse().ok();
        let host = parsed.as_ref().and_then(Uri::host).unwrap_or_default();
        let local = host == "localhost"
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match parsed.as_ref().and_then(Uri::scheme_str) {
            Some("https") => {}
            Some("http") if local => {}
            _ => return Err(ModelError::Insecure { url }),
        }
        Ok(Self { url, local, connect: options.connect, stall: options.stall })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn agent(&self) -> Agent {
        let config = Agent::config_builder()
            .https_only(!self.local)
            .max_redirects(if self.local { 0 } else { 5 })
            .http_status_as_error(false)
            .user_agent(concat!("ptt/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(self.connect))
            .timeout_recv_response(Some(self.stall))
            .timeout_per_read(Some(self.stall));
        if self.local { config.proxy(None).build().into() } else { config.build().into() }
    }

    /// No answer came.
    #[expect(clippy::wildcard_enum_match_arm, reason = "ureq's errors are open to growth")]
    pub fn failed(&self, error: &ureq::Error) -> ModelError {
        match error {
            ureq::Error::Timeout(_) => self.stalled(),
            ureq::Error::Io(e) => self.broke(e),
            ureq::Error::TooManyRedirects => self.wrong("it sends from one address to the next"),
            ureq::Error::RequireHttpsOnly(url) => ModelError::Insecure { url: url.clone() },
            _ => self.network(error.to_string()),
        }
    }

    /// The answer stopped in the middle.
    pub fn broke(&self, error: &io::Error) -> ModelError {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
        if matches!(inner, Some(ureq::Error::Timeout(_))) || error.kind() == io::ErrorKind::TimedOut {
            return self.stalled();
        }
        self.network(error.to_string())
    }

    pub fn network(&self, reason: String) -> ModelError {
        ModelError::Network { url: self.url.clone(), reason }
    }

    pub fn refused(&self, status: StatusCode) -> ModelError {
        ModelError::Refused { url: self.url.clone(), status: status.as_u16() }
    }

    pub fn wrong(&self, what: &str) -> ModelError {
        ModelError::WrongAnswer { url: self.url.clone(), what: what.to_owned() }
    }

    fn stalled(&self) -> ModelError {
        ModelError::Stalled { url: self.url.clone(), seconds: self.stall.as_secs() }
    }
}
