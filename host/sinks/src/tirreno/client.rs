//! One HTTP/1.1 connection to Tirreno, reused while the server lets us.
//!
//! Nothing is spawned: the connection makes progress while a request waits on
//! it. A reused connection that turns out to be dead is replaced at once and
//! the request sent again, since servers close idle connections at will. A
//! cancelled request takes its connection with it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::time::timeout;

use super::address::Address;
use crate::connection::connect;
use crate::tls::Tls;

const API_KEY: HeaderName = HeaderName::from_static("api-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes of an answer's body that are read to keep a connection usable; what
/// is longer costs the connection. Tirreno's own answers are empty.
const LONGEST_BODY: usize = 16 * 1024;

/// Longest wait a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Tirreno took the record.
    Accepted,
    /// Sending it again would end the same way.
    Refused(String),
    /// It has to be sent again.
    Later {
        /// Not sooner than this.
        after: Duration,
        /// Why.
        reason: String,
    },
}

#[derive(Debug, Error)]
enum ExchangeError {
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
}

struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    ended: bool,
}

/// Sends forms, one at a time.
pub(super) struct Client {
    address: Address,
    tls: Option<Tls>,
    key: HeaderValue,
    limit: Duration,
    connection: Option<Connection>,
}

impl Client {
    pub(super) fn new(
        address: Address,
        tls: Option<Tls>,
        key: HeaderValue,
        limit: Duration,
    ) -> Self {
        Self {
            address,
            tls,
            key,
            limit,
            connection: None,
        }
    }

    /// Sends one form and judges the answer.
    pub(super) async fn send(&mut self, form: String, request_id: Option<&str>) -> Verdict {
        let form = Bytes::from(form);
        let limit = self.limit;
        match timeout(limit, self.exchange(form, request_id)).await {
            Ok(Ok((status, after))) => judge(status, after),
            Ok(Err(error)) => later(format!("{error} ({})", self.address.endpoint)),
            Err(_) => later(format!(
                "no answer within {} seconds ({})",
                limit.as_secs(),
                self.address.endpoint
            )),
        }
    }

    /// Closes the connection.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    async fn exchange(
        &mut self,
        form: Bytes,
        request_id: Option<&str>,
    ) -> Result<(StatusCode, Option<Duration>), ExchangeError> {
        if let Some(connection) = self.reusable().await {
            let request = self.request(form.clone(), request_id);
            if let Ok(answer) = self.exchange_on(connection, request).await {
                return Ok(answer);
            }
        }
        let connection = self.open().await?;
        let request = self.request(form, request_id);
        self.exchange_on(connection, request).await
    }

    async fn exchange_on(
        &mut self,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Option<Duration>), ExchangeError> {
        let Connection {
            sender,
            driver,
            ended,
        } = &mut connection;
        let answering = async {
            let mut response = sender.send_request(request).await?;
            let keep = read_body(&mut response).await;
            Ok::<_, hyper::Error>((response.status(), retry_after(&response), keep))
        };
        let (status, after, keep) = alongside(driver, ended, answering).await?;
        if keep {
            self.connection = Some(connection);
        }
        Ok((status, after))
    }

    /// The open connection, unless the server has closed it meanwhile.
    async fn reusable(&mut self) -> Option<Connection> {
        let mut connection = self.connection.take()?;
        let Connection {
            sender,
            driver,
            ended,
        } = &mut connection;
        alongside(driver, ended, std::future::ready(())).await;
        (!*ended && sender.is_ready()).then_some(connection)
    }

    async fn open(&mut self) -> Result<Connection, ExchangeError> {
        let stream = connect(&self.address.endpoint, self.tls.as_ref())
            .await
            .map_err(ExchangeError::Connect)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Connection {
            sender,
            driver: Box::pin(driver),
            ended: false,
        })
    }

    fn request(&self, form: Bytes, request_id: Option<&str>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(form));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.address.path.clone();
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.address.host_header.clone());
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(API_KEY, self.key.clone());
        if let Some(Ok(value)) = request_id.map(HeaderValue::from_str) {
            headers.insert(REQUEST_ID, value);
        }
        request
    }
}

/// Runs `work` while the connection makes progress under it.
async fn alongside<T>(
    driver: &mut Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    ended: &mut bool,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        if !*ended && driver.as_mut().poll(context).is_ready() {
            // Its error reaches whoever waits for the answer.
            *ended = true;
        }
        work.as_mut().poll(context)
    })
    .await
}

/// Reads the body to its end; `false` when it is too long or breaks off.
async fn read_body(response: &mut Response<Incoming>) -> bool {
    let mut length = 0;
    while let Some(frame) = response.body_mut().frame().await {
        length += match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => data.len(),
            Ok(Err(_trailers)) => 0,
            Err(_) => return false,
        };
        if length > LONGEST_BODY {
            return false;
        }
    }
    true
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let seconds = response
        .headers()
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

fn later(reason: String) -> Verdict {
    Verdict::Later {
        after: Duration::ZERO,
        reason,
    }
}

fn judge(status: StatusCode, after: Option<Duration>) -> Verdict {
    let code = status.as_u16();
    let after = after.unwrap_or_default();
    match code {
        204 => Verdict::Accepted,
        200 => Verdict::Refused(
            "tirreno refused the record (status 200): the tracking id is wrong or a required field is missing".into(),
        ),
        201..=299 => Verdict::Refused(format!("unexpected answer (status {code}): is this a Tirreno sensor?")),
        413 => Verdict::Refused("too large for the server (status 413)".into()),
        400 | 414 | 415 | 422 | 431 => Verdict::Refused(format!("the server refused the request (status {code})")),
        429 => Verdict::Later { after, reason: "tirreno's rate limit is reached (status 429)".into() },
        300..=399 => {
            Verdict::Later { after, reason: format!("redirects are not followed (status {code}): correct `url`") }
        }
        401 | 403 | 404 | 405 => {
            Verdict::Later { after, reason: format!("no sensor there (status {code}): check `url` and `api_key`") }
        }
        _ => Verdict::Later { after, reason: format!("the server failed (status {code})") },
    }
}
