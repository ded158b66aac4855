//! The mirrored HTTP request.
//!
//! nginx repeats a request to us and tells in headers of its own what the
//! original one was. Which part of it names user, session or device differs
//! between applications and is set per site. Nothing the operator did not
//! name is kept of cookies and bodies; a session secret is hashed at once.

mod identity;
mod locator;
mod settings;

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::ControlFlow;

use sidewatch_event::{Event, Field};

use crate::pseudonym::PseudonymKey;
use crate::redact::SecretPaths;
use crate::scan::Scanner;
use crate::text::{Escape, lossy, unescape};
use crate::{redact, target, time};

/// Domain of the keyed hashes that stand for users read from cookies.
pub const USER_DOMAIN: &str = "user";

pub use locator::{Locator, RequestSettingsError};
pub use settings::{OriginalHeaders, RequestSettings};

/// A request as the mirror source received it.
pub struct RequestView<'a> {
    /// Method of the mirrored request itself.
    pub method: &'a str,
    /// Target of the mirrored request itself.
    pub target: &'a str,
    /// `1.0`, `1.1`, `2.0` …
    pub version: &'a str,
    /// Header names (any case) and values in order; read once.
    pub headers: &'a mut dyn Iterator<Item = (&'a str, &'a [u8])>,
    /// The body, or its beginning.
    pub body: &'a [u8],
    /// The body was longer than the source reads.
    pub body_truncated: bool,
    /// Address of the connecting peer; absent on a unix socket.
    pub peer: Option<IpAddr>,
    /// Milliseconds since the Unix epoch, UTC.
    pub received: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    User,
    UserId,
    Session,
    Device,
    Label(Box<str>),
    /// Only that there is something.
    Flag(Box<str>),
}

/// A value looked for. Of several for one role the lowest rank wins.
#[derive(Debug, Clone)]
struct Want {
    place: Locator,
    role: Role,
    rank: usize,
}

/// Reads mirrored requests of one site.
#[derive(Debug, Clone)]
pub struct RequestCodec {
    settings: RequestSettings,
    wants: Vec<Want>,
    secret_paths: SecretPaths,
    key: PseudonymKey,
}

impl RequestCodec {
    /// Checks the settings.
    ///
    /// # Errors
    /// A locator other than of `session` or `device` names a secret, or a cookie
    /// that may be a secret is to be kept as it is.
    pub fn new(
        settings: &RequestSettings,
        key: PseudonymKey,
    ) -> Result<Self, RequestSettingsError> {
        let secret = |place: &Locator| RequestSettingsError::Secret(place.to_string().into());
        let mut wants = Vec::new();
        let roles = [
            (&settings.user, Role::User),
            (&settings.user_id, Role::UserId),
            (&settings.session, Role::Session),
            (&settings.device, Role::Device),
        ];
        for (places, role) in roles {
            for (rank, place) in places.iter().enumerate() {
                let user = matches!(role, Role::User | Role::UserId);
                let plain = matches!(place, Locator::PlainCookie(_));
                if (user && !place.may_name_user()) || (plain && !user) {
                    return Err(secret(place));
                }
                wants.push(Want {
                    place: place.clone(),
                    role: role.clone(),
                    rank,
                });
            }
        }
        for place in &settings.labels {
            if place.is_secret() {
                return Err(secret(place));
            }
            wants.push(Want {
                place: place.clone(),
                role: Role::Label(place.label().into()),
                rank: 0,
            });
        }
        wants.extend(settings.flags.iter().map(|place| Want {
            place: place.clone(),
            role: Role::Flag(place.label().into()),
            rank: 0,
        }));
        Ok(Self {
            settings: settings.clone(),
            wants,
            secret_paths: SecretPaths::new(&settings.secret_paths)?,
            key,
        })
    }

    /// The key of its pseudonyms.
    #[must_use]
    pub fn pseudonym_key(&self) -> &PseudonymKey {
        &self.key
    }

    /// Takes secrets of paths out of an event that came in another form.
    pub fn clean(&self, event: &mut Event) {
        self.secret_paths.clean(event);
    }

    /// Decodes a request into `event`, which arrives cleared. Whatever the
    /// client sent, there is always an event.
    pub fn decode(&self, view: RequestView<'_>, event: &mut Event) {
        event.received = view.received;
        event.time = view.received;
        event.mirrored = true;
        // The connecting peer is nginx; only where the header is switched off
        // is it the client.
        event.peer_ip = view
            .peer
            .filter(|_| self.settings.original.address.is_empty());
        event.truncated |= view.body_truncated;
        event.set(Field::EventDataset, &self.settings.dataset);
        event.set(Field::HttpRequestMethod, view.method);
        event.set(Field::HttpVersion, view.version);
        let mut reading = Reading {
            codec: self,
            event,
            best: [usize::MAX; 4],
            uri: None,
            content_type: "",
            cookies: Vec::new(),
            seen: 0,
            session: false,
            login: false,
        };
        for (name, value) in view.headers {
            reading.header(name, value);
        }
        let uri = reading.uri.take().unwrap_or(Cow::Borrowed(view.target));
        reading.session = identity::is_session(&self.settings, &uri);
        reading.login = identity::is_login(&self.settings, &uri);
        for cookies in std::mem::take(&mut reading.cookies) {
            reading.cookies(cookies);
        }
        reading.target(&uri);
        reading.body(view.body, view.body_truncated);
        self.secret_paths.clean(event);
    }

