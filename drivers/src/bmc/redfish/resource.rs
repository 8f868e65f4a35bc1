//! What a BMC's resources look like, as far as we read them.
//!
//! A value that is not of the schema's type counts as absent, as do unknown ones: firmware leaves out,
//! adds and mistypes. What is needed and absent is an error where it is needed.
//! Source: DMTF DSP0266 (protocol), DSP8010 (schemas); the field names are theirs.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Longest path that is followed, in bytes.
const MAX_PATH_BYTES: usize = 1024;
/// Messages kept of an answer, and characters of each.
const MAX_MESSAGES: usize = 8;
const MAX_MESSAGE_CHARS: usize = 300;
/// Longest name or value kept of those that are shown to people.
const MAX_WORD_CHARS: usize = 80;

/// A path on the BMC that we talk to, with query: never another host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ResourcePath(String);

/// A text that is no such path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no path on the BMC")]
pub(super) struct ParsePathError(String);

impl ResourcePath {
    /// The service root. Without the slash, iLO answers with a redirection.
    pub(super) fn root() -> Self {
        Self("/redfish/v1/".to_owned())
    }

    /// The path in a `Location`, which may be absolute. Its host is not asked: BMCs behind a proxy or a
    /// port of their own name hosts that are not there.
    pub(super) fn of_location(location: &str) -> Result<Self, ParsePathError> {
        let rest = location.strip_prefix("https://").or_else(|| location.strip_prefix("http://"));
        match rest.map(|rest| rest.find('/').map(|slash| &rest[slash..])) {
            None => location.parse(),
            Some(Some(path)) => path.parse(),
            Some(None) => Err(ParsePathError(shown(location, MAX_WORD_CHARS))),
        }
    }

    /// The last segment: the `Id` by which people name a resource.
    pub(super) fn last_segment(&self) -> &str {
        self.0.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for ResourcePath {
    type Err = ParsePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.split('#').next().unwrap_or_default();
        let is_path = text.starts_with('/') && !text.starts_with("//") && text.len() <= MAX_PATH_BYTES;
        if is_path && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParsePathError(shown(text, MAX_WORD_CHARS)))
        }
    }
}

impl TryFrom<String> for ResourcePath {
    type Error = ParsePathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A device's text as people may see it: short, without control characters.
pub(super) fn shown(text: &str, max_chars: usize) -> String {
    text.trim().chars().take(max_chars).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Absent where it cannot be understood.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// A reference to another resource.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Link {
    #[serde(rename = "@odata.id")]
    pub(super) path: ResourcePath,
}

/// `ServiceRoot`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ServiceRoot {
    #[serde(deserialize_with = "lenient")]
    pub(super) vendor: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) product: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) oem: Option<Map<String, Value>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) systems: Option<Link>,
    #[serde(deserialize_with = "lenient")]
    links: Option<RootLinks>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RootLinks {
    #[serde(deserialize_with = "lenient")]
    sessions: Option<Link>,
}

impl ServiceRoot {
    /// Where sessions are made. Source: DSP0266 clause "Session login": `Links.Sessions`.
    pub(super) fn sessions(&self) -> Option<&ResourcePath> {
        Some(&self.links.as_ref()?.sessions.as_ref()?.path)
    }
}

/// One page of a resource collection.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Collection {
    /// `null` on some BMCs where there are none.
    #[serde(rename = "Members", deserialize_with = "lenient")]
    pub(super) members: Option<Vec<Link>>,
    #[serde(rename = "Members@odata.nextLink", deserialize_with = "lenient")]
    pub(super) next: Option<ResourcePath>,
}

/// `ComputerSystem`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct System {
    #[serde(deserialize_with = "lenient")]
    pub(super) manufacturer: Option<String>,
    #[serde(rename = "UUID", deserialize_with = "lenient")]
    pub(super) uuid: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) power_state: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) boot: Option<Boot>,
    #[serde(deserialize_with = "lenient")]
    actions: Option<Actions>,
    #[serde(deserialize_with = "lenient")]
    pub(super) ethernet_interfaces: Option<Link>,
    #[serde(rename = "@Redfish.Settings", deserialize_with = "lenient")]
    settings: Option<Settings>,
}

impl System {
    /// `#ComputerSystem.Reset`.
    pub(super) fn reset(&self) -> Option<&ResetAction> {
        self.actions.as_ref()?.reset.as_ref()
    }

