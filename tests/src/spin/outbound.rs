//! Outbound HTTP, to the hosts the manifest allows.

use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use sidewatch_sources::body::read_capped;
use tokio::net::TcpStream;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::receiver::MOST;

/// What a guest may send.
pub(super) struct Outbound {
    hosts: Vec<String>,
}

impl Outbound {
    pub(super) fn new(hosts: &[String]) -> Self {
        Self {
            hosts: hosts.to_vec(),
        }
    }
}

type Sent = Result<
    (
        hyper::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: hyper::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or("http");
        let host = uri.host().unwrap_or_default();
        let port = uri
            .port_u16()
            .unwrap_or(if scheme == "https" { 443 } else { 80 });
        let wanted = format!("{scheme}://{host}:{port}");
        let allowed = self.hosts.contains(&wanted);
        let address = format!("{host}:{port}");
        Box::new(async move {
            if !allowed {
                return Err(Error::HttpRequestDenied);
            }
            let response = send(&address, request).await?;
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

async fn send(
    address: &str,
    request: hyper::Request<WasiBody>,
) -> Result<hyper::Response<WasiBody>, Error> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|_| Error::ConnectionRefused)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = request;
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = path.into();
    }
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let bytes = read_capped(body, MOST, MOST).await?.bytes;
    driver.abort();
    let body = http_body_util::Full::new(bytes).map_err(|never| match never {});
    Ok(hyper::Response::from_parts(parts, body.boxed_unsync()))
}
