//! A receiver of webhooks and pings: HTTP on a free port, which answers as it is told and remembers what it was asked.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::program::until;

/// What it does with one request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// Nothing, for as long as the client waits.
    Hang,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// As `POST /hook`.
    pub(crate) line: String,
    pub(crate) body: String,
}

/// It answers 200 once it has no other answer left.
pub(crate) struct Receiver {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Receiver {
    pub(crate) fn start(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answers, to) = (Arc::new(Mutex::new(VecDeque::from(answers.to_vec()))), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, to) = (Arc::clone(&answers), Arc::clone(&to));
                std::thread::spawn(move || answer(stream, &answers, &to));
            }
        });
        Self { address, asked }
    }

    /// The URL of `path` here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All that was asked so far, which is forgotten.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().expect("asked"))
    }

    /// The same once there are `count`.
    #[track_caller]
    pub(crate) fn wait(&self, count: usize) -> Vec<Asked> {
        until("the receiver is told", || self.asked.lock().expect("asked").len() >= count);
        self.take()
    }
}

impl Asked {
    /// The fields of a form.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let pairs = self.body.split('&').map(|pair| pair.split_once('=').expect("a field"));
        pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
    }

    /// The level and the message of the container's form.
    pub(crate) fn told(&self) -> (String, String) {
        let fields = self.fields();
        let value = |name: &str| fields.iter().find(|field| field.0 == name).expect(name).1.clone();
        (value("statusCode"), value("message"))
    }
}

fn answer(mut stream: TcpStream, answers: &Mutex<VecDeque<Answer>>, asked: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let length = head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
    reader.read_exact(&mut body).expect("a body");
    let line = head[0].trim_end_matches(" HTTP/1.1").to_owned();
    asked.lock().expect("asked").push(Asked { line, body: String::from_utf8(body).expect("text") });
    let next = answers.lock().expect("answers").pop_front();
    match next.unwrap_or(Answer::Status(200)) {
        Answer::Status(status) => {
            let _ = write!(stream, "HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\nok");
        }
        // Until the client has gone.
        Answer::Hang => {
            let _ = reader.read_to_end(&mut Vec::new());
        }
    }
}

/// A value of a form.
fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                u8::from_str_radix(std::str::from_utf8(&digits).expect("digits"), 16).expect("digits")
            }
            byte => byte,
        });
    }
    String::from_utf8(out).expect("text")
}
