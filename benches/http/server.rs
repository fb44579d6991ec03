//! The services that are asked: over a network by one thread, and without one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tower::Service;

use crate::rounds::ready;

/// What answers whoever connects, to the end of the program.
pub(crate) type Serve =
    Box<dyn FnOnce(TcpListener) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What answers a request that came from nowhere.
pub(crate) type Call = Box<dyn Fn(Request<Body>) -> StatusCode + Sync>;

pub(crate) fn measured<V>(service: V) -> (Serve, Call)
where
    V: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    V: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    V: Clone + Send + Sync + 'static,
    <V as Service<Request<Incoming>>>::Future: Send,
{
    let served = service.clone();
    let call = move |request: Request<Body>| {
        let mut service = service.clone();
        ready(Service::<Request<Body>>::call(&mut service, request)).unwrap().status()
    };
    (Box::new(|listener| Box::pin(serve(listener, served))), Box::new(call))
}

/// One thread that serves each service on a port of its own, to the end of the program.
pub(crate) struct Server {
    pub(crate) ports: Vec<SocketAddr>,
    thread: Handle,
}

impl Server {
    pub(crate) fn start(services: Vec<Serve>) -> Self {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async {
                let mut ports = Vec::new();
                for serve in services {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    ports.push(listener.local_addr().unwrap());
                    tokio::spawn(serve(listener));
                }
                tell.send((ports, Handle::current())).unwrap();
                std::future::pending::<()>().await;
            });
        });
        let (ports, thread) = told.recv().unwrap();
        Self { ports, thread }
    }

    /// How long its thread has been running.
    pub(crate) fn cpu(&self) -> Duration {
        let (tell, told) = mpsc::channel();
        self.thread.spawn(async move {
            tell.send(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        });
        told.recv().unwrap().try_into().unwrap()
    }
}

async fn serve<V>(listener: TcpListener, service: V)
where
    V: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    V: Clone + Send + 'static,
    V::Future: Send,
{
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let service = service.clone();
        let service = service_fn(move |request| service.clone().call(request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}