    /// Where future settings go, where the BMC keeps them apart. Source: DSP0266 clause "Settings resource".
    pub(super) fn settings(&self) -> Option<&ResourcePath> {
        Some(&self.settings.as_ref()?.object.as_ref()?.path)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Actions {
    #[serde(rename = "#ComputerSystem.Reset", deserialize_with = "lenient")]
    reset: Option<ResetAction>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    #[serde(rename = "SettingsObject", deserialize_with = "lenient")]
    object: Option<Link>,
}

/// The action that switches power.
#[derive(Debug, Deserialize)]
pub(super) struct ResetAction {
    pub(super) target: ResourcePath,
    #[serde(rename = "ResetType@Redfish.AllowableValues", default, deserialize_with = "lenient")]
    pub(super) allowed: Option<Vec<String>>,
    #[serde(rename = "@Redfish.ActionInfo", default, deserialize_with = "lenient")]
    pub(super) info: Option<ResourcePath>,
}

/// `ActionInfo`: what an action's parameters may be, where that is not said beside it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ActionInfo {
    #[serde(deserialize_with = "lenient")]
    parameters: Option<Vec<Parameter>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Parameter {
    name: String,
    #[serde(deserialize_with = "lenient")]
    allowable_values: Option<Vec<String>>,
}

impl ActionInfo {
    /// What this parameter may be.
    pub(super) fn allowed(self, parameter: &str) -> Option<Vec<String>> {
        self.parameters?.into_iter().find(|found| found.name == parameter)?.allowable_values
    }
}

/// The `Boot` object of a system or of its settings: kept as a map, because which properties there are
/// decides which may be written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Boot(Map<String, Value>);

impl Boot {
    pub(super) const TARGET: &'static str = "BootSourceOverrideTarget";
    pub(super) const ENABLED: &'static str = "BootSourceOverrideEnabled";
    pub(super) const MODE: &'static str = "BootSourceOverrideMode";
    pub(super) const HTTP_URI: &'static str = "HttpBootUri";

    /// Whether there is such a property, `null` or not.
    pub(super) fn has(&self, property: &str) -> bool {
        self.0.contains_key(property)
    }

    /// The value of a property, where it is a text.
    pub(super) fn text(&self, property: &str) -> Option<&str> {
        self.0.get(property)?.as_str()
    }

    /// What a property may be, where the BMC says so.
    pub(super) fn allowed(&self, property: &str) -> Option<Vec<&str>> {
        let values = self.0.get(&format!("{property}@Redfish.AllowableValues"))?.as_array()?;
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        Some(values).filter(|values| !values.is_empty())
    }

    /// For people: what is set.
    pub(super) fn summary(&self) -> String {
        let of = |property| shown(self.text(property).unwrap_or("nothing"), MAX_WORD_CHARS);
        let mode = self.text(Self::MODE).map(|mode| format!(", mode {}", shown(mode, MAX_WORD_CHARS)));
        format!("target {}, enabled {}{}", of(Self::TARGET), of(Self::ENABLED), mode.unwrap_or_default())
    }
}

#[cfg(test)]
impl From<Value> for Boot {
    fn from(value: Value) -> Self {
        serde_json::from_value(value).expect("an object")
    }
}

/// `EthernetInterface`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct EthernetInterface {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Option<String>,
    #[serde(rename = "PermanentMACAddress", deserialize_with = "lenient")]
    pub(super) permanent_mac: Option<String>,
    #[serde(rename = "MACAddress", deserialize_with = "lenient")]
    pub(super) mac: Option<String>,
}

/// `Task`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Task {
    #[serde(deserialize_with = "lenient")]
    task_state: Option<String>,
    /// Of a job.
    #[serde(deserialize_with = "lenient")]
    job_state: Option<String>,
    #[serde(deserialize_with = "lenient")]
    messages: Option<Vec<Message>>,
}

impl Task {
    pub(super) fn state(&self) -> Option<&str> {
        self.task_state.as_deref().or(self.job_state.as_deref())
    }

    pub(super) fn messages(&self) -> Messages {
        Messages::new(self.messages.iter().flatten())
    }
}

/// One message of a registry, as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Message {
    #[serde(deserialize_with = "lenient")]
    message_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    message: Option<String>,
}

/// What a BMC says of an error: key of each message without registry and version, and its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Messages(Vec<(String, String)>);

impl Messages {
    fn new<'a>(messages: impl Iterator<Item = &'a Message>) -> Self {
        let key = |id: &str| shown(id.rsplit('.').next().unwrap_or_default(), MAX_WORD_CHARS);
        let one = |message: &Message| {
            let text = message.message.as_deref().unwrap_or_default();
            (key(message.message_id.as_deref().unwrap_or_default()), shown(text, MAX_MESSAGE_CHARS))
        };
        Self(messages.take(MAX_MESSAGES).map(one).filter(|(key, text)| !key.is_empty() || !text.is_empty()).collect())
    }

    /// Reads `error.@Message.ExtendedInfo`, or the same beside the properties of a resource. Some BMCs
    /// send one object where the schema has an array. Source: DSP0266 clause "Error responses".
    pub(super) fn of(body: &Value) -> Self {
        const INFO: &str = "@Message.ExtendedInfo";
        let info = body.get("error").and_then(|error| error.get(INFO)).or_else(|| body.get(INFO));
        let parse = |value: &Value| Message::deserialize(value).ok();
        let messages: Vec<Message> = match info {
            Some(Value::Array(messages)) => messages.iter().take(MAX_MESSAGES).filter_map(parse).collect(),
            Some(object) => parse(object).into_iter().collect(),
            None => body.get("error").and_then(parse_plain).into_iter().collect(),
        };
        Self::new(messages.iter())
    }

    /// Whether one of these is among them, `PasswordChangeRequired`.
    pub(super) fn has(&self, keys: &[&str]) -> bool {
        self.0.iter().any(|(key, _)| keys.contains(&key.as_str()))
    }

    /// The same without a text that nobody may see.
    pub(super) fn without(self, secret: &str) -> Self {
        Self(self.0.into_iter().map(|(key, text)| (key.replace(secret, "…"), text.replace(secret, "…"))).collect())
    }
}

