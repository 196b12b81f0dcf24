//! Honest work that the sandbox must leave possible, done by the libraries that the daemons use.

use std::error::Error;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixStream, tcp};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

type Said = Result<String, Box<dyn Error>>;

/// A runtime that starts after the filter; clients over a listener that was opened before; the worker's Unix socket;
/// reading a certificate again; a signal handler; a panic that is caught.
pub(crate) fn as_broker(
    folder: &Path,
    listener: TcpListener,
    client: TcpStream,
    accepted: TcpStream,
) -> Said {
    fs::read(folder.join("read/certificate"))?;
    let entries = fs::read_dir(folder.join("read"))?.count();
    if entries != 1 {
        return Err(format!("{entries} entries in the read folder").into());
    }
    listener.set_nonblocking(true)?;
    client.set_nonblocking(true)?;
    accepted.set_nonblocking(true)?;
    accepted.set_nodelay(true)?;
    let socket = folder.join("worker.socket");
    runtime()?.block_on(async move {
        let _listener = tokio::net::TcpListener::from_std(listener)?;
        let mut terminate = signal(SignalKind::terminate())?;
        let echoing = tokio::spawn(echo(tokio::net::TcpStream::from_std(accepted)?.into_split()));
        let mut client = tokio::net::TcpStream::from_std(client)?;
        client.write_all(b"hello").await?;
        let mut answer = [0; 5];
        client.read_exact(&mut answer).await?;
        client.shutdown().await?;
        echoing.await??;

        let mut worker = UnixStream::connect(&socket).await?;
        worker.peer_cred()?;
        worker.write_all(b"plan?").await?;
        worker.read_exact(&mut answer).await?;

        let panicked = tokio::spawn(async { panic_on_purpose() }).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let waited = tokio::time::timeout(Duration::from_millis(5), terminate.recv()).await;
        if !panicked.is_err_and(|error| error.is_panic()) || waited.is_ok() {
            return Err("tasks don't end as they should".into());
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    Ok("worked".to_owned())
}

/// SQLite in WAL mode and with a rollback journal, from several threads; a journal that is appended to, synced and
/// removed; the runtime.
pub(crate) fn as_worker(folder: &Path) -> Said {
    let folder = folder.join("write");
    for mode in ["wal", "delete"] {
        let file = folder.join(format!("{mode}.db"));
        let database = Connection::open(&file)?;
        database.pragma_update(None, "journal_mode", mode)?;
        database.pragma_update(None, "synchronous", "full")?;
        database.execute_batch("create table if not exists note (id integer primary key, body text)")?;
        database.busy_timeout(Duration::from_secs(5))?;
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let file = file.clone();
                thread::spawn(move || -> rusqlite::Result<()> {
                    let database = Connection::open(file)?;
                    database.busy_timeout(Duration::from_secs(5))?;
                    for _ in 0..10 {
                        database.execute("insert into note (body) values (?1)", ["x".repeat(5000)])?;
                    }
                    Ok(())
                })
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        let rows: i64 = database.query_row("select count(*) from note", [], |row| row.get(0))?;
        database.execute("delete from note", [])?;
        database.execute_batch("vacuum")?;
        if rows != 40 {
            return Err(format!("{rows} rows in mode {mode}").into());
        }
    }
    let journal = folder.join("audit.jsonl");
    let mut file = File::options().create(true).append(true).open(&journal)?;
    file.write_all(b"{}\n")?;
    file.sync_data()?;
    fs::remove_file(&journal)?;
    File::open(&folder)?.sync_all()?;
    runtime()?.block_on(async {
        tokio::task::spawn_blocking(|| thread::sleep(Duration::from_millis(5))).await?;
        Ok::<_, Box<dyn Error>>(())
    })?;
    Ok("worked".to_owned())
}

/// A panic that ends the process, with a backtrace.
pub(crate) fn panic() -> Said {
    let mut text = String::new();
    std::io::empty().read_to_string(&mut text)?;
    panic_on_purpose();
    Ok(text)
}

#[expect(clippy::panic, reason = "that is what it is for")]
fn panic_on_purpose() {
    panic!("on purpose");
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("confined")
        .enable_all()
        .build()
}

async fn echo((mut from, mut to): (tcp::OwnedReadHalf, tcp::OwnedWriteHalf)) -> std::io::Result<()> {
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}
