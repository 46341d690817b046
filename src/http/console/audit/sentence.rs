//! One sentence for each entry of the audit log.
//!
//! # Decisions
//!
//! *The list of sentences is closed*: the compiler requires one for each action, and a test one for each event. People read no codes; the
//! page of an entry has them.
//!
//! *Names are the current ones.* The log has none, so that a person's data can be deleted; deleted people and objects appear with
//! their IDs.

use std::borrow::Cow;

use serde_json::Value;

use super::{attempt, done};
use crate::audit::{ActorKind, Entry, Names, Outcome};
use crate::caller::{Action, Source};
use crate::http::console::numbers::number;

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http::console) enum Part {
    /// Words of muster.
    Text(Cow<'static, str>),
    /// Who acted.
    Actor(String),
    /// An object by its name, with the path of its page, below `/console`.
    Object { name: String, path: Option<String> },
}

impl Part {
    /// The words.
    pub(in crate::http::console) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Actor(name) | Self::Object { name, .. } => name,
        }
    }

    /// The path of the page of an object, below `/console`.
    pub(in crate::http::console) fn path(&self) -> Option<&str> {
        match self {
            Self::Object { path, .. } => path.as_deref(),
            Self::Text(_) | Self::Actor(_) => None,
        }
    }

    /// Whether the words are a name that somebody chose.
    pub(in crate::http::console) const fn is_name(&self) -> bool {
        !matches!(self, Self::Text(_))
    }
}

/// Parts of a sentence, in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::http::console) struct Line(pub(in crate::http::console) Vec<Part>);

impl Line {
    pub(super) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    pub(super) fn text(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.0.push(Part::Text(text.into()));
        self
    }

    pub(super) fn part(mut self, part: Part) -> Self {
        self.0.push(part);
        self
    }

    /// Appends parts, with `between` before them unless they are the first.
    pub(super) fn then(mut self, between: &'static str, line: Self) -> Self {
        if !self.0.is_empty() && !line.0.is_empty() {
            self = self.text(between);
        }
        self.0.extend(line.0);
        self
    }

    #[cfg(test)]
    pub(super) fn plain(&self) -> String {
        self.0.iter().map(Part::text).collect()
    }
}

/// An entry in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http::console) struct Sentence {
    /// Who did what.
    pub(in crate::http::console) line: Line,
    /// What else is worth knowing; empty for nothing.
    pub(in crate::http::console) more: Line,
    /// Whether the action was denied or rejected.
    pub(in crate::http::console) is_refused: bool,
}

impl Sentence {
    pub(super) fn of(entry: &Entry, names: &Names) -> Self {
        let context = Context { entry, names };
        let is_refused = entry.outcome != Outcome::Success;
        let actor = Line(vec![context.actor()]);
        let Some(action) = Action::parse(&entry.action) else {
            let line = actor.text(" did something that this version of muster does not know");
            return Self { line, more: Line::default(), is_refused };
        };
        let (line, more) = match is_refused {
            false => done::of(&context, action),
            true => attempt::of(&context, action),
        };
        let more = context.how().map_or(more.clone(), |how| more.then(" · ", Line::new(how)));
        Self { line: actor.text(" ").then("", line), more, is_refused }
    }
}

/// An entry, and the names of the objects in it.
pub(super) struct Context<'a> {
    pub(super) entry: &'a Entry,
    pub(super) names: &'a Names,
}

