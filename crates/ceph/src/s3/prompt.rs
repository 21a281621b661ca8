//! A connection on which everything that comes is acknowledged at once.
//!
//! Ceph's gateway holds the end of an answer back until its beginning is acknowledged (Nagle's algorithm, unless `rgw_frontends` says
//! `tcp_nodelay=1`), and Linux waits 40 ms with an acknowledgement once a connection was used: together they would be the time that a
//! small object takes. `TCP_QUICKACK` is not kept by the system, so it is asked for again after each read (tcp(7)).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_smithy_runtime_api::box_error::BoxError;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

/// What makes such connections.
#[derive(Debug, Clone)]
pub(super) struct Connector(pub(super) HttpConnector);

impl Service<Uri> for Connector {
    type Response = Prompt;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Prompt, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        async { Ok(Prompt(connecting.await?)) }.boxed()
    }
}

/// Such a connection.
#[derive(Debug)]
pub(super) struct Prompt(TokioIo<TcpStream>);

impl Connection for Prompt {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

impl Read for Prompt {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        #[cfg(target_os = "linux")]
        if read.is_ready() {
            // Without it all comes too, only later.
            let _ = self.0.inner().set_quickack(true);
        }
        read
    }
}

impl Write for Prompt {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_comes_is_acknowledged_at_once_on_a_connection_that_was_used_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("connected");
        let (mut server, _) = listener.accept().await.expect("a client");
        let mut prompt = TokioIo::new(Prompt(TokioIo::new(client)));
        for _ in 0..20 {
            prompt.write_all(b"?").await.expect("asked");
            assert_eq!(server.read_u8().await.expect("a question"), b'?');
            server.write_all(b"!").await.expect("answered");
            assert_eq!(prompt.read_u8().await.expect("an answer"), b'!');
        }
        assert!(prompt.inner().0.inner().quickack().expect("it says so"));
    }
}
