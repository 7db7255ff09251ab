//! The pod template of an object that is only looked at: kept as its text.
//!
//! Values take some ten times the memory of their text, and time to build, to copy and to drop; and of the ten old
//! ReplicaSets that each Rollout keeps nobody asks for more than the hash.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::Value;
use serde_json::value::RawValue;

use super::PodTemplate;

/// A pod template as JSON text, taken apart when it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredTemplate(Box<str>);

impl StoredTemplate {
    /// The template. Costs some tens of microseconds.
    pub fn read(&self) -> PodTemplate {
        // Nothing but JSON is ever put in; nothing at all is an object that had no template.
        PodTemplate(serde_json::from_str(&self.0).unwrap_or_default())
    }

    /// Changes it as a test needs it.
    #[cfg(test)]
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let PodTemplate(mut template) = self.read();
        change(&mut template);
        *self = (&template).into();
    }

    /// Whether the text has this word anywhere: a reason to look closer, and no more than that.
    pub fn mentions(&self, word: &str) -> bool {
        self.0.contains(word)
    }
}

impl From<&Value> for StoredTemplate {
    fn from(template: &Value) -> Self {
        StoredTemplate(template.to_string().into())
    }
}

impl From<&PodTemplate> for StoredTemplate {
    fn from(PodTemplate(template): &PodTemplate) -> Self {
        template.into()
    }
}

impl<'de> Deserialize<'de> for StoredTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer).map_err(de::Error::custom)?;
        Ok(StoredTemplate(text.into()))
    }
}

impl Serialize for StoredTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = if self.0.is_empty() { "null" } else { &self.0 };
        let text: &RawValue = serde_json::from_str(text).map_err(ser::Error::custom)?;
        text.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_is_the_template() {
        let template = json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"newer": [1, null]}});
        let stored: StoredTemplate = serde_json::from_value(template.clone()).unwrap();
        assert_eq!(stored.read().0, template);
        assert_eq!(serde_json::to_value(&stored).unwrap(), template);
        assert_eq!(stored, StoredTemplate::from(&template));
        assert!(stored.mentions("shop") && !stored.mentions("podAntiAffinity"));
    }

    #[test]
    fn none_is_none() {
        let none = StoredTemplate::default();
        assert_eq!(none.read(), PodTemplate::default());
        assert_eq!(serde_json::to_value(&none).unwrap(), json!(null));
    }
}
