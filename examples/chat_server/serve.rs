//! Connections: how many, for how long, and how they end.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use keyfob::http::ClientAddress;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower_service::Service as _;

use crate::forwarded::client_address;
use crate::live::Connections;

/// Serves until `stop` resolves, and then finishes what has begun, within three seconds.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    trusted_proxies: Arc<[IpNet]>,
    connections: &Connections,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    // Its routes are made now, and not with each request.
    let router = router.with_state(());
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(LONGEST_HEAD);
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accept = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accept => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // There may be no file descriptor left; trying at once would only spin.
                tracing::warn!(%error, "a connection was not accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (router, trusted_proxies) = (router.clone(), Arc::clone(&trusted_proxies));
        let service = service_fn(move |mut request: hyper::Request<_>| {
            let address = client_address(peer.ip(), request.headers(), &trusted_proxies);
            request.extensions_mut().insert(ClientAddress(address));
            router.clone().call(request)
        });
        let connection = server.serve_connection(Impatient::new(stream), service).with_upgrades();
        let stopped = connections.stopped();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopped => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    connections.stop();
    let all = u32::try_from(MOST_CONNECTIONS).unwrap_or(u32::MAX);
    if timeout(FAREWELL, room.acquire_many(all)).await.is_err() {
        tracing::warn!("some requests were not finished");
    }
    connections.ended().await;
}

/// A connection that breaks when the client does not read what it has asked for.
#[derive(Debug)]
struct Impatient {
    stream: TokioIo<TcpStream>,
    patience: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl Impatient {
    fn new(stream: TcpStream) -> Self {
        // Answers are written at once; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let patience = Box::pin(sleep(PATIENCE));
        Self { stream: TokioIo::new(stream), patience, is_waiting: false }
    }

    /// What `poll` says, unless it has been saying "not yet" for too long.
    fn bounded<T>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TokioIo<TcpStream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let this = &mut *self;
        if let ready @ Poll::Ready(_) = poll(Pin::new(&mut this.stream), context) {
            this.is_waiting = false;
            return ready;
        }
        if !this.is_waiting {
            this.is_waiting = true;
            let until = Instant::now().checked_add(PATIENCE).unwrap_or_else(Instant::now);
            this.patience.as_mut().reset(until);
        }
        ready!(this.patience.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Read for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Impatient {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bounded(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, Write::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, Write::poll_shutdown)
    }
}

/// How long a client may take to send a request's head, and not read an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// With the time to write down uses, it stays below five seconds.
const FAREWELL: Duration = Duration::from_secs(3);

/// A token takes less than 200 bytes, and browsers send a few thousand.
const LONGEST_HEAD: usize = 32 * 1024;

/// Half of the 1024 file descriptors that a process usually has.
const MOST_CONNECTIONS: usize = 512;
