//! The frame of every page: navigation, search, and who is signed in.

use actix_web::HttpRequest;

use crate::caller::{PermissionLevel, SessionHolder};
use crate::http::pages::{Frame, assets, full_name};
use crate::http::session;

/// Where a page is in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In none of its entries.
    None,
    Overview,
    People,
    Import,
    Audit,
    Batches,
    Groups,
    Keys,
    Services,
    Settings,
    Invitations,
    Providers,
    Sessions,
}

/// An entry of the navigation.
pub(super) struct Entry {
    pub(super) place: Place,
    /// Below `/console`.
    pub(super) path: &'static str,
    pub(super) title: &'static str,
    /// The word by which the script finds it.
    pub(super) key: &'static str,
    pub(super) for_owners: bool,
}

/// A heading of the navigation, and what is below it. The first has none.
pub(super) type Section = (&'static str, &'static [Entry]);

const SECTIONS: &[Section] = &[
    (
        "",
        &[
            Entry { place: Place::Overview, path: "", title: "Overview", key: "home", for_owners: false },
            Entry { place: Place::People, path: "/people", title: "People", key: "people", for_owners: false },
            Entry { place: Place::Import, path: "/import", title: "Import", key: "import", for_owners: true },
            Entry { place: Place::Batches, path: "/batches", title: "Batches", key: "batches", for_owners: true },
            Entry { place: Place::Groups, path: "/groups", title: "Groups", key: "groups", for_owners: true },
            Entry {
                place: Place::Invitations,
                path: "/invitations",
                title: "Invitations",
                key: "invitations",
                for_owners: true,
            },
        ],
    ),
    (
        "Access",
        &[
            Entry { place: Place::Keys, path: "/keys", title: "API keys", key: "keys", for_owners: false },
            Entry {
                place: Place::Services,
                path: "/services",
                title: "Service accounts",
                key: "services",
                for_owners: true,
            },
            Entry {
                place: Place::Providers,
                path: "/providers",
                title: "Identity providers",
                key: "providers",
                for_owners: true,
            },
            Entry { place: Place::Sessions, path: "/sessions", title: "Sessions", key: "sessions", for_owners: true },
        ],
    ),
    ("Record", &[Entry { place: Place::Audit, path: "/audit", title: "Audit log", key: "audit", for_owners: true }]),
    (
        "Organization",
        &[Entry { place: Place::Settings, path: "/settings", title: "Settings", key: "settings", for_owners: true }],
    ),
];

/// What every page has.
#[derive(Clone, Debug)]
pub(super) struct Shell {
    pub(super) frame: Frame,
    place: Place,
    pub(super) name: String,
    pub(super) organization: String,
    pub(super) is_owner: bool,
    /// The page, to come back to.
    page: String,
    /// Whether the person has turned keyboard shortcuts off in this browser.
    has_no_keys: bool,
}

/// The cookie of a browser in which keyboard shortcuts are turned off.
pub(super) const NO_KEYS: &str = "__Host-Http-muster-no-keys";

impl Shell {
    pub(super) fn new(request: &HttpRequest, holder: &SessionHolder, place: Place) -> Self {
        Self {
            frame: Frame::of(request),
            place,
            name: full_name(&holder.user.name, holder.user.lastname.as_deref()),
            organization: holder.organization.name.clone(),
            is_owner: holder.permission == PermissionLevel::Owner,
            page: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            has_no_keys: session::cookie(request, NO_KEYS).is_ok_and(|value| value.is_some()),
        }
    }

    pub(super) fn page(&self) -> &str {
        &self.page
    }

    pub(super) const fn has_no_keys(&self) -> bool {
        self.has_no_keys
    }

    /// The relative address of the console, such as `../console`.
    pub(super) fn console(&self) -> String {
        format!("{}console", self.frame.root)
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = &'static Section> {
        let is_owner = self.is_owner;
        SECTIONS.iter().filter(move |(_, entries)| entries.iter().any(|entry| is_owner || !entry.for_owners))
    }

    pub(super) fn shows(&self, entry: &Entry) -> bool {
        self.is_owner || !entry.for_owners
    }

    pub(super) fn is_current(&self, entry: &Entry) -> bool {
        self.place == entry.place
    }

    pub(super) fn script(&self) -> &'static str {
        &assets::SCRIPT.path
    }

    pub(super) const fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}
