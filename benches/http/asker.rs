//! A process that asks: as fast as a server can answer, and with nothing to do but count.

use std::io::{BufRead as _, BufReader, Read as _, Write as _, stdin};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::rounds::fleet::Fleet;
use crate::{ASK, CONNECTIONS, TOKENS};

/// A process that asks, as the one that serves sees it.
pub(crate) struct Asker {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Asker {
    pub(crate) fn start(ports: &[SocketAddr], fleet: &Fleet) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(ASK)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut orders = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        writeln!(orders, "{}", ports.join(" ")).unwrap();
        for number in 0..=TOKENS {
            writeln!(orders, "{}", fleet.text(number)).unwrap();
        }
        Self { process, orders, answers }
    }

    /// What the server answers to the revoked token.
    pub(crate) fn status(&mut self, case: usize) -> String {
        self.order(case, 0, 0);
        self.answer()
    }

    /// Nanoseconds until each of these has had so many requests answered, all at the same time, in which
    /// so many tokens take turns.
    pub(crate) fn take(all: &mut [Self], case: usize, tokens: usize, requests: usize) -> f64 {
        all.iter_mut().for_each(|asker| asker.order(case, tokens, requests));
        all.iter_mut().map(|asker| asker.answer().parse().unwrap()).fold(0.0, f64::max)
    }

    fn order(&mut self, case: usize, tokens: usize, requests: usize) {
        writeln!(self.orders, "{case} {tokens} {requests}").unwrap();
    }

    fn answer(&mut self) -> String {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the other process does: it takes orders until there are no more.
pub(crate) fn ask() {
    let mut lines = stdin().lock().lines().map(Result::unwrap);
    let ports: Vec<SocketAddr> =
        lines.next().unwrap().split(' ').map(|port| port.parse().unwrap()).collect();
    let mut requests: Vec<Vec<u8>> = lines
        .by_ref()
        .take(TOKENS + 1)
        .map(|text| {
            format!("GET / HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {text}\r\n\r\n")
                .into_bytes()
        })
        .collect();
    let revoked = requests.pop().unwrap();
    let mut cases: Vec<Vec<TcpStream>> =
        ports.iter().map(|port| (0..CONNECTIONS).map(|_| connect(*port)).collect()).collect();
    for order in lines {
        let order: Vec<usize> = order.split(' ').map(|number| number.parse().unwrap()).collect();
        match order[..] {
            [case, _, 0] => println!("{}", status(&mut connect(ports[case]), &revoked)),
            [case, tokens, count] => {
                let took = volley(&mut cases[case], &requests[..tokens], count);
                println!("{}", took.as_nanos());
            }
            _ => unreachable!("an order of three numbers"),
        }
    }
}

fn connect(port: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(port).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn status(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    String::from_utf8_lossy(&head[9..]).into_owned()
}

/// As soon as a connection is answered it is asked again.
fn volley(connections: &mut [TcpStream], requests: &[Vec<u8>], count: usize) -> Duration {
    let (mut asked, mut answered) = (0, 0);
    let begun = Instant::now();
    for connection in &mut *connections {
        connection.write_all(&requests[asked % requests.len()]).unwrap();
        asked += 1;
    }
    while answered < asked {
        let connection = &mut connections[answered % CONNECTIONS];
        accepted(connection);
        answered += 1;
        if asked < count {
            connection.write_all(&requests[asked % requests.len()]).unwrap();
            asked += 1;
        }
    }
    begun.elapsed()
}

/// Reads one answer: it is a head alone, which an empty line ends.
fn accepted(connection: &mut TcpStream) {
    let (mut answer, mut length) = ([0; 512], 0);
    while !answer[..length].ends_with(b"\r\n\r\n") {
        let read = connection.read(&mut answer[length..]).unwrap();
        assert!(read > 0, "the server hung up");
        length += read;
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..length]));
}
