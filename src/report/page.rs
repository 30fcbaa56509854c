//! Pages that need nothing else: no network, no script to be readable. What all of them share.
//!
//! The text is in `templates/report/`. Everything goes through the template's escaping but a page's own style and script, and
//! what it says itself is made of nothing that a host said. Its policy lets exactly that style and that script work, so
//! that text which did get through as markup could neither load nor run anything.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use super::printable;

/// The style that all pages begin with.
pub(super) const STYLE: &str = include_str!("../../templates/report/page.css");

/// Fill in a template.
///
/// # Errors
/// The template is at fault; no data is.
pub(super) fn render(template: &str, page: impl Serialize) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.render_named_str("page.html", template, Serde(page))
}

/// What a Content-Security-Policy calls a text.
pub(super) fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// Untrusted text for a page: escaping is the template's.
pub(super) fn shown(text: &str) -> String {
    printable(text).into_owned()
}
