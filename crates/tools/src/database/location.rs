//! Where a database is, out of a connection string: `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE`, `mysql://…`.
//!
//! A string says where and who, and nothing else: every parameter that could do something (sockets, init statements, files)
//! is refused.

use percent_encoding::percent_decode_str;
use std::{fmt, path::PathBuf};
use url::Url;

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file.
    Sqlite(PathBuf),
    /// A server of PostgreSQL.
    Postgres(Server),
    /// A server of MySQL or MariaDB.
    Mysql(Server),
}

/// A server, and who logs in.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// The password. Never shown.
    pub password: Option<String>,
    /// The database.
    pub database: String,
    /// Whether the connection is secured.
    pub tls: Tls,
}

/// Whether a connection is secured. Where it is, the certificate is always checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// It is not.
    Off,
    /// It is, and the server's certificate must be trusted by the system, or by the certificates in this file.
    On {
        /// A file of certificates in PEM.
        roots: Option<PathBuf>,
    },
}

/// Why a connection string says nothing that can be used. Never holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// It is not of the form that is understood.
    #[error("a connection string looks like sqlite:PATH, postgres://USER:PASSWORD@HOST:PORT/DATABASE or mysql://…: {0}")]
    Malformed(String),
    /// It says more than where and who.
    #[error("the parameter {0:?} is not understood; known are sslmode (disable, require) and sslrootcert")]
    Parameter(String),
    /// The file lies where none may be opened.
    #[error("files may only be opened in the folders that the config allows (tools.database_query.folders)")]
    OutsideOfFolders,
    /// Callers may not name files of certificates.
    #[error("sslrootcert is for the config only")]
    RootsFromCaller,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl Location {
    /// Reads a connection string.
    ///
    /// # Errors
    /// [`LocationError`].
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let malformed = |reason: &str| LocationError::Malformed(reason.to_owned());
        if text.chars().any(char::is_control) {
            return Err(malformed("it holds control characters"));
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(|| malformed("it has no scheme"))?;
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" | "sqlite3" => sqlite(rest),
            "postgres" | "postgresql" => server(text, 5432).map(Self::Postgres),
            "mysql" | "mariadb" => server(text, 3306).map(Self::Mysql),
            other => Err(LocationError::Malformed(format!("the scheme {other:?} is not known"))),
        }
    }

    /// The same location, if a caller may name it: a file must lie in one of these folders, however its path is written.
    pub(super) fn within(self, folders: &[PathBuf]) -> Result<Self, LocationError> {
        match self {
            Self::Sqlite(path) => {
                // Only what is there can be opened; its real path decides.
                let real = path.canonicalize().map_err(|_| LocationError::OutsideOfFolders)?;
                let is_in = |folder: &PathBuf| folder.canonicalize().is_ok_and(|folder| real.starts_with(folder));
                if folders.iter().any(is_in) { Ok(Self::Sqlite(real)) } else { Err(LocationError::OutsideOfFolders) }
            }
            Self::Postgres(Server { tls: Tls::On { roots: Some(_) }, .. })
            | Self::Mysql(Server { tls: Tls::On { roots: Some(_) }, .. }) => Err(LocationError::RootsFromCaller),
            server => Ok(server),
        }
    }
}

/// `sqlite:data.db`, `sqlite:/var/data.db`, `sqlite:///var/data.db`.
fn sqlite(rest: &str) -> Result<Location, LocationError> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.contains('?') {
        return Err(LocationError::Parameter(path.split('?').nth(1).unwrap_or_default().split('=').next().unwrap_or_default().to_owned()));
    }
    if path.is_empty() || path == ":memory:" {
        return Err(LocationError::Malformed("it names no file".into()));
    }
    Ok(Location::Sqlite(PathBuf::from(path)))
}

