//! How optional values look on the wire: absent, never `null` and never a default that the API server would write back.

pub(super) use crate::api::common::null_as_default;
use schemars::{Schema, SchemaGenerator, json_schema};

/// Whether a value is its type's default, and so stays off the wire.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An integer, or a string that becomes one when its placeholders are filled.
pub(super) fn int_or_string(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true })
}

/// An object of any shape, required to be an object.
pub(super) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Any JSON value.
pub(super) fn any_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// A phase. The schema names no values, as it never did on this wire: an old status must stay writable.
pub(super) fn phase(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string" })
}
