//! Whole inventories, and what every import has to keep to.

mod documents;
mod properties;
mod reaching;

use std::path::Path;

use super::files::{Document, Documents};
use super::{Format, ImportError, Imported, convert};
use crate::inventory::{Inventory, parse};

fn documents(name: &str, text: &str) -> Documents {
    let inventories = vec![Document { name: name.into(), text: text.to_owned() }];
    Documents { inventories, ..Documents::default() }
}

fn import_as(name: &str, text: &str) -> Result<Imported, ImportError> {
    convert(&documents(name, text), Format::Auto, name)
}

fn load(imported: &Imported) -> Inventory {
    let document = &imported.document;
    parse(document, Path::new("/"), "imported").unwrap_or_else(|e| panic!("{e}\n{document}"))
}