/// `error.code` and `error.message`, which are there even where nothing else is.
fn parse_plain(error: &Value) -> Option<Message> {
    let text = |key| Some(error.get(key)?.as_str()?.to_owned());
    Some(Message { message_id: text("code"), message: text("message") })
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, text)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            match (key.as_str(), text.as_str()) {
                (key, "") => write!(f, "{comma}{key}")?,
                ("", text) => write!(f, "{comma}{text}")?,
                (key, text) => write!(f, "{comma}{key}: {text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn paths_lead_nowhere_else() {
        for (text, path) in [
            ("/redfish/v1/Systems/1", Some("/redfish/v1/Systems/1")),
            ("/redfish/v1/Systems?$skip=2#x", Some("/redfish/v1/Systems?$skip=2")),
            ("https://bmc.example:8443/taskmon/7", Some("/taskmon/7")),
            ("http://10.0.0.1/x", Some("/x")),
            ("https://bmc.example", None),
            ("//evil.example/x", None),
            ("https://a//evil", None),
            ("redfish/v1", None),
            ("/a b", None),
            ("/a\r\nX: y", None),
            ("", None),
        ] {
            let found = ResourcePath::of_location(text).ok().map(|found| found.to_string());
            assert_eq!(found.as_deref(), path, "{text}");
        }
        assert_eq!(
            "/redfish/v1/Systems/System.Embedded.1/".parse::<ResourcePath>().expect("path").last_segment(),
            "System.Embedded.1"
        );
    }

    #[test]
    fn what_is_mistyped_is_absent() {
        let system: System = serde_json::from_value(json!({
            "UUID": "", "PowerState": null, "Manufacturer": 7, "Boot": [], "Actions": {"#ComputerSystem.Reset": {}},
            "EthernetInterfaces": {"@odata.id": "https://elsewhere/"}, "@Redfish.Settings": {"SettingsObject": null},
        }))
        .expect("read");
        assert!(system.boot.is_none() && system.reset().is_none() && system.settings().is_none());
        assert!(system.power_state.is_none() && system.manufacturer.is_none() && system.ethernet_interfaces.is_none());
        let none: Collection = serde_json::from_value(json!({"Members": null})).expect("read");
        assert!(none.members.is_none() && none.next.is_none());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let keys = ["Boot", "Actions", "#ComputerSystem.Reset", "target", "UUID", "error", "@odata.id", "Members", "x"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\u{0}-\u{ff}]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            let object = proptest::collection::vec((proptest::sample::select(keys.to_vec()), inner.clone()), 0..5);
            prop_oneof![
                proptest::collection::vec(inner, 0..5).prop_map(Value::from),
                object.prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_object_is_too_strange_to_be_read(value in any_json()) {
            let object = json!({"Boot": value, "Actions": {"#ComputerSystem.Reset": value}, "Members": value, "Vendor": value});
            prop_assert!(serde_json::from_value::<System>(object.clone()).is_ok());
            prop_assert!(serde_json::from_value::<Collection>(object.clone()).is_ok());
            prop_assert!(serde_json::from_value::<ServiceRoot>(object).is_ok());
            let said = Messages::of(&json!({ "error": value })).to_string();
            prop_assert!(!said.chars().any(char::is_control));
        }
    }

    #[test]
    fn messages_in_every_form() {
        let one = json!({"MessageId": "iLO.2.26.UnableToModifyDuringSystemPOST", "Message": "not\nnow"});
        for body in [
            json!({"error": {"code": "x", "@Message.ExtendedInfo": [one]}}),
            json!({"error": {"@Message.ExtendedInfo": one}}),
            json!({"@Message.ExtendedInfo": [one, 7, {}]}),
        ] {
            let messages = Messages::of(&body);
            assert_eq!(messages.to_string(), "UnableToModifyDuringSystemPOST: not\u{fffd}now");
            assert!(messages.has(&["UnableToModifyDuringSystemPOST"]) && !messages.has(&["now"]));
        }
        let plain = json!({"error": {"code": "Base.1.0.GeneralError", "message": "no"}});
        assert_eq!(Messages::of(&plain).to_string(), "GeneralError: no");
        assert_eq!(Messages::of(&plain).without("no").to_string(), "GeneralError: …");
        assert_eq!(Messages::of(&json!("nonsense")), Messages::default());
        let many = json!({"error": {"@Message.ExtendedInfo": vec![one; 100]}});
        assert_eq!(Messages::of(&many).0.len(), MAX_MESSAGES);
    }
}
