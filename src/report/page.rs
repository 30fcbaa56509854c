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

/// What all pages begin with, the policy included, and end with.
const HEAD: &str = include_str!("../../templates/report/head.html");
const FOOT: &str = include_str!("../../templates/report/foot.html");

/// What a page looks like and does by itself.
pub(super) struct Looks<'a> {
    /// CSS.
    pub style: &'a str,
    /// JavaScript.
    pub script: &'a str,
}

#[derive(Serialize)]
struct Framed<'a, T> {
    style: &'a str,
    style_hash: String,
    script: &'a str,
    script_hash: String,
    #[serde(flatten)]
    page: T,
}

/// Fill in the template of what is between head and foot. The page has a `title` and a `verdict` for its head.
///
/// # Errors
/// The template is at fault; no data is.
pub(super) fn render(
    template: &str,
    Looks { style, script }: Looks<'_>,
    page: impl Serialize,
) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let (style_hash, script_hash) = (hash(style), hash(script));
    let framed = Framed { style, style_hash, script, script_hash, page };
    let template = [HEAD, template, FOOT].concat();
    environment.render_named_str("page.html", &template, Serde(framed))
}

/// What a Content-Security-Policy calls a text.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// Untrusted text for a page: escaping is the template's.
pub(super) fn shown(text: &str) -> String {
    printable(text).into_owned()
}
