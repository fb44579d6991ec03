//! A network that fails when it is told to: a proxy between a store and its server.
//!
//! What a client sends is looked at as it arrives. A question to the server is short and arrives
//! whole, so a question that holds certain bytes can be waited for and cut at.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// A way to one server. Its connections end with the runtime that it was started on.
pub(crate) struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
}

struct Network {
    server: SocketAddr,
    weather: watch::Sender<Weather>,
    /// Every connection that is open when it is sent ends this way.
    cut: watch::Sender<End>,
    snare: Mutex<Option<Snare>>,
}

/// What happens to all that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// It arrives.
    Fair,
    /// It arrives this much later, in each direction.
    Slow(Duration),
    /// It is swallowed, and nobody is told. A connection that lost something stays silent for
    /// ever, as behind a firewall that has forgotten it.
    BlackHole,
}

/// How a connection ends, for both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With FIN: all that was sent has arrived.
    Closed,
    /// With FIN towards the client only; what it sends goes on being read, and swallowed.
    HalfClosed,
    /// With RST.
    Reset,
}

/// A question at which its connection is cut.
struct Snare {
    holding: Vec<u8>,
    reach: Reach,
    end: End,
}

/// How far a question gets that its connection is cut at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The server never sees it.
    Nowhere,
    /// The server sees it, and is about to answer.
    Server,
    /// The server has answered, and the answer is lost.
    Answered,
}

impl Proxy {
    /// A way to the server at this port of this machine, in fair weather.
    pub(crate) fn start(runtime: &Handle, port: u16) -> Self {
        let network = Arc::new(Network {
            server: SocketAddr::from(([127, 0, 0, 1], port)),
            weather: watch::Sender::new(Weather::Fair),
            cut: watch::Sender::new(End::Closed),
            snare: Mutex::default(),
        });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&network);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&shared).carry(client));
            }
        });
        Self { address, network }
    }

    /// How to reach a database of the server this way.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://keyfob@{}/{database}", self.address)
    }

    pub(crate) fn weather(&self, weather: Weather) {
        self.network.weather.send_replace(weather);
    }

    /// Cuts every connection that is open now.
    pub(crate) fn cut(&self, end: End) {
        self.network.cut.send_replace(end);
    }

    /// Cuts the connection of the next question that holds these bytes, and no other.
    pub(crate) fn cut_at(&self, holding: &str, reach: Reach, end: End) {
        let snare = Snare { holding: holding.into(), reach, end };
        *self.network.snare.lock().unwrap() = Some(snare);
    }

    /// Whether what [`Proxy::cut_at`] waits for has come.
    pub(crate) fn has_cut(&self) -> bool {
        self.network.snare.lock().unwrap().is_none()
    }
}

impl Network {
    async fn carry(self: Arc<Self>, mut client: TcpStream) {
        let mut cut = self.cut.subscribe();
        let carried = async {
            if self.is_black_hole() {
                swallow(&mut client).await;
                return None;
            }
            let mut server = TcpStream::connect(self.server).await.ok()?;
            for stream in [&client, &server] {
                stream.set_nodelay(true).ok()?;
            }
            let end = {
                let (from_client, to_client) = client.split();
                let (from_server, to_server) = server.split();
                let (snared, mut answered) = watch::channel(None);
                tokio::select! {
                    end = self.up(from_client, to_server, snared) => end,
                    end = self.down(from_server, to_client, &mut answered) => end,
                    _ = cut.changed() => *cut.borrow(),
                }
            };
            match end {
                End::Closed => {}
                End::HalfClosed => {
                    client.shutdown().await.ok()?;
                    swallow(&mut client).await;
                }
                End::Reset => {
                    for stream in [&client, &server] {
                        stream.set_zero_linger().ok()?;
                    }
                }
            }
            Some(())
        };
        // A side that is gone already needs no other end.
        let _ended = carried.await;
    }

    /// Carries what a client says; `snared` hears of a question whose answer is to be lost.
    async fn up(
        &self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        snared: watch::Sender<Option<End>>,
    ) -> End {
        let mut buffer = vec![0; 64 * 1024];
        while let Some(said) = read(&mut from, &mut buffer).await {
            let snare = self.snare_for(said);
            match snare.as_ref().map(|snare| (snare.reach, snare.end)) {
                Some((Reach::Nowhere, end)) => return end,
                Some((Reach::Answered, end)) => drop(snared.send_replace(Some(end))),
                _ => {}
            }
            if !self.deliver(&mut to, said).await {
                break;
            }
            if let Some(snare) = snare.filter(|snare| snare.reach == Reach::Server) {
                // A reset takes along what the server has not read yet.
                tokio::time::sleep(UNTIL_READ).await;
                return snare.end;
            }
        }
        End::Closed
    }

    /// Carries what a server says, up to an answer that is to be lost.
    async fn down(
        &self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        snared: &mut watch::Receiver<Option<End>>,
    ) -> End {
        let mut buffer = vec![0; 64 * 1024];
        while let Some(said) = read(&mut from, &mut buffer).await {
            if let Some(end) = *snared.borrow_and_update() {
                return end;
            }
            if !self.deliver(&mut to, said).await {
                break;
            }
        }
        End::Closed
    }

    /// Whether it arrived. In a black hole it neither does nor does not.
    async fn deliver(&self, to: &mut WriteHalf<'_>, said: &[u8]) -> bool {
        let weather = *self.weather.borrow();
        match weather {
            Weather::Fair => {}
            Weather::Slow(delay) => tokio::time::sleep(delay).await,
            Weather::BlackHole => std::future::pending().await,
        }
        to.write_all(said).await.is_ok()
    }

    fn snare_for(&self, said: &[u8]) -> Option<Snare> {
        let mut snare = self.snare.lock().unwrap();
        snare.take_if(|snare| said.windows(snare.holding.len()).any(|part| part == snare.holding))
    }

    fn is_black_hole(&self) -> bool {
        *self.weather.borrow() == Weather::BlackHole
    }
}

/// The server is another process on this machine, and reads at once.
const UNTIL_READ: Duration = Duration::from_millis(50);

async fn read<'b>(from: &mut ReadHalf<'_>, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let read = from.read(buffer).await.ok().filter(|read| *read > 0)?;
    buffer.get(..read)
}

/// Reads until the other side ends, and forgets it.
async fn swallow(from: &mut TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while from.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
