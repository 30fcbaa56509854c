//! The project's own templates, with the operator's and the release's values filled in.

use minijinja::UndefinedBehavior;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use serde::Serialize;

/// The template with these values. Lines that hold only a block tag leave nothing behind. Nothing is escaped: a
/// template that needs it says `tojson`.
///
/// # Errors
/// A fault of the template: it is wrong, or asks for a value that is not there.
pub fn render(
    name: &str,
    template: &str,
    values: &impl Serialize,
) -> Result<String, minijinja::Error> {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build()?);
    // Escaping goes by a name's extension, and is no business of what is rendered here.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.render_named_str(name, template, Serde(values))
}
