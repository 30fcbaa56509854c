//! Wiping documents that hold secrets. Knows nothing of what is in them.

use serde_json::Value;
use zeroize::Zeroize;

/// Overwrite every text in `value`, so that no secret stays behind in freed memory.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        _ => {}
    }
}