fn server(text: &str, default_port: u16) -> Result<Server, LocationError> {
    let malformed = |reason: &str| LocationError::Malformed(reason.to_owned());
    let url = Url::parse(text).map_err(|error| malformed(&error.to_string()))?;
    let decoded =
        |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| malformed("it is not UTF-8"));
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| malformed("it names no host; sockets are not supported"))?;
    let host = decoded(host)?.trim_matches(['[', ']']).to_owned();
    if host.contains([',', '/', '\\', '@']) {
        return Err(malformed("it names more than one host"));
    }
    let database = decoded(url.path().strip_prefix('/').unwrap_or_default())?;
    if database.is_empty() || database.contains('/') {
        return Err(malformed("it names no database"));
    }
    if url.username().is_empty() {
        return Err(malformed("it names no user"));
    }
    let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let mut tls = if is_here { Tls::Off } else { Tls::On { roots: None } };
    for (name, value) in url.query_pairs() {
        match (&*name, &*value) {
            ("sslmode" | "ssl-mode" | "ssl_mode", mode) => match mode.to_ascii_lowercase().as_str() {
                "disable" | "disabled" => tls = Tls::Off,
                "require" | "required" | "verify-ca" | "verify_ca" | "verify-full" | "verify_identity" => {
                    if tls == Tls::Off {
                        tls = Tls::On { roots: None };
                    }
                }
                _ => return Err(LocationError::Parameter(format!("sslmode={mode}"))),
            },
            ("sslrootcert", path) => tls = Tls::On { roots: Some(PathBuf::from(path)) },
            (other, _) => return Err(LocationError::Parameter(other.to_owned())),
        }
    }
    Ok(Server {
        port: url.port().unwrap_or(default_port),
        user: decoded(url.username())?,
        password: url.password().map(decoded).transpose()?,
        host,
        database,
        tls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_of(text: &str) -> Server {
        match Location::parse(text).unwrap() {
            Location::Postgres(server) | Location::Mysql(server) => server,
            Location::Sqlite(path) => panic!("{path:?}"),
        }
    }

    #[test]
    fn a_string_says_where_and_who() {
        let server = server_of("postgres://ann:p%40ss%2Fword@db.example.com/shop");
        assert_eq!(
            (server.host.as_str(), server.port, server.user.as_str(), server.database.as_str()),
            ("db.example.com", 5432, "ann", "shop")
        );
        assert_eq!(server.password.as_deref(), Some("p@ss/word"));
        assert_eq!(server.tls, Tls::On { roots: None }, "what leaves the machine is secured");
        assert_eq!(server_of("mysql://a@127.0.0.1:3307/b").tls, Tls::Off);
        assert_eq!(server_of("mysql://a@db/b?sslmode=disable").tls, Tls::Off);
        assert_eq!(server_of("postgres://a@[::1]:5433/b").host, "::1");
        assert_eq!(Location::parse("sqlite:/data/x.db"), Ok(Location::Sqlite("/data/x.db".into())));
        assert_eq!(Location::parse("sqlite:///data/x.db"), Ok(Location::Sqlite("/data/x.db".into())));
        assert!(!format!("{:?}", server_of("postgres://ann:secret@db/shop")).contains("secret"));
    }

    #[test]
    fn a_string_that_would_do_something_is_refused() {
        for text in [
            "sqlite:///etc/cron.d/x?mode=rwc",
            "sqlite::memory:",
            "sqlite:",
            "postgres://u:p@h1,127.0.0.1/db",
            "postgres:///db?host=/run/postgresql",
            "postgres://u:p@h/db?options=-c%20x=y",
            "mysql://u:p@h/db?prefer_socket=true&socket=/run/mysqld/mysqld.sock",
            "mysql://u:p@h/db?init=SET%20GLOBAL%20x=1",
            "mysql://u:p@h/",
            "postgres://h/db",
            "oracle://u:p@h/db",
            "host=h user=u",
            "postgres://u:p@h/db\nx",
        ] {
            let error = Location::parse(text).unwrap_err();
            assert!(!error.to_string().contains("u:p@"), "{text}: {error}");
        }
    }

    #[test]
    fn callers_open_files_in_the_allowed_folders_only() {
        let folder = std::env::temp_dir().join(format!("toolcrib-folders-{}", std::process::id()));
        let (inside, outside) = (folder.join("inside"), folder.join("outside"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(inside.join("a.db"), "").unwrap();
        std::fs::write(outside.join("b.db"), "").unwrap();
        std::os::unix::fs::symlink(outside.join("b.db"), inside.join("link.db")).unwrap();
        let check = |path: PathBuf| Location::Sqlite(path).within(std::slice::from_ref(&inside));
        assert!(check(inside.join("a.db")).is_ok());
        for path in
            [outside.join("b.db"), inside.join("../outside/b.db"), inside.join("link.db"), inside.join("none.db"), "/etc/passwd".into()]
        {
            assert_eq!(check(path.clone()), Err(LocationError::OutsideOfFolders), "{path:?}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