    fn wants(&self, wanted: impl Fn(&Locator) -> bool) -> impl Iterator<Item = &Want> {
        self.wants.iter().filter(move |want| wanted(&want.place))
    }
}

/// One request being read.
struct Reading<'a, 'e> {
    codec: &'e RequestCodec,
    event: &'e mut Event,
    /// Lowest rank found so far, by role.
    best: [usize; 4],
    /// The original target.
    uri: Option<Cow<'a, str>>,
    content_type: &'a str,
    /// Headers with cookies: what they may tell depends on the target.
    cookies: Vec<&'a [u8]>,
    /// Headers for the original request that were read, one bit each.
    seen: u16,
    /// The application checks the session of such a request.
    session: bool,
    /// Such a request logs in.
    login: bool,
}

impl<'a> Reading<'a, '_> {
    fn header(&mut self, name: &str, value: &'a [u8]) {
        let is = |wanted: &str| !wanted.is_empty() && name.eq_ignore_ascii_case(wanted);
        let ascii = std::str::from_utf8(value).unwrap_or_default();
        let original = &self.codec.settings.original;
        // nginx sends its own header first; a second one is the client's.
        if let Some(at) = original.position(name) {
            let bit = 1 << at;
            if self.seen & bit != 0 {
                return;
            }
            self.seen |= bit;
        }
        if is("cookie") {
            self.cookies.push(value);
            return;
        } else if is("content-type") {
            self.content_type = ascii;
        } else if is("user-agent") {
            self.set(Field::UserAgentOriginal, value);
        } else if is("accept-language") {
            self.set(Field::ClientLanguage, value);
        } else if is("referer") {
            let text = lossy(value, &mut self.event.lossy);
            self.event
                .set_with(Field::HttpRequestReferrer, |out| redact::url(&text, out));
        } else if is(&original.uri) {
            self.uri = Some(lossy(value, &mut self.event.lossy));
        } else if is(&original.method) {
            self.set(Field::HttpRequestMethod, value);
        } else if is(&original.address) {
            self.peer(ascii);
        } else if is(&original.port) {
            self.event.source_port = ascii.parse().unwrap_or_default();
        } else if is(&original.forwarded) {
            self.set(Field::HttpRequestForwarded, value);
        } else if is(&original.scheme) {
            self.set(Field::UrlScheme, value);
        } else if is(&original.protocol) {
            self.set(
                Field::HttpVersion,
                value.strip_prefix(b"HTTP/").unwrap_or(value),
            );
        } else if is(&original.time) {
            self.event.time = time::parse_epoch(ascii).unwrap_or(self.event.time);
        } else if is(&original.host) {
            let text = lossy(value, &mut self.event.lossy);
            target::set_domain(self.event, &text);
        } else if is(&self.codec.settings.request_id_header) {
            self.set(Field::HttpRequestId, value);
        }
        for want in self
            .codec
            .wants(|place| matches!(place, Locator::Header(header) if is(header)))
        {
            self.offer(want, value, false);
        }
    }

    /// The peer of nginx, which is an address or `unix:`.
    fn peer(&mut self, text: &str) {
        if let Ok(address) = text.trim().parse() {
            self.event.peer_ip = Some(address);
        } else if text.starts_with("unix:") {
            self.event.peer_ip = None;
            self.event.set(Field::SourceAddress, text);
        }
    }

    fn set(&mut self, field: Field, value: &[u8]) {
        if !value.is_empty() {
            let text = lossy(value, &mut self.event.lossy);
            self.event.set(field, &text);
        }
    }

    fn cookies(&mut self, header: &[u8]) {
        for pair in header.split(|byte| *byte == b';') {
            let mut halves = pair.trim_ascii().splitn(2, |byte| *byte == b'=');
            let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
                continue;
            };
            for want in self.codec.wants(
                |place| matches!(place, Locator::Cookie(cookie) | Locator::PlainCookie(cookie) if cookie.as_bytes() == name),
            ) {
                self.offer(want, value, true);
            }
        }
    }

    fn target(&mut self, uri: &str) {
        let method = self
            .event
            .own(Field::HttpRequestMethod)
            .unwrap_or_default()
            .to_owned();
        let origin = target::set_target(self.event, &method, uri);
        if !origin.scheme.is_empty() {
            self.event.set(Field::UrlScheme, origin.scheme);
        }
        target::set_domain(self.event, origin.authority);
        for want in self.codec.wants(|place| matches!(place, Locator::Path(_))) {
            let Locator::Path(at) = want.place else {
                continue;
            };
            let path = self.event.own(Field::UrlPath).unwrap_or_default();
            if let Some(segment) = path
                .split('/')
                .nth(at)
                .filter(|segment| !segment.is_empty())
            {
                let segment = segment.to_owned();
                self.offer(want, segment.as_bytes(), false);
            }
        }
        let query = uri
            .split_once('?')
            .map_or("", |(_, query)| query.split('#').next().unwrap_or_default());
        if self
            .codec
            .wants(|place| matches!(place, Locator::Query(_)))
            .next()
            .is_some()
        {
            self.pairs(
                query.as_bytes(),
                |place, name| matches!(place, Locator::Query(key) if **key == *name),
            );
        }
    }

    fn pairs(&mut self, encoded: &[u8], wanted: impl Fn(&Locator, &str) -> bool) {
        for (name, value) in form_urlencoded::parse(encoded) {
            for want in self.codec.wants(|place| wanted(place, &name)) {
                self.offer(want, value.as_bytes(), false);
            }
        }
    }

    fn body(&mut self, body: &[u8], truncated: bool) {
        if self
            .content_type
            .starts_with("application/x-www-form-urlencoded")
        {
            // The last pair of a body that was cut is not to be believed.
            let whole = memchr::memrchr(b'&', body)
                .filter(|_| truncated)
                .or((!truncated).then_some(body.len()));
            let body = body.get(..whole.unwrap_or_default()).unwrap_or_default();
            self.pairs(
                body,
                |place, name| matches!(place, Locator::Form(key) if **key == *name),
            );
        } else if self
            .codec
            .wants(|place| matches!(place, Locator::Json(_)))
            .next()
            .is_some()
        {
            let mut flag = false;
            let text = lossy(body, &mut flag);
            self.event.lossy |= flag;
            self.json(&text);
        }
    }

    /// Whatever the content type: browsers send JSON as text/plain, too.
    fn json(&mut self, text: &str) {
        // A body that is no JSON, or cut off, simply yields less.
        let _ended = Scanner::new(text, false).scan(&mut |path, leaf| {
            let raw = leaf.raw();
            for want in self
                .codec
                .wants(|place| matches!(place, Locator::Json(pointer) if **pointer == *path))
            {
                let value = unescape(raw, Escape::Json, &mut self.event.lossy);
                self.offer(want, value.as_bytes(), false);
            }
            ControlFlow::Continue(())
        });
    }

    /// Whether a value found here may say who the user is: what a client typed
    /// where it logs in, and a cookie where the application checks its session.
    /// Elsewhere anybody can write any name.
    fn may_name(&self, place: &Locator) -> bool {
        if place.is_cookie() {
            self.session
        } else {
            self.login || !place.is_typed()
        }
    }

    /// Takes a value when no better one is known. Of equal ones the last wins
    /// as in most applications, unless `first`.
    fn offer(&mut self, want: &Want, value: &[u8], first: bool) {
        if value.is_empty() {
            return;
        }
        let slot = match want.role {
            Role::User => 0,
            Role::UserId => 1,
            Role::Session => 2,
            Role::Device => 3,
            Role::Label(ref name) => return self.label(name, value),
            Role::Flag(ref name) => {
                if !matches!(value, b"false" | b"null" | b"0") {
                    self.event.set_label(name, "true");
                }
                return;
            }
        };
        if slot < 2 && !self.may_name(&want.place) {
            return;
        }
        let Some(best) = self.best.get_mut(slot) else {
            return;
        };
        if want.rank > *best || (first && want.rank == *best) {
            return;
        }
        *best = want.rank;
        let key = &self.codec.key;
        match want.role {
            Role::User | Role::UserId => {
                let field = match want.role {
                    Role::User => Field::UserName,
                    _ => Field::UserId,
                };
                if matches!(want.place, Locator::Cookie(_)) {
                    self.event
                        .set_with(field, |out| key.write(USER_DOMAIN, value, out));
                } else {
                    self.set(field, value);
                }
            }
            Role::Session => self
                .event
                .set_with(Field::SessionId, |out| key.write("session", value, out)),
            // It may be the token that lets a server push to the device.
            Role::Device => self
                .event
                .set_with(Field::DeviceId, |out| key.write("device", value, out)),
            Role::Label(_) | Role::Flag(_) => {}
        }
    }

    fn label(&mut self, name: &str, value: &[u8]) {
        let text = lossy(value, &mut self.event.lossy);
        let mut clean = String::with_capacity(text.len());
        redact::url(&text, &mut clean);
        self.event.set_label(name, &clean);
    }
}

#[cfg(test)]
mod tests;
