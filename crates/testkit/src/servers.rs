//! Real database servers, private to a test: on a free port of loopback, in a folder of their own, gone when dropped.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Servers refuse to run as root: they are this user's then.
const NOBODY: u32 = 65534;

/// A server of PostgreSQL. Its superuser is `postgres`; whoever connects from this machine needs no password.
#[derive(Debug)]
pub struct Postgres(Running);

/// A server of MariaDB. Its `root` needs no password.
#[derive(Debug)]
pub struct Mariadb(Running);

/// A server of Valkey, or of Redis where there is none. What it was told is on its disk before it answers.
#[derive(Debug)]
pub struct Valkey(Running);

/// What guards a server: it takes TLS only, and who has the password.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Its certificate, in PEM.
    pub certificate: String,
    /// The key of that.
    pub key: String,
    /// The password of the user `toolcrib`.
    pub password: String,
}

#[derive(Debug)]
struct Running {
    folder: PathBuf,
    port: u16,
    command: Command,
    child: Child,
}

impl Postgres {
    /// Starts one.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts one to which the user `toolcrib` logs in with a password, by TLS only.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    #[must_use]
    pub fn guarded(guard: &Guard) -> Self {
        let server = Self::start_with(Some(guard));
        server.execute("postgres", &format!("CREATE ROLE toolcrib LOGIN PASSWORD '{}'", guard.password));
        server.execute("postgres", "GRANT CREATE ON DATABASE postgres TO toolcrib");
        server
    }

    fn start_with(guard: Option<&Guard>) -> Self {
        let (initdb, postgres) = (find("initdb"), find("postgres"));
        let (folder, port) = (fresh_folder("postgres"), free_port());
        let data = folder.join("data");
        let mut init = as_nobody(&initdb);
        init.arg("--pgdata").arg(&data).args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        run(&mut init);
        let mut serve = as_nobody(&postgres);
        serve.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        serve.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
        if let Some(guard) = guard {
            let (certificate, key) = guard.put_into(&folder);
            serve.args(["-c", "ssl=on", "-c"]).arg(format!("ssl_cert_file={}", certificate.display()));
            serve.arg("-c").arg(format!("ssl_key_file={}", key.display()));
            let rules = "hostnossl all postgres 127.0.0.1/32 trust\nhostssl all toolcrib 127.0.0.1/32 scram-sha-256\n";
            fs::write(data.join("pg_hba.conf"), rules).expect("the folder can be written");
        }
        let running = Running::start(serve, folder, port);
        let server = Self(running);
        server.0.wait(|| server.try_execute("postgres", "SELECT 1").is_ok());
        server
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Starts it again, with all that it had, on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        self.0.start_again();
        let end = Instant::now() + PATIENCE;
        while self.try_execute("postgres", "SELECT 1").is_err() {
            assert!(Instant::now() < end, "PostgreSQL does not start again");
            // As long as a process of the one before is left, it refuses.
            if matches!(self.0.child.try_wait(), Ok(Some(_))) {
                self.0.start_again();
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// How this user connects to this database.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.0.port)
    }

    /// Runs statements as the superuser and gives what they print.
    ///
    /// # Panics
    /// If they fail.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        self.try_execute(database, sql).unwrap_or_else(|error| panic!("{error}\n{sql}"))
    }

    fn try_execute(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = Command::new(find("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]).arg(self.url("postgres", database));
        feed(psql, sql)
    }
}

impl Mariadb {
    /// Starts one.
    ///
    /// # Panics
    /// If MariaDB is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        let (install, mariadbd) = (find("mariadb-install-db"), find("mariadbd"));
        let (folder, port) = (fresh_folder("mariadb"), free_port());
        let (data, init_file) = (folder.join("data"), folder.join("init.sql"));
        fs::write(&init_file, "CREATE USER root@'127.0.0.1'; GRANT ALL PRIVILEGES ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n")
            .expect("the folder can be written");
        let mut init = as_nobody(&install);
        init.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .args([format!("--datadir={}", data.display()), format!("--tmpdir={}", folder.display())]);
        run(&mut init);
        let mut serve = as_nobody(&mariadbd);
        serve.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"]);
        serve.arg(format!("--datadir={}", data.display())).arg(format!("--port={port}"));
        // A server that starts clears away what others have in a folder that they share.
        serve.arg(format!("--tmpdir={}", folder.display()));
        serve.arg(format!("--socket={}", folder.join("socket").display())).arg(format!("--init-file={}", init_file.display()));
        serve.arg(format!("--pid-file={}", folder.join("pid").display()));
        let server = Self(Running::start(serve, folder, port));
        server.0.wait(|| server.try_execute("mysql", "SELECT 1").is_ok());
        server
    }

    /// How this user connects to this database.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("mysql://{user}@127.0.0.1:{}/{database}", self.0.port)
    }

    /// Runs statements as root and gives what they print.
    ///
    /// # Panics
    /// If they fail.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        self.try_execute(database, sql).unwrap_or_else(|error| panic!("{error}\n{sql}"))
    }

    fn try_execute(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut client = Command::new(find("mariadb"));
        client.args(["--no-defaults", "--host=127.0.0.1", "--user=root", "--skip-column-names", "--batch"]);
        client.arg(format!("--port={}", self.0.port)).arg(database);
        feed(client, sql)
    }
}

impl Valkey {
    /// Starts one.
    ///
    /// # Panics
    /// If neither Valkey nor Redis is installed, or it does not start.
    #[must_use]
    pub fn start() -> Self {
        let server = Self::start_with(|serve, _, port| {
            serve.args(["--port", &port.to_string()]);
        });
        server.0.wait(|| server.answers());
        server
    }

