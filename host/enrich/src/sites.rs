//! Named places: eduroam institutions, offices, campuses.
//!
//! A record belongs to a site when it names it (`sidewatch.site` as a codec
//! leaves it: the visited institution, by realm or name) or when its address
//! is the site's. The user's home realm never decides: it says who somebody
//! is, not where.
//!
//! A site with several coordinates is known as the circle around all of them,
//! not as the one that happens to be near: rules subtract the radius.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sidewatch_event::Location;

use crate::EnrichError;
use crate::geometry::{DEFAULT_ACCURACY_KM, checked_location, enclosing};
use crate::settings::SiteSettings;

/// Longest name that is looked up.
const LONGEST_NAME: usize = 256;

/// A named place.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) name: Box<str>,
    /// Absent when the site has no coordinates.
    pub(crate) location: Option<Location>,
}

/// All sites, by realm and name.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    sites: Vec<Site>,
    by_name: HashMap<Box<str>, usize, RandomState>,
}

impl Sites {
    pub(crate) fn new(settings: &[SiteSettings]) -> Result<Self, EnrichError> {
        let mut sites = Self::default();
        for (index, site) in settings.iter().enumerate() {
            for name in site.realm.iter().chain([&site.name]) {
                let folded = name.trim().to_lowercase().into_boxed_str();
                if sites
                    .by_name
                    .insert(folded, index)
                    .is_some_and(|other| other != index)
                {
                    return Err(EnrichError::SiteTwice { name: name.clone() });
                }
            }
            let places = site
                .locations
                .iter()
                .map(|[latitude, longitude]| {
                    let accuracy = site.accuracy_km.unwrap_or(DEFAULT_ACCURACY_KM);
                    checked_location(*latitude, *longitude, accuracy).ok_or_else(|| {
                        EnrichError::Coordinates {
                            name: site.name.clone(),
                        }
                    })
                })
                .collect::<Result<Vec<_>, _>>()?;
            sites.sites.push(Site {
                name: site.name.trim().into(),
                location: enclosing(&places),
            });
        }
        Ok(sites)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Site> {
        self.sites.get(index)
    }

    /// The site of that realm or name, whatever the case.
    pub(crate) fn named(&self, name: &str) -> Option<&Site> {
        let name = name.trim();
        if name.len() > LONGEST_NAME {
            return None;
        }
        let index = match self.by_name.get(name) {
            Some(index) => index,
            None => self.by_name.get(name.to_lowercase().as_str())?,
        };
        self.get(*index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str, realm: &str, locations: &[[f64; 2]]) -> SiteSettings {
        SiteSettings {
            name: name.into(),
            realm: Some(realm.into()),
            addresses: Vec::new(),
            locations: locations.to_vec(),
            accuracy_km: None,
        }
    }

    #[test]
    fn realm_and_name_are_found_whatever_their_case() {
        let sites =
            Sites::new(&[site("Univerzita Příklad", "example.edu", &[[50.0, 14.0]])]).unwrap();
        for name in ["example.edu", "EXAMPLE.edu", " univerzita PŘÍKLAD "] {
            assert!(sites.named(name).is_some(), "{name}");
        }
        assert!(sites.named("sub.example.edu").is_none());
    }

    #[test]
    fn several_campuses_are_one_circle_around_all() {
        let sites = Sites::new(&[site(
            "Example",
            "example.edu",
            &[[50.0, 14.0], [49.0, 16.6]],
        )])
        .unwrap();
        let location = sites.named("example.edu").unwrap().location.unwrap();
        assert!((49.4..49.6).contains(&location.latitude), "{location:?}");
        assert!(
            (105.0..120.0).contains(&location.accuracy_km),
            "{location:?}"
        );
        let single = Sites::new(&[site("Example", "example.edu", &[[50.0, 14.0]])]).unwrap();
        assert_eq!(
            single
                .named("example")
                .unwrap()
                .location
                .unwrap()
                .accuracy_km,
            DEFAULT_ACCURACY_KM
        );
    }

    #[test]
    fn mistakes_name_the_site() {
        let twice = Sites::new(&[site("A", "example.edu", &[]), site("B", "Example.EDU", &[])])
            .unwrap_err();
        assert!(twice.to_string().contains("Example.EDU"));
        let nowhere = Sites::new(&[site("A", "example.edu", &[[0.0, 0.0]])]).unwrap_err();
        assert!(nowhere.to_string().contains("`A`"));
    }
}
