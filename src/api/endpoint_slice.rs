//! The EndpointSlice as Serin keeps it in memory: which pods a Service really leads to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::common::without_managed_fields;

/// The label that names the Service of a slice.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A `discovery.k8s.io/v1` EndpointSlice, read only.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[resource(inherit = k8s_openapi::api::discovery::v1::EndpointSlice)]
pub struct EndpointSlice {
    /// Name and labels.
    #[serde(deserialize_with = "without_managed_fields")]
    pub metadata: ObjectMeta,
    /// The endpoints; null for a Service without any.
    #[serde(default)]
    pub endpoints: Option<Vec<Endpoint>>,
}

/// The part of an endpoint that is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The pod behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<Target>,
}

/// What an endpoint leads to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The name of the pod.
    #[serde(default)]
    pub name: String,
}

impl EndpointSlice {
    /// The Service that the slice belongs to.
    pub fn service(&self) -> &str {
        self.metadata
            .labels
            .as_ref()
            .and_then(|l| l.get(SERVICE_NAME))
            .map_or("", String::as_str)
    }

    /// The names of the pods behind it.
    pub fn pods(&self) -> impl Iterator<Item = &str> {
        let endpoints = self.endpoints.iter().flatten();
        endpoints
            .filter_map(|e| e.target_ref.as_ref())
            .map(|t| t.name.as_str())
    }
}
