//! Configuring the rules in their slots, and checking what they say.

use sidewatch_frame::key::NAMES;
use sidewatch_frame::{DetectionDescriptor, MappingDescriptor, StateKey};

use crate::application::ApplicationError;
use crate::fold::Detection;
use crate::rules::{Refusal, Rules};
use crate::settings::RuleListing;

/// Detections that share a state key.
pub(crate) struct KeyGroup {
    pub(crate) name: String,
    pub(crate) key: StateKey,
    pub(crate) detections: Vec<usize>,
}

pub(crate) fn unusable(rule: &str, reason: impl Into<String>) -> ApplicationError {
    ApplicationError::Unusable {
        rule: rule.to_owned(),
        reason: reason.into(),
    }
}

fn check_id(listing: &RuleListing, found: &str) -> Result<(), ApplicationError> {
    if found == listing.id {
        return Ok(());
    }
    Err(ApplicationError::Swapped {
        slot: listing.slot.clone(),
        found: found.to_owned(),
        listed: listing.id.clone(),
    })
}

fn refused(listing: &RuleListing) -> impl FnOnce(Refusal) -> ApplicationError + '_ {
    |source| ApplicationError::Refused {
        rule: listing.id.clone(),
        source,
    }
}

pub(crate) fn mapping<R: Rules>(
    rules: &R,
    listing: &RuleListing,
    parameters: &str,
) -> Result<MappingDescriptor, ApplicationError> {
    let claims = rules
        .configure_mapping(parameters)
        .map_err(refused(listing))?;
    check_id(listing, &claims.id)?;
    MappingDescriptor::try_from(claims).map_err(|reason| unusable(&listing.id, reason))
}

pub(crate) fn detection<R: Rules>(
    rules: &R,
    slot: usize,
    listing: &RuleListing,
    parameters: &str,
) -> Result<DetectionDescriptor, ApplicationError> {
    let claims = rules
        .configure(slot, parameters)
        .map_err(refused(listing))?;
    check_id(listing, &claims.id)?;
    DetectionDescriptor::try_from(claims).map_err(|reason| unusable(&listing.id, reason))
}

pub(crate) fn groups(
    detections: &[Detection],
    hash_key: [u8; 16],
) -> Result<Vec<KeyGroup>, ApplicationError> {
    let mut groups: Vec<KeyGroup> = Vec::new();
    for (at, detection) in detections.iter().enumerate() {
        let parts = &detection.descriptor.key;
        let name = parts.join("+");
        if let Some(group) = groups.iter_mut().find(|group| group.name == name) {
            group.detections.push(at);
            continue;
        }
        let key = StateKey::parse(parts, hash_key).map_err(|part| {
            let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            unusable(
                &detection.descriptor.id,
                format!("its key names `{part}`; known are {known}"),
            )
        })?;
        groups.push(KeyGroup {
            name,
            key,
            detections: vec![at],
        });
    }
    Ok(groups)
}