impl Context<'_> {
    fn actor(&self) -> Part {
        let entry = self.entry;
        let name = match (entry.actor_kind, entry.actor_user_id) {
            (ActorKind::Session | ActorKind::ApiKey | ActorKind::Invitation, Some(user_id)) => {
                self.name(&user_id.to_string())
            }
            (ActorKind::ApiKey, None) => match &entry.actor_name {
                Some(name) => format!("API key {name}"),
                None => "A deleted API key".to_owned(),
            },
            (ActorKind::Session, None) => "Somebody signed in".to_owned(),
            (ActorKind::Invitation, None) => match self.detail("user_id") {
                Some(user_id) => self.name(user_id),
                None => "An invited person".to_owned(),
            },
            (ActorKind::Operator, _) => {
                match (self.detail("sudo_user").or(self.detail("os_user")), self.detail("host")) {
                    (Some(user), Some(host)) => format!("{user} on {host}"),
                    (Some(user), None) => user.to_owned(),
                    (None, _) => "The operator".to_owned(),
                }
            }
            (ActorKind::ScimToken, _) => "A directory".to_owned(),
            (ActorKind::System, _) => "muster".to_owned(),
            (ActorKind::Anonymous, _) => "Somebody unknown".to_owned(),
        };
        Part::Actor(name)
    }

    /// By what means the actor acted, if that is not the browser.
    pub(super) fn how(&self) -> Option<String> {
        let entry = self.entry;
        match entry.actor_kind {
            ActorKind::ApiKey => {
                let place = match entry.client.as_deref().and_then(Source::parse) {
                    Some(Source::MusterClient) => Some("on the command line"),
                    Some(Source::VendorClient) => Some("with Anyscale’s client"),
                    Some(Source::Http) | None => None,
                };
                let key = entry.actor_user_id.map(|_| match &entry.actor_name {
                    Some(name) => format!("with the API key {name}"),
                    None => "with a deleted API key".to_owned(),
                });
                let both = place.map(str::to_owned).into_iter().chain(key).collect::<Vec<_>>().join(", ");
                (!both.is_empty()).then_some(both)
            }
            ActorKind::Operator => Some("on the command line, beside the server".to_owned()),
            _ => None,
        }
    }

    /// The name of an object, or words for one that has none.
    pub(super) fn name(&self, id: &str) -> String {
        if let Some(name) = self.names.of(id) {
            return name.to_owned();
        }
        match id.split_once('_').map_or("", |(prefix, _)| prefix) {
            "usr" => format!("deleted person {id}"),
            "ug" => format!("deleted group {id}"),
            "key" => format!("deleted API key {id}"),
            "idp" => format!("removed identity provider {id}"),
            "orginv" => "a deleted address".to_owned(),
            "bat" => "a list".to_owned(),
            "ses" => "a session".to_owned(),
            "lnk" => "a link".to_owned(),
            "org" => "the organization".to_owned(),
            _ => "something".to_owned(),
        }
    }

    /// An object, with a link to what is known about it.
    pub(super) fn object(&self, id: &str) -> Part {
        let path = match id.split_once('_').map_or("", |(prefix, _)| prefix) {
            "usr" => Some(format!("people/{id}")),
            "bat" => Some(format!("batches/{id}")),
            "ug" if self.names.of(id).is_some() => Some(format!("groups/{id}")),
            "key" if self.names.of(id).is_some() => Some(format!("keys/{id}")),
            "orginv" if self.names.of(id).is_some() => Some(format!("invitations/{id}")),
            "idp" if self.names.of(id).is_some() => Some(format!("providers/{id}")),
            _ => None,
        };
        Part::Object { name: self.name(id), path }
    }

    /// The target; `or` if there is none.
    pub(super) fn target(&self, or: &'static str) -> Part {
        match self.entry.target_id.as_deref().filter(|_| self.entry.target_kind.as_deref() != Some("organization")) {
            Some(id) => self.object(id),
            None => Part::Text(or.into()),
        }
    }

    pub(super) fn detail(&self, field: &str) -> Option<&str> {
        self.entry.details.get(field)?.as_str()
    }

    pub(super) fn number(&self, field: &str) -> u64 {
        self.entry.details.get(field).and_then(Value::as_u64).unwrap_or_default()
    }

    pub(super) fn list(&self, field: &str) -> Vec<&str> {
        let values = self.entry.details.get(field).and_then(Value::as_array);
        values.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The names of some objects, and how many there are besides.
    pub(super) fn objects(&self, ids: &[&str]) -> Line {
        let mut line = Line::default();
        for id in ids.iter().take(SHOWN) {
            line = line.then(", ", Line(vec![self.object(id)]));
        }
        match ids.len().saturating_sub(SHOWN) {
            0 => line,
            further => line.text(format!(" and {} more", number(further))),
        }
    }
}

/// How many objects of a list are named.
const SHOWN: usize = 3;
