//! Writes of which only the new resourceVersion is read: the API server sends the metadata alone, and the rest is never
//! turned into objects only to be dropped. A canary makes some twenty writes, and an object can be long.

use http::header::{ACCEPT, HeaderValue};
use kube::Client;
use serde::Deserialize;

/// The metadata alone; the whole object from a server that cannot do that, which reads the same.
const METADATA_ONLY: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json");

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default, rename = "resourceVersion")]
    resource_version: Option<String>,
}

/// Sends a write; the resourceVersion that it gave the object.
pub async fn version_after(
    client: &Client,
    request: Result<http::Request<Vec<u8>>, kube::Error>,
) -> Result<Option<String>, kube::Error> {
    let mut request = request?;
    request.headers_mut().insert(ACCEPT, METADATA_ONLY);
    let answer: Answer = client.request(request).await?;
    Ok(answer.metadata.resource_version)
}
