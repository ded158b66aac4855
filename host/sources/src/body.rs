//! Bounded reading of HTTP bodies: the only way bodies are read here.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

/// A body, or its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CappedBody {
    /// At most as many bytes as were to be kept.
    pub bytes: Bytes,
    /// There was more than was kept.
    pub truncated: bool,
    /// The body was read to its end, so the connection can be used again.
    pub complete: bool,
}

/// Reads a body, keeps its first `keep` bytes and throws away what follows up
/// to `drain` bytes in all. A body in one piece is not copied.
///
/// # Errors
/// Whatever the body reports: a broken chunk, a connection that went away.
pub async fn read_capped<B>(mut body: B, keep: usize, drain: usize) -> Result<CappedBody, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut kept = Bytes::new();
    let mut joined = BytesMut::new();
    let mut total = 0_usize;
    while !body.is_end_stream() && total <= drain {
        let Some(frame) = body.frame().await else {
            break;
        };
        let Ok(mut data) = frame?.into_data() else {
            continue;
        };
        let room = keep.saturating_sub(total);
        total = total.saturating_add(data.len());
        data.truncate(room);
        if kept.is_empty() && joined.is_empty() {
            kept = data;
        } else if !data.is_empty() {
            joined.extend_from_slice(&std::mem::take(&mut kept));
            joined.extend_from_slice(&data);
        }
    }
    let bytes = if joined.is_empty() {
        kept
    } else {
        joined.freeze()
    };
    Ok(CappedBody {
        bytes,
        truncated: total > keep,
        complete: total <= drain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    struct Pieces(VecDeque<&'static [u8]>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
            let next = self.0.pop_front();
            Poll::Ready(next.map(|piece| Ok(hyper::body::Frame::data(Bytes::from_static(piece)))))
        }
    }

    async fn read(pieces: &[&'static [u8]], keep: usize, drain: usize) -> CappedBody {
        read_capped(Pieces(pieces.iter().copied().collect()), keep, drain)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn pieces_are_joined_and_cut_at_the_cap() {
        let body = read(&[b"ab", b"cd", b"ef"], 5, 100).await;
        assert_eq!(&body.bytes[..], b"abcde");
        assert!(body.truncated && body.complete);
        let whole = read(&[b"ab", b"cd"], 4, 100).await;
        assert_eq!(&whole.bytes[..], b"abcd");
        assert!(!whole.truncated && whole.complete);
    }

    #[tokio::test]
    async fn reading_stops_at_the_second_cap() {
        let body = read(&[b"abc", b"def", b"ghi"], 2, 4).await;
        assert_eq!(&body.bytes[..], b"ab");
        assert!(body.truncated && !body.complete);
    }

    #[tokio::test]
    async fn nothing_is_a_body_too() {
        assert_eq!(read(&[], 2, 4).await.bytes.len(), 0);
    }
}
