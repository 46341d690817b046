//! A receiver of traces in place of a collector: OTLP over HTTP, decoded with the protobuf messages of the protocol.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::support::gate::TIMEOUT;

/// A request that the receiver got.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
    pub message: ExportTraceServiceRequest,
}

pub struct Receiver {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let data = web::Data::from(Arc::clone(&received));
        std::thread::spawn(move || {
            let server =
                HttpServer::new(move || App::new().app_data(data.clone()).route("/v1/traces", web::post().to(take)));
            actix_web::rt::System::new().block_on(server.workers(1).disable_signals().listen(listener).unwrap().run())
        });
        Self { address, received }
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// All spans received so far.
    pub fn spans(&self) -> Vec<Span> {
        let messages = self.received().into_iter().map(|received| received.message);
        messages
            .flat_map(|message| message.resource_spans)
            .flat_map(|of_resource| of_resource.scope_spans)
            .flat_map(|of_scope| of_scope.spans)
            .collect()
    }

    /// The spans of a trace; waits until there are so many.
    pub async fn trace(&self, trace_id: &str, spans: usize) -> Vec<Span> {
        let start = Instant::now();
        loop {
            let found: Vec<Span> =
                self.spans().into_iter().filter(|span| hex::encode(&span.trace_id) == trace_id).collect();
            if found.len() >= spans {
                return found;
            }
            assert!(start.elapsed() < TIMEOUT, "{} of {spans} in {:#?}", found.len(), self.spans());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn take(request: HttpRequest, received: web::Data<Mutex<Vec<Received>>>, body: web::Bytes) -> HttpResponse {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let bytes = match request.headers().get("content-encoding") {
        None => body.to_vec(),
        Some(packed) => {
            assert_eq!(packed, "gzip");
            let mut bytes = Vec::new();
            GzDecoder::new(&body[..]).read_to_end(&mut bytes).unwrap();
            bytes
        }
    };
    let message = ExportTraceServiceRequest::decode(&bytes[..]).unwrap();
    received.lock().unwrap().push(Received { headers, bytes, message });
    HttpResponse::Ok().content_type("application/x-protobuf").finish()
}

/// The value of an attribute, as text.
pub fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{key}: {other:?}"),
    })
}
