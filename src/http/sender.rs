//! The client of a request, as seen through trusted proxies.

use std::net::IpAddr;
use std::rc::Rc;

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
    Some(proxies::sender(peer, &config.trusted_proxies, config.forwarded_header, values))
}
