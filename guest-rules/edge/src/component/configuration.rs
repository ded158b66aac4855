//! Variables to a configured application, once per instance.

use std::cell::RefCell;
use std::rc::Rc;

use sidewatch_codecs::PseudonymKey;
use spin_sdk::http::{HeaderName, HeaderValue};
use spin_sdk::variables;

use super::outbound::Receiver;
use super::slots::Slots;
use crate::application::{Application, Keys};
use crate::authentication::{SHORTEST, Tokens};
use crate::settings::{Destination, Settings};

/// An application and what is secret about it.
pub(super) struct Running {
    pub(super) application: Application<Slots>,
    pub(super) tokens: Tokens,
    pub(super) receiver: Option<Receiver>,
}

thread_local! {
    static RUNNING: RefCell<Option<Rc<Running>>> = const { RefCell::new(None) };
}

/// The application of this instance, configured at the first request. The
/// error says which variable to set and holds none of their values.
pub(super) async fn running() -> Result<Rc<Running>, String> {
    if let Some(running) = RUNNING.with_borrow(Clone::clone) {
        return Ok(running);
    }
    let running = Rc::new(configure().await?);
    RUNNING.set(Some(Rc::clone(&running)));
    Ok(running)
}

async fn variable(name: &str) -> Result<String, String> {
    variables::get(name)
        .await
        .map_err(|_| format!("variable `{name}` is not set"))
}

async fn configure() -> Result<Running, String> {
    let settings: Settings = serde_json::from_str(&variable("settings").await?)
        .map_err(|error| format!("variable `settings`: {error}; build the application again"))?;
    let mut parameters = Vec::with_capacity(settings.rules.len());
    for rule in &settings.rules {
        parameters.push(variable(&rule.parameters).await?);
    }
    let tokens = Tokens::read(&variable("token").await?)
        .ok_or_else(|| format!("variable `token` needs at least {SHORTEST} bytes; `openssl rand -hex 16` gives a good one"))?;
    let keys = Keys {
        pseudonym: PseudonymKey::new(key("pseudonym_key").await?),
        hash: half(key("hash_key").await?),
    };
    let receiver = receiver(settings.destination).await?;
    let application =
        Application::new(settings, &parameters, keys, Slots).map_err(|error| error.to_string())?;
    Ok(Running {
        application,
        tokens,
        receiver,
    })
}

/// A key of 64 hexadecimal digits.
async fn key(name: &str) -> Result<[u8; 32], String> {
    let text = variable(name).await?;
    let digits = text.trim().as_bytes();
    let mut key = [0; 32];
    let wrong = || {
        format!(
            "variable `{name}` must have 64 hexadecimal digits; `openssl rand -hex 32` gives them"
        )
    };
    if digits.len() != 64 {
        return Err(wrong());
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(key)
}

/// Of the sidecar's key file, too, the first half counts.
fn half(key: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut()
        .zip(key)
        .for_each(|(half, byte)| *half = byte);
    half
}

async fn receiver(destination: Destination) -> Result<Option<Receiver>, String> {
    let header = match destination {
        Destination::Nowhere => return Ok(None),
        Destination::Sidewatch => "x-sidewatch-token",
        Destination::Webhook => "authorization",
        Destination::Tirreno => "api-key",
    };
    let uri = variable("forward_url")
        .await?
        .parse()
        .map_err(|_| "variable `forward_url` is no URL".to_owned())?;
    let secret = variable("forward_token").await?;
    let text = match destination {
        Destination::Webhook => format!("Bearer {secret}"),
        _ => secret.clone(),
    };
    let value = HeaderValue::from_str(&text)
        .map_err(|_| "variable `forward_token` holds what no header can".to_owned())?;
    let credential = (!secret.is_empty()).then(|| (HeaderName::from_static(header), value));
    Ok(Some(Receiver { uri, credential }))
}