    /// Starts one to which the user `toolcrib` logs in with a password, by TLS only, and may do no more than these commands on keys like that.
    ///
    /// # Panics
    /// If neither Valkey nor Redis is installed, or it does not start.
    #[must_use]
    pub fn guarded(guard: &Guard, commands: &[&str], keys: &str) -> Self {
        let server = Self::start_with(|serve, folder, port| {
            let (certificate, key) = guard.put_into(folder);
            serve.args(["--port", "0", "--tls-port", &port.to_string(), "--tls-auth-clients", "no", "--tls-cert-file"]).arg(&certificate);
            serve.arg("--tls-key-file").arg(key).arg("--tls-ca-cert-file").arg(certificate);
            serve.args(["--user", "default", "off", "--user", "toolcrib", "on", &format!(">{}", guard.password), &format!("~{keys}")]);
            serve.args(commands.iter().map(|command| format!("+{}", command.to_ascii_lowercase().replace(' ', "|"))));
        });
        server.0.wait(|| true);
        server
    }

    /// Starts a cluster of three.
    ///
    /// # Panics
    /// If neither Valkey nor Redis is installed, or they do not start.
    #[must_use]
    pub fn cluster() -> [Self; 3] {
        let nodes = [(); 3].map(|()| {
            let server = Self::start_with(|serve, _, port| {
                serve.args(["--port", &port.to_string(), "--cluster-enabled", "yes", "--cluster-port", &free_port().to_string()]);
                serve.args(["--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"]);
            });
            server.0.wait(|| server.answers());
            server
        });
        let mut create = Command::new(found("valkey-cli").unwrap_or_else(|| find("redis-cli")));
        create.args(["--cluster", "create"]).args(nodes.each_ref().map(|node| format!("127.0.0.1:{}", node.0.port))).arg("--cluster-yes");
        run(&mut create);
        nodes.iter().for_each(|node| node.0.wait(|| node.said("CLUSTER INFO").contains("cluster_state:ok")));
        nodes
    }

    fn start_with(set: impl FnOnce(&mut Command, &Path, u16)) -> Self {
        let program = found("valkey-server").or_else(|| found("redis-server"));
        let program = program.expect("valkey-server or redis-server is needed: install it (Debian: redis-server), or run `make peers`");
        let (folder, port) = (fresh_folder("valkey"), free_port());
        let mut serve = as_nobody(&program);
        serve.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        serve.arg("--dir").arg(&folder);
        set(&mut serve, &folder, port);
        Self(Running::start(serve, folder, port))
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// How it is reached.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.0.port)
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Starts it again, with what it had, on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        self.0.start_again();
        self.0.wait(|| self.answers());
    }

    /// Forgets everything.
    ///
    /// # Panics
    /// If it does not do so.
    pub fn forget(&self) {
        assert!(self.said("FLUSHALL").starts_with("+OK"), "it does not forget");
    }

    fn answers(&self) -> bool {
        self.said("PING").starts_with("+PONG")
    }

    fn said(&self, command: &str) -> String {
        let mut told = [0; 64];
        let mut ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.0.port))?;
            stream.write_all(format!("{command}\r\n").as_bytes())?;
            stream.read(&mut told)
        };
        let length = ask().unwrap_or_default();
        String::from_utf8_lossy(&told[..length]).into_owned()
    }
}

impl Guard {
    /// Writes the certificate and its key where a server finds them.
    fn put_into(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
        for (file, text) in [(&certificate, &self.certificate), (&key, &self.key)] {
            fs::write(file, text).expect("the folder can be written");
            fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("the owner may set rights");
            if is_root() {
                chown(file, Some(NOBODY), Some(NOBODY)).expect("root may give a file away");
            }
        }
        (certificate, key)
    }
}

impl Running {
    fn start(mut command: Command, folder: PathBuf, port: u16) -> Self {
        let log = fs::File::create(folder.join("log")).expect("the folder can be written");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { folder, port, command, child }
    }

    /// Ends it as if its machine had lost its power.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn start_again(&mut self) {
        self.kill();
        self.child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
    }

    fn wait(&self, is_ready: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !(TcpStream::connect(("127.0.0.1", self.port)).is_ok() && is_ready()) {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "the server does not start:\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program of a database, wherever its packages put it.
fn find(program: &str) -> PathBuf {
    found(program).unwrap_or_else(|| {
        panic!("{program} is needed: install PostgreSQL with its contrib modules and MariaDB (Debian: postgresql postgresql-contrib mariadb-server-core mariadb-client-core), or run `make peers`")
    })
}

fn found(program: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests look for programs where a shell would")]
    let path = env::var("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).collect::<Vec<_>>();
    let mut versions: Vec<PathBuf> =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    let places =
        in_path.into_iter().chain(versions.into_iter().rev()).chain(["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    places.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A command as a user that servers accept, which ends when we do.
fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root() {
        command.args(["--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string(), "--clear-groups"]);
    }
    command.arg("--").arg(program).env("HOME", "/").env("LC_ALL", "C").current_dir("/");
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn fresh_folder(kind: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("toolcrib-{kind}-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for temporary files can be written");
    if is_root() {
        chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root may give a folder away");
    }
    folder
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("a listener has an address").port()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn feed(mut command: Command, sql: &str) -> Result<String, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    let (mut output, mut errors) = (String::new(), String::new());
    input.write_all(sql.as_bytes()).map_err(|error| error.to_string())?;
    drop(input);
    child.stdout.take().ok_or("no standard output")?.read_to_string(&mut output).map_err(|error| error.to_string())?;
    child.stderr.take().ok_or("no standard error")?.read_to_string(&mut errors).map_err(|error| error.to_string())?;
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(output.trim().to_owned()) } else { Err(errors) }
}
