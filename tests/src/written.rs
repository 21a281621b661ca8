//! A server whose answers are written beforehand, for what no real one can be brought to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

/// A server that gives these answers and no others, one a connection: `200 OK` and headers, and a body. It ends with the first lines of
/// what it was asked.
///
/// # Panics
/// Its thread does, where a request breaks off.
pub fn answers<H: AsRef<str>, B: AsRef<str>>(answers: &[(H, B)]) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let whole = |(head, body): &(H, B)| format!("HTTP/1.1 {}\r\nConnection: close\r\n\r\n{}", head.as_ref(), body.as_ref());
    let answers: Vec<String> = answers.iter().map(whole).collect();
    let serve = move |answer: String| {
        let (mut client, _) = listener.accept().expect("a client");
        let asked = asked(&client);
        client.write_all(answer.as_bytes()).expect("written");
        asked
    };
    (address, std::thread::spawn(move || answers.into_iter().map(serve).collect()))
}

/// The first line of a request, which is read to its end.
fn asked(client: &TcpStream) -> String {
    let mut reader = BufReader::new(client);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).expect("a request");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            reader.read_exact(&mut vec![0; length]).expect("a body");
            return first;
        }
    }
}
