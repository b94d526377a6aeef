//! Certificates of the connections to servers, by the names of files.

use chassis::settings::{PemFile, PemFileParser, PemKind, TlsSettings};
use clap::Args;

/// Files of PEM, each with certificates or a private key. By default there are none.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsFiles {
    /// A file with the authorities (PEM) that vouch for RabbitMQ, in place of the platform's
    #[arg(long, env = "AMQP_CA_FILE", value_name = "FILE", value_parser = PemFileParser(PemKind::Certificate))]
    pub amqp_ca_file: Option<PemFile>,

    /// A file with the certificate (PEM) that RabbitMQ is shown
    #[arg(long, env = "AMQP_CERT_FILE", value_name = "FILE", requires = "amqp_key_file", value_parser = PemFileParser(PemKind::Certificate))]
    pub amqp_cert_file: Option<PemFile>,

    /// A file with the private key (PEM) of that certificate
    #[arg(long, env = "AMQP_KEY_FILE", value_name = "FILE", requires = "amqp_cert_file", value_parser = PemFileParser(PemKind::PrivateKey))]
    pub amqp_key_file: Option<PemFile>,

    /// A file with the authorities (PEM) that vouch for Redis, in place of the platform's
    #[arg(long, env = "REDIS_CA_FILE", value_name = "FILE", value_parser = PemFileParser(PemKind::Certificate))]
    pub redis_ca_file: Option<PemFile>,

    /// A file with the certificate (PEM) that Redis is shown
    #[arg(long, env = "REDIS_CERT_FILE", value_name = "FILE", requires = "redis_key_file", value_parser = PemFileParser(PemKind::Certificate))]
    pub redis_cert_file: Option<PemFile>,

    /// A file with the private key (PEM) of that certificate
    #[arg(long, env = "REDIS_KEY_FILE", value_name = "FILE", requires = "redis_cert_file", value_parser = PemFileParser(PemKind::PrivateKey))]
    pub redis_key_file: Option<PemFile>,

    /// A file with the authorities (PEM) that vouch for PostgreSQL, beside the platform's
    #[arg(long, env = "DATABASE_CA_FILE", value_name = "FILE", value_parser = PemFileParser(PemKind::Certificate))]
    pub database_ca_file: Option<PemFile>,

    /// A file with the certificate (PEM) that PostgreSQL is shown
    #[arg(long, env = "DATABASE_CERT_FILE", value_name = "FILE", requires = "database_key_file", value_parser = PemFileParser(PemKind::Certificate))]
    pub database_cert_file: Option<PemFile>,

    /// A file with the private key (PEM) of that certificate
    #[arg(long, env = "DATABASE_KEY_FILE", value_name = "FILE", requires = "database_cert_file", value_parser = PemFileParser(PemKind::PrivateKey))]
    pub database_key_file: Option<PemFile>,
}

impl TlsFiles {
    pub(crate) fn of_amqp(&self) -> TlsSettings {
        TlsSettings::new(
            self.amqp_ca_file.clone(),
            self.amqp_cert_file.clone(),
            self.amqp_key_file.clone(),
        )
    }

    pub(crate) fn of_redis(&self) -> TlsSettings {
        TlsSettings::new(
            self.redis_ca_file.clone(),
            self.redis_cert_file.clone(),
            self.redis_key_file.clone(),
        )
    }

    pub(crate) fn of_database(&self) -> TlsSettings {
        TlsSettings::new(
            self.database_ca_file.clone(),
            self.database_cert_file.clone(),
            self.database_key_file.clone(),
        )
    }
}
