//! One request of the demonstration, and what nginx makes of it: a mirrored
//! request (`deploy/nginx/sidewatch-mirror.conf`) and an access-log line
//! (`deploy/nginx/sidewatch-log-format.conf`) with the same request id.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::DateTime;

/// Host the demonstration's site calls itself.
pub const HOST: &str = "chat.example.org";

/// A logged-in client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `MMUSERID`.
    pub user_id: Arc<str>,
    /// `MMAUTHTOKEN`: must never leave the pipeline.
    pub token: Arc<str>,
}

/// What a login form sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name or address typed.
    pub login: Arc<str>,
    /// Must never leave the pipeline.
    pub password: Arc<str>,
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// Nobody yet: a login form.
    Login(Credentials),
    /// A logged-in client.
    Session(Session),
}

/// One request with its answer's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Milliseconds since the epoch.
    pub time: i64,
    /// nginx' `$request_id`.
    pub id: u128,
    /// The client's address.
    pub address: IpAddr,
    /// The client's port.
    pub port: u16,
    /// Method.
    pub method: &'static str,
    /// Target.
    pub target: String,
    /// User agent.
    pub agent: &'static str,
    /// Who sends it.
    pub sender: Sender,
    /// Status of the application's answer.
    pub status: u16,
    /// Bytes of that answer.
    pub bytes: u32,
}

impl Request {
    /// Appends the mirrored request as nginx sends it.
    pub fn write_mirrored(&self, token: &str, out: &mut String) {
        let Self {
            id,
            address,
            port,
            method,
            target,
            agent,
            ..
        } = self;
        let (seconds, thousandths) = (self.time / 1000, self.time % 1000);
        // Writing into a string cannot fail.
        write!(
            out,
            "{method} /mirror HTTP/1.1\r\nHost: {HOST}\r\nX-Original-URI: {target}\r\n\
             X-Original-Method: {method}\r\nX-Original-Protocol: HTTP/2.0\r\n\
             X-Original-Time: {seconds}.{thousandths:03}\r\nX-Real-IP: {address}\r\n\
             X-Real-Port: {port}\r\nX-Forwarded-Proto: https\r\nX-Request-Id: {id:032x}\r\n\
             X-Sidewatch-Token: {token}\r\nUser-Agent: {agent}\r\n\
             Accept: application/json\r\nAccept-Language: en\r\n\
             X-Requested-With: XMLHttpRequest\r\nReferer: https://{HOST}/works/channels/town-square\r\n"
        ).ok();
        match &self.sender {
            Sender::Session(Session { user_id, token }) => {
                write!(
                    out,
                    "Cookie: MMAUTHTOKEN={token}; MMUSERID={user_id}; rl_anonymous_id=1\r\n\r\n"
                )
                .ok();
            }
            Sender::Login(Credentials { login, password }) => {
                let body = format!(
                    "{{\"device_id\":\"\",\"login_id\":\"{login}\",\"password\":\"{password}\",\"token\":\"\"}}"
                );
                let length = body.len();
                write!(
                    out,
                    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                )
                .ok();
            }
        }
    }

    /// Writes the access-log line in nginx' syslog envelope.
    pub fn write_line(&self, out: &mut String) {
        out.clear();
        let Self {
            id,
            address,
            port,
            method,
            target,
            agent,
            status,
            bytes,
            ..
        } = self;
        let (seconds, thousandths) = (self.time / 1000, self.time % 1000);
        let stamp = DateTime::from_timestamp_millis(self.time)
            .unwrap_or_default()
            .format("%b %e %H:%M:%S");
        write!(
            out,
            "<190>{stamp} demo nginx: {{\"msec\":\"{seconds}.{thousandths:03}\",\"request_id\":\"{id:032x}\",\
             \"remote_addr\":\"{address}\",\"remote_port\":\"{port}\",\"realip_remote_addr\":\"{address}\",\
             \"http_x_forwarded_for\":\"\",\"remote_user\":\"\",\"upstream_http_x_username\":\"\",\
             \"request_method\":\"{method}\",\"scheme\":\"https\",\"host\":\"{HOST}\",\"server_port\":\"443\",\
             \"request_uri\":\"{target}\",\"server_protocol\":\"HTTP/2.0\",\"status\":\"{status}\",\
             \"body_bytes_sent\":\"{bytes}\",\"request_time\":\"0.0{tail:02}\",\
             \"upstream_response_time\":\"0.0{tail:02}\",\
             \"http_referer\":\"https://{HOST}/works/channels/town-square\",\
             \"http_accept_language\":\"en\",\"http_user_agent\":\"{agent}\"}}",
            tail = bytes % 97,
        ).ok();
    }
}
