//! The identity of a revision: the pod template hash, the step hash, and equality of templates by meaning.
//!
//! A hash names things: a ReplicaSet, its pods, the selectors of Services. It has to be the very name that the other
//! controllers of the contract would give, which is a hash over the bytes that Go prints for its typed template; so
//! `encode` prints those bytes from raw JSON and a table of the Go types. But those bytes change with every release
//! of the Kubernetes libraries, so a hash never decides alone whether a template changed: [`equal_by_meaning`] does,
//! on templates that are brought to one form by [`normalise`].
//!
//! Absent here: any typed view of the template (a field newer than our libraries must survive), any clock, any
//! randomness. Every function is total: JSON that Go could not decode still has a hash, see [`template_hash`].

mod check;
mod defaults;
mod encode;
mod fields;
mod injected;
mod normalise;
pub mod quantity;
#[cfg(test)]
mod tests;

pub use check::wrong_quantity;
pub use normalise::{equal_by_meaning, normalise};

use fields::Table;
use serde_json::Value;

/// Hash of a pod template, as controllers of the contract print it since 1.9: the value of the label
/// `rollouts-pod-template-hash` and the end of the ReplicaSet's name. 1 to 10 characters, in practice 7 to 10.
///
/// FNV-1a (32 bits) over the Go JSON of the typed template, then over 8 bytes of `collision_count` when there is one
/// (little-endian `u32`, four zero bytes; a count of 0 is fed too), printed in decimal and encoded by [`safe_encode`].
///
/// A field that the Go type cannot hold (a string for a number, an invalid quantity) is hashed as its raw JSON. The
/// other controllers refuse such an object as a whole, so there is no hash to agree with; what matters here is that a
/// change of the field still changes the hash. Fields that are not in the table are left out, as Go leaves them out:
/// two templates that differ only there have one hash and are told apart by [`equal_by_meaning`].
pub fn template_hash(template: &Value, collision_count: Option<i32>) -> String {
    hash(Table::pod_template(), Some(template), collision_count)
}

/// Hash of a pod template as controllers up to 1.8 print it.
///
/// Their Kubernetes libraries (0.29) print `"creationTimestamp":null` in every metadata and know fewer fields. Found
/// on the ReplicaSets of a rollout that such a controller left behind.
pub fn legacy_template_hash(template: &Value, collision_count: Option<i32>) -> String {
    hash(Table::pod_template_1_8(), Some(template), collision_count)
}

/// Hash of the canary steps: `status.currentStepHash`, as printed since 1.9. `None` is a canary without steps.
///
/// ```
/// use serin::engine::identity::step_hash;
/// assert_eq!(step_hash(None), "5ffbfbbd64");
/// assert_eq!(step_hash(Some(&serde_json::json!([{"pause": {}}]))), "6b9b86fbd5");
/// ```
pub fn step_hash(steps: Option<&Value>) -> String {
    hash(Table::canary_steps(), written_steps(steps), None)
}

/// Hash of the canary steps as printed up to 1.8, where an inline analysis always carries `analysisRunMetadata` and an
/// explicit `clusterScope: false` is not printed. A stored hash of this form means that the steps did not change.
pub fn legacy_step_hash(steps: Option<&Value>) -> String {
    hash(Table::canary_steps_1_8(), written_steps(steps), None)
}

/// An empty list of steps hashes as none: the controllers pass every Rollout through JSON once more before hashing
/// it, and `steps` is left out there when empty.
fn written_steps(steps: Option<&Value>) -> Option<&Value> {
    steps.filter(|steps| steps.as_array().is_none_or(|list| !list.is_empty()))
}

fn hash(table: &Table, value: Option<&Value>, collision_count: Option<i32>) -> String {
    let mut bytes = encode::encode(table, value).into_bytes();
    if let Some(count) = collision_count {
        bytes.extend(count.to_le_bytes());
        bytes.extend([0; 4]);
    }
    safe_encode(&fnv1a_32(&bytes).to_string())
}

/// FNV-1a with 32 bits: offset basis 2166136261, prime 16777619.
fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Tells a template from another by its text, every field of it, known or not. Not a name of anything: it only says
/// whether the template is still the one that was looked at, so that it means nothing to other controllers. FNV-1a with
/// 64 bits (offset basis 14695981039346656037, prime 1099511628211), 16 hexadecimal digits.
///
/// ```
/// use serde_json::json;
/// use serin::engine::identity::fingerprint;
/// assert_eq!(fingerprint(&json!({"a": 1})), fingerprint(&json!({"a": 1})));
/// assert_ne!(fingerprint(&json!({"a": 1})), fingerprint(&json!({"a": 1, "newer": true})));
/// ```
pub fn fingerprint(template: &Value) -> String {
    let sum = template
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{sum:016x}")
}

/// Maps every byte to one of 27 characters without vowels and look-alikes, so that no hash spells a word
/// (apimachinery `rand.SafeEncodeString`): the byte's code modulo 27 indexes `bcdfghjklmnpqrstvwxz2456789`.
///
/// ```
/// // 0 is byte 48 and 48 % 27 = 21: "4"; 9 is byte 57 and 57 % 27 = 3: "f".
/// assert_eq!(serin::engine::identity::safe_encode("09"), "4f");
/// ```
pub fn safe_encode(text: &str) -> String {
    const ALPHABET: [char; 27] = [
        'b', 'c', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'q', 'r', 's', 't', 'v', 'w', 'x', 'z',
        '2', '4', '5', '6', '7', '8', '9',
    ];
    text.bytes()
        .map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()])
        .collect()
}
