//! The client of a request, as seen through trusted proxies.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::{HttpRequest, web};

use super::connection::ConnState;
use crate::app::App;
use crate::proxies::{self, Sender};

/// The address of the client; `None` if the connection is closed already.
pub(super) fn address(request: &HttpRequest) -> Option<IpAddr> {
    sender(request).map(|sender| sender.address)
}

/// Whether the client uses HTTPS, to this server or to a trusted proxy.
pub(super) fn is_https(request: &HttpRequest) -> bool {
    request.conn_data::<Rc<ConnState>>().is_some_and(|state| state.is_tls)
        || sender(request).is_some_and(|sender| sender.is_https)
}

fn sender(request: &HttpRequest) -> Option<Sender> {
    let peer = request.peer_addr()?.ip();
    let config = &request.app_data::<web::Data<App>>()?.config.server;
    let values = |name: &'static str| request.headers().get_all(name).filter_map(|value| value.to_str().ok());
    if config.trusted_proxies.is_empty() && request.headers().contains_key(config.forwarded_header.name()) {
        warn_of_proxy(peer);
    }
    Some(proxies::sender(peer, &config.trusted_proxies, config.forwarded_header, values))
}

/// Warns once that there seems to be a proxy which is not trusted.
fn warn_of_proxy(peer: IpAddr) {
    static HAS_WARNED: AtomicBool = AtomicBool::new(false);
    if !HAS_WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            %peer,
            "a request came through a proxy, but `server.trusted_proxies` is empty: people behind the proxy share its address \
             and its limit of failed sign-ins"
        );
    }
}
