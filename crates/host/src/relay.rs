//! A connection out of a place where only commands run: a program there connects, and its input and output are the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backup_core::{Body, Error, Result, body};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf};

use crate::{Command, Connection, Host, Port};

/// How much is on its way to the program, in bytes.
const SPACE: usize = 256 * 1024;

/// Says `+` once it is connected, then hands on both directions; ends well once the other side has closed.
const SCRIPT: &str = r#"
use IO::Socket::IP;
my $far = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => $ARGV[1]) or die "$@\n";
sub copy {
    my ($from, $to) = @_;
    while (1) {
        my $read = sysread $from, my $bytes, 65536;
        defined $read or die "$!\n";
        $read or return;
        for (my $at = 0; $at < $read;) {
            my $written = syswrite $to, $bytes, $read - $at, $at;
            defined $written or die "$!\n";
            $at += $written;
        }
    }
}
syswrite STDOUT, "+" or die "$!\n";
my $feeder = fork;
defined $feeder or die "$!\n";
if (!$feeder) {
    copy(\*STDIN, $far);
    shutdown $far, 1;
    exit;
}
copy($far, \*STDOUT);
kill KILL => $feeder;
"#;

/// [`Host::connect`] by `perl` there. Returns once it is connected.
pub(crate) async fn connect(host: &dyn Host, to: &Port) -> Result<Connection> {
    if to.machine.is_empty() || to.machine.contains(|c: char| c.is_control() || c.is_whitespace() || "[]/".contains(c)) {
        return Err(Error::usage(format!("{:?} is no machine to connect to", to.machine)));
    }
    let command = Command::new("perl").args(["-e", SCRIPT, &to.machine, &to.number.to_string()]);
    let (near, far) = tokio::io::duplex(SPACE);
    let doing = |error: Error| {
        let hint = error.hint().unwrap_or("look at the port and whether its server runs").to_owned();
        Error::failed(format!("{} cannot connect to {to}", host.name())).with_source(error).with_hint(hint)
    };
    let mut from = host.run(&command, Some(body::sound(far))).await.map_err(doing)?;
    from.read_exact(&mut [0]).await.map_err(|error| doing(error.into()))?;
    Ok(Box::pin(Relay { from, to: Some(near), name: host.name().to_owned(), port: to.clone() }))
}

/// Both directions of a program that is connected.
struct Relay {
    from: Body,
    /// None once nothing more is written.
    to: Option<DuplexStream>,
    name: String,
    port: Port,
}

impl AsyncRead for Relay {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.from.as_mut().poll_read(cx, buf));
        Poll::Ready(read.map_err(|error| {
            let cut = format!("the connection to {} was cut on its way to {}", self.port, self.name);
            Error::failed(cut).with_source(Error::from(error)).into()
        }))
    }
}

impl AsyncWrite for Relay {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(to) = &mut self.to else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(to).poll_write(cx, bytes)) {
            // The program has ended. Why, whoever reads is told.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(bytes.len())),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to = None;
        Poll::Ready(Ok(()))
    }
}
