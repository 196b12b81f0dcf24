//! Looks once a second whether the server answers, on a connection of its own, and stops statements of the others when they ask
//! for it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::line::close;
use super::server::{ConnectError, Identity, Reached, Server};
use crate::database::sample::Sample;

const PERIOD: Duration = Duration::from_secs(1);
/// How long the server may take to answer what costs it nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many connections are made at most to find the server that an order is for.
const ASKED: u32 = 4;

/// An order to stop what a connection is at.
pub(super) struct Kill {
    /// Which of the addresses the connection leads to.
    pub(super) endpoint: usize,
    /// Which server that was.
    pub(super) identity: Identity,
    /// The server's number of the connection.
    pub(super) connection: u32,
    /// Told when the server has taken the order, and dropped when it has not.
    pub(super) done: oneshot::Sender<()>,
}

/// Serves until nobody is left who could give an order, or the task is dropped.
pub(super) async fn serve(
    server: Rc<Server>,
    samples: watch::Sender<Sample>,
    mut orders: UnboundedReceiver<Kill>,
) {
    let mut line = Line {
        server: &server,
        connection: None,
        endpoint: 0,
        identity: Identity::default(),
    };
    loop {
        let started = Instant::now();
        samples.send_replace(line.take().await);
        if line.obey(&mut orders, started).await == Next::End {
            return;
        }
    }
}

struct Line<'a> {
    server: &'a Server,
    connection: Option<Conn>,
    /// Which of the addresses it leads to, or the next shall.
    endpoint: usize,
    /// Which server it leads to.
    identity: Identity,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Look again.
    Look,
    /// Nobody is left who could give an order.
    End,
}

impl Line<'_> {
    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            close(connection);
        }
    }

    async fn take(&mut self) -> Sample {
        let start = Instant::now();
        let is_connected = self.tell("DO 1", None).await;
        Sample {
            is_connected,
            latency: start.elapsed(),
        }
    }

    /// Obeys until it is time for the next look.
    async fn obey(&mut self, orders: &mut UnboundedReceiver<Kill>, started: Instant) -> Next {
        loop {
            let left = PERIOD.saturating_sub(started.elapsed());
            match timeout(left, orders.recv()).await {
                Err(_) => return Next::Look,
                Ok(None) => return Next::End,
                Ok(Some(Kill {
                    endpoint,
                    identity,
                    connection: number,
                    done,
                })) => {
                    // A number that the server gave, and no value of anyone's. KILL takes no placeholder.
                    let order = format!("KILL QUERY {number}");
                    if !self.tell(&order, Some((endpoint, &identity))).await {
                        return Next::Look;
                    }
                    let _ = done.send(());
                }
            }
        }
    }

    /// Whether the server took a command. An error that it answers is an answer: the connection to be killed may be gone.
    /// A number of a connection means another one on another server, so that the order goes to this one or to none.
    async fn tell(&mut self, command: &str, only: Option<(usize, &Identity)>) -> bool {
        let told = timeout(PATIENCE, async {
            for _ in 0..ASKED {
                self.connect(only).await?;
                let is_it = only.is_none_or(|(_, identity)| *identity == self.identity);
                if !is_it {
                    // Behind this address there are several servers: the next connection may lead to the other.
                    self.close();
                    continue;
                }
                let Some(connection) = &mut self.connection else {
                    break;
                };
                return match connection.query_drop(command).await {
                    Ok(()) => Ok(true),
                    Err(mysql_async::Error::Server(error)) if !is_end(error.code) => {
                        tracing::debug!(code = error.code, "the server refused an order");
                        Ok(true)
                    }
                    Err(why) => Err(ConnectError::Server {
                        host: self.server.address.place(),
                        why,
                    }),
                };
            }
            Ok(false)
        })
        .await;
        match told {
            Ok(Ok(true)) => return true,
            Ok(Ok(false)) => {
                // It is no fault of the server's that answers.
                tracing::warn!("a statement goes on: its server is not found behind its address");
                return false;
            }
            Ok(Err(error)) => tracing::warn!(error = error.to_string(), "the database does not answer"),
            Err(_) => tracing::warn!("the database does not answer in time"),
        }
        self.close();
        self.endpoint = self.endpoint.wrapping_add(1);
        false
    }

    /// Sees to it that there is a connection; to this address, if one is named.
    async fn connect(&mut self, only: Option<(usize, &Identity)>) -> Result<(), ConnectError> {
        if only.is_some_and(|(endpoint, _)| endpoint != self.endpoint) {
            self.close();
        }
        if self.connection.is_some() {
            return Ok(());
        }
        let address = &self.server.address;
        let Reached {
            connection,
            endpoint,
            identity,
            kind: _,
            version: _,
            answers_new_rows: _,
            is_read_only: _,
            packet: _,
        } = match only {
            Some((endpoint, _)) => address.connect_again(endpoint).await?,
            None => address.connect(self.endpoint, Some(self.server.kind)).await?,
        };
        self.connection = Some(connection);
        self.endpoint = endpoint;
        self.identity = identity;
        Ok(())
    }
}

/// ER_SERVER_SHUTDOWN, ER_CONNECTION_KILLED
fn is_end(code: u16) -> bool {
    matches!(code, 1053 | 1927)
}
