//! Several field texts, prepared once and copied into many events.

use sidewatch_event::{Event, Field};

/// Longest single text, in bytes: databases and user agents are not trusted
/// to be brief.
const LONGEST: usize = 128;

/// Texts for a handful of fields, in one allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    block: String,
    fields: Vec<(Field, u16, u16)>,
}

impl Texts {
    /// Adds a text; an empty one is left out, a long one cut.
    pub(crate) fn push(&mut self, field: Field, text: &str) {
        let text = text
            .get(..text.floor_char_boundary(LONGEST))
            .unwrap_or(text);
        if text.is_empty() {
            return;
        }
        if let (Ok(start), Ok(length)) =
            (u16::try_from(self.block.len()), u16::try_from(text.len()))
        {
            self.block.push_str(text);
            self.fields.push((field, start, length));
        }
    }

    /// Drops the texts of these fields; their bytes stay in the block.
    pub(crate) fn remove(&mut self, unwanted: &[Field]) {
        self.fields.retain(|(field, ..)| !unwanted.contains(field));
    }

    /// The text of a field.
    pub(crate) fn get(&self, field: Field) -> Option<&str> {
        let (_, start, length) = self
            .fields
            .iter()
            .find(|(candidate, ..)| *candidate == field)?;
        self.slice(*start, *length)
    }

    /// Sets the fields an event does not have yet: what a source states is
    /// never overwritten by what was looked up.
    pub(crate) fn apply(&self, event: &mut Event) {
        event.fill_block(&self.block, &self.fields);
    }

    /// Gives back what growing reserved: texts live long in a cache.
    pub(crate) fn shrink(&mut self) {
        self.block.shrink_to_fit();
        self.fields.shrink_to_fit();
    }

    fn slice(&self, start: u16, length: u16) -> Option<&str> {
        let start = usize::from(start);
        self.block.get(start..start + usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_source_states_is_kept() {
        let mut texts = Texts::default();
        texts.push(Field::SourceGeoCityName, "Praha");
        texts.push(Field::SourceGeoCountryIsoCode, "CZ");
        texts.push(Field::SourceGeoRegionName, "");
        let mut event = Event::new();
        event.set(Field::SourceGeoCityName, "Brno");
        texts.apply(&mut event);
        assert_eq!(event.get(Field::SourceGeoCityName), Some("Brno"));
        assert_eq!(event.get(Field::SourceGeoCountryIsoCode), Some("CZ"));
        assert_eq!(event.get(Field::SourceGeoRegionName), None);
    }

    #[test]
    fn an_overlong_text_is_cut_on_a_character_boundary() {
        let mut texts = Texts::default();
        texts.push(Field::SourceGeoCityName, &"é".repeat(1000));
        assert_eq!(
            texts.get(Field::SourceGeoCityName).map(str::len),
            Some(LONGEST)
        );
    }
}
