//! The services that are asked: over a network, and without one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
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

/// Serves each service on a port of its own with so many threads, to the end of the program, and
/// returns the ports.
pub(crate) fn start(services: Vec<Serve>, threads: usize) -> Vec<SocketAddr> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // A runtime of several threads has another scheduler, which takes longer.
        let mut runtime = match threads {
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        runtime.worker_threads(threads).enable_io().build().unwrap().block_on(async {
            let mut ports = Vec::new();
            for serve in services {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ports.push(listener.local_addr().unwrap());
                tokio::spawn(serve(listener));
            }
            tell.send(ports).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
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
