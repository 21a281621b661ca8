//! What can go wrong with an answer of a gateway, each as it was seen with real ones.

use std::future::pending;
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Bytes, Frame};
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::{Body, answer};

/// What happens to an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The gateway is not asked; this status and this code of S3 come back.
    Answer(u16, &'static str),
    /// The gateway is not asked; the connection is reset.
    Reset,
    /// The gateway is not asked; no answer comes as long as the client waits.
    Hang,
    /// The gateway does what it is asked; the connection is reset before its answer.
    Lose,
    /// The connection ends after so many bytes of the body, which was announced whole.
    Cut(usize),
    /// So many bytes of the body come back, as if these were all.
    Short(usize),
    /// One bit of the byte at this place of the body is another, or of the last byte if there are fewer.
    Flip(usize),
    /// The same of what is sent, before the gateway gets it.
    FlipSent(usize),
    /// A page of a listing ends after so many objects and says that it was the last one.
    End(usize),
    /// A request with a longer body than this is answered as nginx does with `client_max_body_size`: 413 and a page of HTML, before the
    /// body was sent, which nobody gets. All others pass.
    Limit(u64),
}

impl Fault {
    /// The answer to `request` as this fault leaves it.
    pub(super) async fn spoil<F>(
        self,
        request: Request<Body>,
        hand_on: impl FnOnce(Request<Body>) -> F,
    ) -> Result<Response<Body>>
    where
        F: Future<Output = Result<Response<Body>>>,
    {
        let reset = || Error::new(ErrorKind::ConnectionReset, "reset on purpose");
        let has_body = request.method() != Method::HEAD;
        match self {
            Self::Cut(_) | Self::Short(_) | Self::Flip(_) | Self::End(_) if !has_body => hand_on(request).await,
            Self::Answer(status, code) => {
                // A gateway reads what it is sent before it answers.
                request.into_body().collect().await?;
                let status = StatusCode::from_u16(status).map_err(Error::other)?;
                let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>");
                Ok(answer(status, body))
            }
            Self::Reset => Err(reset()),
            Self::Hang => pending().await,
            Self::Lose => {
                hand_on(request).await?.into_body().collect().await?;
                Err(reset())
            }
            Self::Cut(at) => {
                let (parts, body) = whole(hand_on(request).await?).await?;
                let some = Ok(Frame::data(body.slice(..at.min(body.len()))));
                // While nothing more is to be had, what there is goes out.
                let end = stream::once(async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Err(reset())
                });
                let cut = StreamBody::new(stream::iter([some]).chain(end));
                let mut answer = Response::from_parts(parts, BodyExt::boxed(cut));
                length(&mut answer, body.len());
                Ok(answer)
            }
            Self::Limit(most) => {
                if request.body().size_hint().lower() <= most {
                    return hand_on(request).await;
                }
                // It goes on being read, or the answer would be lost with the connection.
                tokio::spawn(request.into_body().collect());
                let page = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n<center><h1>413 Request \
                            Entity Too Large</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
                Ok(answer(StatusCode::PAYLOAD_TOO_LARGE, page.to_owned()))
            }
            Self::Short(at) => changed(hand_on(request).await?, |body| body.truncate(at)).await,
            Self::Flip(at) => changed(hand_on(request).await?, |body| flip(body, at)).await,
            Self::FlipSent(at) => {
                let (parts, body) = request.into_parts();
                let mut body = body.collect().await?.to_bytes().to_vec();
                flip(&mut body, at);
                let body = Full::new(Bytes::from(body)).map_err(Error::other).boxed();
                hand_on(Request::from_parts(parts, body)).await
            }
            Self::End(count) => {
                changed(hand_on(request).await?, |body| {
                    if let Ok(text) = str::from_utf8(body) {
                        *body = ended(text, count).into_bytes();
                    }
                })
                .await
            }
        }
    }
}

/// One bit of the byte at this place becomes another, or of the last byte if there are fewer.
fn flip(body: &mut [u8], at: usize) {
    let at = at.min(body.len().saturating_sub(1));
    if let Some(byte) = body.get_mut(at) {
        *byte ^= 1;
    }
}

/// All of an answer.
async fn whole(answer: Response<Body>) -> Result<(hyper::http::response::Parts, Bytes)> {
    let (parts, body) = answer.into_parts();
    Ok((parts, body.collect().await?.to_bytes()))
}

/// An answer with another body, and the length of that.
async fn changed(answer: Response<Body>, change: impl FnOnce(&mut Vec<u8>)) -> Result<Response<Body>> {
    let (parts, body) = whole(answer).await?;
    let mut body = body.to_vec();
    change(&mut body);
    let mut changed = super::answer(parts.status, body.clone());
    *changed.headers_mut() = parts.headers;
    length(&mut changed, body.len());
    Ok(changed)
}

fn length(answer: &mut Response<Body>, length: usize) {
    answer.headers_mut().remove("transfer-encoding");
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
}

/// A page of a listing with its first `count` objects alone, called the last one.
fn ended(page: &str, count: usize) -> String {
    let mut objects = page.split_inclusive("</Contents>");
    let mut kept: String = objects.by_ref().take(count).filter(|part| part.contains("<Contents>")).collect();
    if count == 0 {
        kept = page.split("<Contents>").next().unwrap_or_default().to_owned();
    }
    let rest = page.rsplit("</Contents>").next().unwrap_or_default();
    let page = if page.contains("<Contents>") { kept + rest } else { page.to_owned() };
    let page = page.replace("<IsTruncated>true</IsTruncated>", "<IsTruncated>false</IsTruncated>");
    without(&without(&page, "NextContinuationToken"), "NextMarker")
}

/// `page` without the first element of this name.
fn without(page: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    match page.split_once(&open).map(|(before, rest)| (before, rest.split_once(&close))) {
        Some((before, Some((_, after)))) => format!("{before}{after}"),
        _ => page.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_early_and_says_it_was_the_last() {
        let page = "<R><Name>b</Name><IsTruncated>true</IsTruncated><Contents><Key>a</Key></Contents><Contents><Key>b</Key>\
                    </Contents><NextContinuationToken>t</NextContinuationToken></R>";
        let head = "<R><Name>b</Name><IsTruncated>false</IsTruncated>";
        assert_eq!(ended(page, 0), format!("{head}</R>"));
        assert_eq!(ended(page, 1), format!("{head}<Contents><Key>a</Key></Contents></R>"));
        assert_eq!(ended(page, 9), format!("{head}<Contents><Key>a</Key></Contents><Contents><Key>b</Key></Contents></R>"));
        assert_eq!(ended("<R><IsTruncated>true</IsTruncated></R>", 3), "<R><IsTruncated>false</IsTruncated></R>");
    }
}
