//! Secrets, read by name when a measurement is taken and kept nowhere.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use super::apply::call;
use crate::api::analysis::Argument;
use crate::engine::analysis::secret_refs;

/// The values of the arguments that are keys of Secrets. Only the Secrets that the run names are read, by name.
pub async fn secrets(
    client: &Client,
    namespace: &str,
    args: &[Argument],
) -> Result<BTreeMap<String, String>, String> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut values = BTreeMap::new();
    for (arg, key) in secret_refs(args) {
        let secret = call("read", "Secret", &key.name, api.get(&key.name))
            .await
            .map_err(|error| format!("argument \"{arg}\": {}", error.sentence()))?;
        let bytes = secret
            .data
            .as_ref()
            .and_then(|data| data.get(&key.key))
            .ok_or_else(|| {
                format!(
                    "argument \"{arg}\": Secret \"{}\" has no key \"{}\"",
                    key.name, key.key
                )
            })?;
        let value = String::from_utf8(bytes.0.clone()).map_err(|_| {
            format!(
                "argument \"{arg}\": key \"{}\" of Secret \"{}\" is not text",
                key.key, key.name
            )
        })?;
        values.insert(arg.to_owned(), value);
    }
    Ok(values)
}
